//! Wipes what nobody asks for any more.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{CredentialCache, entry::Age};

/// How often it looks: what is past its time is wiped within this.
const EVERY: Duration = Duration::from_secs(30);

/// After how many entries it lets others work: some tens of microseconds.
const STEP: usize = 512;

/// Drops, and so wipes, what is past its time. What is asked for is replaced by then; the rest would stay
/// until its room is wanted.
pub struct Sweeper(CredentialCache);

impl Sweeper {
    /// A sweeper of that cache.
    #[must_use]
    pub fn new(cache: CredentialCache) -> Self {
        Self(cache)
    }

    /// Sweeps twice a minute until told to stop.
    pub async fn run(self, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
            stop.run_until_cancelled(self.run_once()).await;
        }
    }

    /// Looks at every entry once. No lock is held for longer than it takes to look at one.
    pub async fn run_once(&self) {
        let cache = &self.0.0;
        for (n, (name, entry)) in cache.entries.iter().enumerate() {
            if entry.age(cache.clock.uptime(), &cache.settings) == Age::Over {
                // Not a newer one, which may have taken its place.
                cache.entries.remove_if(&name, |there| there.found.kept.is(&entry.found.kept));
            }
            if n % STEP == STEP - 1 {
                tokio::task::yield_now().await;
            }
        }
    }
}

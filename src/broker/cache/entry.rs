//! One kept value, and how old it is.

use std::time::Duration;

use quick_cache::Weighter;

use super::{CacheSettings, Found};
use crate::domain::secret::SecretName;

/// How long the store is left alone after it failed, or after someone set out to ask it.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// Times are in milliseconds of uptime. Clones share the value.
#[derive(Clone)]
pub(super) struct Entry {
    pub found: Found,
    loaded_at: u64,
    /// From when on it should be loaded anew.
    refresh_at: u64,
    /// Before when a stale value is served without asking the store.
    retry_at: u64,
}

/// What may be done with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Age {
    /// It may be served.
    Fresh,
    /// It may be served, and whoever claims the refresh should load it anew.
    Due,
    /// Its time is over. It may be served, since the store failed a moment ago.
    Resting,
    /// Its time is over. It may stand in if the store fails.
    Stale,
    /// It may not be served any more.
    Over,
}

impl Entry {
    /// A value that was loaded just now.
    pub(super) fn new(found: Found, now: Duration, settings: &CacheSettings) -> Self {
        // The last tenth is time enough for a refresh, and for a second one if the first fails.
        let refresh_at = millis(now + settings.ttl / 10 * 9);
        Self { found, loaded_at: millis(now), refresh_at, retry_at: 0 }
    }

    pub(super) fn age(&self, now: Duration, settings: &CacheSettings) -> Age {
        let now = millis(now);
        let age = Duration::from_millis(now.saturating_sub(self.loaded_at));
        if age < settings.ttl {
            if now < self.refresh_at { Age::Fresh } else { Age::Due }
        } else if age >= settings.ttl + settings.stale_if_error {
            Age::Over
        } else if now < self.retry_at {
            Age::Resting
        } else {
            Age::Stale
        }
    }

    /// Whether the caller is the one who is to refresh it. Nobody else is for a while.
    pub(super) fn claim_refresh(&mut self, now: Duration) -> bool {
        let due = self.refresh_at <= millis(now);
        if due {
            self.refresh_at = millis(now + ASK_AGAIN_AFTER);
        }
        due
    }

    /// Lets it be served for a while without asking the store.
    pub(super) fn rest(&mut self, now: Duration) {
        self.retry_at = millis(now + ASK_AGAIN_AFTER);
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Knows how much memory an entry takes, with what the cache adds.
#[derive(Clone)]
pub(super) struct Scales;

/// What an entry takes besides its texts, in bytes: 240 measured, and room for tables that are half empty
/// and for the traces of evicted entries.
const OVERHEAD: usize = 480;

impl Scales {
    pub(super) fn weigh(name: &SecretName, entry: &Entry) -> usize {
        OVERHEAD + name.org().as_str().len() + name.connection().as_str().len() + entry.found.kept.size()
    }
}

impl Weighter<SecretName, Entry> for Scales {
    fn weight(&self, name: &SecretName, entry: &Entry) -> u64 {
        Self::weigh(name, entry) as u64
    }
}

//! One kept value, and how old it is.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use quick_cache::Weighter;

use super::{CacheSettings, Found};
use crate::domain::secret::SecretName;

/// How long the store is left alone after it failed, or after someone set out to ask it.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(5);

pub(super) struct Entry {
    pub found: Found,
    loaded_at: Duration,
    /// From when on it should be loaded anew, in milliseconds of uptime.
    refresh_at: AtomicU64,
    /// Before when a stale value is served without asking the store, in the same.
    retry_at: AtomicU64,
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
        Self { found, loaded_at: now, refresh_at: refresh_at.into(), retry_at: AtomicU64::new(0) }
    }

    pub(super) fn age(&self, now: Duration, settings: &CacheSettings) -> Age {
        let age = now.saturating_sub(self.loaded_at);
        if age < settings.ttl {
            let due = millis(now) >= self.refresh_at.load(Ordering::Relaxed);
            if due { Age::Due } else { Age::Fresh }
        } else if age >= settings.ttl + settings.stale_if_error {
            Age::Over
        } else if millis(now) < self.retry_at.load(Ordering::Relaxed) {
            Age::Resting
        } else {
            Age::Stale
        }
    }

    /// Whether the caller is the one who is to refresh it. Nobody else is for a while.
    pub(super) fn claim_refresh(&self, now: Duration) -> bool {
        let due = |at: u64| (at <= millis(now)).then(|| millis(now + ASK_AGAIN_AFTER));
        self.refresh_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, due).is_ok()
    }

    /// Lets it be served for a while without asking the store.
    pub(super) fn rest(&self, now: Duration) {
        self.retry_at.store(millis(now + ASK_AGAIN_AFTER), Ordering::Relaxed);
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Knows how much memory an entry takes, with what the cache adds.
#[derive(Clone)]
pub(super) struct Scales;

/// What an entry takes besides its texts, in bytes: 365 measured, and room for tables that are half empty
/// and for the traces of evicted entries.
const OVERHEAD: usize = 480;

impl Scales {
    pub(super) fn weigh(name: &SecretName, entry: &Entry) -> usize {
        OVERHEAD + name.org().as_str().len() + name.connection().as_str().len() + entry.found.kept.length()
    }
}

impl Weighter<SecretName, Arc<Entry>> for Scales {
    fn weight(&self, name: &SecretName, entry: &Arc<Entry>) -> u64 {
        Self::weigh(name, entry) as u64
    }
}

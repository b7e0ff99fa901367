//! Reports under way: a thousand of one connection are one try, and the next one comes a little later.

use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::domain::secret::SecretName;

/// How far apart tries of one connection are that reports set off.
const APART: Duration = Duration::from_secs(5);

/// The most connections whose reports are looked into at a time. Those beyond are tried when their time
/// comes.
const MOST: usize = 1_000;

/// Which connections' reports are being looked into, and which were lately.
pub(super) struct Reports {
    under_way: Mutex<HashSet<SecretName>>,
    lately: quick_cache::sync::Cache<SecretName, Instant>,
}

impl Default for Reports {
    fn default() -> Self {
        Self { under_way: Mutex::default(), lately: quick_cache::sync::Cache::new(10_000) }
    }
}

impl Reports {
    /// Whether a report is to be looked into: not if another of the same connection is.
    pub(super) fn begin(&self, name: &SecretName) -> bool {
        let mut under_way = self.under_way();
        under_way.len() < MOST && under_way.insert(name.clone())
    }

    /// How long to wait before the connection's keys are tried.
    pub(super) fn wait(&self, name: &SecretName) -> Duration {
        self.lately.get(name).map_or(Duration::ZERO, |last| APART.saturating_sub(last.elapsed()))
    }

    /// Notes that a report was looked into.
    pub(super) fn end(&self, name: &SecretName) {
        self.lately.insert(name.clone(), Instant::now());
        self.under_way().remove(name);
    }

    fn under_way(&self) -> MutexGuard<'_, HashSet<SecretName>> {
        // A set is whole whatever panicked while holding it.
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

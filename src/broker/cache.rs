//! The cache of managed credentials and of the ways to customer vaults, and the one load that many readers share.
//!
//! It is part of the broker and not an adapter, because it is policy: how long a value may be served,
//! when a stale one may stand in, and what a write does to loads that began before it.
//!
//! A hit takes no lock of ours. A miss joins the load that is under way for its name, or begins one.
//! [`CredentialCache::forget`] makes a write visible to the next read: it drops the value and detaches
//! the load under way, whose readers began before the write ended and may have the old value, but which
//! no longer leaves it behind. Absence and errors are never kept. A dropped value wipes itself.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared, WeakShared},
};
use metrics::{Counter, counter};

use super::{error::Error, vault::Route};
use crate::domain::{
    clock::Clock,
    connection::Source,
    id::{OrgId, ProviderName},
    secret::{Credentials, SecretName, Version},
};

/// What a reader gets.
#[derive(Debug)]
pub struct Served {
    /// Whose keys they are.
    pub provider: ProviderName,
    /// The keys.
    pub credentials: Credentials,
    /// Which version they are.
    pub version: Version,
    /// Where they came from.
    pub source: Source,
}

impl Served {
    /// An estimate of its memory with what the cache adds, in bytes.
    #[expect(clippy::disallowed_methods, reason = "only the length")]
    fn weight(&self, name: &SecretName) -> u32 {
        use secrecy::ExposeSecret;

        const ENTRY: usize = 560;
        const FIELD: usize = 48;
        let field =
            |(name, value): (&str, &secrecy::SecretString)| FIELD + name.len() + value.expose_secret().len();
        let names = name.org().as_str().len() + name.connection().as_str().len();
        let total = ENTRY + names + self.credentials.iter().map(field).sum::<usize>();
        u32::try_from(total).unwrap_or(u32::MAX)
    }
}

/// What is kept of a connection.
#[derive(Clone)]
pub enum Kept {
    /// Its keys.
    Keys(Arc<Served>),
    /// How to ask its organization's own vault for them, each time.
    Vault(Arc<Route>),
}

impl Kept {
    /// An estimate of its memory with what the cache adds, in bytes.
    fn weight(&self, name: &SecretName) -> u32 {
        const ROUTE: u32 = 2_048;
        match self {
            Self::Keys(served) => served.weight(name),
            Self::Vault(_) => ROUTE,
        }
    }
}

/// How the cache behaves.
#[derive(Debug, Clone, Copy)]
pub struct CacheSettings {
    /// How long a value may be served from memory; zero turns the cache off.
    pub ttl: Duration,
    /// How much longer while the store is failing.
    pub stale_if_error: Duration,
    /// The bound, in bytes.
    pub max_bytes: u64,
}

/// How fresh a reader wants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// From memory, if it is there.
    Cached,
    /// From the store, by a call that begins now.
    Now,
}

/// How long a failing store is left alone while stale values stand in.
const RETRY_AFTER_FAILURE: Duration = Duration::from_secs(5);

type Load = Shared<BoxFuture<'static, Result<Kept, Error>>>;
type WeakLoad = WeakShared<BoxFuture<'static, Result<Kept, Error>>>;

/// The cache. Clones share it.
#[derive(Clone)]
pub struct CredentialCache(Arc<Inner>);

struct Inner {
    entries: moka::sync::Cache<SecretName, Arc<Entry>>,
    loads: Mutex<HashMap<SecretName, (u64, WeakLoad)>>,
    next_load: AtomicU64,
    settings: CacheSettings,
    clock: Arc<dyn Clock>,
    hits: Counter,
    misses: Counter,
    stale: Counter,
    bypassed: Counter,
}

struct Entry {
    kept: Kept,
    loaded_at: Duration,
    /// Milliseconds of uptime before which a stale value is served without asking the store.
    retry_at: AtomicU64,
}

impl CredentialCache {
    /// An empty cache.
    #[must_use]
    pub fn new(settings: CacheSettings, clock: Arc<dyn Clock>) -> Self {
        let kept = settings.ttl + settings.stale_if_error;
        let reads = |result: &'static str| counter!("keybroker_cache_reads_total", "result" => result);
        Self(Arc::new(Inner {
            entries: moka::sync::Cache::builder()
                .max_capacity(settings.max_bytes)
                .weigher(|name: &SecretName, entry: &Arc<Entry>| entry.kept.weight(name))
                .time_to_live(kept)
                .build(),
            loads: Mutex::default(),
            next_load: AtomicU64::new(0),
            settings,
            clock,
            hits: reads("hit"),
            misses: reads("miss"),
            stale: reads("stale"),
            bypassed: reads("bypass"),
        }))
    }

    /// The value under `name`, from memory or by `load`.
    ///
    /// # Errors
    /// What `load` failed with, unless a stale value may stand in for it.
    pub async fn read(
        &self,
        name: &SecretName,
        freshness: Freshness,
        load: impl FnOnce() -> BoxFuture<'static, Result<Kept, Error>>,
    ) -> Result<Kept, Error> {
        if freshness == Freshness::Now {
            self.0.bypassed.increment(1);
            return self.load(name, freshness, load).await;
        }
        let entry = self.0.entries.get(name);
        if let Some(entry) = &entry {
            if self.0.is_fresh(entry) {
                self.0.hits.increment(1);
                return Ok(entry.kept.clone());
            }
            if self.0.is_resting(entry) {
                self.0.stale.increment(1);
                return Ok(entry.kept.clone());
            }
        }
        self.0.misses.increment(1);
        match (self.load(name, freshness, load).await, entry) {
            (Err(error), Some(entry)) if error.is_outage() && self.0.may_stand_in(&entry) => {
                self.0.rest(&entry);
                self.0.stale.increment(1);
                Ok(entry.kept.clone())
            }
            (result, _) => result,
        }
    }

    /// Makes the next read of `name` ask the store.
    pub fn forget(&self, name: &SecretName) {
        let mut loads = self.0.loads();
        loads.remove(name);
        self.0.entries.invalidate(name);
    }

    /// Makes the next read of each of an organization's connections ask the store. Looks at every entry, so
    /// it is for what seldom happens: a change to where the keys are.
    pub fn forget_org(&self, org: &OrgId) {
        let mut loads = self.0.loads();
        loads.retain(|name, _| name.org() != org);
        for (name, _) in self.0.entries.iter().filter(|(name, _)| name.org() == org) {
            self.0.entries.invalidate(&*name);
        }
    }

    /// Drops, and so wipes, what is past its time. Otherwise that happens only as the cache is used.
    pub fn sweep(&self) {
        self.0.entries.run_pending_tasks();
    }

    fn load(
        &self,
        name: &SecretName,
        freshness: Freshness,
        load: impl FnOnce() -> BoxFuture<'static, Result<Kept, Error>>,
    ) -> Load {
        let mut loads = self.0.loads();
        if freshness == Freshness::Cached
            && let Some(under_way) = loads.get(name).and_then(|(_, load)| load.upgrade())
        {
            return under_way;
        }
        let id = self.0.next_load.fetch_add(1, Ordering::Relaxed);
        let landing = Landing { cache: Arc::clone(&self.0), name: name.clone(), id };
        let work = load();
        let shared = async move {
            let result = work.await;
            landing.land(&result);
            result
        }
        .boxed()
        .shared();
        if let Some(weak) = shared.downgrade() {
            loads.insert(name.clone(), (id, weak));
        }
        shared
    }
}

impl Inner {
    fn loads(&self) -> std::sync::MutexGuard<'_, HashMap<SecretName, (u64, WeakLoad)>> {
        // The map is whole whenever the lock is let go, panic or not.
        self.loads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn age(&self, entry: &Entry) -> Duration {
        self.clock.uptime().saturating_sub(entry.loaded_at)
    }

    fn is_fresh(&self, entry: &Entry) -> bool {
        self.age(entry) < self.settings.ttl
    }

    fn may_stand_in(&self, entry: &Entry) -> bool {
        self.age(entry) < self.settings.ttl + self.settings.stale_if_error
    }

    fn is_resting(&self, entry: &Entry) -> bool {
        let now = u64::try_from(self.clock.uptime().as_millis()).unwrap_or(u64::MAX);
        self.may_stand_in(entry) && now < entry.retry_at.load(Ordering::Relaxed)
    }

    fn rest(&self, entry: &Entry) {
        let until = (self.clock.uptime() + RETRY_AFTER_FAILURE).as_millis();
        entry.retry_at.store(u64::try_from(until).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

/// The end of one load: what it found is kept, or what is gone dropped, only if nobody forgot the name
/// meanwhile.
struct Landing {
    cache: Arc<Inner>,
    name: SecretName,
    id: u64,
}

impl Landing {
    fn land(&self, result: &Result<Kept, Error>) {
        let cache = &self.cache;
        let loads = cache.loads();
        if loads.get(&self.name).is_none_or(|(id, _)| *id != self.id) {
            return;
        }
        match result {
            Ok(kept) if !cache.settings.ttl.is_zero() => {
                let loaded_at = cache.clock.uptime();
                let entry = Entry { kept: kept.clone(), loaded_at, retry_at: AtomicU64::new(0) };
                cache.entries.insert(self.name.clone(), Arc::new(entry));
            }
            Err(error) if error.is_absence() => cache.entries.invalidate(&self.name),
            Ok(_) | Err(_) => {}
        }
    }
}

/// Also runs when every reader went away and the load was dropped half-way.
impl Drop for Landing {
    fn drop(&mut self) {
        let mut loads = self.cache.loads();
        if loads.get(&self.name).is_some_and(|(id, _)| *id == self.id) {
            loads.remove(&self.name);
        }
    }
}

#[cfg(test)]
mod tests;

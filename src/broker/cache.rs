//! The cache of managed credentials, and the one load that many readers share.
//!
//! It is part of the broker and not an adapter, because it is policy: how long a value may be served,
//! when a stale one may stand in, and what a write does to loads that began before it.
//!
//! A hit takes no lock of ours, and is none while this replica is blind (see [`super::sight`]). A miss joins
//! the load that is under way for its name, or begins one. [`CredentialCache::forget`] makes a write visible to
//! the next read: it drops the value and detaches the load under way, whose readers began before the write
//! ended, and which no longer leaves its value behind. [`CredentialCache::told`] says which generation there
//! is: an older value is dropped, and a load that finds one is done again, so that nobody is shown an older
//! value after a newer one. Absence and errors are never kept. A dropped value wipes itself.

mod loads;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::{
    FutureExt,
    future::{BoxFuture, ready},
};
use metrics::{Counter, counter};

use self::loads::{Load, Loads};
use super::{error::Error, sight::Sight};
use crate::domain::{
    clock::Clock,
    connection::Source,
    id::ProviderName,
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
    /// The connection's generation that they belong to, which orders them.
    pub generation: i64,
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

/// How often a load is done again that finds less than what was there before.
const TRIES: usize = 3;

/// The cache. Clones share it.
#[derive(Clone)]
pub struct CredentialCache(Arc<Inner>);

struct Inner {
    entries: moka::sync::Cache<SecretName, Arc<Entry>>,
    loads: Mutex<Loads>,
    settings: CacheSettings,
    sight: Sight,
    clock: Arc<dyn Clock>,
    hits: Counter,
    misses: Counter,
    stale: Counter,
    bypassed: Counter,
}

struct Entry {
    served: Arc<Served>,
    loaded_at: Duration,
    /// Milliseconds of uptime before which a stale value is served without asking the store.
    retry_at: AtomicU64,
}

impl CredentialCache {
    /// An empty cache.
    #[must_use]
    pub fn new(settings: CacheSettings, sight: Sight, clock: Arc<dyn Clock>) -> Self {
        let kept = settings.ttl + settings.stale_if_error;
        let reads = |result: &'static str| counter!("keybroker_cache_reads_total", "result" => result);
        Self(Arc::new(Inner {
            entries: moka::sync::Cache::builder()
                .max_capacity(settings.max_bytes)
                .weigher(|name: &SecretName, entry: &Arc<Entry>| entry.served.weight(name))
                .time_to_live(kept)
                .build(),
            loads: Mutex::default(),
            settings,
            sight,
            clock,
            hits: reads("hit"),
            misses: reads("miss"),
            stale: reads("stale"),
            bypassed: reads("bypass"),
        }))
    }

    /// The value under `name`, if it is in memory and may be served from there.
    #[must_use]
    pub fn hit(&self, name: &SecretName) -> Option<Arc<Served>> {
        let (served, counter) = self.0.remembered(name)?;
        counter.increment(1);
        Some(served)
    }

    /// The value under `name`, from memory or by `load`, which asks the database first. It is asked again if
    /// it finds less than what was there before.
    ///
    /// # Errors
    /// What `load` failed with, unless a stale value may stand in for it.
    pub async fn read(
        &self,
        name: &SecretName,
        freshness: Freshness,
        load: impl Fn() -> BoxFuture<'static, Result<Arc<Served>, Error>> + Send + 'static,
    ) -> Result<Arc<Served>, Error> {
        if freshness == Freshness::Now {
            self.0.bypassed.increment(1);
            return self.load(name, freshness, load).await;
        }
        if let Some(served) = self.hit(name) {
            return Ok(served);
        }
        self.0.misses.increment(1);
        match self.load(name, freshness, load).await {
            Err(error) if error.is_outage() => self.0.stand_in(name).ok_or(error),
            result => result,
        }
    }

    /// What is in memory under `name`, if that is `generation`, which the database confirmed, and not past its
    /// time.
    #[must_use]
    pub fn confirmed(&self, name: &SecretName, generation: i64) -> Option<Arc<Served>> {
        let entry = self.0.entries.get(name)?;
        let current = entry.served.generation == generation;
        let served = current && self.0.is_fresh(&entry, self.0.clock.uptime());
        served.then(|| Arc::clone(&entry.served))
    }

    /// Notes that the connection has this generation by now: nothing older is served any more.
    pub fn told(&self, name: &SecretName, generation: i64) {
        let mut loads = self.0.loads();
        loads.note(name, generation);
        self.0.drop_older(name, generation);
    }

    /// Makes the next read of `name` ask the store.
    pub fn forget(&self, name: &SecretName) {
        let mut loads = self.0.loads();
        loads.detach(name);
        self.0.entries.invalidate(name);
    }

    /// Makes the next read of whatever name ask the store.
    pub fn forget_all(&self) {
        let mut loads = self.0.loads();
        loads.detach_all();
        self.0.entries.invalidate_all();
    }

    /// Drops, and so wipes, what is past its time. Otherwise that happens only as the cache is used.
    pub fn sweep(&self) {
        self.0.entries.run_pending_tasks();
    }

    fn load(
        &self,
        name: &SecretName,
        freshness: Freshness,
        load: impl Fn() -> BoxFuture<'static, Result<Arc<Served>, Error>> + Send + 'static,
    ) -> Load {
        let mut loads = self.0.loads();
        let now = self.0.clock.uptime();
        if freshness == Freshness::Cached {
            // It may have landed since this reader looked.
            if let Some((served, _)) = self.0.remembered(name) {
                return ready(Ok(served)).boxed().shared();
            }
            if let Some(under_way) = loads.join(name, |began| self.0.sight.covers(began, now)) {
                return under_way;
            }
        }
        let id = loads.begin(name, now);
        let landing = Landing { cache: Arc::clone(&self.0), name: name.clone(), id };
        let work = async move {
            for _ in 0..TRIES {
                let result = load().await;
                if landing.land(&result) {
                    return result;
                }
            }
            Err(landing.give_up())
        };
        let shared = work.boxed().shared();
        loads.open(name, &shared);
        shared
    }
}

impl Inner {
    fn loads(&self) -> MutexGuard<'_, Loads> {
        // They are whole whenever the lock is let go, panic or not.
        self.loads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What may be served from memory, and where that is counted. Nothing while this replica is blind.
    ///
    /// In this order: a replica that sees again has dropped before what was replaced meanwhile.
    fn remembered(&self, name: &SecretName) -> Option<(Arc<Served>, &Counter)> {
        let now = self.clock.uptime();
        let entry = if self.sight.is_clear(now) { self.entries.get(name)? } else { return None };
        if self.is_fresh(&entry, now) {
            Some((Arc::clone(&entry.served), &self.hits))
        } else {
            self.is_resting(&entry, now).then(|| (Arc::clone(&entry.served), &self.stale))
        }
    }

    fn is_fresh(&self, entry: &Entry, now: Duration) -> bool {
        now.saturating_sub(entry.loaded_at) < self.settings.ttl
    }

    fn may_stand_in(&self, entry: &Entry, now: Duration) -> bool {
        now.saturating_sub(entry.loaded_at) < self.settings.ttl + self.settings.stale_if_error
    }

    fn is_resting(&self, entry: &Entry, now: Duration) -> bool {
        self.may_stand_in(entry, now) && millis(now) < entry.retry_at.load(Ordering::Relaxed)
    }

    /// The stale value that is served while the store fails. Looked up when it is needed, and not before the
    /// store was asked: it may have been dropped meanwhile.
    fn stand_in(&self, name: &SecretName) -> Option<Arc<Served>> {
        let now = self.clock.uptime();
        let entry = self.entries.get(name).filter(|entry| self.may_stand_in(entry, now))?;
        entry.retry_at.store(millis(now + RETRY_AFTER_FAILURE), Ordering::Relaxed);
        self.stale.increment(1);
        Some(Arc::clone(&entry.served))
    }

    /// The lock on the loads is held meanwhile, so that none lands in between.
    fn drop_older(&self, name: &SecretName, generation: i64) {
        if self.entries.get(name).is_some_and(|entry| entry.served.generation < generation) {
            self.entries.invalidate(name);
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The end of one load: what it found is kept, or what is gone dropped, only if nobody forgot the name
/// meanwhile.
struct Landing {
    cache: Arc<Inner>,
    name: SecretName,
    id: u64,
}

impl Landing {
    /// False if something newer was shown or told of: then nobody may be shown this.
    fn land(&self, result: &Result<Arc<Served>, Error>) -> bool {
        let (cache, name) = (&self.cache, &self.name);
        let mut loads = cache.loads();
        let open = loads.is_open(name, self.id);
        match result {
            Ok(served) => {
                let there = cache.entries.get(name);
                let newest = there.as_ref().map_or(0, |entry| entry.served.generation);
                if served.generation < loads.note(name, served.generation).max(newest) {
                    return false;
                }
                let same = there.is_some_and(|entry| Arc::ptr_eq(&entry.served, served));
                if open && !same && !cache.settings.ttl.is_zero() {
                    let loaded_at = cache.clock.uptime();
                    let entry = Entry { served: Arc::clone(served), loaded_at, retry_at: AtomicU64::new(0) };
                    cache.entries.insert(name.clone(), Arc::new(entry));
                } else {
                    cache.drop_older(name, served.generation);
                }
            }
            Err(error) if open && error.is_absence() => cache.entries.invalidate(name),
            Err(_) => {}
        }
        true
    }

    /// The database says again and again that there is less than there was, as one that was restored from a
    /// backup does. Then that is the truth, for whoever comes next.
    fn give_up(&self) -> Error {
        tracing::warn!(org = %self.name.org(), connection = %self.name.connection(),
            "the database names an older version than it did before");
        let mut loads = self.cache.loads();
        loads.detach(&self.name);
        self.cache.entries.invalidate(&self.name);
        Error::Unavailable {
            reason: "the database names an older version than it did before".into(),
            retry_after: Duration::from_secs(1),
            store: false,
        }
    }
}

/// Also runs when every reader went away and the load was dropped half-way.
impl Drop for Landing {
    fn drop(&mut self) {
        self.cache.loads().end(&self.name, self.id);
    }
}

#[cfg(test)]
mod tests;

//! The cache of managed credentials and of the ways to customer vaults, and the one load that many readers
//! share.
//!
//! It is part of the broker and not an adapter, because it is policy: how long a value may be served,
//! when a stale one may stand in, and what a write does to loads that began before it.
//!
//! A hit takes a lock that readers share, of one part of the table, and copies no key; it is none while this
//! replica is blind (see [`super::sight`]). A miss joins the load that is under way for its name, or begins
//! one. [`CredentialCache::forget`] makes a write visible to the next read: it drops the value and detaches
//! the load under way, whose readers began before the write ended, and which no longer leaves its value
//! behind. [`CredentialCache::told`] says which generation there is: an older value is dropped, and a load
//! that finds one is done again, so that nobody is shown an older value after a newer one. Absence and errors
//! are never kept. A dropped value wipes itself.
//!
//! In the last tenth of its time a value is loaded anew by one of its readers, in the background, while all
//! of them are served the old one; so who reads often never waits. What nobody reads is not refreshed, and a
//! refresh that fails leaves the old value, to be tried again a little later.
//!
//! The table is `quick_cache`: small, kept up, without threads of its own, bounded by weight, and keeps what
//! is used often. With 1,000,000 connections of 150 bytes an entry took 630 bytes and not the 870 of `moka`,
//! and a look-up 95 ns and not 360; 540 bytes since it lies in the table itself. It knows no time, so ages
//! are ours, as they had to be for stale values anyway, and [`Sweeper`] drops what is past its time.

mod entry;
mod kept;
mod landing;
mod loads;
mod served;
mod sweep;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{
    FutureExt,
    future::{BoxFuture, ready},
};
use metrics::{Counter, counter};
use quick_cache::{
    DefaultHashBuilder, OptionsBuilder,
    sync::{DefaultLifecycle, EntryAction, EntryResult},
};
use tokio_util::task::TaskTracker;

use self::{
    entry::{Age, Entry, Scales},
    landing::Landing,
    loads::{Load, Loads},
};
pub use self::{
    kept::{Found, Kept},
    served::Served,
    sweep::Sweeper,
};
use super::{error::Error, sight::Sight};
use crate::domain::{
    clock::Clock,
    id::OrgId,
    secret::{SecretName, Version},
};

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

/// How often a load is done again that finds less than what was there before.
const TRIES: usize = 3;

type Entries = quick_cache::sync::Cache<SecretName, Entry, Scales>;

/// The table's parts, each with a lock and its share of the bound. Each can hold the largest value.
fn parts(max_bytes: u64) -> usize {
    usize::try_from(max_bytes >> 20).unwrap_or(usize::MAX).clamp(1, 64)
}

/// What an entry usually takes, in bytes: the table plans with it.
const USUAL: u64 = 750;

fn table(max_bytes: u64) -> Entries {
    let options = OptionsBuilder::new()
        .shards(parts(max_bytes))
        .estimated_items_capacity(usize::try_from(max_bytes / USUAL).unwrap_or(usize::MAX))
        .weight_capacity(max_bytes)
        .build()
        .expect("both capacities are given");
    Entries::with_options(options, Scales, DefaultHashBuilder::default(), DefaultLifecycle::default())
}

/// The cache. Clones share it.
#[derive(Clone)]
pub struct CredentialCache(Arc<Inner>);

struct Inner {
    entries: Entries,
    loads: Mutex<Loads>,
    settings: CacheSettings,
    sight: Sight,
    clock: Arc<dyn Clock>,
    /// Refreshes under way.
    tasks: TaskTracker,
    hits: Counter,
    misses: Counter,
    stale: Counter,
    bypassed: Counter,
}

impl CredentialCache {
    /// An empty cache, which is trusted as far as `sight` goes, and whose refreshes run among `tasks`.
    #[must_use]
    pub fn new(settings: CacheSettings, sight: Sight, clock: Arc<dyn Clock>, tasks: TaskTracker) -> Self {
        let reads = |result: &'static str| counter!("keybroker_cache_reads_total", "result" => result);
        Self(Arc::new(Inner {
            entries: table(settings.max_bytes),
            loads: Mutex::default(),
            settings,
            sight,
            clock,
            tasks,
            hits: reads("hit"),
            misses: reads("miss"),
            stale: reads("stale"),
            bypassed: reads("bypass"),
        }))
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
        load: impl Fn(Freshness) -> BoxFuture<'static, Result<Found, Error>> + Send + 'static,
    ) -> Result<Kept, Error> {
        if freshness == Freshness::Now {
            self.0.bypassed.increment(1);
            return self.load(name, freshness, load).await.map(|found| found.kept);
        }
        if let Some((entry, age)) = self.0.look(name, self.0.clock.uptime()) {
            let counter = if age == Age::Resting { &self.0.stale } else { &self.0.hits };
            counter.increment(1);
            let claim = |entry: &mut Entry| entry.claim_refresh(self.0.clock.uptime());
            if age == Age::Due && self.0.update(name, claim) == Some(true) {
                self.refresh(name, load);
            }
            return Ok(entry.found.kept);
        }
        self.0.misses.increment(1);
        match self.load(name, freshness, load).await {
            Err(error) if error.is_outage() => self.0.stand_in(name).ok_or(error),
            result => result.map(|found| found.kept),
        }
    }

    /// The keys under `name`, if they are in memory at the uptime `now` and nothing else is to be done.
    /// Counts nothing: see [`CredentialCache::count_hit`].
    #[must_use]
    pub fn hit(&self, name: &SecretName, now: Duration) -> Option<Served> {
        match self.0.look(name, now)? {
            (entry, Age::Fresh) => match entry.found.kept {
                Kept::Keys(served) => Some(served),
                Kept::Vault(_) => None,
            },
            _ => None,
        }
    }

    /// Counts what was found by [`CredentialCache::hit`] and then served.
    pub fn count_hit(&self) {
        self.0.hits.increment(1);
    }

    /// What is in memory under `name`, if it is of `generation` and in the place that the database confirmed,
    /// and not past its time.
    #[must_use]
    pub fn confirmed(&self, name: &SecretName, generation: i64, access: Option<&Version>) -> Option<Found> {
        let of_now = |found: &Found| found.generation == generation && found.kept.access() == access;
        let entry = self.0.entries.get(name).filter(|entry| of_now(&entry.found))?;
        let age = entry.age(self.0.clock.uptime(), &self.0.settings);
        matches!(age, Age::Fresh | Age::Due).then_some(entry.found)
    }

    /// Notes where the connection's keys are by now: in the store, or in the vault as that version of its
    /// settings says. What was kept of another place does not even stand in for it.
    pub fn placed(&self, name: &SecretName, access: Option<&Version>) {
        let _no_load_lands_meanwhile = self.0.loads();
        self.0.entries.remove_if(name, |entry| entry.found.kept.access() != access);
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
        self.0.entries.remove(name);
    }

    /// Makes the next read of each of an organization's connections ask the store. Looks at every entry, so
    /// it is for what seldom happens: a change to where the keys are.
    pub fn forget_org(&self, org: &OrgId) {
        // A load that is detached leaves nothing behind, so the lock need not be held any longer.
        self.0.loads().detach_all(|name| name.org() == org);
        self.0.entries.retain(|name, _| name.org() != org);
    }

    /// Makes the next read of whatever name ask the store.
    pub fn forget_all(&self) {
        self.0.loads().detach_all(|_| true);
        self.0.entries.clear();
    }

    /// The load under way for `name`, or one that begins now.
    fn load(
        &self,
        name: &SecretName,
        freshness: Freshness,
        load: impl Fn(Freshness) -> BoxFuture<'static, Result<Found, Error>> + Send + 'static,
    ) -> Load {
        let mut loads = self.0.loads();
        if freshness == Freshness::Cached {
            // It may have landed since this reader looked.
            if let Some((entry, _)) = self.0.look(name, self.0.clock.uptime()) {
                return ready(Ok(entry.found)).boxed().shared();
            }
            if let Some(under_way) = self.0.join(&loads, name) {
                return under_way;
            }
        }
        self.begin(&mut loads, name, freshness, load)
    }

    /// Loads in the background what is still served meanwhile, unless that is being done.
    fn refresh(
        &self,
        name: &SecretName,
        load: impl Fn(Freshness) -> BoxFuture<'static, Result<Found, Error>> + Send + 'static,
    ) {
        let mut loads = self.0.loads();
        if let Some(under_way) = self.0.join(&loads, name) {
            // The lock first: a load whose last reader this is takes it as it ends.
            drop(loads);
            drop(under_way);
            return;
        }
        let load = self.begin(&mut loads, name, Freshness::Now, load);
        drop(loads);
        self.0.tasks.spawn(async move {
            if let Err(error) = load.await {
                tracing::debug!(%error, "a value in use was not refreshed");
            }
        });
    }

    fn begin(
        &self,
        loads: &mut Loads,
        name: &SecretName,
        freshness: Freshness,
        load: impl Fn(Freshness) -> BoxFuture<'static, Result<Found, Error>> + Send + 'static,
    ) -> Load {
        let id = loads.begin(name, self.0.clock.uptime());
        let landing = Landing { cache: Arc::clone(&self.0), name: name.clone(), id };
        let work = async move {
            for _ in 0..TRIES {
                let result = load(freshness).await;
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

    /// What may be served from memory at the uptime `now`: the one place where it is consulted. Nothing while
    /// this replica is blind.
    ///
    /// In this order: a replica that sees again has dropped before what was replaced meanwhile.
    fn look(&self, name: &SecretName, now: Duration) -> Option<(Entry, Age)> {
        let entry = if self.sight.is_clear(now) { self.entries.get(name)? } else { return None };
        match entry.age(now, &self.settings) {
            age @ (Age::Fresh | Age::Due | Age::Resting) => Some((entry, age)),
            Age::Stale | Age::Over => None,
        }
    }

    /// The load under way, if what it asked is recent enough to be trusted.
    fn join(&self, loads: &Loads, name: &SecretName) -> Option<Load> {
        let now = self.clock.uptime();
        loads.join(name, |began| self.sight.covers(began, now))
    }

    /// The stale value that is served while the store fails. Looked up when it is needed, and not before the
    /// store was asked: it may have been dropped meanwhile.
    fn stand_in(&self, name: &SecretName) -> Option<Kept> {
        let now = self.clock.uptime();
        let rest = |entry: &mut Entry| {
            entry.rest(now);
            (entry.age(now, &self.settings) != Age::Over).then(|| entry.found.kept.clone())
        };
        let kept = self.update(name, rest)??;
        self.stale.increment(1);
        Some(kept)
    }

    /// Changes what is kept under `name`, if anything is.
    fn update<T>(&self, name: &SecretName, change: impl FnOnce(&mut Entry) -> T) -> Option<T> {
        let changed = |_: &_, entry: &mut Entry| EntryAction::Retain(change(entry));
        match self.entries.entry(name, Some(Duration::ZERO), changed) {
            EntryResult::Retained(result) => Some(result),
            _ => None,
        }
    }

    /// The lock on the loads is held meanwhile, so that none lands in between.
    fn drop_older(&self, name: &SecretName, generation: i64) {
        self.entries.remove_if(name, |entry| entry.found.generation < generation);
    }
}

#[cfg(test)]
mod tests;

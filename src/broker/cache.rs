//! The cache of managed credentials and of the ways to customer vaults, and the one load that many readers share.
//!
//! It is part of the broker and not an adapter, because it is policy: how long a value may be served,
//! when a stale one may stand in, and what a write does to loads that began before it.
//!
//! A hit takes a lock that readers share, of one part of the table, and copies no key. A miss joins the
//! load that is under way for its name, or begins one. [`CredentialCache::forget`] makes a write visible
//! to the next read: it drops the value and detaches the load under way, whose readers began before the
//! write ended and may have the old value, but which no longer leaves it behind. Absence and errors are
//! never kept. A dropped value wipes itself.
//!
//! In the last tenth of its time a value is loaded anew by one of its readers, in the background, while all
//! of them are served the old one; so who reads often never waits. What nobody reads is not refreshed, and a
//! refresh that fails leaves the old value, to be tried again a little later.
//!
//! The table is `quick_cache`: small, kept up, without threads of its own, bounded by weight, and keeps
//! what is used often. With 1,000,000 connections of 150 bytes an entry takes 630 bytes and not the 870 of
//! `moka`, and a look-up 95 ns and not 360 (with 10,000: 40 and 250). It knows no time, so ages are ours,
//! as they had to be for stale values anyway, and [`Sweeper`] drops what is past its time.

mod entry;
mod kept;
mod loads;
mod served;
mod sweep;

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use metrics::{Counter, counter};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, sync::DefaultLifecycle};
use tokio_util::task::TaskTracker;

use self::{
    entry::{Age, Entry, Scales},
    loads::Loads,
};
pub use self::{kept::Kept, served::Served, sweep::Sweeper};
use super::error::Error;
use crate::domain::{clock::Clock, secret::SecretName};

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

type Entries = quick_cache::sync::Cache<SecretName, Arc<Entry>, Scales>;

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
    loads: Loads,
    settings: CacheSettings,
    clock: Arc<dyn Clock>,
    /// Refreshes under way.
    tasks: TaskTracker,
    hits: Counter,
    misses: Counter,
    stale: Counter,
    bypassed: Counter,
}

impl CredentialCache {
    /// An empty cache, whose refreshes run among `tasks`.
    #[must_use]
    pub fn new(settings: CacheSettings, clock: Arc<dyn Clock>, tasks: TaskTracker) -> Self {
        let reads = |result: &'static str| counter!("keybroker_cache_reads_total", "result" => result);
        Self(Arc::new(Inner {
            entries: table(settings.max_bytes),
            loads: Loads::default(),
            settings,
            clock,
            tasks,
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
        let stale = match self.look(name) {
            Some((entry, Age::Fresh)) => return Ok(self.hit_on(&entry)),
            Some((entry, Age::Due)) => {
                if entry.claim_refresh(self.0.clock.uptime()) {
                    self.refresh(name, load);
                }
                return Ok(self.hit_on(&entry));
            }
            Some((entry, Age::Resting)) => {
                self.0.stale.increment(1);
                return Ok(entry.kept.clone());
            }
            Some((entry, Age::Stale)) => Some(entry),
            Some((_, Age::Over)) | None => None,
        };
        self.0.misses.increment(1);
        match (self.load(name, freshness, load).await, stale) {
            (Err(error), Some(entry)) if error.is_outage() && self.may_stand_in(&entry) => {
                entry.rest(self.0.clock.uptime());
                self.0.stale.increment(1);
                Ok(entry.kept.clone())
            }
            (result, _) => result,
        }
    }

    /// The keys under `name`, if they are in memory and nothing else is to be done. Counts nothing: see
    /// [`CredentialCache::count_hit`].
    #[must_use]
    pub fn hit(&self, name: &SecretName) -> Option<Arc<Served>> {
        match self.look(name)? {
            (entry, Age::Fresh) => match &entry.kept {
                Kept::Keys(served) => Some(Arc::clone(served)),
                Kept::Vault(_) => None,
            },
            _ => None,
        }
    }

    /// Counts what was found by [`CredentialCache::hit`] and then served.
    pub fn count_hit(&self) {
        self.0.hits.increment(1);
    }

    /// The one place where memory is consulted.
    fn look(&self, name: &SecretName) -> Option<(Arc<Entry>, Age)> {
        let entry = self.0.entries.get(name)?;
        let age = entry.age(self.0.clock.uptime(), &self.0.settings);
        Some((entry, age))
    }

    fn hit_on(&self, entry: &Entry) -> Kept {
        self.count_hit();
        entry.kept.clone()
    }

    fn may_stand_in(&self, entry: &Entry) -> bool {
        entry.age(self.0.clock.uptime(), &self.0.settings) != Age::Over
    }

    /// Loads in the background what is still served meanwhile.
    fn refresh(&self, name: &SecretName, load: impl FnOnce() -> BoxFuture<'static, Result<Kept, Error>>) {
        let load = self.load(name, Freshness::Cached, load);
        self.0.tasks.spawn(async move {
            if let Err(error) = load.await {
                tracing::debug!(%error, "a value in use was not refreshed");
            }
        });
    }
}

#[cfg(test)]
mod tests;

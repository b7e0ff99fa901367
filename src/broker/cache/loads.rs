//! Loads under way: one for a name, which all its readers share.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared, WeakShared},
};

use super::{CredentialCache, Freshness, Inner, Kept, entry::Entry};
use crate::{
    broker::error::Error,
    domain::{id::OrgId, secret::SecretName},
};

/// A load that readers wait for. It goes on for as long as one of them does.
pub(super) type Load = Shared<BoxFuture<'static, Result<Kept, Error>>>;
type WeakLoad = WeakShared<BoxFuture<'static, Result<Kept, Error>>>;

/// The loads under way, each by a number of its own.
#[derive(Default)]
pub(super) struct Loads {
    by_name: Mutex<HashMap<SecretName, (u64, WeakLoad)>>,
    begun: AtomicU64,
}

impl Loads {
    fn lock(&self) -> MutexGuard<'_, HashMap<SecretName, (u64, WeakLoad)>> {
        // The map is whole whenever the lock is let go, panic or not.
        self.by_name.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn are_none(&self) -> bool {
        self.lock().is_empty()
    }
}

impl CredentialCache {
    /// The load under way for `name`, or one that begins now.
    pub(super) fn load(
        &self,
        name: &SecretName,
        freshness: Freshness,
        load: impl FnOnce() -> BoxFuture<'static, Result<Kept, Error>>,
    ) -> Load {
        let mut loads = self.0.loads.lock();
        if freshness == Freshness::Cached
            && let Some(under_way) = loads.get(name).and_then(|(_, load)| load.upgrade())
        {
            return under_way;
        }
        let id = self.0.loads.begun.fetch_add(1, Ordering::Relaxed);
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

    /// Makes the next read of `name` ask the store.
    pub fn forget(&self, name: &SecretName) {
        let mut loads = self.0.loads.lock();
        loads.remove(name);
        self.0.entries.remove(name);
    }

    /// Makes the next read of each of an organization's connections ask the store. Looks at every entry, so
    /// it is for what seldom happens: a change to where the keys are.
    pub fn forget_org(&self, org: &OrgId) {
        // A load that is detached leaves nothing behind, so the lock need not be held any longer.
        self.0.loads.lock().retain(|name, _| name.org() != org);
        self.0.entries.retain(|name, _| name.org() != org);
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
        let loads = cache.loads.lock();
        if loads.get(&self.name).is_none_or(|(id, _)| *id != self.id) {
            return;
        }
        match result {
            Ok(kept) if !cache.settings.ttl.is_zero() => {
                let entry = Entry::new(kept.clone(), cache.clock.uptime(), &cache.settings);
                cache.entries.insert(self.name.clone(), Arc::new(entry));
            }
            Err(error) if error.is_absence() => drop(cache.entries.remove(&self.name)),
            Ok(_) | Err(_) => {}
        }
    }
}

/// Also runs when every reader went away and the load was dropped half-way.
impl Drop for Landing {
    fn drop(&mut self) {
        let mut loads = self.cache.loads.lock();
        if loads.get(&self.name).is_some_and(|(id, _)| *id == self.id) {
            loads.remove(&self.name);
        }
    }
}

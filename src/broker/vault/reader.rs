//! Asking organizations' own vaults for keys.
//!
//! What is kept in memory is a [`Route`]: where the vault is, what opens it and which names to ask for. The
//! keys themselves pass through once and are wiped when the answer is sent. Readers of one connection at the
//! same time each ask, since there is nothing to share; but no more of one organization at a time than its
//! slots, so that a slow function holds up nobody else's reads.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use metrics::{counter, histogram};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};

use crate::{
    broker::error::Error,
    domain::{
        access::{MayRead, Permit, UseVault},
        connection::Connection,
        id::{OrgId, ProviderName},
        provider::Provider,
        secret::{Credentials, Version},
        vault::{KeyName, UrlRules, VaultAccess, VaultAnswer, VaultFault, VaultKey, VaultToken, VaultUrl},
    },
    port::{
        store::{Store, Which},
        vault::VaultFunctions,
    },
};

/// How vaults are asked.
#[derive(Debug, Clone)]
pub struct VaultSettings {
    /// How long one reading may take, the wait for its turn included.
    pub timeout: Duration,
    /// How many readings of one organization's vault may be under way.
    pub concurrency: usize,
    /// Which URLs a vault may have.
    pub rules: UrlRules,
}

/// Asks vaults. Clones share the slots.
#[derive(Clone)]
pub struct VaultReader(Arc<Inner>);

struct Inner {
    store: Arc<dyn Store>,
    functions: Arc<dyn VaultFunctions>,
    settings: VaultSettings,
    /// Those that some route or reading holds.
    slots: Mutex<HashMap<OrgId, Weak<Semaphore>>>,
}

/// How to get one connection's keys from the vault. Holds none of them.
pub struct Route {
    provider: ProviderName,
    access: Version,
    keys: Vec<VaultKey>,
    url: VaultUrl,
    token: VaultToken,
    slots: Arc<Semaphore>,
}

impl Route {
    /// Which version of the secret `_vault` it was made of.
    pub(in crate::broker) fn access(&self) -> &Version {
        &self.access
    }

    /// Whose keys they are.
    pub(in crate::broker) fn provider(&self) -> &ProviderName {
        &self.provider
    }
}

impl VaultReader {
    /// A reader of the vaults behind `functions`, whose URLs and tokens are in `store`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, functions: Arc<dyn VaultFunctions>, settings: VaultSettings) -> Self {
        Self(Arc::new(Inner { store, functions, settings, slots: Mutex::default() }))
    }

    /// How vaults are asked.
    pub(super) fn settings(&self) -> &VaultSettings {
        &self.0.settings
    }

    /// The URL and the token that a version of the secret `_vault` holds.
    pub(super) async fn access(
        &self,
        permit: &Permit<UseVault>,
        version: &Version,
    ) -> Result<VaultAccess, Error> {
        let secret = self.0.store.get(permit, Which::Version(version)).await?;
        let Some(secret) = secret else {
            tracing::warn!(org = %permit.on().org(), "the store has lost how the vault is asked");
            return Ok(VaultAccess::default());
        };
        Ok(VaultAccess::from_secret(&secret.credentials()?, &self.0.settings.rules))
    }

    /// How to get the keys of a connection whose vault's URL and token are in the version `access`.
    pub(in crate::broker) async fn route(
        &self,
        permit: &dyn MayRead,
        connection: &Connection,
        provider: &Provider,
        access: &Version,
    ) -> Result<Route, Error> {
        let held = self.access(&permit.vault(), access).await?;
        let (url, token) = held.whole().ok_or_else(unusable)?;
        Ok(Route {
            provider: provider.name.clone(),
            access: access.clone(),
            keys: VaultKey::of(connection, provider),
            url: url.clone(),
            token: token.clone(),
            slots: self.slots(&connection.org),
        })
    }

    /// Asks for a connection's keys, once.
    pub(in crate::broker) async fn read(&self, route: &Route) -> Result<(Version, Credentials), Error> {
        let names: Vec<_> = route.keys.iter().map(|key| &key.name).collect();
        let answer = self.ask(&route.slots, &route.url, &route.token, &names).await?;
        let credentials = answer.credentials(&route.keys).map_err(VaultFault::KeyMissing);
        let credentials = credentials.inspect_err(count)?;
        Ok((route.token.version_of(&credentials), credentials))
    }

    /// One request, when it is its turn.
    pub(super) async fn ask(
        &self,
        slots: &Semaphore,
        url: &VaultUrl,
        token: &VaultToken,
        names: &[&KeyName],
    ) -> Result<VaultAnswer, VaultFault> {
        let began = Instant::now();
        let deadline = began + self.0.settings.timeout;
        let turn = timeout_at(deadline, slots.acquire()).await;
        let asked = match turn {
            Ok(_turn) => {
                let left = deadline.saturating_duration_since(Instant::now());
                let asked = self.0.functions.ask(url, token, names, left).await;
                histogram!("keybroker_vault_seconds").record(began.elapsed());
                asked
            }
            Err(_) => Err(VaultFault::Unreachable(
                "too many of its keys were being read at once, and their answers did not come in time",
            )),
        };
        match &asked {
            Ok(_) => counter!("keybroker_vault_requests_total", "outcome" => "ok").increment(1),
            Err(fault) => count(fault),
        }
        asked
    }

    /// What bounds the readings of an organization's vault.
    pub(super) fn slots(&self, org: &OrgId) -> Arc<Semaphore> {
        // The map is whole whenever the lock is let go, panic or not.
        let mut slots = self.0.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = slots.get(org).and_then(Weak::upgrade) {
            return held;
        }
        // Before it would grow, and not each time: all of it is looked at.
        if slots.len() == slots.capacity() {
            slots.retain(|_, held| held.strong_count() > 0);
        }
        let new = Arc::new(Semaphore::new(self.0.settings.concurrency));
        slots.insert(org.clone(), Arc::downgrade(&new));
        new
    }
}

fn count(fault: &VaultFault) {
    let outcome = fault.trouble().code();
    counter!("keybroker_vault_requests_total", "outcome" => outcome).increment(1);
}

/// The store has no URL and token, or a URL that the operator's settings no longer allow.
fn unusable() -> VaultFault {
    VaultFault::Unreachable("its URL or its token is missing, or its URL is not allowed any more")
}

//! An organization's own vault: where it is, whether it works, and whether keys are read from it.
//!
//! The URL and the token are a secret like any other, and kept in the store under `_vault`. The database
//! says which version of that secret counts, so a change is whole or did not happen: a new version is
//! written into the store first and named in the database afterwards, in one transaction with the event.
//! One that no row names is never read.

mod change;
mod reader;
mod standing;

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use self::change::{Change, Wanted};
pub use self::reader::{Route, VaultReader, VaultSettings};
use super::{
    cache::CredentialCache,
    error::{Conflict, Error},
    under_way::to_its_end,
};
use crate::{
    domain::{
        access::{Inspect, ManageVault, MayRead, Permit},
        clock::{Clock, Random},
        connection::Connection,
        event::{Event, EventType, RequestId},
        id::OrgId,
        provider::Catalogue,
        vault::{
            MOST_KEYS, TestOutcome, VaultAccess, VaultFault, VaultKey, VaultRecord, VaultTest, VaultToken,
            VaultUrl, environment_of,
        },
    },
    port::{index::ConnectionIndex, store::Store, vault::VaultIndex},
};

/// How many connections are looked through at a time.
const PAGE: u16 = 200;

/// The use cases of customer vaults.
#[derive(Clone)]
pub struct Vaults(Arc<Parts>);

/// What they work with.
pub struct Parts {
    /// Where vaults are kept.
    pub vaults: Arc<dyn VaultIndex>,
    /// Where connections are.
    pub connections: Arc<dyn ConnectionIndex>,
    /// Where URLs and tokens are.
    pub store: Arc<dyn Store>,
    /// What asks the vaults.
    pub reader: VaultReader,
    /// What has to forget where keys were.
    pub cache: CredentialCache,
    /// What each provider's fields are.
    pub catalogue: Arc<Catalogue>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Where tokens and ids get their randomness.
    pub random: Arc<dyn Random>,
    /// How long the store may take for one operation.
    pub store_timeout: Duration,
    /// Changes run as tasks of their own: a caller that hangs up leaves none half-way with its lock, and a
    /// shutdown waits for them.
    pub under_way: TaskTracker,
}

/// A vault as its organization sees it.
#[derive(Debug, Clone)]
pub struct VaultState {
    /// Whether keys are read from it.
    pub enabled: bool,
    /// Where it is, once that was said.
    pub url: Option<String>,
    /// The last four characters of its token, once one was made.
    pub token_hint: Option<String>,
    /// What came of the last test.
    pub last_test: Option<VaultTest>,
}

/// A test of a vault, and what a person may do about it.
#[derive(Debug, Clone)]
pub struct Tested {
    /// What came of it.
    pub test: VaultTest,
    /// Why it failed, if it did.
    pub fault: Option<VaultFault>,
}

impl Vaults {
    /// The use cases of these parts.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// An organization's vault.
    ///
    /// # Errors
    /// [`Error::NotFound`] if it was never configured, or what the database or the store failed with.
    pub async fn find(&self, permit: &Permit<Inspect, OrgId>) -> Result<VaultState, Error> {
        let record = self.0.vaults.find_vault(permit.on()).await?.ok_or(Error::NotFound)?;
        let access = self.0.reader.access(&permit.vault(), &record.access).await?;
        Ok(state(&record, &access))
    }

    /// The names under which the vault is to hold the keys of the organization's connections, by connection.
    /// Providers marked as OAuth have none, nor has what was disconnected.
    ///
    /// # Errors
    /// What the database failed with.
    pub async fn keys(&self, permit: &Permit<Inspect, OrgId>) -> Result<Vec<(Connection, VaultKey)>, Error> {
        self.keys_of(permit.on()).await
    }

    /// Makes a new token for the vault, which replaces the one before at once.
    ///
    /// # Errors
    /// A conflict if another change is under way, or what the database or the store failed with.
    pub async fn make_token(
        &self,
        permit: &Permit<ManageVault, OrgId>,
        request_id: Option<RequestId>,
    ) -> Result<VaultToken, Error> {
        let (vaults, permit) = (self.clone(), permit.clone());
        self.to_its_end(async move { vaults.replace_token(&permit, request_id).await }).await
    }

    async fn replace_token(
        &self,
        permit: &Permit<ManageVault, OrgId>,
        request_id: Option<RequestId>,
    ) -> Result<VaultToken, Error> {
        let token = VaultToken::generate(&*self.0.random);
        self.change(permit, async |change: &Change| {
            let enabled = change.before.as_ref().is_some_and(|before| before.enabled);
            let access = VaultAccess { token: Some(token.clone()), ..change.access.clone() };
            let events = vec![self.event(permit, EventType::VaultTokenCreated, request_id)];
            Ok(Wanted { access, enabled, last_test: None, events })
        })
        .await?;
        Ok(token)
    }

    /// Says where the vault is and whether keys are read from it. It is tested before it is enabled.
    ///
    /// # Errors
    /// If the URL is not allowed, there is no token or no URL yet, the test fails, another change is under
    /// way, or the database or the store does not do its part.
    pub async fn put(
        &self,
        permit: &Permit<ManageVault, OrgId>,
        url: Option<&str>,
        enabled: bool,
        request_id: Option<RequestId>,
    ) -> Result<VaultState, Error> {
        let url = url.map(|url| self.url(url)).transpose()?;
        let (vaults, permit) = (self.clone(), permit.clone());
        self.to_its_end(async move { vaults.set(&permit, url, enabled, request_id).await }).await
    }

    async fn set(
        &self,
        permit: &Permit<ManageVault, OrgId>,
        url: Option<VaultUrl>,
        enabled: bool,
        request_id: Option<RequestId>,
    ) -> Result<VaultState, Error> {
        self.change(permit, async |change: &Change| {
            let access = VaultAccess { url: url.or(change.access.url.clone()), ..change.access.clone() };
            if change.before.is_none() && access.url.is_none() && !enabled {
                return Err(Error::Conflict(Conflict::NoVaultUrl));
            }
            let moved = access.url != change.access.url;
            let mut last_test = change.before.as_ref().and_then(|before| before.last_test.clone());
            if moved {
                last_test = None;
            }
            let mut events = Vec::new();
            if enabled {
                let (url, token) = whole(&access)?;
                let Tested { test, fault } = self.try_out(permit.on(), url, token).await?;
                let tested = self.event(permit, EventType::VaultTested, request_id.clone());
                if let Some(fault) = fault {
                    let of = change.before.as_ref().filter(|_| !moved).map(|before| &before.access);
                    self.0.vaults.record_vault_test(permit.on(), of, &test, &tested).await?;
                    return Err(fault.into());
                }
                last_test = Some(test);
                events.push(tested);
            }
            let was = change.before.as_ref().is_some_and(|before| before.enabled);
            if enabled && (moved || !was) {
                events.push(self.event(permit, EventType::VaultEnabled, request_id));
            } else if was && !enabled {
                events.push(self.event(permit, EventType::VaultDisabled, request_id));
            }
            Ok(Wanted { access, enabled, last_test, events })
        })
        .await
    }

    /// Tries the vault as it is configured, or at another URL with its token, and tells which keys it lacks.
    ///
    /// # Errors
    /// If the URL is not allowed or there is no token or no URL yet; what the database or the store failed
    /// with. A test that fails is no error.
    pub async fn test(
        &self,
        permit: &Permit<ManageVault, OrgId>,
        url: Option<&str>,
        request_id: Option<RequestId>,
    ) -> Result<Tested, Error> {
        let other = url.map(|url| self.url(url)).transpose()?;
        let org = permit.on();
        let record = self.0.vaults.find_vault(org).await?.ok_or(Error::Conflict(Conflict::NoVaultToken))?;
        let kept = self.0.reader.access(&permit.vault_secret().vault(), &record.access).await?;
        let access = VaultAccess { url: other.or(kept.url.clone()), token: kept.token };
        let (url, token) = whole(&access)?;
        let tested = self.try_out(org, url, token).await?;
        let event = self.event(permit, EventType::VaultTested, request_id);
        // What was found out about another URL says nothing of the one that is configured.
        let of = (access.url == kept.url).then_some(&record.access);
        self.0.vaults.record_vault_test(org, of, &tested.test, &event).await?;
        Ok(tested)
    }

    /// Forgets the vault: its keys are no longer read, and its URL and token are erased from the store.
    ///
    /// # Errors
    /// [`Error::NotFound`] if it was never configured, a conflict if another change is under way, or what the
    /// database or the store failed with: then it is disabled at least, and may be forgotten again.
    pub async fn forget(
        &self,
        permit: &Permit<ManageVault, OrgId>,
        request_id: Option<RequestId>,
    ) -> Result<(), Error> {
        let (vaults, permit) = (self.clone(), permit.clone());
        self.to_its_end(async move { vaults.disable_and_erase(&permit, request_id).await }).await
    }

    async fn disable_and_erase(
        &self,
        permit: &Permit<ManageVault, OrgId>,
        request_id: Option<RequestId>,
    ) -> Result<(), Error> {
        let record = self.0.vaults.find_vault(permit.on()).await?.ok_or(Error::NotFound)?;
        if record.enabled {
            self.set(permit, None, false, request_id).await?;
        }
        self.erase(permit).await
    }

    async fn to_its_end<T: Send + 'static>(
        &self,
        change: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        to_its_end(&self.0.under_way, "a change to a vault", change).await
    }

    /// Asks a vault for every key of the organization, and forgets what it answers.
    async fn try_out(&self, org: &OrgId, url: &VaultUrl, token: &VaultToken) -> Result<Tested, Error> {
        let mut keys: Vec<_> = self.keys_of(org).await?.into_iter().map(|(_, key)| key).collect();
        // Connections may share a name. It is asked for once, and its value counts once.
        keys.sort_by(|a, b| a.name.as_str().cmp(b.name.as_str()));
        keys.dedup_by(|a, b| a.name == b.name);
        let slots = self.0.reader.slots(org);
        let began = Instant::now();
        let (mut missing, mut environment) = (Vec::new(), environment_of(&keys));
        let mut fault = None;
        // No keys at all make a ping.
        let batches = keys.chunks(MOST_KEYS).chain(keys.is_empty().then_some(&[][..]));
        for batch in batches {
            let names: Vec<_> = batch.iter().map(|key| &key.name).collect();
            match self.0.reader.ask(&slots, url, token, &names).await {
                Ok(answer) => {
                    missing.extend(answer.missing(batch));
                    environment += answer.size(batch);
                }
                Err(failed) => {
                    fault = Some(failed);
                    break;
                }
            }
        }
        let outcome = match &fault {
            None | Some(VaultFault::KeyMissing(_)) => TestOutcome::Ok,
            Some(VaultFault::Unreachable(_)) => TestOutcome::Unreachable,
            Some(VaultFault::Unauthorized(_)) => TestOutcome::Unauthorized,
            Some(VaultFault::BadResponse(_)) => TestOutcome::BadResponse,
        };
        let latency_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let at = self.0.clock.now();
        Ok(Tested { test: VaultTest { outcome, missing, latency_ms, environment, at }, fault })
    }

    async fn keys_of(&self, org: &OrgId) -> Result<Vec<(Connection, VaultKey)>, Error> {
        let (mut keys, mut after) = (Vec::new(), None);
        loop {
            let (page, next) = self.0.connections.list_connections(org, after.as_ref(), PAGE).await?;
            for connection in page {
                let of = self.keys_of_connection(&connection);
                keys.extend(of.into_iter().map(|key| (connection.clone(), key)));
            }
            match next {
                Some(next) => after = Some(next),
                None => return Ok(keys),
            }
        }
    }

    fn keys_of_connection(&self, connection: &Connection) -> Vec<VaultKey> {
        let provider = self.0.catalogue.get(&connection.provider);
        let provider = provider.filter(|provider| !provider.oauth && !connection.is_disconnected());
        provider.map(|provider| VaultKey::of(connection, provider)).unwrap_or_default()
    }

    fn url(&self, text: &str) -> Result<VaultUrl, Error> {
        let parsed = VaultUrl::parse(text, &self.0.reader.settings().rules);
        parsed.map_err(|rule| Error::InvalidRequest(format!("{rule}.")))
    }

    fn event(
        &self,
        permit: &Permit<ManageVault, OrgId>,
        r#type: EventType,
        request_id: Option<RequestId>,
    ) -> Event {
        let org = Some(permit.on().clone());
        let actor = Arc::clone(permit.actor());
        Event { request_id, ..Event::new(&*self.0.clock, &*self.0.random, org, r#type, actor) }
    }
}

fn whole(access: &VaultAccess) -> Result<(&VaultUrl, &VaultToken), Error> {
    let missing = if access.token.is_none() { Conflict::NoVaultToken } else { Conflict::NoVaultUrl };
    access.whole().ok_or(Error::Conflict(missing))
}

fn state(record: &VaultRecord, access: &VaultAccess) -> VaultState {
    VaultState {
        enabled: record.enabled,
        url: access.url.as_ref().map(|url| url.as_str().to_owned()),
        token_hint: access.token.as_ref().map(VaultToken::hint),
        last_test: record.last_test.clone(),
    }
}

//! One change to an organization's vault, from its lock to the transaction that makes it count.

use std::time::Duration;

use super::{VaultState, Vaults, state};
use crate::{
    broker::error::{Conflict, Error},
    domain::{
        access::{ManageVault, MayRead, Permit},
        event::Event,
        id::OrgId,
        secret::{Credentials, Version},
        vault::{VaultAccess, VaultRecord, VaultTest},
    },
    port::{store::Expect, vault::VaultLock},
};

/// How long a change may take beyond the store's own time, for the database's last word.
const LOCK_MARGIN: Duration = Duration::from_secs(5);

/// A vault as a change finds it.
pub(super) struct Change {
    pub before: Option<VaultRecord>,
    pub access: VaultAccess,
}

/// What a change makes of a vault.
pub(super) struct Wanted {
    pub access: VaultAccess,
    pub enabled: bool,
    pub last_test: Option<VaultTest>,
    pub events: Vec<Event>,
}

impl Vaults {
    /// Makes of the vault what `decide` says, who alone changes it meanwhile.
    pub(super) async fn change(
        &self,
        permit: &Permit<ManageVault, OrgId>,
        decide: impl AsyncFnOnce(&Change) -> Result<Wanted, Error>,
    ) -> Result<VaultState, Error> {
        let lock = self.lock(permit.on()).await?;
        let changed = self.change_locked(permit, &lock, decide).await;
        self.unlocked(&lock, changed).await
    }

    async fn change_locked(
        &self,
        permit: &Permit<ManageVault, OrgId>,
        lock: &VaultLock,
        decide: impl AsyncFnOnce(&Change) -> Result<Wanted, Error>,
    ) -> Result<VaultState, Error> {
        let org = permit.on();
        let before = self.0.vaults.find_vault(org).await?;
        let access = match &before {
            Some(before) => self.0.reader.access(&permit.vault_secret().vault(), &before.access).await?,
            None => VaultAccess::default(),
        };
        let change = Change { before, access };
        let wanted = decide(&change).await?;
        let access = match &change.before {
            // AWS takes only so many versions of a secret in a day.
            Some(before) if wanted.access == change.access => before.access.clone(),
            Some(_) => self.keep(permit, &wanted.access.to_secret(), Expect::Existing).await?,
            None => self.keep(permit, &wanted.access.to_secret(), Expect::Missing).await?,
        };
        let was = change.before.as_ref().is_some_and(|before| before.enabled);
        let record =
            VaultRecord { org: org.clone(), enabled: wanted.enabled, access, last_test: wanted.last_test };
        let recheck_at = (was != record.enabled).then(|| self.0.clock.now());
        let kept = self.0.vaults.complete_vault_change(lock, &record, &wanted.events, recheck_at).await;
        // Whatever the answer: it may have been done without our hearing of it.
        self.0.cache.forget_org(org);
        if !kept? {
            return Err(Error::Conflict(Conflict::VaultChangeUnderWay));
        }
        let actor = &permit.actor().id;
        tracing::info!(%org, enabled = record.enabled, actor, "vault changed");
        Ok(state(&record, &wanted.access))
    }

    /// Erases the URL and the token of a vault that is disabled, and forgets it.
    pub(super) async fn erase(&self, permit: &Permit<ManageVault, OrgId>) -> Result<(), Error> {
        let lock = self.lock(permit.on()).await?;
        let erased = self.erase_locked(permit, &lock).await;
        self.unlocked(&lock, erased).await
    }

    async fn erase_locked(&self, permit: &Permit<ManageVault, OrgId>, lock: &VaultLock) -> Result<(), Error> {
        let enabled = self.0.vaults.find_vault(permit.on()).await?.is_some_and(|vault| vault.enabled);
        if enabled {
            // By someone else, right before the lock.
            return Err(Error::Conflict(Conflict::VaultChangeUnderWay));
        }
        // Twice: one empty version would leave the token readable as the previous one.
        for _ in 0..2 {
            self.keep(permit, &Credentials::none(), Expect::Existing).await?;
        }
        let forgotten = self.0.vaults.forget_vault(lock).await?;
        if forgotten { Ok(()) } else { Err(Error::Conflict(Conflict::VaultChangeUnderWay)) }
    }

    async fn lock(&self, org: &OrgId) -> Result<VaultLock, Error> {
        let now = self.0.clock.now();
        // A test, and up to two writes to the store.
        let longest = self.0.reader.settings().timeout + self.0.store_timeout * 3 + LOCK_MARGIN;
        let lock = self.0.vaults.begin_vault_change(org, now, now + longest).await?;
        lock.ok_or(Error::Conflict(Conflict::VaultChangeUnderWay))
    }

    /// Lets go of the lock of a change that came to nothing; any other has ended it.
    async fn unlocked<T>(&self, lock: &VaultLock, changed: Result<T, Error>) -> Result<T, Error> {
        if changed.is_err() {
            // If this fails too, the lock runs out a little later.
            let _ = self.0.vaults.drop_vault_change(lock).await;
        }
        changed
    }

    /// Writes a new version of the secret `_vault`.
    async fn keep(
        &self,
        permit: &Permit<ManageVault, OrgId>,
        secret: &Credentials,
        expect: Expect,
    ) -> Result<Version, Error> {
        let version = Version::generate(&*self.0.clock, &*self.0.random);
        self.0.store.put(&permit.vault_secret(), &version, secret, expect).await?;
        Ok(version)
    }
}

//! The customer vaults: the functions, and what is kept about them.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::index::IndexError;
use crate::domain::{
    event::Event,
    id::OrgId,
    secret::Version,
    vault::{KeyName, VaultAnswer, VaultFault, VaultRecord, VaultTest, VaultToken, VaultUrl},
};

/// A way to organizations' own functions.
#[async_trait]
pub trait VaultFunctions: Send + Sync {
    /// Asks a function for keys: one request, within `limit`, followed by no other whatever it answers.
    /// Goes to no private address unless the operator allowed it. No names at all make a ping.
    ///
    /// # Errors
    /// If it gives no answer that can be used.
    async fn ask(
        &self,
        url: &VaultUrl,
        token: &VaultToken,
        names: &[&KeyName],
        limit: Duration,
    ) -> Result<VaultAnswer, VaultFault>;
}

/// What is kept about vaults. One change to an organization's vault at a time.
#[async_trait]
pub trait VaultIndex: Send + Sync {
    /// An organization's vault, if it was ever configured.
    async fn find_vault(&self, org: &OrgId) -> Result<Option<VaultRecord>, IndexError>;

    /// Locks an organization's vault for a change until `until`, or until the change ends; nothing if
    /// another change has it at `now`.
    async fn begin_vault_change(
        &self,
        org: &OrgId,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<VaultLock>, IndexError>;

    /// Ends a change: keeps the record, appends the events, and makes the organization's keys due to be tried
    /// at `recheck_at`. False, and nothing done, if the lock was lost meanwhile.
    async fn complete_vault_change(
        &self,
        lock: &VaultLock,
        record: &VaultRecord,
        events: &[Event],
        recheck_at: Option<Timestamp>,
    ) -> Result<bool, IndexError>;

    /// Ends a change that came to nothing.
    async fn drop_vault_change(&self, lock: &VaultLock) -> Result<(), IndexError>;

    /// Ends a change by which the vault is forgotten. False, and nothing done, if the lock was lost
    /// meanwhile.
    async fn forget_vault(&self, lock: &VaultLock) -> Result<bool, IndexError>;

    /// Appends a test's event, and keeps what came of it while `access` is how the vault is asked.
    async fn record_vault_test(
        &self,
        org: &OrgId,
        access: Option<&Version>,
        test: &VaultTest,
        event: &Event,
    ) -> Result<(), IndexError>;
}

/// The right to change one organization's vault. Lost when its time is over and another change begins.
#[derive(Debug, Clone)]
pub struct VaultLock {
    /// Whose vault.
    pub org: OrgId,
    /// Which change it is of all that there were.
    pub revision: i64,
}

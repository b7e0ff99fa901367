//! Where managed credentials live.

use std::time::Duration;

use async_trait::async_trait;
use zeroize::Zeroizing;

use crate::domain::{
    access::{MayRead, Permit, Write},
    secret::{Credentials, NotCredentials, Version},
};

/// A place that keeps secrets, each with a current and a previous version.
///
/// Every call but [`Store::check`] is for one secret and takes a permit for it.
#[async_trait]
pub trait Store: Send + Sync {
    /// Reads one version of a secret; `None` if there is no such secret or version.
    ///
    /// # Errors
    /// If the store can't say.
    async fn get(&self, permit: &dyn MayRead, which: Which<'_>) -> Result<Option<StoredSecret>, StoreError>;

    /// Makes `value` the current version under the id `version`, and what was current the previous
    /// one. The same id and value again changes nothing, so a call may be repeated.
    ///
    /// `expect` says what is probably there, which saves a call; being wrong costs one.
    ///
    /// # Errors
    /// If the store did not take it. After [`StoreError::Unavailable`] it may have.
    async fn put(
        &self,
        permit: &Permit<Write>,
        version: &Version,
        value: &Credentials,
        expect: Expect,
    ) -> Result<(), StoreError>;

    /// Whether the store answers and lets keybroker in.
    ///
    /// # Errors
    /// If not.
    async fn check(&self) -> Result<(), StoreError>;
}

/// Which version of a secret.
#[derive(Debug, Clone, Copy)]
pub enum Which<'a> {
    /// The one that is current.
    Current,
    /// The one with this id.
    Version(&'a Version),
}

/// What a write will probably find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// No secret of that name.
    Missing,
    /// One to be replaced.
    Existing,
}

/// A value as the store holds it.
pub struct StoredSecret {
    /// The version's id.
    pub version: Version,
    /// Its text, which may not be credentials: others can write there too.
    pub value: Zeroizing<String>,
}

impl StoredSecret {
    /// The credentials in it.
    ///
    /// # Errors
    /// If another program wrote something else there.
    pub fn credentials(&self) -> Result<Credentials, NotCredentials> {
        Credentials::from_json(self.value.as_bytes())
    }
}

/// Why a store did not do as asked. The text inside is for the log, not for a caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The secret is being deleted in AWS and can be neither read nor written.
    #[error("the secret is scheduled for deletion")]
    ScheduledForDeletion,
    /// The store won't, and won't until an operator changes something.
    #[error("the store refuses: {0}")]
    Refused(String),
    /// The store's own limits forbid this value.
    #[error("the store can't hold this: {0}")]
    Unacceptable(String),
    /// Too many writes at present.
    #[error("too many writes; the next may go in {} ms", retry_after.as_millis())]
    RateLimited {
        /// How long to wait.
        retry_after: Duration,
    },
    /// No answer, or none that can be relied on. A write may or may not have happened.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
}

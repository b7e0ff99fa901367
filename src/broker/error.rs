//! Why a use case did not end as asked.

use std::time::Duration;

use crate::{
    domain::{
        access::{Denied, Scope},
        provider::FieldError,
        secret::NotCredentials,
        vault::VaultFault,
    },
    port::{index::IndexError, store::StoreError},
};

/// A use case's failure. What a caller may read is decided in `http`; text in the variants marked so
/// is for the log alone.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// No token, or none that opens anything.
    #[error("unauthenticated: {0}")]
    Unauthenticated(&'static str),
    /// The token lacks a scope.
    #[error("the token lacks the scope {0}")]
    MissingScope(Scope),
    /// No such thing, or none that this caller may know of.
    #[error("not found")]
    NotFound,
    /// The request makes no sense; the text says what would, and is for the caller.
    #[error("invalid request: {0}")]
    InvalidRequest(String),
    /// The credentials do not have the provider's fields.
    #[error("invalid credentials")]
    InvalidCredentials(Vec<FieldError>),
    /// The provider says that the key is wrong; the text says where to find the right one, and is for the
    /// caller.
    #[error("the key was rejected: {0}")]
    KeyRejected(String),
    /// The provider did not say whether the key works; the text says why, and is for the caller.
    #[error("the provider is unreachable: {0}")]
    ProviderUnreachable(String),
    /// The organization's own vault gave no keys.
    #[error("the vault failed: {0}")]
    Vault(#[from] VaultFault),
    /// The link was opened before, or it or its visit is too old.
    #[error("the link is spent or expired")]
    LinkExpired,
    /// The caller's condition does not hold.
    #[error("a precondition failed")]
    PreconditionFailed,
    /// Something stands in the way.
    #[error("conflict: {0:?}")]
    Conflict(Conflict),
    /// AWS is deleting the secret.
    #[error("the secret is scheduled for deletion")]
    ScheduledForDeletion,
    /// The value is larger than the store takes.
    #[error("too large")]
    TooLarge,
    /// Too many requests.
    #[error("rate limited for {} ms", retry_after.as_millis())]
    RateLimited {
        /// How long to wait.
        retry_after: Duration,
    },
    /// The store won't until an operator changes something. For the log.
    #[error("the store refuses: {0}")]
    StoreRefused(String),
    /// The store, or the database, does not answer.
    #[error("unavailable: {reason}")]
    Unavailable {
        /// What is. For the log.
        reason: String,
        /// When it is worth trying again.
        retry_after: Duration,
        /// Whether it is the store, for which a stale value may stand in.
        store: bool,
    },
    /// A defect. For the log.
    #[error("internal: {0}")]
    Internal(String),
}

/// What stands in the way of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conflict {
    /// Another write to the same connection is under way.
    WriteUnderWay,
    /// The connection is another provider's.
    OtherProvider,
    /// There is no version to go back to.
    NothingToRollBackTo,
    /// The idempotency key came with another request before.
    IdempotencyKeyReused,
    /// The organization keeps its keys in its own vault.
    KeysInVault,
    /// Another change to the organization's vault is under way.
    VaultChangeUnderWay,
    /// No token was made for the vault yet.
    NoVaultToken,
    /// Nobody said where the vault is.
    NoVaultUrl,
}

/// When a failing upstream is worth another try.
const TRY_AGAIN: Duration = Duration::from_secs(2);

impl Error {
    /// The store does not answer; `reason` is for the log.
    pub(super) fn unavailable(reason: impl Into<String>) -> Self {
        Self::Unavailable { reason: reason.into(), retry_after: TRY_AGAIN, store: true }
    }

    /// The catalogue has no such provider. Its name is not repeated: a key may stand there by mistake.
    pub(super) fn unknown_provider() -> Self {
        let message = "is not in the catalogue; GET /v1/providers lists those that are";
        Self::InvalidCredentials(vec![FieldError::new("provider", message)])
    }

    /// Whether the store is failing, so that a stale value may stand in.
    pub(super) fn is_outage(&self) -> bool {
        matches!(self, Self::Unavailable { store: true, .. })
    }

    /// Whether the value is gone for certain.
    pub(super) fn is_absence(&self) -> bool {
        matches!(self, Self::NotFound | Self::ScheduledForDeletion)
    }
}

impl From<Denied> for Error {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::MissingScope(scope) => Self::MissingScope(scope),
            Denied::OtherOrg | Denied::OtherProvider => Self::NotFound,
        }
    }
}

impl From<IndexError> for Error {
    fn from(error: IndexError) -> Self {
        match error {
            IndexError::Unavailable(reason) => Self::Unavailable {
                reason: format!("database: {reason}"),
                retry_after: TRY_AGAIN,
                store: false,
            },
            IndexError::Broken(_) | IndexError::NotFound => Self::Internal(format!("database: {error}")),
        }
    }
}

impl From<NotCredentials> for Error {
    fn from(error: NotCredentials) -> Self {
        Self::StoreRefused(error.to_string())
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::ScheduledForDeletion => Self::ScheduledForDeletion,
            StoreError::Refused(reason) => Self::StoreRefused(reason),
            StoreError::Unacceptable(_) => Self::TooLarge,
            StoreError::RateLimited { retry_after } => Self::RateLimited { retry_after },
            StoreError::Unavailable(reason) => Self::unavailable(format!("store: {reason}")),
        }
    }
}

//! What is kept about connections, tokens and events: the only list of what the store holds.
//!
//! Every method that concerns an organization takes its id first and asks for nothing beyond it. The
//! few that span organizations are in [`SystemIndex`], for background tasks and authentication.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::{
    access::Actor,
    connection::{Connection, Label, Status},
    event::{Event, EventFilter, EventType, Listed},
    id::{ConnectionName, OrgId, ProviderName},
    idempotency::IdempotencyKey,
    secret::{SecretName, Version},
    token::{HashedToken, TokenRecord},
};

/// The index failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum IndexError {
    /// The database does not answer. What was asked may or may not have happened.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// The database answers what this version can't read or didn't expect.
    #[error("the database answers nonsense: {0}")]
    Broken(String),
    /// What the question is about is not there.
    #[error("the database does not hold what was asked about")]
    NotFound,
}

/// A write under way: recorded before the store is called, gone when its outcome is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// Whose connection.
    pub org: OrgId,
    /// Which connection. There is at most one intent for each.
    pub connection: ConnectionName,
    /// The version that the store is asked to make.
    pub version: Version,
    /// What is being done.
    pub plan: Plan,
    /// Who does it, for the event.
    pub actor: Actor,
    /// In which request, for the event.
    pub request_id: Option<String>,
    /// Under which key the answer is to be kept.
    pub idempotency: Option<IdempotencyKey>,
    /// Until when only its writer may touch it. Its writer calls the store no later than well before.
    pub lease_until: Timestamp,
    /// Whether its writer gave up without knowing what the store did.
    pub uncertain: bool,
}

/// What a write is to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Plan {
    /// New keys.
    Put {
        /// For which provider.
        provider: ProviderName,
        /// With which label.
        label: LabelChange,
        /// When the provider took them, if it was asked.
        #[serde(default)]
        verified_at: Option<Timestamp>,
    },
    /// The keys that another program wrote into the store, as they are there.
    Adopt {
        /// Of which provider.
        provider: ProviderName,
        /// With which label.
        label: LabelChange,
    },
    /// No keys of its own: they are in the organization's vault.
    Register {
        /// Of which provider.
        provider: ProviderName,
        /// With which label.
        label: LabelChange,
    },
    /// The previous keys again.
    RollBack,
    /// No keys.
    Disconnect {
        /// A second empty version, which pushes the keys out of the previous one too.
        erase: Version,
    },
}

/// What becomes of a connection's label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LabelChange {
    /// It stays.
    Keep,
    /// It becomes this, or goes.
    Set(Option<Label>),
}

/// What a write did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The connection is new.
    Created,
    /// It has new keys or a new label.
    Updated,
    /// It had these keys already.
    Unchanged,
    /// It has its previous keys again.
    RolledBack,
    /// It has no keys any more.
    Disconnected,
}

/// What a write answers, kept for a day under its idempotency key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// What was done.
    pub outcome: Outcome,
    /// What the connection became.
    pub connection: Connection,
}

/// What trying a connection's keys told.
#[derive(Debug, Clone)]
pub struct Check {
    /// Which version of the connection was tried.
    pub version: Version,
    /// If the organization's vault was enabled: by which version of its secret.
    pub vault: Option<Version>,
    /// When.
    pub at: Timestamp,
    /// What it makes of the connection: active or in need of reconnecting; nothing if the provider did not
    /// say.
    pub status: Option<Status>,
    /// When the keys are to be tried next.
    pub again_at: Timestamp,
}

/// Whether a write could begin.
#[derive(Debug)]
pub enum Begun {
    /// The intent is recorded: this writer is the only one.
    Alone,
    /// Another write to the same connection is under way.
    Busy(Box<Intent>),
}

/// A page of a list, and where the next one starts.
pub type Page<T, Cursor> = (Vec<T>, Option<Cursor>);

/// The connections and events of one organization.
#[async_trait]
pub trait ConnectionIndex: Send + Sync {
    /// One connection.
    async fn find_connection(
        &self,
        org: &OrgId,
        name: &ConnectionName,
    ) -> Result<Option<Connection>, IndexError>;

    /// Connections in the order of their names, from after `after`.
    async fn list_connections(
        &self,
        org: &OrgId,
        after: Option<&ConnectionName>,
        limit: u16,
    ) -> Result<Page<Connection, ConnectionName>, IndexError>;

    /// Records the intent unless the connection has one.
    async fn begin_write(&self, org: &OrgId, intent: &Intent) -> Result<Begun, IndexError>;

    /// Takes over an intent whose lease ran out before `now`; false if someone else did.
    async fn take_over_write(
        &self,
        org: &OrgId,
        intent: &Intent,
        now: Timestamp,
        lease_until: Timestamp,
    ) -> Result<bool, IndexError>;

    /// In one transaction: removes the intent, writes the connection, appends the events and keeps the
    /// answer. False, and nothing done, if the intent is no longer there.
    async fn complete_write(
        &self,
        org: &OrgId,
        intent: &Intent,
        answer: &Answer,
        events: &[Event],
        now: Timestamp,
    ) -> Result<bool, IndexError>;

    /// The version that a write under way asks the store to make, if one is.
    async fn find_write(&self, org: &OrgId, name: &ConnectionName) -> Result<Option<Version>, IndexError>;

    /// Removes the intent: nothing was written.
    async fn drop_write(&self, org: &OrgId, intent: &Intent) -> Result<(), IndexError>;

    /// Notes that the intent's writer does not know what the store did.
    async fn doubt_write(&self, org: &OrgId, intent: &Intent) -> Result<(), IndexError>;

    /// The answer kept under a key, with the fingerprint of the request it was given to.
    async fn find_answer(
        &self,
        org: &OrgId,
        key: &IdempotencyKey,
        not_before: Timestamp,
    ) -> Result<Option<(String, Answer)>, IndexError>;

    /// Keeps what trying a connection's keys told, with its event. Keys that were found wrong before are no
    /// new event. False, and nothing done, if the connection has another version by now, is being written
    /// or is disconnected.
    async fn record_check(
        &self,
        org: &OrgId,
        name: &ConnectionName,
        check: &Check,
        event: Option<&Event>,
    ) -> Result<bool, IndexError>;

    /// Events that pass the filter, newest first, from before the event `before`;
    /// [`IndexError::NotFound`] if the organization has no such event, or none any more.
    async fn list_events(
        &self,
        org: &OrgId,
        filter: &EventFilter,
        before: Option<Uuid>,
        limit: u16,
    ) -> Result<Page<Listed, Uuid>, IndexError>;
}

/// The API tokens.
#[async_trait]
pub trait TokenIndex: Send + Sync {
    /// The token with this hash.
    async fn find_token(&self, hash: &HashedToken) -> Result<Option<TokenRecord>, IndexError>;

    /// Every token that was not revoked, oldest first.
    async fn list_tokens(&self) -> Result<Vec<TokenRecord>, IndexError>;

    /// Adds a token and its events; false, and nothing done, if that token is there already.
    async fn add_token(
        &self,
        token: &TokenRecord,
        hash: &HashedToken,
        events: &[Event],
    ) -> Result<bool, IndexError>;

    /// Revokes a token and appends its events; false, and nothing done, if it was not there or was
    /// revoked before.
    async fn revoke_token(&self, id: Uuid, at: Timestamp, events: &[Event]) -> Result<bool, IndexError>;
}

/// What background tasks ask of all organizations at once. Nothing here answers a request.
#[async_trait]
pub trait SystemIndex: Send + Sync {
    /// Whether the database answers.
    async fn ping(&self) -> Result<(), IndexError>;

    /// The intents that stand, oldest lease first.
    async fn pending_writes(&self, limit: u16) -> Result<Vec<Intent>, IndexError>;

    /// The number of the newest event, 0 if there is none.
    async fn newest_event(&self) -> Result<i64, IndexError>;

    /// What was changed after the event of number `after`, oldest first.
    async fn changes_after(&self, after: i64, limit: u16) -> Result<Vec<Change>, IndexError>;

    /// Ends every write's lease by `by`, and every other lease now: for a process that knows it is alone, at
    /// its start.
    async fn end_leases(&self, by: Timestamp) -> Result<(), IndexError>;

    /// Connections whose keys are due to be tried at `now`. They are not due again before `again_at`.
    async fn claim_checks(
        &self,
        now: Timestamp,
        again_at: Timestamp,
        limit: u16,
    ) -> Result<Vec<SecretName>, IndexError>;

    /// Forgets idempotency keys from before `before`.
    async fn forget_answers(&self, before: Timestamp) -> Result<(), IndexError>;

    /// Forgets connect sessions made before `before`.
    async fn forget_sessions(&self, before: Timestamp) -> Result<(), IndexError>;
}

/// A change by whatever process, as the log tells it.
#[derive(Debug, Clone)]
pub struct Change {
    /// Its number: one more than that of the change before it.
    pub number: i64,
    /// Whether this very process made it.
    pub own: bool,
    /// What happened; nothing if only a newer version of keybroker knows.
    pub r#type: Option<EventType>,
    /// To which organization, if to one.
    pub org: Option<OrgId>,
    /// To which secret, if to one.
    pub secret: Option<SecretName>,
    /// Which generation its connection has by now.
    pub generation: Option<i64>,
}

/// How long connect sessions are kept: longer than any visit lasts.
pub const SESSIONS_KEPT: Duration = Duration::from_hours(7 * 24);

/// How long idempotency keys are kept.
pub const ANSWERS_KEPT: Duration = Duration::from_hours(24);

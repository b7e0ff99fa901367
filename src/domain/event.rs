//! The audit log's lines. The same log drives cache invalidation on the other replicas.
//!
//! To add a type: a line in [`EventType`], with its name.

pub mod chain;
pub mod reads;
mod record;

use std::{str::FromStr, sync::Arc};

use bytes::Bytes;
use jiff::Timestamp;
use uuid::Uuid;

pub use self::record::{EventFilter, Listed, Position, Record, RecordedActor, whole_millis};
use super::{
    access::Actor,
    clock::{Clock, Random, time_ordered_id},
    id::{ConnectionName, OrgId},
    secret::Version,
};

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its own id, ordered by time.
    pub id: Uuid,
    /// The organization it happened to; none for what concerns all of them, as a token for every
    /// organization does.
    pub org: Option<OrgId>,
    /// What happened.
    pub r#type: EventType,
    /// When.
    pub at: Timestamp,
    /// Who did it.
    pub actor: Arc<Actor>,
    /// To which connection, if to one.
    pub connection: Option<ConnectionName>,
    /// Which version it left current, if it made or kept one.
    pub version: Option<Version>,
    /// To which token, if to one.
    pub token: Option<Uuid>,
    /// In which request, if in one.
    pub request_id: Option<RequestId>,
}

impl Event {
    /// Something that happens now, to nothing in particular yet.
    #[must_use]
    pub fn new(
        clock: &dyn Clock,
        random: &dyn Random,
        org: Option<OrgId>,
        r#type: EventType,
        actor: Arc<Actor>,
    ) -> Self {
        Self {
            id: time_ordered_id(clock, random),
            org,
            r#type,
            at: clock.now(),
            actor,
            connection: None,
            version: None,
            token: None,
            request_id: None,
        }
    }
}

macro_rules! event_types {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)+) => {
        /// What can happen.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum EventType {
            $($(#[$doc])* $name,)+
        }

        impl EventType {
            /// The type's name in the log.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }
        }

        impl FromStr for EventType {
            type Err = UnknownEventType;

            fn from_str(text: &str) -> Result<Self, UnknownEventType> {
                match text {
                    $($text => Ok(Self::$name),)+
                    _ => Err(UnknownEventType),
                }
            }
        }
    };
}

event_types! {
    /// A connection was made.
    ConnectionCreated = "connection.created",
    /// Its keys, or its label, were replaced.
    ConnectionUpdated = "connection.updated",
    /// The same keys were put again.
    ConnectionUnchanged = "connection.unchanged",
    /// The provider took its keys.
    ConnectionVerified = "connection.verified",
    /// The provider refused its keys.
    ConnectionNeedsReconnect = "connection.needs_reconnect",
    /// The previous keys were made current again.
    ConnectionRolledBack = "connection.rolled_back",
    /// Its keys were erased.
    ConnectionDisconnected = "connection.disconnected",
    /// Its keys were given out. One line counts what one token read within a minute.
    CredentialsRead = "credentials.read",
    /// A link to the portal was made.
    SessionCreated = "session.created",
    /// It was opened.
    SessionOpened = "session.opened",
    /// An organization's keys are read from its own vault.
    VaultEnabled = "vault.enabled",
    /// They are no longer.
    VaultDisabled = "vault.disabled",
    /// The vault was tried.
    VaultTested = "vault.tested",
    /// A token for the vault was made.
    VaultTokenCreated = "vault.token_created",
    /// A token was made.
    TokenCreated = "token.created",
    /// A token was revoked.
    TokenRevoked = "token.revoked",
}

/// Not an event type's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no such event type")]
pub struct UnknownEventType;

/// The id of one request: the caller's own, or one made here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(Bytes);

/// Not a request id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a request id is 1 to 64 letters, digits, hyphens and underscores")]
pub struct InvalidRequestId;

impl RequestId {
    /// The id as text.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "it was made of text")]
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).expect("it was made of text")
    }

    /// The id's bytes, which are not copied.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

impl From<Uuid> for RequestId {
    fn from(id: Uuid) -> Self {
        Self(Bytes::copy_from_slice(id.hyphenated().encode_lower(&mut [0; 36]).as_bytes()))
    }
}

impl FromStr for RequestId {
    type Err = InvalidRequestId;

    fn from_str(text: &str) -> Result<Self, InvalidRequestId> {
        let charset = |b: u8| b.is_ascii_alphanumeric() || b"_-".contains(&b);
        if (1..=64).contains(&text.len()) && text.bytes().all(charset) {
            Ok(Self(Bytes::copy_from_slice(text.as_bytes())))
        } else {
            Err(InvalidRequestId)
        }
    }
}

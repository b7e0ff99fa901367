//! An event as the log keeps it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Event, EventType, chain::ChainHash};
use crate::domain::{
    access::Actor,
    id::{ConnectionName, OrgId},
};

/// One line of the log. Its values are text, not what this version takes for valid: the log may hold what
/// a newer version of keybroker wrote, and that is listed, sealed and verified like the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its own id.
    pub id: String,
    /// The organization; empty for what concerns all of them.
    pub org: String,
    /// What happened.
    pub r#type: String,
    /// When, in whole milliseconds. For reads: when the first of them was.
    pub at: Timestamp,
    /// Who did it.
    pub actor: RecordedActor,
    /// To which connection, if to one.
    pub connection: Option<String>,
    /// Which version it left current, or gave out.
    pub version: Option<String>,
    /// To which token, if to one.
    pub token: Option<String>,
    /// In which request, if in one.
    pub request_id: Option<String>,
    /// How many reads it tells of, if of reads.
    pub count: Option<i64>,
}

/// Who did it, as the log keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RecordedActor {
    /// What kind of actor it is.
    pub r#type: String,
    /// The token's id, or the task's or command's name.
    pub id: String,
    /// The token's name, for people.
    pub name: Option<String>,
}

impl From<&Actor> for RecordedActor {
    fn from(actor: &Actor) -> Self {
        let r#type = actor.r#type.as_str().to_owned();
        Self { r#type, id: actor.id.clone(), name: actor.name.clone() }
    }
}

impl From<&Event> for Record {
    fn from(event: &Event) -> Self {
        Self {
            id: event.id.to_string(),
            org: event.org.as_ref().map_or("", OrgId::as_str).to_owned(),
            r#type: event.r#type.as_str().to_owned(),
            at: whole_millis(event.at),
            actor: RecordedActor::from(&*event.actor),
            connection: event.connection.as_ref().map(|name| name.as_str().to_owned()),
            version: event.version.as_ref().map(|version| version.as_str().to_owned()),
            token: event.token.as_ref().map(Uuid::to_string),
            request_id: event.request_id.as_ref().map(|id| id.as_str().to_owned()),
            count: None,
        }
    }
}

/// Which events are wanted: those that have all of this.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    /// This type.
    pub r#type: Option<EventType>,
    /// This connection.
    pub connection: Option<ConnectionName>,
    /// An actor of this id.
    pub actor: Option<String>,
    /// Happened then or later.
    pub since: Option<Timestamp>,
    /// Happened before then.
    pub until: Option<Timestamp>,
    /// After this position in the list.
    pub after: Option<Position>,
}

/// Where an event stands in the list, which goes from the greatest to the least.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// When it happened.
    pub at: Timestamp,
    /// Its number in the whole log; the greatest of all for reads, which are counted together. Not for
    /// callers: it would tell an organization how much happens in others.
    pub number: i64,
    /// Its id.
    pub id: String,
}

/// An event as it is listed.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Its position in the list.
    pub position: Position,
    /// The event.
    pub record: Record,
    /// Its number in its organization's chain and its hash; nothing while it is open.
    pub place: Option<(i64, ChainHash)>,
}

/// A time as the index keeps it.
#[must_use]
pub fn whole_millis(time: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(time.as_millisecond()).unwrap_or(time)
}

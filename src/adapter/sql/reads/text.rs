//! Lines of reads as the database keeps them: JSON, an array for each, so that they are small.

use std::borrow::Cow;

use hashbrown::HashMap;
use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};

use crate::{
    adapter::sql::{from_millis, millis},
    domain::event::{Record, RecordedActor, reads},
};

/// A minute, in milliseconds.
pub(super) const MINUTE: i64 = 60_000;

/// `[actor, connection, version, offset, count]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Line<'a> {
    /// Which of the row's actors it was.
    pub actor: usize,
    #[serde(borrow)]
    pub connection: Cow<'a, str>,
    #[serde(borrow)]
    pub version: Cow<'a, str>,
    /// When first, in milliseconds from the beginning of the minute.
    pub offset: i64,
    pub count: i64,
}

impl<'a> Line<'a> {
    pub(super) fn new(
        actor: usize,
        connection: &'a str,
        version: &'a str,
        at: Timestamp,
        count: i64,
    ) -> Self {
        let (connection, version) = (connection.into(), version.into());
        Self { actor, connection, version, offset: millis(at).rem_euclid(MINUTE), count }
    }

    /// Who of these it was.
    pub(super) fn actor_of<'r>(&self, actors: &'r [RecordedActor]) -> Result<&'r RecordedActor, sqlx::Error> {
        let actor = actors.get(self.actor).filter(|_| (0..MINUTE).contains(&self.offset));
        actor.ok_or_else(|| sqlx::Error::Decode("a line of reads of no actor or minute".into()))
    }

    /// What it tells, as a line of an organization and of the minute that begins then, in milliseconds.
    pub(super) fn record(
        &self,
        org: &str,
        minute: i64,
        actors: &[RecordedActor],
    ) -> Result<Record, sqlx::Error> {
        let actor = self.actor_of(actors)?.clone();
        let at = from_millis(minute.saturating_add(self.offset))?;
        Ok(reads::record(org, actor, &self.connection, &self.version, at, self.count))
    }
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.actor, &self.connection, &self.version, self.offset, self.count).serialize(serializer)
    }
}

/// A line among those of other organizations: `[org, line, number]`.
#[derive(Debug, Deserialize)]
pub(super) struct Counted<'a> {
    #[serde(borrow)]
    pub org: Cow<'a, str>,
    #[serde(borrow)]
    pub line: Line<'a>,
    /// By which it is told when it is read again, from the row's base. Older versions gave none.
    #[serde(default)]
    pub number: i64,
}

impl Serialize for Counted<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (&self.org, &self.line, self.number).serialize(serializer)
    }
}

/// The actors of a row, each once.
#[derive(Default)]
pub(super) struct Actors<'a> {
    places: HashMap<(&'a str, &'a str), usize>,
    pub all: Vec<RecordedActor>,
}

impl<'a> Actors<'a> {
    /// The place of the actor of this type and id, who is added if not there.
    pub(super) fn place(
        &mut self,
        type_and_id: (&'a str, &'a str),
        actor: impl FnOnce() -> RecordedActor,
    ) -> usize {
        *self.places.entry(type_and_id).or_insert_with(|| {
            self.all.push(actor());
            self.all.len() - 1
        })
    }
}

//! What was counted, and how it is put together.
//!
//! A minute may have counted millions of lines. Whatever goes through them lets others work after each row,
//! so that nobody who reads a key waits for long.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashMap, HashTable};
use sqlx::{Row, any::AnyRow};

use super::text::{Actors, Counted, Line};
use crate::{
    adapter::sql::{decoded, from_json, to_json},
    domain::event::RecordedActor,
};

/// A row of counts: lines of one shard and minute.
#[derive(Clone)]
pub(super) struct Counts {
    pub shard: i64,
    pub minute: i64,
    /// Its own, within the shard and minute.
    pub id: String,
    /// How many.
    pub lines: i64,
    /// JSON.
    pub actors: String,
    /// JSON.
    pub reads: String,
}

impl Counts {
    pub(super) fn new(
        shard: i64,
        minute: i64,
        id: String,
        actors: &[RecordedActor],
        lines: &[Counted<'_>],
    ) -> Self {
        let (actors, reads) = (to_json(&actors), to_json(&lines));
        Self { shard, minute, id, lines: i64::try_from(lines.len()).unwrap_or(i64::MAX), actors, reads }
    }

    /// A row as the database has it.
    pub(super) fn of(row: &AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            shard: row.try_get("shard")?,
            minute: row.try_get("minute")?,
            id: row.try_get("id")?,
            lines: row.try_get("lines")?,
            actors: row.try_get("actors")?,
            reads: row.try_get("reads")?,
        })
    }
}

/// What was counted in a minute, put together. Of the counts that went into it, of which there are many more,
/// it keeps nothing.
#[derive(Default)]
pub(super) struct Totals {
    table: HashTable<(u64, Total)>,
    hasher: DefaultHashBuilder,
    /// Where among the actors these are, by type and id.
    places: HashMap<(String, String), usize>,
    actors: Vec<RecordedActor>,
}

/// What one actor read of a connection's version within the minute.
pub(super) struct Total {
    pub org: Box<str>,
    actor: usize,
    connection: Box<str>,
    version: Box<str>,
    offset: i64,
    count: i64,
}

impl Total {
    fn of(counted: &Counted<'_>, actor: usize) -> Self {
        let Counted { org, line } = counted;
        let (connection, version) = (line.connection.as_ref().into(), line.version.as_ref().into());
        Self { org: org.as_ref().into(), actor, connection, version, offset: line.offset, count: 0 }
    }

    fn order<'t>(&'t self, actors: &'t [RecordedActor]) -> impl Ord + use<'t> {
        let actor = &actors[self.actor];
        (&self.org, self.offset, &self.connection, &self.version, &actor.id, &actor.r#type)
    }

    fn takes(&self, counted: &Counted<'_>, actor: usize) -> bool {
        let Counted { org, line } = counted;
        self.actor == actor
            && *self.org == **org
            && *self.connection == *line.connection
            && *self.version == *line.version
    }
}

impl Totals {
    /// Adds these of one organization, or of all. False if they can't be read, which is told: then it adds
    /// none.
    pub(super) fn add(&mut self, counts: &Counts, org: Option<&str>) -> bool {
        let added = self.try_add(counts, org);
        if let Err(error) = &added {
            tracing::error!(counts.id, %error, "counts of reads can't be read: they are not listed, nor sealed");
        }
        added.is_ok()
    }

    fn try_add(&mut self, counts: &Counts, org: Option<&str>) -> Result<(), sqlx::Error> {
        let actors: Vec<RecordedActor> = from_json(&counts.actors)?;
        let mut lines: Vec<Counted<'_>> = decoded(serde_json::from_str(&counts.reads))?;
        lines.retain(|counted| org.is_none_or(|org| counted.org == org));
        lines.iter().try_for_each(|counted| counted.line.actor_of(&actors).map(drop))?;
        let places: Vec<_> = actors.into_iter().map(|actor| self.place(actor)).collect();
        for counted in &lines {
            self.add_line(counted, places[counted.line.actor]);
        }
        Ok(())
    }

    fn place(&mut self, actor: RecordedActor) -> usize {
        *self.places.entry((actor.r#type.clone(), actor.id.clone())).or_insert_with(|| {
            self.actors.push(actor);
            self.actors.len() - 1
        })
    }

    fn add_line(&mut self, counted: &Counted<'_>, actor: usize) {
        let Counted { org, line } = counted;
        let hash = self.hasher.hash_one((actor, org, &line.connection));
        let same = |(its_hash, total): &(u64, Total)| *its_hash == hash && total.takes(counted, actor);
        let mut entry = self
            .table
            .entry(hash, same, |(hash, _)| *hash)
            .or_insert_with(|| (hash, Total::of(counted, actor)));
        let (_, total) = entry.get_mut();
        total.offset = total.offset.min(line.offset);
        total.count = total.count.saturating_add(line.count);
    }

    /// Who read, and what: organization by organization, in the order of time.
    pub(super) fn in_order(self) -> (Vec<RecordedActor>, Vec<Total>) {
        let Self { table, actors, .. } = self;
        let mut totals: Vec<_> = table.into_iter().map(|(_, total)| total).collect();
        totals.sort_unstable_by(|a, b| a.order(&actors).cmp(&b.order(&actors)));
        (actors, totals)
    }
}

/// Who of these actors read, and the lines of one organization.
pub(super) fn lines<'a>(
    all: &'a [RecordedActor],
    totals: &'a [Total],
) -> (Vec<RecordedActor>, Vec<Line<'a>>) {
    let mut actors = Actors::default();
    let line = |total: &'a Total| {
        let Total { connection, version, offset, count, .. } = total;
        let actor = &all[total.actor];
        let actor = actors.place((&actor.r#type, &actor.id), || actor.clone());
        let (connection, version) = ((&**connection).into(), (&**version).into());
        Line { actor, connection, version, offset: *offset, count: *count }
    };
    let lines = totals.iter().map(line).collect();
    (actors.all, lines)
}

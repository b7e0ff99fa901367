//! What was counted, and how it is put together.
//!
//! A minute may have counted millions of lines. Whatever goes through them lets others work after each row,
//! so that nobody who reads a key waits for long.

use std::{hash::BuildHasher, mem};

use hashbrown::{DefaultHashBuilder, HashMap, HashTable, hash_table::Entry};
use smol_str::SmolStr;
use sqlx::{Row, any::AnyRow};
use tokio::task::yield_now;

use super::text::{Actors, Counted, Line};
use crate::{
    adapter::sql::{decoded, from_json, to_json},
    domain::event::RecordedActor,
};

/// A row of counts: lines of one shard and minute.
pub(super) struct Counts {
    pub shard: i64,
    pub minute: i64,
    /// Its own, within the shard and minute.
    pub id: String,
    /// The process that gave its lines their numbers.
    pub origin: String,
    /// What these count from.
    pub base: i64,
    /// How many lines it tells in full.
    pub lines: i64,
    /// JSON: their actors.
    pub actors: String,
    /// JSON: the lines.
    pub reads: String,
    /// JSON: `[number, count]` of lines that were told before.
    pub again: String,
}

/// The columns of [`Counts`], in the order in which they are bound.
macro_rules! columns {
    () => {
        "shard, minute, id, origin, base, lines, actors, reads, again"
    };
}
pub(super) use columns;

impl Counts {
    /// Of these lines, in full. It lacks an id.
    pub(super) fn new(shard: i64, minute: i64, actors: &[RecordedActor], lines: &[Counted<'_>]) -> Self {
        Self {
            shard,
            minute,
            id: String::new(),
            origin: String::new(),
            base: 0,
            lines: i64::try_from(lines.len()).unwrap_or(i64::MAX),
            actors: to_json(&actors),
            reads: to_json(&lines),
            again: "[]".to_owned(),
        }
    }

    /// A row as the database has it.
    pub(super) fn of(row: &AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            shard: row.try_get("shard")?,
            minute: row.try_get("minute")?,
            id: row.try_get("id")?,
            origin: row.try_get("origin")?,
            base: row.try_get("base")?,
            lines: row.try_get("lines")?,
            actors: row.try_get("actors")?,
            reads: row.try_get("reads")?,
            again: row.try_get("again")?,
        })
    }
}

/// What was counted in a minute, put together. Of the counts that went into it, of which there are many more,
/// it keeps only what tells lines by their numbers, until all are there.
#[derive(Default)]
pub(super) struct Totals {
    all: Vec<Total>,
    /// Where among all they are.
    table: HashTable<usize>,
    hasher: DefaultHashBuilder,
    /// Where among the actors these are, by type and id.
    places: HashMap<(String, String), usize>,
    actors: Vec<RecordedActor>,
    origins: HashMap<String, usize>,
    /// The totals that lines count into, by process, shard and number: none for one that nobody asked for.
    numbers: HashMap<(usize, i64, i64), Option<usize>>,
    /// What tells lines by their numbers, and no longer anything in full.
    again: Vec<Counts>,
    unreadable: Vec<Counts>,
}

/// What one actor read of a connection's version within the minute.
pub(super) struct Total {
    pub org: SmolStr,
    hash: u64,
    actor: usize,
    connection: SmolStr,
    version: Box<str>,
    offset: i64,
    count: i64,
}

impl Total {
    fn of(counted: &Counted<'_>, actor: usize, hash: u64) -> Self {
        let Counted { org, line, .. } = counted;
        let (connection, version) = (line.connection.as_ref().into(), line.version.as_ref().into());
        Self { org: org.as_ref().into(), hash, actor, connection, version, offset: line.offset, count: 0 }
    }

    fn order<'t>(&'t self, actors: &'t [RecordedActor]) -> impl Ord + use<'t> {
        let actor = &actors[self.actor];
        (&self.org, self.offset, &self.connection, &self.version, &actor.id, &actor.r#type)
    }

    fn takes(&self, counted: &Counted<'_>, actor: usize) -> bool {
        let Counted { org, line, .. } = counted;
        self.actor == actor
            && *self.org == **org
            && *self.connection == *line.connection
            && *self.version == *line.version
    }
}

/// Who read, and what: organization by organization, in the order of time.
pub(super) struct InOrder {
    pub actors: Vec<RecordedActor>,
    pub totals: Vec<Total>,
    /// What can't be read, of which nothing is in the totals.
    pub unreadable: Vec<Counts>,
}

impl Totals {
    /// Adds these of one organization, or of all.
    pub(super) fn add(&mut self, mut counts: Counts, org: Option<&str>) {
        if let Err(error) = self.try_add(&counts, org) {
            self.cannot_read(counts, &error);
        } else if counts.again != "[]" {
            (counts.lines, counts.actors, counts.reads) = (0, "[]".to_owned(), "[]".to_owned());
            self.again.push(counts);
        }
    }

    /// Adds those that are told in full. If any can't be read, it adds none.
    fn try_add(&mut self, counts: &Counts, org: Option<&str>) -> Result<(), sqlx::Error> {
        let actors: Vec<RecordedActor> = from_json(&counts.actors)?;
        let lines: Vec<Counted<'_>> = decoded(serde_json::from_str(&counts.reads))?;
        lines.iter().try_for_each(|counted| counted.line.actor_of(&actors).map(drop))?;
        let places: Vec<_> = actors.into_iter().map(|actor| self.place(actor)).collect();
        let origin = self.origin(&counts.origin);
        for counted in &lines {
            let wanted = org.is_none_or(|org| counted.org == org);
            let total = wanted.then(|| self.add_line(counted, places[counted.line.actor]));
            self.numbers.insert((origin, counts.shard, counts.base + counted.number), total);
        }
        Ok(())
    }

    /// Adds those that are told by their numbers. If any of them is not known, it adds none.
    fn try_add_again(&mut self, counts: &Counts) -> Result<(), sqlx::Error> {
        let origin = self.origin(&counts.origin);
        let again: Vec<(i64, i64)> = from_json(&counts.again)?;
        let find = |(number, count): (i64, i64)| {
            let total = self.numbers.get(&(origin, counts.shard, counts.base + number));
            total.map(|total| (*total, count))
        };
        let again: Option<Vec<_>> = again.into_iter().map(find).collect();
        let unknown = || sqlx::Error::Decode("a line that was read again, and that nothing tells of".into());
        for (total, count) in again.ok_or_else(unknown)? {
            if let Some(total) = total {
                let total = &mut self.all[total];
                total.count = total.count.saturating_add(count);
            }
        }
        Ok(())
    }

    fn cannot_read(&mut self, counts: Counts, error: &sqlx::Error) {
        tracing::error!(counts.id, %error, "counts of reads can't be read: they are not listed, nor sealed");
        self.unreadable.push(counts);
    }

    fn place(&mut self, actor: RecordedActor) -> usize {
        *self.places.entry((actor.r#type.clone(), actor.id.clone())).or_insert_with(|| {
            self.actors.push(actor);
            self.actors.len() - 1
        })
    }

    fn origin(&mut self, origin: &str) -> usize {
        let next = self.origins.len();
        *self.origins.entry_ref(origin).or_insert(next)
    }

    /// The place of the total that it counts into.
    fn add_line(&mut self, counted: &Counted<'_>, actor: usize) -> usize {
        let Counted { org, line, .. } = counted;
        let hash = self.hasher.hash_one((actor, org, &line.connection));
        let Self { all, table, .. } = self;
        let same = |place: &usize| all[*place].hash == hash && all[*place].takes(counted, actor);
        let place = match table.entry(hash, same, |place| all[*place].hash) {
            Entry::Occupied(there) => *there.get(),
            Entry::Vacant(vacant) => *vacant.insert(all.len()).get(),
        };
        if place == all.len() {
            all.push(Total::of(counted, actor, hash));
        }
        let total = &mut all[place];
        total.offset = total.offset.min(line.offset);
        total.count = total.count.saturating_add(line.count);
        place
    }

    /// All that was added.
    pub(super) async fn in_order(mut self) -> InOrder {
        for counts in mem::take(&mut self.again) {
            if let Err(error) = self.try_add_again(&counts) {
                self.cannot_read(counts, &error);
            }
            yield_now().await;
        }
        let Self { actors, all: mut totals, unreadable, .. } = self;
        totals.sort_unstable_by(|a, b| a.order(&actors).cmp(&b.order(&actors)));
        InOrder { actors, totals, unreadable }
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

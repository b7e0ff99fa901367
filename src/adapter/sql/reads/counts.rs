//! What was counted, and how it is put together.

use hashbrown::HashMap;
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

/// What counts say.
pub(super) struct Readable<'a> {
    actors: Vec<RecordedActor>,
    lines: Vec<Counted<'a>>,
}

impl<'a> Readable<'a> {
    /// Of one organization, or of all.
    pub(super) fn from(counts: &'a Counts, org: Option<&str>) -> Result<Self, sqlx::Error> {
        let actors: Vec<_> = from_json(&counts.actors)?;
        let mut lines: Vec<Counted<'_>> = decoded(serde_json::from_str(&counts.reads))?;
        lines.retain(|counted| org.is_none_or(|org| counted.org == org));
        lines.iter().try_for_each(|counted| counted.line.actor_of(&actors).map(drop))?;
        Ok(Self { actors, lines })
    }
}

/// What one actor read of a connection's version within the minute.
#[derive(Clone, Copy)]
pub(super) struct Total<'a> {
    pub org: &'a str,
    actor: &'a RecordedActor,
    connection: &'a str,
    version: &'a str,
    offset: i64,
    count: i64,
}

/// All counts of a minute together: organization by organization, in the order of time.
pub(super) fn totals<'a>(counts: &'a [Readable<'a>]) -> Vec<Total<'a>> {
    let mut totals: HashMap<_, Total<'_>> = HashMap::new();
    for Readable { actors, lines } in counts {
        for Counted { org, line } in lines {
            let actor = &actors[line.actor];
            let of = (&**org, &*actor.r#type, &*actor.id, &*line.connection, &*line.version);
            let (org, .., connection, version) = of;
            let none = Total { org, actor, connection, version, offset: line.offset, count: 0 };
            let total = totals.entry(of).or_insert(none);
            total.offset = total.offset.min(line.offset);
            total.count = total.count.saturating_add(line.count);
        }
    }
    let mut totals: Vec<_> = totals.into_values().collect();
    let order = |total: &Total<'a>| {
        let Total { org, actor, connection, version, offset, .. } = *total;
        (org, offset, connection, version, &*actor.id, &*actor.r#type)
    };
    totals.sort_unstable_by(|a, b| order(a).cmp(&order(b)));
    totals
}

/// Who read, and the lines of one organization.
pub(super) fn lines<'a>(totals: &[Total<'a>]) -> (Vec<RecordedActor>, Vec<Line<'a>>) {
    let mut actors = Actors::default();
    let line = |total: &Total<'a>| {
        let Total { actor, connection, version, offset, count, .. } = *total;
        let actor = actors.place((&actor.r#type, &actor.id), || actor.clone());
        Line { actor, connection: connection.into(), version: version.into(), offset, count }
    };
    let lines = totals.iter().map(line).collect();
    (actors.all, lines)
}

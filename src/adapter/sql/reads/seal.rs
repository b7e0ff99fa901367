//! The sealing of reads: what all replicas counted in a minute becomes a row or a few of each organization, in its place
//! in its chain.

use hashbrown::HashMap;
use sqlx::{AnyConnection, Connection, Row, any::AnyRow};
use uuid::Uuid;

use super::{
    Counts, add,
    sealed::{self, Sealed},
    shard,
    text::{Actors, Counted, Line},
};
use crate::{
    adapter::sql::{
        Database,
        chains::{heads, set_heads},
        decoded,
        events::take_numbers,
        from_json, to_json,
    },
    domain::event::RecordedActor,
    port::index::IndexError,
};

/// How many counted lines are sealed at once: nobody else adds to a chain meanwhile.
const AT_ONCE: i64 = 20_000;

/// How many lines a row has at most: whoever lists some of them reads them all.
const A_ROW: usize = 250;

const OVER: &str = "SELECT minute, shard, CAST(SUM(lines) AS BIGINT) AS lines \
     FROM read_counts WHERE minute < $1 GROUP BY minute, shard ORDER BY minute, shard";

pub(in crate::adapter::sql) const TAKE: &str = "DELETE FROM read_counts \
     WHERE minute = $1 AND shard >= $2 AND shard <= $3 RETURNING shard, id, lines, actors, reads";

/// Seals all minutes before this one, part by part.
pub(in crate::adapter::sql) async fn seal(db: &Database, before: i64) -> Result<(), IndexError> {
    let parts = db.within(parts(db, before)).await?;
    if parts.is_empty() {
        return Ok(());
    }
    let mut connection = db.apart().await?;
    for part in parts {
        let mut tx = db.within(connection.begin_with(db.begin)).await?;
        db.within(async {
            seal_part(&mut tx, db.origin, &part).await?;
            tx.commit().await
        })
        .await?;
    }
    // What was committed stays so.
    let _ = connection.close().await;
    Ok(())
}

/// Some shards of a minute.
struct Part {
    minute: i64,
    shards: (i64, i64),
    lines: i64,
}

/// Each as large as may be sealed at once, or larger where one shard is.
async fn parts(db: &Database, before: i64) -> Result<Vec<Part>, sqlx::Error> {
    let mut parts: Vec<Part> = Vec::new();
    for row in sqlx::query(OVER).bind(before).fetch_all(db.pool()).await? {
        let (minute, shard, lines) = (row.try_get("minute")?, row.try_get("shard")?, row.try_get("lines")?);
        match parts.last_mut() {
            Some(part) if part.minute == minute && part.lines + lines <= AT_ONCE => {
                (part.shards.1, part.lines) = (shard, part.lines + lines);
            }
            _ => parts.push(Part { minute, shards: (shard, shard), lines }),
        }
    }
    Ok(parts)
}

async fn seal_part(tx: &mut AnyConnection, origin: Uuid, part: &Part) -> Result<(), sqlx::Error> {
    let take = sqlx::query(TAKE).bind(part.minute).bind(part.shards.0).bind(part.shards.1);
    let rows = take.fetch_all(&mut *tx).await?;
    let taken = rows.iter().map(|row| taken(part.minute, row)).collect::<Result<Vec<_>, _>>()?;
    let (mut readable, mut left) = (Vec::new(), Vec::new());
    for counts in &taken {
        match Readable::from(counts) {
            Ok(counts) => readable.push(counts),
            Err(error) => {
                tracing::error!(counts.id, %error, "counts of reads can't be read, so they can't be sealed");
                left.push(counts.clone());
            }
        }
    }
    let totals = totals(&readable);
    let of_orgs: Vec<_> = totals.chunk_by(|a, b| a.org == b.org).collect();
    let orgs: Vec<_> = of_orgs.iter().map(|totals| totals[0].org).collect();
    // No chain grows from here on.
    take_numbers(tx, 0).await?;
    let (mut heads, mut rows) = (heads(tx, &orgs).await?, Vec::new());
    for totals in of_orgs {
        if let Some(head) = heads.get_mut(totals[0].org) {
            for totals in totals.chunks(A_ROW) {
                let (actors, lines) = lines(totals);
                rows.push(Sealed::after(head, totals[0].org, part.minute, &actors, &lines)?);
            }
        } else {
            left.push(counted(part.minute, totals));
        }
    }
    sealed::append(tx, origin, rows).await?;
    set_heads(tx, &heads).await?;
    add(tx, left).await
}

fn taken(minute: i64, row: &AnyRow) -> Result<Counts, sqlx::Error> {
    Ok(Counts {
        minute,
        shard: row.try_get("shard")?,
        id: row.try_get("id")?,
        lines: row.try_get("lines")?,
        actors: row.try_get("actors")?,
        reads: row.try_get("reads")?,
    })
}

/// What counts say.
struct Readable<'a> {
    actors: Vec<RecordedActor>,
    lines: Vec<Counted<'a>>,
}

impl<'a> Readable<'a> {
    fn from(counts: &'a Counts) -> Result<Self, sqlx::Error> {
        let actors: Vec<_> = from_json(&counts.actors)?;
        let lines: Vec<Counted<'_>> = decoded(serde_json::from_str(&counts.reads))?;
        lines.iter().try_for_each(|counted| counted.line.actor_of(&actors).map(drop))?;
        Ok(Self { actors, lines })
    }
}

/// What one actor read of a connection's version within the minute.
#[derive(Clone, Copy)]
struct Total<'a> {
    org: &'a str,
    actor: &'a RecordedActor,
    connection: &'a str,
    version: &'a str,
    offset: i64,
    count: i64,
}

/// All counts together: organization by organization, in the order of time.
fn totals<'a>(counts: &'a [Readable<'a>]) -> Vec<Total<'a>> {
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
fn lines<'a>(totals: &[Total<'a>]) -> (Vec<RecordedActor>, Vec<Line<'a>>) {
    let mut actors = Actors::default();
    let line = |total: &Total<'a>| {
        let Total { actor, connection, version, offset, count, .. } = *total;
        let actor = actors.place((&actor.r#type, &actor.id), || actor.clone());
        Line { actor, connection: connection.into(), version: version.into(), offset, count }
    };
    let lines = totals.iter().map(line).collect();
    (actors.all, lines)
}

/// The lines of one organization as counts again.
fn counted(minute: i64, totals: &[Total<'_>]) -> Counts {
    let org = totals[0].org;
    let (actors, lines) = lines(totals);
    let counted = lines.into_iter().map(|line| Counted { org: org.into(), line });
    let reads = to_json(&counted.collect::<Vec<_>>());
    let lines = i64::try_from(totals.len()).unwrap_or(i64::MAX);
    // Whatever else the minute has of this organization comes into the same row.
    let id = format!("put back: {org}");
    Counts { shard: shard(org), minute, id, lines, actors: to_json(&actors), reads }
}

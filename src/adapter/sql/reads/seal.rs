//! The sealing of reads: what all replicas counted in a minute becomes a row or a few of each organization,
//! in its place in its chain.

use futures_util::TryStreamExt;
use sqlx::{AnyConnection, Connection, Row};
use tokio::task::yield_now;
use uuid::Uuid;

use super::{
    add,
    counts::{Counts, InOrder, Totals, columns, lines},
    sealed::{self, Sealed},
    shard,
    text::{Counted, Line},
};
use crate::{
    adapter::sql::{
        Database,
        chains::{heads, set_heads},
        events::take_numbers,
    },
    domain::event::RecordedActor,
    port::index::IndexError,
};

/// How many lines that are told in full are sealed at once: nobody else adds to a chain meanwhile.
const AT_ONCE: i64 = 50_000;

/// How many lines a row has at most: whoever lists some of them reads them all.
const A_ROW: usize = 250;

const OVER: &str = "SELECT minute, shard, CAST(SUM(lines) AS BIGINT) AS lines \
     FROM read_counts WHERE minute < $1 GROUP BY minute, shard ORDER BY minute, shard";

pub(in crate::adapter::sql) const TAKE: &str = concat!(
    "DELETE FROM read_counts WHERE minute = $1 AND shard >= $2 AND shard <= $3 RETURNING ",
    columns!()
);

/// From here on whoever records reads of these minutes tells in full what they are: so whatever is told by
/// numbers alone is taken together with what the numbers stand for. Waits for those who record.
const CLOSE: &str = "UPDATE read_writers SET sealed = $1 WHERE sealed < $1";

/// Seals all minutes before this one, part by part.
pub(in crate::adapter::sql) async fn seal(db: &Database, before: i64) -> Result<(), IndexError> {
    let parts = db.within(parts(db, before)).await?;
    if parts.is_empty() {
        return Ok(());
    }
    db.within(sqlx::query(CLOSE).bind(before).execute(db.pool())).await?;
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
    let mut taken = take.fetch(&mut *tx);
    let mut totals = Totals::default();
    while let Some(row) = taken.try_next().await? {
        totals.add(Counts::of(&row)?, None);
        yield_now().await;
    }
    drop(taken);
    let InOrder { actors: readers, totals, unreadable: mut left } = totals.in_order().await;
    let of_orgs: Vec<_> = totals.chunk_by(|a, b| a.org == b.org).collect();
    let orgs: Vec<_> = of_orgs.iter().map(|totals| &*totals[0].org).collect();
    // No chain grows from here on.
    take_numbers(tx, 0).await?;
    let (mut heads, mut rows) = (heads(tx, &orgs).await?, Vec::new());
    for totals in of_orgs {
        let org = &*totals[0].org;
        if let Some(head) = heads.get_mut(org) {
            for totals in totals.chunks(A_ROW) {
                let (actors, lines) = lines(&readers, totals);
                rows.push(Sealed::after(head, org, part.minute, &actors, &lines)?);
            }
        } else {
            left.push(counted(part.minute, org, lines(&readers, totals)));
        }
        yield_now().await;
    }
    sealed::append(tx, origin, rows).await?;
    set_heads(tx, &heads).await?;
    add(tx, left).await
}

/// The lines of one organization as counts again.
fn counted(minute: i64, org: &str, (actors, lines): (Vec<RecordedActor>, Vec<Line<'_>>)) -> Counts {
    let counted: Vec<_> =
        lines.into_iter().map(|line| Counted { org: org.into(), line, number: 0 }).collect();
    // Whatever else the minute has of this organization comes into the same row.
    Counts { id: format!("put back: {org}"), ..Counts::new(shard(org), minute, &actors, &counted) }
}

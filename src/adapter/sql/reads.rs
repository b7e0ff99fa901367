//! Reads of keys on their way into the audit log: what was counted, until its minute is sealed.

mod counts;
pub(super) mod list;
mod open;
pub(super) mod seal;
pub(super) mod sealed;
mod text;

use jiff::Timestamp;
use sqlx::{AnyConnection, Row};
use uuid::Uuid;

pub(super) use self::open::{OPEN, count as count_open};
use self::{
    counts::{Counts, columns},
    text::{Actors, Counted, Line},
};
use super::{Database, for_rows, millis, most_rows, places, to_json};
use crate::{
    domain::event::{
        RecordedActor,
        reads::{self, minute},
    },
    port::{audit::Reads, index::IndexError},
};

/// No minute of which the log knows lines.
const NONE_KNOWN: i64 = i64::MAX;

/// Notes the batch, unless it was recorded before. Says from which minute on the log knows lines.
const NOTE_BATCH: &str = "INSERT INTO read_writers (origin, newest, at, sealed) VALUES ($1, $2, $3, $4) \
     ON CONFLICT (origin) DO UPDATE SET newest = excluded.newest, at = excluded.at \
     WHERE read_writers.newest < excluded.newest RETURNING sealed";

/// Adds these to what was counted, unless this batch was added before. Returns from which minute on the log
/// knows the lines.
pub(super) async fn record(
    db: &Database,
    number: i64,
    reads: &[Reads<'_>],
    now: Timestamp,
) -> Result<i64, IndexError> {
    let mut tx = db.begin().await?;
    db.within(async {
        let noted = sqlx::query(NOTE_BATCH).bind(db.origin.to_string()).bind(number).bind(millis(now));
        // A process of which nothing is noted yet: no line that it tells of now is of a minute that is sealed
        // meanwhile.
        let Some(noted) = noted.bind(minute(now)).fetch_optional(&mut *tx).await? else {
            return Ok(NONE_KNOWN);
        };
        let known_from = noted.try_get(0)?;
        add(&mut tx, counts(db.origin, number, reads, known_from)).await?;
        tx.commit().await?;
        Ok(known_from)
    })
    .await
}

fn counts(origin: Uuid, batch: i64, reads: &[Reads<'_>], known_from: i64) -> Vec<Counts> {
    let mut lines: Vec<_> = reads.iter().map(|line| ((minute(line.at), shard(line.org)), line)).collect();
    lines.sort_by_key(|(place, _)| *place);
    let of_shards = lines.chunk_by(|(a, _), (b, _)| a == b);
    of_shards.map(|lines| row(origin, batch, lines, known_from)).collect()
}

/// Lines of one minute and shard.
fn row(origin: Uuid, batch: i64, reads: &[((i64, i64), &Reads<'_>)], known_from: i64) -> Counts {
    let (minute, shard) = reads[0].0;
    let base = reads.iter().map(|(_, read)| read.line).min().unwrap_or(0);
    let (mut actors, mut lines, mut again) = (Actors::default(), Vec::new(), Vec::new());
    for (_, read) in reads {
        let number = read.line - base;
        if read.told && minute >= known_from {
            again.push((number, read.count));
        } else {
            let actor = (read.actor.r#type.as_str(), &*read.actor.id);
            let actor = actors.place(actor, || RecordedActor::from(read.actor));
            let line = Line::new(actor, read.connection, read.version, read.at, read.count);
            lines.push(Counted { org: read.org.into(), line, number });
        }
    }
    Counts {
        id: format!("{origin} {batch}"),
        origin: origin.to_string(),
        base,
        again: to_json(&again),
        ..Counts::new(shard, minute, &actors.all, &lines)
    }
}

async fn add(tx: &mut AnyConnection, mut rows: Vec<Counts>) -> Result<(), sqlx::Error> {
    while !rows.is_empty() {
        let some = rows.split_off(rows.len().saturating_sub(most_rows(9)));
        let sql =
            format!(concat!("INSERT INTO read_counts (", columns!(), ") VALUES {}"), places(some.len(), 9));
        let mut query = for_rows(sql, some.len(), 9);
        for row in some {
            query = query.bind(row.shard).bind(row.minute).bind(row.id).bind(row.origin).bind(row.base);
            query = query.bind(row.lines).bind(row.actors).bind(row.reads).bind(row.again);
        }
        query.execute(&mut *tx).await?;
    }
    Ok(())
}

/// Forgets processes that have recorded nothing since.
pub(super) async fn forget_writers(db: &Database, before: Timestamp) -> Result<(), IndexError> {
    let query = sqlx::query("DELETE FROM read_writers WHERE at < $1").bind(millis(before));
    db.within(query.execute(db.pool())).await.map(drop)
}

/// The shard of an organization: who lists its reads looks at the counts of that one.
fn shard(org: &str) -> i64 {
    i64::try_from(reads::shard(org)).unwrap_or(i64::MAX)
}

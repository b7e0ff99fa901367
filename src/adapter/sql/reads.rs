//! Reads of keys on their way into the audit log: what was counted, until its minute is sealed.

mod counts;
pub(super) mod list;
mod open;
pub(super) mod seal;
pub(super) mod sealed;
mod text;

use jiff::Timestamp;
use sqlx::AnyConnection;

pub(super) use self::open::{OPEN, count as count_open};
use self::{
    counts::Counts,
    text::{Actors, Counted, Line},
};
use super::{Database, ROWS, for_rows, millis, places};
use crate::{
    domain::event::{
        RecordedActor,
        reads::{self, minute},
    },
    port::{audit::Reads, index::IndexError},
};

const NOTE_BATCH: &str = "INSERT INTO read_writers (origin, newest, at) VALUES ($1, $2, $3) \
     ON CONFLICT (origin) DO UPDATE SET newest = excluded.newest, at = excluded.at \
     WHERE read_writers.newest < excluded.newest";

/// Adds these to what was counted, unless this batch was added before.
pub(super) async fn record(
    db: &Database,
    number: i64,
    reads: &[Reads<'_>],
    now: Timestamp,
) -> Result<(), IndexError> {
    let rows = counts(&format!("{} {number}", db.origin), reads);
    let mut tx = db.begin().await?;
    db.within(async {
        let noted = sqlx::query(NOTE_BATCH).bind(db.origin.to_string()).bind(number).bind(millis(now));
        if noted.execute(&mut *tx).await?.rows_affected() == 0 {
            return Ok(());
        }
        add(&mut tx, rows).await?;
        tx.commit().await
    })
    .await
}

fn counts(batch: &str, reads: &[Reads<'_>]) -> Vec<Counts> {
    let mut lines: Vec<_> = reads.iter().map(|line| ((minute(line.at), shard(line.org)), line)).collect();
    lines.sort_by_key(|(place, _)| *place);
    lines.chunk_by(|(a, _), (b, _)| a == b).map(|lines| row(batch, lines)).collect()
}

/// Lines of one minute and shard.
fn row(batch: &str, reads: &[((i64, i64), &Reads<'_>)]) -> Counts {
    let (minute, shard) = reads[0].0;
    let mut actors = Actors::default();
    let mut lines = Vec::with_capacity(reads.len());
    for (_, read) in reads {
        let actor = (read.actor.r#type.as_str(), &*read.actor.id);
        let actor = actors.place(actor, || RecordedActor::from(read.actor));
        let line = Line::new(actor, read.connection, read.version, read.at, read.count);
        lines.push(Counted { org: read.org.into(), line });
    }
    Counts::new(shard, minute, batch.to_owned(), &actors.all, &lines)
}

async fn add(tx: &mut AnyConnection, mut rows: Vec<Counts>) -> Result<(), sqlx::Error> {
    while !rows.is_empty() {
        let some = rows.split_off(rows.len().saturating_sub(ROWS));
        let sql = format!(
            "INSERT INTO read_counts (shard, minute, id, lines, actors, reads) VALUES {}",
            places(some.len(), 6)
        );
        let mut query = for_rows(sql, some.len());
        for row in some {
            query = query.bind(row.shard).bind(row.minute).bind(row.id);
            query = query.bind(row.lines).bind(row.actors).bind(row.reads);
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

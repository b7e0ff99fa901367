//! Reads whose minute is not sealed yet.

use super::{
    counts::{Counts, Readable, lines, totals},
    shard,
    text::MINUTE,
};
use crate::{adapter::sql::Database, domain::event::Record};

pub(in crate::adapter::sql) const OPEN: &str =
    "SELECT shard, minute, id, lines, actors, reads FROM read_counts WHERE shard = $1 AND minute <= $2";

/// How many lines of an organization are not sealed.
pub(in crate::adapter::sql) async fn count(db: &Database, org: &str) -> Result<i64, sqlx::Error> {
    let open = records(db, org, i64::MAX).await?;
    Ok(i64::try_from(open.len()).unwrap_or(i64::MAX))
}

/// What is told of an organization's reads until this minute, all replicas' counts together.
pub(super) async fn records(db: &Database, org: &str, until: i64) -> Result<Vec<Record>, sqlx::Error> {
    let rows = sqlx::query(OPEN).bind(shard(org)).bind(until).fetch_all(db.pool()).await?;
    let mut counts = rows.iter().map(Counts::of).collect::<Result<Vec<_>, _>>()?;
    counts.sort_unstable_by_key(|counts| counts.minute);
    let mut records = Vec::new();
    for of_minute in counts.chunk_by(|a, b| a.minute == b.minute) {
        let mut readable = Vec::with_capacity(of_minute.len());
        for counts in of_minute {
            match Readable::from(counts, Some(org)) {
                Ok(counts) => readable.push(counts),
                Err(error) => {
                    tracing::error!(counts.id, %error, "counts of reads can't be read, so they are not listed");
                }
            }
        }
        let (actors, lines) = lines(&totals(&readable));
        for line in &lines {
            records.push(line.record(org, of_minute[0].minute.saturating_mul(MINUTE), &actors)?);
        }
    }
    Ok(records)
}

//! Reads whose minute is not sealed yet.

use std::collections::BTreeMap;

use futures_util::TryStreamExt;
use tokio::task::yield_now;

use super::{
    counts::{Counts, InOrder, Totals, columns, lines},
    shard,
    text::MINUTE,
};
use crate::{adapter::sql::Database, domain::event::Record};

pub(in crate::adapter::sql) const OPEN: &str =
    concat!("SELECT ", columns!(), " FROM read_counts WHERE shard = $1 AND minute <= $2");

/// How many lines of an organization are not sealed.
pub(in crate::adapter::sql) async fn count(db: &Database, org: &str) -> Result<i64, sqlx::Error> {
    let open = records(db, org, i64::MAX).await?;
    Ok(i64::try_from(open.len()).unwrap_or(i64::MAX))
}

/// What is told of an organization's reads until this minute, all replicas' counts together.
pub(super) async fn records(db: &Database, org: &str, until: i64) -> Result<Vec<Record>, sqlx::Error> {
    let mut minutes: BTreeMap<i64, Totals> = BTreeMap::new();
    let mut rows = sqlx::query(OPEN).bind(shard(org)).bind(until).fetch(db.pool());
    while let Some(row) = rows.try_next().await? {
        match Counts::of(&row) {
            Ok(counts) => {
                minutes.entry(counts.minute).or_default().add(counts, Some(org));
            }
            Err(error) => {
                tracing::error!(org, %error, "counts of reads can't be read, so they are not listed");
            }
        }
        yield_now().await;
    }
    let mut records = Vec::new();
    for (minute, totals) in minutes {
        let InOrder { actors, totals, .. } = totals.in_order().await;
        let (actors, lines) = lines(&actors, &totals);
        for line in &lines {
            records.push(line.record(org, minute.saturating_mul(MINUTE), &actors)?);
        }
    }
    Ok(records)
}

//! Reads whose minute is not sealed yet.

use hashbrown::HashMap;
use sqlx::{Row, any::AnyRow};

use super::{
    shard,
    text::{Counted, Line, MINUTE},
};
use crate::{
    adapter::sql::{Database, decoded, from_json},
    domain::event::{Record, RecordedActor},
};

pub(in crate::adapter::sql) const OPEN: &str =
    "SELECT minute, actors, reads FROM read_counts WHERE shard = $1 AND minute <= $2";

/// What one actor read of a connection's version within a minute: the minute, the actor's type and id, the connection
/// and the version.
type Key = (i64, String, String, String, String);

/// How many lines of an organization are not sealed.
pub(in crate::adapter::sql) async fn count(db: &Database, org: &str) -> Result<i64, sqlx::Error> {
    let open = records(db, org, i64::MAX).await?;
    Ok(i64::try_from(open.len()).unwrap_or(i64::MAX))
}

/// What is told of an organization's reads until this minute, all replicas' counts together.
pub(super) async fn records(db: &Database, org: &str, until: i64) -> Result<Vec<Record>, sqlx::Error> {
    let query = sqlx::query(OPEN).bind(shard(org)).bind(until);
    let mut records: HashMap<Key, Record> = HashMap::new();
    for row in query.fetch_all(db.pool()).await? {
        let Ok(of_row) = of_row(&row, org) else {
            tracing::error!(org, "counts of reads can't be read, so they are not listed");
            continue;
        };
        for (key, record) in of_row {
            let of_all = records.entry(key).or_insert_with(|| Record { count: Some(0), ..record.clone() });
            if record.at < of_all.at {
                (of_all.id, of_all.at) = (record.id, record.at);
            }
            of_all.count = of_all.count.zip(record.count).map(|(a, b)| a.saturating_add(b));
        }
    }
    Ok(records.into_values().collect())
}

fn of_row(row: &AnyRow, org: &str) -> Result<Vec<(Key, Record)>, sqlx::Error> {
    let (minute, text): (i64, String) = (row.try_get("minute")?, row.try_get("reads")?);
    let actors: Vec<RecordedActor> = from_json(&row.try_get::<String, _>("actors")?)?;
    let lines: Vec<Counted<'_>> = decoded(serde_json::from_str(&text))?;
    let ours = lines.iter().filter(|counted| counted.org == org);
    let keyed = |line: &Line<'_>| {
        let record = line.record(org, minute.saturating_mul(MINUTE), &actors)?;
        let actor = record.actor.clone();
        let (connection, version) = (line.connection.to_string(), line.version.to_string());
        Ok(((minute, actor.r#type, actor.id, connection, version), record))
    };
    ours.map(|counted| keyed(&counted.line)).collect()
}

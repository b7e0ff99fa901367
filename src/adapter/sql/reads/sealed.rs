//! Rows of reads that are in their chain: each holds several events, of one organization and minute.

use sqlx::{AnyConnection, Row, any::AnyRow};
use uuid::Uuid;

use super::text::{Line, MINUTE};
use crate::{
    adapter::sql::{ROWS, decoded, events::take_numbers, for_rows, from_json, places, to_json},
    domain::event::{EventType, Record, RecordedActor, chain::ChainHash},
};

/// A row to be appended.
pub(super) struct Sealed {
    org: String,
    at: i64,
    /// JSON.
    actors: String,
    /// JSON.
    reads: String,
    count: i64,
    sequence: i64,
    hash: ChainHash,
    previous: ChainHash,
}

impl Sealed {
    /// These lines after the chain's end, which is then theirs.
    pub(super) fn after(
        head: &mut (i64, ChainHash),
        org: &str,
        minute: i64,
        actors: &[RecordedActor],
        lines: &[Line<'_>],
    ) -> Result<Self, sqlx::Error> {
        let (at, previous) = (minute.saturating_mul(MINUTE), head.1);
        for line in lines {
            head.0 += 1;
            head.1 = head.1.next(head.0, &line.record(org, at, actors)?);
        }
        Ok(Self {
            org: org.to_owned(),
            at,
            actors: to_json(&actors),
            reads: to_json(&lines),
            count: lines.iter().fold(0, |sum, line| sum.saturating_add(line.count)),
            sequence: head.0,
            hash: head.1,
            previous,
        })
    }
}

pub(super) async fn append(
    tx: &mut AnyConnection,
    origin: Uuid,
    rows: Vec<Sealed>,
) -> Result<(), sqlx::Error> {
    let taken = i64::try_from(rows.len()).unwrap_or(i64::MAX);
    let mut number = take_numbers(tx, taken).await? - taken;
    let mut rows = rows.into_iter().peekable();
    while rows.peek().is_some() {
        let some: Vec<_> = rows.by_ref().take(ROWS).collect();
        let sql = format!(
            "INSERT INTO events (number, id, org, type, at, actor, origin, count, sequence, hash, reads, previous) \
             VALUES {}",
            places(some.len(), 12)
        );
        let mut query = for_rows(sql, some.len());
        for row in some {
            number += 1;
            query = query.bind(number);
            // The events have ids of their own. This one tells their place, which no other row has.
            query = query.bind(format!("{}:{}", row.org, row.sequence)).bind(row.org);
            query = query.bind(EventType::CredentialsRead.as_str()).bind(row.at).bind(row.actors);
            query = query.bind(origin.to_string()).bind(row.count).bind(row.sequence);
            query = query.bind(row.hash.to_string()).bind(row.reads).bind(row.previous.to_string());
        }
        query.execute(&mut *tx).await?;
    }
    Ok(())
}

/// Whether a row holds reads that were put together.
pub(in crate::adapter::sql) fn is_sealed(row: &AnyRow) -> Result<bool, sqlx::Error> {
    Ok(row.try_get::<Option<String>, _>("reads")?.is_some())
}

/// The hash before the first event of a row, if the row tells.
pub(in crate::adapter::sql) fn previous(row: &AnyRow) -> Result<Option<ChainHash>, sqlx::Error> {
    let previous: Option<String> = row.try_get("previous")?;
    decoded(previous.map(|hash| hash.parse()).transpose())
}

/// What such a row tells.
pub(in crate::adapter::sql) fn records(row: &AnyRow) -> Result<Vec<Record>, sqlx::Error> {
    let (org, at, text): (String, i64, String) =
        (row.try_get("org")?, row.try_get("at")?, row.try_get("reads")?);
    let actors: Vec<RecordedActor> = from_json(&row.try_get::<String, _>("actor")?)?;
    let lines: Vec<Line<'_>> = decoded(serde_json::from_str(&text))?;
    lines.iter().map(|line| line.record(&org, at, &actors)).collect()
}

/// Whether all that is in such a row, but for its events, is as it was written: nothing of this is under the hash, and
/// lists look for it.
pub(in crate::adapter::sql) fn is_as_written(row: &AnyRow) -> Result<bool, sqlx::Error> {
    let text = |column| row.try_get::<Option<String>, _>(column);
    let (actors, reads) = (text("actor")?.unwrap_or_default(), text("reads")?.unwrap_or_default());
    let parsed: (Vec<RecordedActor>, Vec<Line<'_>>) =
        (from_json(&actors)?, decoded(serde_json::from_str(&reads))?);
    let sum = parsed.1.iter().fold(0, |sum: i64, line| sum.saturating_add(line.count));
    let others = ["actor_id", "connection", "version", "token", "request_id"];
    let no_others = others.into_iter().map(text).collect::<Result<Vec<_>, _>>()?.iter().all(Option::is_none);
    Ok(to_json(&parsed.0) == actors
        && to_json(&parsed.1) == reads
        && row.try_get::<i64, _>("at")? % MINUTE == 0
        && row.try_get::<Option<i64>, _>("count")? == Some(sum)
        && text("type")?.as_deref() == Some(EventType::CredentialsRead.as_str())
        && no_others
        && !parsed.1.is_empty())
}

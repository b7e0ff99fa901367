//! Rows of reads that are in their chain: each holds several events, of one organization and minute.

use sqlx::{AnyConnection, Row, any::AnyRow};
use uuid::Uuid;

use super::text::{Line, MINUTE};
use crate::{
    adapter::sql::{decoded, events::take_numbers, for_rows, from_json, most_rows, places, to_json},
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
            count: reads_in(lines),
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
        let some: Vec<_> = rows.by_ref().take(most_rows(12)).collect();
        let sql = format!(
            "INSERT INTO events (number, id, org, type, at, actor, origin, count, sequence, hash, reads, previous) \
             VALUES {}",
            places(some.len(), 12)
        );
        let mut query = for_rows(sql, some.len(), 12);
        for row in some {
            number += 1;
            query = query.bind(number);
            // The events have ids of their own. This one is the last in the order of ids too, so that the
            // index grows at its end.
            query = query.bind(format!("reads {number:020}")).bind(row.org);
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

/// What such a row holds, as text.
struct Texts {
    actors: String,
    reads: String,
}

impl Texts {
    fn of(row: &AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self { actors: row.try_get("actor")?, reads: row.try_get("reads")? })
    }

    /// Who read, and the lines.
    fn parse(&self) -> Result<(Vec<RecordedActor>, Vec<Line<'_>>), sqlx::Error> {
        Ok((from_json(&self.actors)?, decoded(serde_json::from_str(&self.reads))?))
    }
}

/// What such a row tells.
pub(in crate::adapter::sql) fn records(row: &AnyRow) -> Result<Vec<Record>, sqlx::Error> {
    let texts = Texts::of(row)?;
    let (actors, lines) = texts.parse()?;
    records_of(row, &actors, &lines)
}

/// The same, and whether all else that is in the row is as it was written: nothing of this is under the hash,
/// and lists look for it.
pub(in crate::adapter::sql) fn checked_records(row: &AnyRow) -> Result<(Vec<Record>, bool), sqlx::Error> {
    let texts = Texts::of(row)?;
    let (actors, lines) = texts.parse()?;
    let text_as_written = to_json(&actors) == texts.actors && to_json(&lines) == texts.reads;
    let as_written = text_as_written && !lines.is_empty() && others_as_written(row, &lines).unwrap_or(false);
    Ok((records_of(row, &actors, &lines)?, as_written))
}

fn records_of(
    row: &AnyRow,
    actors: &[RecordedActor],
    lines: &[Line<'_>],
) -> Result<Vec<Record>, sqlx::Error> {
    let (org, at): (String, i64) = (row.try_get("org")?, row.try_get("at")?);
    lines.iter().map(|line| line.record(&org, at, actors)).collect()
}

fn others_as_written(row: &AnyRow, lines: &[Line<'_>]) -> Result<bool, sqlx::Error> {
    let text = |column| row.try_get::<Option<String>, _>(column);
    let unused = ["actor_id", "connection", "version", "token", "request_id"];
    let unused = unused.into_iter().map(text).collect::<Result<Vec<_>, _>>()?;
    Ok(unused.iter().all(Option::is_none)
        && row.try_get::<i64, _>("at")? % MINUTE == 0
        && row.try_get::<Option<i64>, _>("count")? == Some(reads_in(lines))
        && text("type")?.as_deref() == Some(EventType::CredentialsRead.as_str()))
}

/// How many reads these lines tell of.
fn reads_in(lines: &[Line<'_>]) -> i64 {
    lines.iter().fold(0, |sum, line| sum.saturating_add(line.count))
}

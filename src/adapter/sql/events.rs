//! The audit log, as rows.

use std::fmt::Write;

use jiff::Timestamp;
use sqlx::{AnyConnection, Database as _, Postgres, Row, any::AnyRow};
use uuid::Uuid;

use super::{Database, decoded, from_json, from_millis, millis, to_json};
use crate::{
    domain::{
        event::{
            Event, EventFilter, EventType, Listed, Record,
            chain::{ChainHash, Link},
        },
        id::{ConnectionName, OrgId},
    },
    port::index::{IndexError, Page},
};

/// Takes the next numbers. The row stays locked until the transaction ends, so numbers become visible
/// in their order and one transaction at a time adds to a chain: what follows must be short.
const NUMBER: &str = "UPDATE event_counter SET newest = newest + $1 WHERE only_row = 1 RETURNING newest";

/// The same on PostgreSQL, for a change: when it commits, every replica is told of its number.
const NUMBER_AND_TELL: &str = "UPDATE event_counter SET newest = newest + $1 WHERE only_row = 1 \
     RETURNING newest, CAST(pg_notify('keybroker', CAST(newest AS TEXT)) AS TEXT)";

/// Where replicas are told.
pub(super) const CHANNEL: &str = "keybroker";

const APPEND: &str = "INSERT INTO events (number, id, org, type, at, actor, actor_id, connection, version, token, \
     request_id, origin, sequence, hash) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)";

pub(super) const HEAD: &str = "SELECT newest_sequence, newest_hash FROM event_chains WHERE org = $1";

const SET_HEAD: &str = "INSERT INTO event_chains (org, newest_sequence, newest_hash, pruned_sequence, pruned_hash) \
     VALUES ($1, $2, $3, 0, $4) ON CONFLICT (org) DO UPDATE SET \
     newest_sequence = excluded.newest_sequence, newest_hash = excluded.newest_hash";

pub(super) const NUMBER_OF: &str = "SELECT number FROM events WHERE org = $1 AND id = $2";

/// The columns that [`read`] reads.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT number, id, org, type, at, actor, actor_id, connection, version, token, request_id, count, \
             sequence, hash FROM events WHERE ",
            $rest
        )
    };
}
pub(super) use select;

/// Where a chain ends before its first event.
pub(super) const BEFORE_FIRST: (i64, ChainHash) = (0, ChainHash::START);

/// Takes `count` numbers, of which it returns the last; with 0 only the lock.
pub(super) async fn take_numbers(tx: &mut AnyConnection, count: i64) -> Result<i64, sqlx::Error> {
    sqlx::query(NUMBER).bind(count).fetch_one(tx).await?.try_get(0)
}

/// Takes the number of a change, of which other replicas are told where the database can.
async fn take_number_and_tell(tx: &mut AnyConnection) -> Result<i64, sqlx::Error> {
    let query = if tx.backend_name() == Postgres::NAME { NUMBER_AND_TELL } else { NUMBER };
    sqlx::query(query).bind(1_i64).fetch_one(tx).await?.try_get(0)
}

/// The newest link of a chain, or what comes before its first.
async fn head(tx: &mut AnyConnection, org: &str) -> Result<(i64, ChainHash), sqlx::Error> {
    let row = sqlx::query(HEAD).bind(org).fetch_optional(tx).await?;
    let Some(row) = row else { return Ok(BEFORE_FIRST) };
    Ok((row.try_get(0)?, decoded(row.try_get::<String, _>(1)?.parse())?))
}

async fn set_head(
    tx: &mut AnyConnection,
    org: &str,
    (sequence, hash): (i64, ChainHash),
) -> Result<(), sqlx::Error> {
    let query = sqlx::query(SET_HEAD).bind(org).bind(sequence).bind(hash.to_string());
    query.bind(ChainHash::START.to_string()).execute(tx).await.map(drop)
}

pub(super) type Query = sqlx::query::Query<'static, sqlx::Any, sqlx::any::AnyArguments>;

impl Database {
    /// Changes one row and appends the events, or does neither: false, if the row was not as it had to be.
    pub(super) async fn change(&self, query: Query, events: &[Event]) -> Result<bool, IndexError> {
        let mut tx = self.begin().await?;
        self.within(async {
            if query.execute(&mut *tx).await?.rows_affected() == 0 {
                return Ok(false);
            }
            for event in events {
                append(&mut tx, self.origin, event).await?;
            }
            tx.commit().await?;
            Ok(true)
        })
        .await
    }
}

/// Appends an event, in its place in its organization's chain.
pub(super) async fn append(tx: &mut AnyConnection, origin: Uuid, event: &Event) -> Result<(), sqlx::Error> {
    let record = Record::from(event);
    let number = take_number_and_tell(tx).await?;
    let (newest, previous) = head(tx, &record.org).await?;
    let sequence = newest + 1;
    let hash = previous.next(sequence, &record);
    set_head(tx, &record.org, (sequence, hash)).await?;
    sqlx::query(APPEND)
        .bind(number)
        .bind(record.id)
        .bind(record.org)
        .bind(record.r#type)
        .bind(millis(record.at))
        .bind(to_json(&*event.actor))
        .bind(record.actor.id)
        .bind(record.connection)
        .bind(record.version)
        .bind(record.token)
        .bind(record.request_id)
        .bind(origin.to_string())
        .bind(sequence)
        .bind(hash.to_string())
        .execute(tx)
        .await
        .map(drop)
}

/// A page starts at an event's id and not at its number, which would tell an organization how much
/// happens in the others.
pub(super) async fn list(
    db: &Database,
    org: &OrgId,
    filter: &EventFilter,
    before: Option<Uuid>,
    limit: u16,
) -> Result<Page<Listed, Uuid>, sqlx::Error> {
    let before = match before {
        Some(id) => Some(number_of(db, org, id).await?),
        None => None,
    };
    let texts = [
        ("type =", filter.r#type.map(EventType::as_str)),
        ("connection =", filter.connection.as_ref().map(ConnectionName::as_str)),
        ("actor_id =", filter.actor.as_deref()),
    ];
    let bounds = [
        ("at >=", filter.since.map(millis)),
        ("at <", filter.until.map(millis)),
        ("number <", filter.below),
        ("number <", before),
    ];
    let texts: Vec<_> = texts.into_iter().filter_map(|(condition, text)| Some((condition, text?))).collect();
    let bounds: Vec<_> =
        bounds.into_iter().filter_map(|(condition, bound)| Some((condition, bound?))).collect();
    let conditions = texts.iter().map(|(condition, _)| *condition);
    let sql = page_query(conditions.chain(bounds.iter().map(|(condition, _)| *condition)));
    // Safe: made of the text above alone.
    let mut query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(org.as_str());
    for (_, text) in texts {
        query = query.bind(text);
    }
    for (_, bound) in bounds {
        query = query.bind(bound);
    }
    query = query.bind(i64::from(limit) + 1);
    let rows = query.fetch_all(db.pool()).await?;
    let more = rows.len() > usize::from(limit);
    let page = rows.iter().take(limit.into()).map(listed).collect::<Result<Vec<_>, _>>()?;
    let last = if more { page.last() } else { None };
    let next = last.map(|last| decoded(last.record.id.parse())).transpose()?;
    Ok((page, next))
}

/// The question for a page of an organization's events that meet these conditions.
pub(super) fn page_query<'a>(conditions: impl Iterator<Item = &'a str>) -> String {
    let (mut sql, mut place) = (select!("org = $1").to_owned(), 2);
    for condition in conditions {
        let _ = write!(sql, " AND {condition} ${place}"); // writing to memory does not fail
        place += 1;
    }
    let _ = write!(sql, " ORDER BY number DESC LIMIT ${place}");
    sql
}

/// The number of an organization's event; an error if it has no such event.
async fn number_of(db: &Database, org: &OrgId, id: Uuid) -> Result<i64, sqlx::Error> {
    sqlx::query(NUMBER_OF).bind(org.as_str()).bind(id.to_string()).fetch_one(db.pool()).await?.try_get(0)
}

fn listed(row: &AnyRow) -> Result<Listed, sqlx::Error> {
    let sequence: Option<i64> = row.try_get("sequence")?;
    let hash: Option<String> = row.try_get("hash")?;
    let hash = decoded(hash.map(|hash| hash.parse()).transpose())?;
    Ok(Listed { number: row.try_get("number")?, record: read(row)?, place: sequence.zip(hash) })
}

/// A row as a link of a chain. It may have been tampered with: what can't be read is left out.
pub(super) fn link(row: &AnyRow) -> Result<Link, sqlx::Error> {
    let record = read(row).ok();
    let actor_id = row.try_get::<Option<String>, _>("actor_id").ok().flatten();
    Ok(Link {
        sequence: row.try_get("sequence")?,
        hash: row.try_get::<Option<String>, _>("hash").ok().flatten().and_then(|hash| hash.parse().ok()),
        id: row.try_get("id").unwrap_or_default(),
        searchable: record.as_ref().is_some_and(|record| actor_id.as_ref() == Some(&record.actor.id)),
        record,
    })
}

pub(super) fn read(row: &AnyRow) -> Result<Record, sqlx::Error> {
    let text = |column| row.try_get::<String, _>(column);
    let maybe = |column| row.try_get::<Option<String>, _>(column);
    Ok(Record {
        id: text("id")?,
        org: text("org")?,
        r#type: text("type")?,
        at: time(row)?,
        actor: from_json(&text("actor")?)?,
        connection: maybe("connection")?,
        version: maybe("version")?,
        token: maybe("token")?,
        request_id: maybe("request_id")?,
        count: row.try_get("count")?,
    })
}

fn time(row: &AnyRow) -> Result<Timestamp, sqlx::Error> {
    from_millis(row.try_get("at")?)
}

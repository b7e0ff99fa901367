//! The audit log, as rows.

use std::fmt::Write;

use jiff::Timestamp;
use sqlx::{AnyConnection, Database as _, Postgres, Row, any::AnyRow};
use uuid::Uuid;

use super::{
    Database,
    chains::{head, set_head},
    decoded, from_json, from_millis, millis,
    reads::{self, sealed},
    to_json,
};
use crate::{
    domain::{
        event::{Event, EventFilter, EventType, Listed, Position, Record, chain::Link, reads::time_of},
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

pub(super) const POSITION_OF: &str = "SELECT at, number FROM events WHERE org = $1 AND id = $2";

/// The columns that [`read`] reads.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT number, id, org, type, at, actor, actor_id, connection, version, token, request_id, count, \
             sequence, hash, reads, previous FROM events WHERE ",
            $rest
        )
    };
}
pub(super) use select;

/// Takes `count` numbers, of which it returns the last; with 0 only the lock.
pub(super) async fn take_numbers(tx: &mut AnyConnection, count: i64) -> Result<i64, sqlx::Error> {
    sqlx::query(NUMBER).bind(count).fetch_one(tx).await?.try_get(0)
}

/// Takes the number of a change, of which other replicas are told where the database can.
async fn take_number_and_tell(tx: &mut AnyConnection) -> Result<i64, sqlx::Error> {
    let query = if tx.backend_name() == Postgres::NAME { NUMBER_AND_TELL } else { NUMBER };
    sqlx::query(query).bind(1_i64).fetch_one(tx).await?.try_get(0)
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

/// A page starts after an event's id and not after its number, which would tell an organization how much
/// happens in the others.
pub(super) async fn list(
    db: &Database,
    org: &OrgId,
    filter: &EventFilter,
    before: Option<Uuid>,
    limit: u16,
) -> Result<Page<Listed, Uuid>, sqlx::Error> {
    let mut filter = filter.clone();
    if let Some(id) = before {
        filter.after = Some(position_of(db, org, id).await?);
    }
    let wanted = usize::from(limit) + 1;
    let changes = changes(org, &filter).fetch(db, i64::from(limit) + 1).await?;
    let mut found = changes.iter().map(listed).collect::<Result<Vec<_>, _>>()?;
    found.extend(reads::list::find(db, org.as_str(), &filter, wanted).await?);
    found.sort_unstable_by(|a, b| b.position.cmp(&a.position));
    let more = found.len() >= wanted;
    found.truncate(limit.into());
    let last = if more { found.last() } else { None };
    let next = last.map(|last| decoded(last.record.id.parse())).transpose()?;
    Ok((found, next))
}

/// The question for all events that have rows of their own.
pub(super) fn changes(org: &OrgId, filter: &EventFilter) -> PageQuery {
    let mut query = PageQuery::new(org.as_str(), Rows::OfOneEvent);
    query.and("type =", filter.r#type.map(EventType::as_str));
    query.and("connection =", filter.connection.as_ref().map(ConnectionName::as_str));
    query.and("actor_id =", filter.actor.as_deref());
    query.and("at >=", filter.since.map(millis));
    query.and("at <", filter.until.map(millis));
    query.and_before(filter.after.as_ref().map(|after| (millis(after.at), after.number)));
    query
}

/// Which rows are asked for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Rows {
    /// Those that tell of one event.
    OfOneEvent,
    /// Those that hold the reads of a minute.
    OfReads,
}

/// A question for a page of an organization's rows, newest first.
pub(super) struct PageQuery {
    sql: String,
    values: Vec<Value>,
}

pub(super) enum Value {
    Text(String),
    Number(i64),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl PageQuery {
    pub(super) fn new(org: &str, rows: Rows) -> Self {
        let sql = match rows {
            Rows::OfOneEvent => select!("org = $1 AND reads IS NULL"),
            Rows::OfReads => select!("org = $1 AND reads IS NOT NULL"),
        };
        Self { sql: sql.to_owned(), values: vec![org.into()] }
    }

    /// Only rows of which `condition` is true of the value, if there is one.
    pub(super) fn and(&mut self, condition: &'static str, value: Option<impl Into<Value>>) {
        let Some(value) = value else { return };
        self.values.push(value.into());
        let _ = write!(self.sql, " AND {condition} ${}", self.values.len()); // writing to memory does not fail
    }

    /// Only rows from before this time and number, if there is one.
    pub(super) fn and_before(&mut self, position: Option<(i64, i64)>) {
        let Some((at, number)) = position else { return };
        self.values.extend([at.into(), number.into()]);
        let place = self.values.len();
        let _ = write!(self.sql, " AND (at, number) < (${}, ${place})", place - 1);
    }

    /// The statement.
    pub(super) fn sql(&self) -> String {
        format!("{} ORDER BY at DESC, number DESC LIMIT ${}", self.sql, self.values.len() + 1)
    }

    pub(super) async fn fetch(self, db: &Database, limit: i64) -> Result<Vec<AnyRow>, sqlx::Error> {
        // Safe: made of the text above alone.
        let mut query = sqlx::query(sqlx::AssertSqlSafe(self.sql()));
        for value in self.values {
            query = match value {
                Value::Text(text) => query.bind(text),
                Value::Number(number) => query.bind(number),
            };
        }
        query.bind(limit).fetch_all(db.pool()).await
    }
}

/// The position of an organization's event; an error if it has no such event.
async fn position_of(db: &Database, org: &OrgId, id: Uuid) -> Result<Position, sqlx::Error> {
    if let Some(at) = time_of(id) {
        return Ok(Position { at, number: i64::MAX, id: id.to_string() });
    }
    let query = sqlx::query(POSITION_OF).bind(org.as_str()).bind(id.to_string());
    let row = query.fetch_one(db.pool()).await?;
    Ok(Position { at: time(&row)?, number: row.try_get("number")?, id: id.to_string() })
}

fn listed(row: &AnyRow) -> Result<Listed, sqlx::Error> {
    let sequence: Option<i64> = row.try_get("sequence")?;
    let hash: Option<String> = row.try_get("hash")?;
    let hash = decoded(hash.map(|hash| hash.parse()).transpose())?;
    let record = read(row)?;
    let position = Position { at: record.at, number: row.try_get("number")?, id: record.id.clone() };
    Ok(Listed { position, record, place: sequence.zip(hash) })
}

/// A row as a link of a chain. It may have been tampered with: what can't be read is left out.
pub(super) fn link(row: &AnyRow) -> Result<Link, sqlx::Error> {
    let read = if sealed::is_sealed(row).unwrap_or(false) {
        sealed::checked_records(row)
    } else {
        read(row).map(|record| {
            let actor_id = row.try_get::<Option<String>, _>("actor_id").ok().flatten();
            let searchable = actor_id.as_ref() == Some(&record.actor.id);
            (vec![record], searchable)
        })
    };
    let (records, searchable) = read.ok().unzip();
    Ok(Link {
        sequence: row.try_get("sequence")?,
        hash: row.try_get::<Option<String>, _>("hash").ok().flatten().and_then(|hash| hash.parse().ok()),
        previous: sealed::previous(row).ok().flatten(),
        records: records.filter(|records| !records.is_empty()),
        id: row.try_get("id").unwrap_or_default(),
        searchable: searchable.unwrap_or(false),
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

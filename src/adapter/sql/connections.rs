//! Connections, as rows.

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::{AnyConnection, Row, any::AnyRow};
use uuid::Uuid;

use super::{
    Database, checks, decoded, events, from_json, from_millis, millis, to_json, vaults::vault_of_connection,
    writes,
};
use crate::{
    domain::{
        connection::{Connection, Label},
        event::{Event, EventFilter, Listed},
        id::{ConnectionName, OrgId},
        idempotency::IdempotencyKey,
        secret::{SecretName, Version},
    },
    port::index::{Answer, Begun, Check, ConnectionIndex, IndexError, Intent, Page},
};

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT org, name, provider, label, status, source, version, generation, previous_version, fields, \
             verified_at, check_after, created_at, updated_at, ",
            vault_of_connection!(),
            " FROM connections WHERE ",
            $rest
        )
    };
}

/// Asks for so many connections. Both databases look each up in the index, where for `(org, name) IN (…)`
/// SQLite reads all there are.
pub(super) fn find_query(connections: usize) -> String {
    let one = |n: usize| format!("(org = ${} AND name = ${})", 2 * n + 1, 2 * n + 2);
    let any = (0..connections).map(one).collect::<Vec<_>>().join(" OR ");
    format!("{}{any}", select!(""))
}

pub(super) const LIST: &str = select!("org = $1 AND name > $2 ORDER BY name LIMIT $3");

/// Where the keys stay the same, what was found out about them meanwhile stays too, unless this write tried
/// them later.
macro_rules! unless_found_out {
    ($column:literal) => {
        concat!(
            $column,
            " = CASE WHEN connections.generation = excluded.generation \
             AND COALESCE(excluded.checked_at, 0) <= COALESCE(connections.checked_at, 0) THEN connections.",
            $column,
            " ELSE excluded.",
            $column,
            " END"
        )
    };
}

const WRITE: &str = concat!(
    "INSERT INTO connections (org, name, provider, label, status, source, version, generation, \
     previous_version, fields, verified_at, checked_at, check_after, created_at, updated_at) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11, $12, $13, $14) \
     ON CONFLICT (org, name) DO UPDATE SET provider = excluded.provider, label = excluded.label, \
     source = excluded.source, version = excluded.version, generation = excluded.generation, \
     previous_version = excluded.previous_version, fields = excluded.fields, updated_at = excluded.updated_at, ",
    unless_found_out!("status"),
    ", ",
    unless_found_out!("check_after"),
    ", ",
    unless_found_out!("verified_at"),
    ", ",
    unless_found_out!("checked_at"),
);

#[async_trait]
impl ConnectionIndex for Database {
    async fn find_connection(
        &self,
        org: &OrgId,
        name: &ConnectionName,
    ) -> Result<Option<Connection>, IndexError> {
        self.lookups.find(SecretName::new(org.clone(), name.clone())).await
    }

    async fn list_connections(
        &self,
        org: &OrgId,
        after: Option<&ConnectionName>,
        limit: u16,
    ) -> Result<Page<Connection, ConnectionName>, IndexError> {
        let after = after.map_or("", ConnectionName::as_str);
        let query = sqlx::query(LIST).bind(org.as_str()).bind(after).bind(i64::from(limit) + 1);
        self.within(async {
            let rows = query.fetch_all(self.pool()).await?;
            let more = rows.len() > usize::from(limit);
            let page = rows.iter().take(limit.into()).map(connection).collect::<Result<Vec<_>, _>>()?;
            let next = if more { page.last().map(|last| last.name.clone()) } else { None };
            Ok((page, next))
        })
        .await
    }

    async fn begin_write(&self, org: &OrgId, intent: &Intent) -> Result<Begun, IndexError> {
        self.within(writes::begin(self, org, intent)).await
    }

    async fn take_over_write(
        &self,
        org: &OrgId,
        intent: &Intent,
        now: Timestamp,
        lease_until: Timestamp,
    ) -> Result<bool, IndexError> {
        self.within(writes::take_over(self, org, intent, now, lease_until)).await
    }

    async fn complete_write(
        &self,
        org: &OrgId,
        intent: &Intent,
        answer: &Answer,
        events: &[Event],
        now: Timestamp,
    ) -> Result<bool, IndexError> {
        let mut tx = self.begin().await?;
        self.within(async {
            if !writes::remove(&mut tx, org, intent).await? {
                return Ok(false);
            }
            write(&mut tx, org, &answer.connection).await?;
            if let Some(key) = &intent.idempotency {
                writes::keep_answer(&mut tx, org, key, answer, now).await?;
            }
            for event in events {
                events::append(&mut tx, self.origin, event).await?;
            }
            tx.commit().await?;
            Ok(true)
        })
        .await
    }

    async fn find_write(&self, org: &OrgId, name: &ConnectionName) -> Result<Option<Version>, IndexError> {
        self.within(writes::find_version(self, org, name)).await
    }

    async fn drop_write(&self, org: &OrgId, intent: &Intent) -> Result<(), IndexError> {
        self.within(async {
            let mut connection = self.pool().acquire().await?;
            writes::remove(&mut connection, org, intent).await.map(drop)
        })
        .await
    }

    async fn doubt_write(&self, org: &OrgId, intent: &Intent) -> Result<(), IndexError> {
        self.within(writes::doubt(self, org, intent)).await
    }

    async fn find_answer(
        &self,
        org: &OrgId,
        key: &IdempotencyKey,
        not_before: Timestamp,
    ) -> Result<Option<(String, Answer)>, IndexError> {
        self.within(writes::find_answer(self, org, key, not_before)).await
    }

    async fn record_check(
        &self,
        org: &OrgId,
        name: &ConnectionName,
        check: &Check,
        event: Option<&Event>,
    ) -> Result<bool, IndexError> {
        checks::record(self, org, name, check, event).await
    }

    async fn list_events(
        &self,
        org: &OrgId,
        filter: &EventFilter,
        before: Option<Uuid>,
        limit: u16,
    ) -> Result<Page<Listed, Uuid>, IndexError> {
        self.within(events::list(self, org, filter, before, limit)).await
    }
}

async fn write(tx: &mut AnyConnection, org: &OrgId, connection: &Connection) -> Result<(), sqlx::Error> {
    sqlx::query(WRITE)
        .bind(org.as_str())
        .bind(connection.name.as_str())
        .bind(connection.provider.as_str())
        .bind(connection.label.as_ref().map(|label| label.as_str().to_owned()))
        .bind(connection.status.as_str())
        .bind(connection.source.as_str())
        .bind(connection.version.as_str())
        .bind(connection.generation)
        .bind(connection.previous.as_ref().map(|version| version.as_str().to_owned()))
        .bind(to_json(&connection.fields))
        .bind(connection.verified_at.map(millis))
        .bind(connection.check_after.map(millis))
        .bind(millis(connection.created_at))
        .bind(millis(connection.updated_at))
        .execute(tx)
        .await
        .map(drop)
}

pub(super) fn connection(row: &AnyRow) -> Result<Connection, sqlx::Error> {
    let text = |column| row.try_get::<String, _>(column);
    let maybe = |column| row.try_get::<Option<String>, _>(column);
    let time = |column| row.try_get::<Option<i64>, _>(column)?.map(from_millis).transpose();
    Ok(Connection {
        org: decoded(text("org")?.parse())?,
        name: decoded(text("name")?.parse())?,
        provider: decoded(text("provider")?.parse())?,
        label: decoded(maybe("label")?.map(Label::try_from).transpose())?,
        status: decoded(text("status")?.parse())?,
        source: decoded(text("source")?.parse())?,
        vault: decoded(maybe("vault")?.map(|version| version.parse()).transpose())?,
        version: decoded(text("version")?.parse())?,
        generation: row.try_get("generation")?,
        previous: decoded(maybe("previous_version")?.map(|version| version.parse()).transpose())?,
        fields: from_json(&text("fields")?)?,
        verified_at: time("verified_at")?,
        check_after: time("check_after")?,
        created_at: from_millis(row.try_get("created_at")?)?,
        updated_at: from_millis(row.try_get("updated_at")?)?,
    })
}

//! The audit log, and the questions of background tasks.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::{AnyConnection, Row, any::AnyRow};
use uuid::Uuid;

use super::{Database, checks, decoded, from_json, from_millis, millis, to_json, writes};
use crate::{
    domain::{
        event::{Event, EventType},
        id::OrgId,
        secret::SecretName,
    },
    port::index::{Change, IndexError, Intent, Page, SystemIndex},
};

/// Takes the next number. The row stays locked until the transaction ends, so numbers become visible
/// in their order: this must be the transaction's last statement but one.
const NUMBER: &str = "UPDATE event_counter SET newest = newest + 1 WHERE only_row = 1 RETURNING newest";

const APPEND: &str = "INSERT INTO events (number, id, org, type, at, actor, connection, version, token, request_id, \
     origin) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";

/// A page starts at an event's id and not at its number, which would tell an organization how much
/// happens in the others.
const LIST: &str = "SELECT number, id, org, type, at, actor, connection, version, token, request_id, origin \
     FROM events WHERE org = $1 AND ($2 = '' OR number < (SELECT number FROM events WHERE org = $1 AND id = $2)) \
     AND ($3 = '' OR type = $3) ORDER BY number DESC LIMIT $4";

const AFTER: &str =
    "SELECT number, org, type, connection, origin FROM events WHERE number > $1 ORDER BY number LIMIT $2";

pub(super) async fn append(tx: &mut AnyConnection, origin: Uuid, event: &Event) -> Result<(), sqlx::Error> {
    let number: i64 = sqlx::query(NUMBER).fetch_one(&mut *tx).await?.try_get(0)?;
    sqlx::query(APPEND)
        .bind(number)
        .bind(event.id.to_string())
        .bind(event.org.as_ref().map_or("", OrgId::as_str))
        .bind(event.r#type.as_str())
        .bind(millis(event.at))
        .bind(to_json(&*event.actor))
        .bind(event.connection.as_ref().map(|name| name.as_str().to_owned()))
        .bind(event.version.as_ref().map(|version| version.as_str().to_owned()))
        .bind(event.token.map(|id| id.to_string()))
        .bind(event.request_id.as_ref().map(|id| id.as_str().to_owned()))
        .bind(origin.to_string())
        .execute(tx)
        .await
        .map(drop)
}

pub(super) async fn list(
    db: &Database,
    org: &OrgId,
    r#type: Option<EventType>,
    before: Option<Uuid>,
    limit: u16,
) -> Result<Page<Event, Uuid>, sqlx::Error> {
    let rows = sqlx::query(LIST)
        .bind(org.as_str())
        .bind(before.map_or_else(String::new, |id| id.to_string()))
        .bind(r#type.map_or("", EventType::as_str))
        .bind(i64::from(limit) + 1)
        .fetch_all(db.pool())
        .await?;
    let more = rows.len() > usize::from(limit);
    let page = rows.iter().take(limit.into()).map(read).collect::<Result<Vec<_>, _>>()?;
    let next = if more { page.last().map(|last| last.id) } else { None };
    Ok((page, next))
}

#[async_trait]
impl SystemIndex for Database {
    async fn ping(&self) -> Result<(), IndexError> {
        self.within(sqlx::query("SELECT newest FROM event_counter").fetch_one(self.pool())).await.map(drop)
    }

    async fn pending_writes(&self, limit: u16) -> Result<Vec<Intent>, IndexError> {
        self.within(writes::pending(self, limit)).await
    }

    async fn newest_event(&self) -> Result<i64, IndexError> {
        let query = sqlx::query("SELECT newest FROM event_counter");
        self.within(async { query.fetch_one(self.pool()).await?.try_get(0) }).await
    }

    async fn changes_after(&self, after: i64, limit: u16) -> Result<Vec<Change>, IndexError> {
        let query = sqlx::query(AFTER).bind(after).bind(i64::from(limit));
        let own = self.origin.to_string();
        self.within(async {
            let change = |row: &AnyRow| {
                let org = row.try_get::<String, _>("org")?.parse();
                let connection = row.try_get::<Option<String>, _>("connection")?.map(|name| name.parse());
                Ok(Change {
                    number: row.try_get("number")?,
                    own: row.try_get::<String, _>("origin")? == own,
                    r#type: row.try_get::<String, _>("type")?.parse().ok(),
                    secret: org.ok().zip(connection.and_then(Result::ok)).map(|(o, c)| SecretName::new(o, c)),
                })
            };
            query.fetch_all(self.pool()).await?.iter().map(change).collect()
        })
        .await
    }

    async fn end_leases(&self, by: Timestamp) -> Result<(), IndexError> {
        self.within(writes::end_leases(self, by)).await
    }

    async fn take_lease(&self, name: &str, now: Timestamp, until: Timestamp) -> Result<bool, IndexError> {
        self.within(checks::take_lease(self, name, now, until)).await
    }

    async fn end_lease(&self, name: &str) -> Result<(), IndexError> {
        self.within(checks::end_lease(self, name)).await
    }

    async fn claim_checks(
        &self,
        now: Timestamp,
        again_at: Timestamp,
        limit: u16,
    ) -> Result<Vec<SecretName>, IndexError> {
        self.within(checks::claim(self, now, again_at, limit)).await
    }

    async fn forget_answers(&self, before: Timestamp) -> Result<(), IndexError> {
        self.within(writes::forget_answers(self, before)).await
    }
}

fn read(row: &AnyRow) -> Result<Event, sqlx::Error> {
    let text = |column| row.try_get::<String, _>(column);
    let maybe = |column| row.try_get::<Option<String>, _>(column);
    let org = text("org")?;
    Ok(Event {
        id: decoded(text("id")?.parse())?,
        org: if org.is_empty() { None } else { Some(decoded(org.parse())?) },
        r#type: decoded(text("type")?.parse())?,
        at: from_millis(row.try_get("at")?)?,
        actor: Arc::new(from_json(&text("actor")?)?),
        connection: decoded(maybe("connection")?.map(|name| name.parse()).transpose())?,
        version: decoded(maybe("version")?.map(|version| version.parse()).transpose())?,
        token: decoded(maybe("token")?.map(|id| id.parse()).transpose())?,
        request_id: decoded(maybe("request_id")?.map(|id| id.parse()).transpose())?,
    })
}

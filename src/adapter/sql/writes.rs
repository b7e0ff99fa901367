//! Writes under way, and the answers kept under idempotency keys.

use jiff::Timestamp;
use sqlx::{AnyConnection, Row, any::AnyRow};

use super::{Database, decoded, from_json, from_millis, millis, to_json};
use crate::{
    domain::{
        id::{ConnectionName, OrgId},
        idempotency::IdempotencyKey,
        secret::Version,
    },
    port::index::{Answer, Begun, Intent},
};

const BEGIN: &str = "INSERT INTO write_intents (org, connection, version, plan, actor, request_id, idempotency, \
     lease_until, uncertain) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0) ON CONFLICT DO NOTHING";

pub(super) const FIND: &str = "SELECT org, connection, version, plan, actor, request_id, idempotency, lease_until, uncertain \
     FROM write_intents WHERE org = $1 AND connection = $2";

pub(super) const PENDING: &str = "SELECT org, connection, version, plan, actor, request_id, idempotency, lease_until, uncertain \
     FROM write_intents ORDER BY lease_until LIMIT $1";

pub(super) const TAKE_OVER: &str = "UPDATE write_intents SET lease_until = $5 \
     WHERE org = $1 AND connection = $2 AND version = $3 AND lease_until <= $4";

pub(super) const DOUBT: &str =
    "UPDATE write_intents SET uncertain = 1 WHERE org = $1 AND connection = $2 AND version = $3";

pub(super) const REMOVE: &str =
    "DELETE FROM write_intents WHERE org = $1 AND connection = $2 AND version = $3";

const KEEP_ANSWER: &str = "INSERT INTO idempotency_keys (org, lookup, fingerprint, answer, created_at) \
     VALUES ($1, $2, $3, $4, $5) ON CONFLICT (org, lookup) DO UPDATE SET \
     fingerprint = excluded.fingerprint, answer = excluded.answer, created_at = excluded.created_at";

pub(super) const FIND_ANSWER: &str =
    "SELECT fingerprint, answer FROM idempotency_keys WHERE org = $1 AND lookup = $2 AND created_at >= $3";

pub(super) const END_LEASES: &str = "UPDATE write_intents SET lease_until = $1 WHERE lease_until > $1";

pub(super) const FORGET_ANSWERS: &str = "DELETE FROM idempotency_keys WHERE created_at < $1";

pub(super) async fn begin(db: &Database, org: &OrgId, intent: &Intent) -> Result<Begun, sqlx::Error> {
    loop {
        let inserted = sqlx::query(BEGIN)
            .bind(org.as_str())
            .bind(intent.connection.as_str())
            .bind(intent.version.as_str())
            .bind(to_json(&intent.plan))
            .bind(to_json(&intent.actor))
            .bind(intent.request_id.clone())
            .bind(intent.idempotency.as_ref().map(to_json))
            .bind(millis(intent.lease_until))
            .execute(db.pool())
            .await?;
        if inserted.rows_affected() == 1 {
            return Ok(Begun::Alone);
        }
        let standing = sqlx::query(FIND)
            .bind(org.as_str())
            .bind(intent.connection.as_str())
            .fetch_optional(db.pool())
            .await?;
        // Gone in between: the other write ended, so this one may begin.
        if let Some(row) = standing {
            return Ok(Begun::Busy(Box::new(read(&row)?)));
        }
    }
}

pub(super) async fn find_version(
    db: &Database,
    org: &OrgId,
    name: &ConnectionName,
) -> Result<Option<Version>, sqlx::Error> {
    let query = sqlx::query("SELECT version FROM write_intents WHERE org = $1 AND connection = $2");
    let row = query.bind(org.as_str()).bind(name.as_str()).fetch_optional(db.pool()).await?;
    row.map(|row| decoded(row.try_get::<String, _>(0)?.parse())).transpose()
}

pub(super) async fn take_over(
    db: &Database,
    org: &OrgId,
    intent: &Intent,
    now: Timestamp,
    lease_until: Timestamp,
) -> Result<bool, sqlx::Error> {
    let taken = sqlx::query(TAKE_OVER)
        .bind(org.as_str())
        .bind(intent.connection.as_str())
        .bind(intent.version.as_str())
        .bind(millis(now))
        .bind(millis(lease_until))
        .execute(db.pool())
        .await?;
    Ok(taken.rows_affected() == 1)
}

pub(super) async fn doubt(db: &Database, org: &OrgId, intent: &Intent) -> Result<(), sqlx::Error> {
    sqlx::query(DOUBT)
        .bind(org.as_str())
        .bind(intent.connection.as_str())
        .bind(intent.version.as_str())
        .execute(db.pool())
        .await
        .map(drop)
}

/// Whether it was there to be removed.
pub(super) async fn remove(
    connection: &mut AnyConnection,
    org: &OrgId,
    intent: &Intent,
) -> Result<bool, sqlx::Error> {
    let removed = sqlx::query(REMOVE)
        .bind(org.as_str())
        .bind(intent.connection.as_str())
        .bind(intent.version.as_str())
        .execute(connection)
        .await?;
    Ok(removed.rows_affected() == 1)
}

pub(super) async fn pending(db: &Database, limit: u16) -> Result<Vec<Intent>, sqlx::Error> {
    let rows = sqlx::query(PENDING).bind(i64::from(limit)).fetch_all(db.pool()).await?;
    let readable = |row: &AnyRow| {
        // One that a newer version of keybroker wrote is that version's to settle.
        read(row).inspect_err(|error| tracing::warn!(%error, "an unfinished write can't be read")).ok()
    };
    Ok(rows.iter().filter_map(readable).collect())
}

pub(super) async fn end_leases(db: &Database, by: Timestamp) -> Result<(), sqlx::Error> {
    sqlx::query(END_LEASES).bind(millis(by)).execute(db.pool()).await.map(drop)
}

pub(super) async fn keep_answer(
    tx: &mut AnyConnection,
    org: &OrgId,
    key: &IdempotencyKey,
    answer: &Answer,
    at: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query(KEEP_ANSWER)
        .bind(org.as_str())
        .bind(key.lookup.as_str())
        .bind(key.fingerprint.as_str())
        .bind(to_json(answer))
        .bind(millis(at))
        .execute(tx)
        .await
        .map(drop)
}

pub(super) async fn find_answer(
    db: &Database,
    org: &OrgId,
    key: &IdempotencyKey,
    not_before: Timestamp,
) -> Result<Option<(String, Answer)>, sqlx::Error> {
    let row = sqlx::query(FIND_ANSWER)
        .bind(org.as_str())
        .bind(key.lookup.as_str())
        .bind(millis(not_before))
        .fetch_optional(db.pool())
        .await?;
    row.map(|row| Ok((row.try_get(0)?, from_json(&row.try_get::<String, _>(1)?)?))).transpose()
}

pub(super) async fn forget_answers(db: &Database, before: Timestamp) -> Result<(), sqlx::Error> {
    sqlx::query(FORGET_ANSWERS).bind(millis(before)).execute(db.pool()).await.map(drop)
}

fn read(row: &AnyRow) -> Result<Intent, sqlx::Error> {
    let text = |column| row.try_get::<String, _>(column);
    let maybe = |column| row.try_get::<Option<String>, _>(column);
    Ok(Intent {
        org: decoded(text("org")?.parse())?,
        connection: decoded(text("connection")?.parse())?,
        version: decoded(text("version")?.parse())?,
        plan: from_json(&text("plan")?)?,
        actor: from_json(&text("actor")?)?,
        request_id: maybe("request_id")?,
        idempotency: maybe("idempotency")?.as_deref().map(from_json).transpose()?,
        lease_until: from_millis(row.try_get("lease_until")?)?,
        uncertain: row.try_get::<i64, _>("uncertain")? != 0,
    })
}

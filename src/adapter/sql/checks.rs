//! What trying keys told, and which are due.

use jiff::Timestamp;
use sqlx::{Row, any::AnyRow};

use super::{Database, decoded, events, millis};
use crate::{
    domain::{
        connection::Status,
        event::Event,
        id::{ConnectionName, OrgId},
        secret::SecretName,
    },
    port::index::{Check, IndexError},
};

/// A write under way may be replacing the very keys that were tried, so nothing is kept beside one.
const WORKS: &str = "UPDATE connections SET status = 'active', verified_at = $4, checked_at = $4, check_after = $5, \
     updated_at = CASE WHEN status = 'active' THEN updated_at ELSE $4 END \
     WHERE org = $1 AND name = $2 AND version = $3 AND status <> 'disconnected' AND NOT EXISTS \
     (SELECT 1 FROM write_intents WHERE write_intents.org = $1 AND write_intents.connection = $2)";

const REFUSED: &str = "UPDATE connections SET status = 'needs_reconnect', updated_at = $4, checked_at = $4, \
     check_after = $5 \
     WHERE org = $1 AND name = $2 AND version = $3 AND status = 'active' AND NOT EXISTS \
     (SELECT 1 FROM write_intents WHERE write_intents.org = $1 AND write_intents.connection = $2)";

const POSTPONE: &str =
    "UPDATE connections SET check_after = $4 WHERE org = $1 AND name = $2 AND version = $3";

/// Asks twice whether a row is due: PostgreSQL looks again at one that another claimed meanwhile, but only at
/// what is outside the list.
const CLAIM: &str = "UPDATE connections SET check_after = $2 WHERE COALESCE(check_after, 0) <= $1 \
     AND (org, name) IN (SELECT org, name FROM connections WHERE status <> 'disconnected' \
     AND COALESCE(check_after, 0) <= $1 ORDER BY COALESCE(check_after, 0) LIMIT $3) RETURNING org, name";

pub(super) async fn record(
    db: &Database,
    org: &OrgId,
    name: &ConnectionName,
    check: &Check,
    event: Option<&Event>,
) -> Result<bool, IndexError> {
    let of = |query: &'static str| {
        sqlx::query(query).bind(org.as_str()).bind(name.as_str()).bind(check.version.as_str())
    };
    let mut tx = db.begin().await?;
    db.within(async {
        let change = match check.status {
            Some(Status::Active) => Some(WORKS),
            Some(Status::NeedsReconnect) => Some(REFUSED),
            // No try says that there are no keys.
            Some(Status::Disconnected) | None => None,
        };
        let mut kept = false;
        if let Some(change) = change {
            let query = of(change).bind(millis(check.at)).bind(millis(check.again_at));
            kept = query.execute(&mut *tx).await?.rows_affected() == 1;
        }
        if !kept {
            // Nothing new, but it was tried.
            of(POSTPONE).bind(millis(check.again_at)).execute(&mut *tx).await?;
        } else if let Some(event) = event {
            events::append(&mut tx, db.origin, event).await?;
        }
        tx.commit().await?;
        Ok(kept)
    })
    .await
}

pub(super) async fn claim(
    db: &Database,
    now: Timestamp,
    again_at: Timestamp,
    limit: u16,
) -> Result<Vec<SecretName>, sqlx::Error> {
    let query = sqlx::query(CLAIM).bind(millis(now)).bind(millis(again_at)).bind(i64::from(limit));
    let name = |row: &AnyRow| {
        let org = decoded(row.try_get::<String, _>("org")?.parse())?;
        Ok(SecretName::new(org, decoded(row.try_get::<String, _>("name")?.parse())?))
    };
    query.fetch_all(db.pool()).await?.iter().map(name).collect()
}

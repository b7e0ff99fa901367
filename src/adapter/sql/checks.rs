//! What trying keys told, and which are due.

use jiff::Timestamp;
use sqlx::{Row, any::AnyRow};

use super::{Database, decoded, events, millis};
use crate::{
    domain::{
        connection::Status,
        event::Event,
        id::{ConnectionName, OrgId},
        secret::{SecretName, Version},
    },
    port::index::{Check, IndexError},
};

/// A change to the keys that were tried: to those of this version in the store, or in the vault as it was
/// asked.
macro_rules! of_what_was_tried {
    ($change:literal, $unless:expr) => {
        concat!(
            "UPDATE connections SET ",
            $change,
            " WHERE org = $1 AND name = $2 AND version = $3 AND COALESCE((SELECT access FROM vaults \
             WHERE vaults.org = $1 AND vaults.enabled = 1), '') = $4",
            $unless
        )
    };
}

/// A write under way may be replacing the very keys that were tried, so nothing is kept beside one.
macro_rules! no_write_is_under_way {
    () => {
        " AND NOT EXISTS \
         (SELECT 1 FROM write_intents WHERE write_intents.org = $1 AND write_intents.connection = $2)"
    };
}

pub(super) const WORKS: &str = of_what_was_tried!(
    "status = 'active', verified_at = $5, checked_at = $5, check_after = $6, \
     updated_at = CASE WHEN status = 'active' THEN updated_at ELSE $5 END",
    concat!(" AND status <> 'disconnected'", no_write_is_under_way!())
);

pub(super) const REFUSED: &str = of_what_was_tried!(
    "status = 'needs_reconnect', updated_at = $5, checked_at = $5, check_after = $6",
    concat!(" AND status = 'active'", no_write_is_under_way!())
);

pub(super) const POSTPONE: &str = of_what_was_tried!("check_after = $5", "");

/// Asks twice whether a row is due: PostgreSQL looks again at one that another claimed meanwhile, but only at
/// what is outside the list. The limit stands in the text, since PostgreSQL takes one that it does not know
/// for a tenth of all rows, and would rather read the whole table.
pub(super) fn claim_query(limit: u16) -> String {
    format!(
        "UPDATE connections SET check_after = $2 WHERE COALESCE(check_after, 0) <= $1 \
         AND (org, name) IN (SELECT org, name FROM connections WHERE status <> 'disconnected' \
         AND COALESCE(check_after, 0) <= $1 ORDER BY COALESCE(check_after, 0) LIMIT {limit}) RETURNING org, name"
    )
}

pub(super) async fn record(
    db: &Database,
    org: &OrgId,
    name: &ConnectionName,
    check: &Check,
    event: Option<&Event>,
) -> Result<bool, IndexError> {
    let vault = check.vault.as_ref().map_or("", Version::as_str);
    let of = |query: &'static str| {
        sqlx::query(query).bind(org.as_str()).bind(name.as_str()).bind(check.version.as_str()).bind(vault)
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
    // Safe: made of the text above and a number.
    let query = sqlx::query(sqlx::AssertSqlSafe(claim_query(limit))).bind(millis(now)).bind(millis(again_at));
    let name = |row: &AnyRow| {
        let org = decoded(row.try_get::<String, _>("org")?.parse())?;
        Ok(SecretName::new(org, decoded(row.try_get::<String, _>("name")?.parse())?))
    };
    query.fetch_all(db.pool()).await?.iter().map(name).collect()
}

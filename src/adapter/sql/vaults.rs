//! What is kept about organizations' own vaults, as rows. No column holds a URL or a token.

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::{Row, any::AnyRow};

use super::{Database, decoded, events, from_json, millis, to_json};
use crate::{
    domain::{
        event::Event,
        id::OrgId,
        secret::Version,
        vault::{VaultRecord, VaultTest},
    },
    port::{
        index::IndexError,
        vault::{VaultIndex, VaultLock},
    },
};

/// For the connections' queries: the version of the secret with which the organization's vault is asked,
/// while it is enabled.
macro_rules! vault_of_connection {
    () => {
        "(SELECT access FROM vaults WHERE vaults.org = connections.org AND vaults.enabled = 1) AS vault"
    };
}
pub(super) use vault_of_connection;

pub(super) const FIND: &str =
    "SELECT org, enabled, access, last_test FROM vaults WHERE org = $1 AND access IS NOT NULL";

const BEGIN: &str = "INSERT INTO vaults (org, enabled, revision, busy_until) VALUES ($1, 0, 1, $3) \
     ON CONFLICT (org) DO UPDATE SET revision = vaults.revision + 1, busy_until = excluded.busy_until \
     WHERE vaults.busy_until IS NULL OR vaults.busy_until <= $2 RETURNING revision";

pub(super) const COMPLETE: &str = "UPDATE vaults SET enabled = $3, access = $4, last_test = $5, busy_until = NULL \
     WHERE org = $1 AND revision = $2 AND busy_until IS NOT NULL";

pub(super) const RECHECK: &str =
    "UPDATE connections SET check_after = $2 WHERE org = $1 AND (check_after IS NULL OR check_after > $2)";

pub(super) const DROP: &str = "UPDATE vaults SET busy_until = NULL WHERE org = $1 AND revision = $2";

/// The row stays, so that no later change has an earlier one's number.
pub(super) const FORGET: &str = "UPDATE vaults SET enabled = 0, access = NULL, last_test = NULL, busy_until = NULL \
     WHERE org = $1 AND revision = $2 AND busy_until IS NOT NULL";

#[async_trait]
impl VaultIndex for Database {
    async fn find_vault(&self, org: &OrgId) -> Result<Option<VaultRecord>, IndexError> {
        let query = sqlx::query(FIND).bind(org.as_str());
        self.within(async { query.fetch_optional(self.pool()).await?.as_ref().map(vault).transpose() }).await
    }

    async fn begin_vault_change(
        &self,
        org: &OrgId,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<VaultLock>, IndexError> {
        let query = sqlx::query(BEGIN).bind(org.as_str()).bind(millis(now)).bind(millis(until));
        let row = self.within(query.fetch_optional(self.pool())).await?;
        let lock = |row: AnyRow| Ok(VaultLock { org: org.clone(), revision: row.try_get(0)? });
        self.within(async { row.map(lock).transpose() }).await
    }

    async fn complete_vault_change(
        &self,
        lock: &VaultLock,
        record: &VaultRecord,
        events: &[Event],
        recheck_at: Option<Timestamp>,
    ) -> Result<bool, IndexError> {
        let query = sqlx::query(COMPLETE)
            .bind(lock.org.as_str())
            .bind(lock.revision)
            .bind(i64::from(record.enabled))
            .bind(record.access.as_str())
            .bind(record.last_test.as_ref().map(to_json));
        let mut tx = self.begin().await?;
        self.within(async {
            if query.execute(&mut *tx).await?.rows_affected() == 0 {
                return Ok(false);
            }
            if let Some(at) = recheck_at {
                sqlx::query(RECHECK).bind(lock.org.as_str()).bind(millis(at)).execute(&mut *tx).await?;
            }
            for event in events {
                events::append(&mut tx, self.origin, event).await?;
            }
            tx.commit().await?;
            Ok(true)
        })
        .await
    }

    async fn drop_vault_change(&self, lock: &VaultLock) -> Result<(), IndexError> {
        let query = sqlx::query(DROP).bind(lock.org.as_str()).bind(lock.revision);
        self.within(query.execute(self.pool())).await.map(drop)
    }

    async fn forget_vault(&self, lock: &VaultLock) -> Result<bool, IndexError> {
        let query = sqlx::query(FORGET).bind(lock.org.as_str()).bind(lock.revision);
        Ok(self.within(query.execute(self.pool())).await?.rows_affected() == 1)
    }

    async fn record_vault_test(
        &self,
        org: &OrgId,
        access: Option<&Version>,
        test: &VaultTest,
        event: &Event,
    ) -> Result<(), IndexError> {
        let query = sqlx::query("UPDATE vaults SET last_test = $3 WHERE org = $1 AND access = $2")
            .bind(org.as_str())
            .bind(access.map(|access| access.as_str().to_owned()))
            .bind(to_json(test));
        let mut tx = self.begin().await?;
        self.within(async {
            query.execute(&mut *tx).await?;
            events::append(&mut tx, self.origin, event).await?;
            tx.commit().await
        })
        .await
    }
}

fn vault(row: &AnyRow) -> Result<VaultRecord, sqlx::Error> {
    let text = |column| row.try_get::<String, _>(column);
    Ok(VaultRecord {
        org: decoded(text("org")?.parse())?,
        enabled: row.try_get::<i64, _>("enabled")? != 0,
        access: decoded(text("access")?.parse())?,
        last_test: row.try_get::<Option<String>, _>("last_test")?.as_deref().map(from_json).transpose()?,
    })
}

//! The questions of background tasks.

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::{Row, any::AnyRow};

use super::{Database, checks, sessions, writes};
use crate::{
    domain::{id::OrgId, secret::SecretName},
    port::index::{Change, IndexError, Intent, SystemIndex},
};

/// With the generation that a connection has by now: what is older than that is replaced. A read of its keys
/// changed nothing.
pub(super) const AFTER: &str = "SELECT events.number, events.org, events.type, events.connection, events.origin, \
     connections.generation FROM events \
     LEFT JOIN connections ON connections.org = events.org AND connections.name = events.connection \
     AND events.type <> 'credentials.read' \
     WHERE events.number > $1 ORDER BY events.number LIMIT $2";

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
                let org: Option<OrgId> = row.try_get::<String, _>("org")?.parse().ok();
                let connection = row.try_get::<Option<String>, _>("connection")?.map(|name| name.parse());
                Ok(Change {
                    number: row.try_get("number")?,
                    own: row.try_get::<String, _>("origin")? == own,
                    r#type: row.try_get::<String, _>("type")?.parse().ok(),
                    generation: row.try_get("generation")?,
                    secret: org
                        .clone()
                        .zip(connection.and_then(Result::ok))
                        .map(|(o, c)| SecretName::new(o, c)),
                    org,
                })
            };
            query.fetch_all(self.pool()).await?.iter().map(change).collect()
        })
        .await
    }

    async fn end_leases(&self, by: Timestamp) -> Result<(), IndexError> {
        self.within(async {
            writes::end_leases(self, by).await?;
            sqlx::query("DELETE FROM leases").execute(self.pool()).await.map(drop)
        })
        .await
    }

    async fn claim_checks(
        &self,
        now: Timestamp,
        again_at: Timestamp,
        limit: u16,
    ) -> Result<Vec<SecretName>, IndexError> {
        self.within(checks::claim(self, now, again_at, limit)).await
    }

    async fn forget_sessions(&self, before: Timestamp) -> Result<(), IndexError> {
        self.within(sessions::forget(self, before)).await
    }

    async fn forget_answers(&self, before: Timestamp) -> Result<(), IndexError> {
        self.within(writes::forget_answers(self, before)).await
    }
}

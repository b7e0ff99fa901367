//! Who does what one replica at a time does.

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Database, millis};
use crate::port::{index::IndexError, leases::Leases};

const TAKE_LEASE: &str = "INSERT INTO leases (name, holder, lease_until) VALUES ($1, $2, $4) \
     ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, lease_until = excluded.lease_until \
     WHERE leases.holder = excluded.holder OR leases.lease_until <= $3";

#[async_trait]
impl Leases for Database {
    async fn take_lease(&self, name: &str, now: Timestamp, until: Timestamp) -> Result<bool, IndexError> {
        let query = sqlx::query(TAKE_LEASE)
            .bind(name.to_owned())
            .bind(self.origin.to_string())
            .bind(millis(now))
            .bind(millis(until));
        Ok(self.within(query.execute(self.pool())).await?.rows_affected() == 1)
    }

    async fn end_lease(&self, name: &str) -> Result<(), IndexError> {
        let query = sqlx::query("DELETE FROM leases WHERE name = $1 AND holder = $2");
        let query = query.bind(name.to_owned()).bind(self.origin.to_string());
        self.within(query.execute(self.pool())).await.map(drop)
    }
}

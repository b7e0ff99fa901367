//! The keeping of the audit log: counted reads, chains, removal in time.

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::Row;

use super::{
    Database, decoded,
    events::{self, select},
    millis, reads, seal,
};
use crate::{
    domain::event::chain::{ChainHash, Link},
    port::{
        audit::{AuditIndex, Ends, OpenLine, Reads},
        index::{IndexError, Page},
    },
};

pub(super) const LINKS: &str = select!("org = $1 AND sequence > $2 ORDER BY sequence LIMIT $3");
pub(super) const LINK_UP_TO: &str = select!("org = $1 AND sequence <= $2 ORDER BY sequence LIMIT 1");

pub(super) const NEXT_ORG: &str = "SELECT MIN(org) AS org FROM (SELECT MIN(org) AS org FROM event_chains WHERE org > $1 \
     UNION ALL SELECT MIN(org) AS org FROM events WHERE org > $1) AS next";

pub(super) const ENDS: &str =
    "SELECT newest_sequence, newest_hash, pruned_sequence, pruned_hash FROM event_chains WHERE org = $1";

/// The oldest event is asked for in a way that PostgreSQL can only carry out organization by organization.
pub(super) const OLDEST: &str = "SELECT org, (SELECT at FROM events WHERE events.org = event_chains.org \
     AND events.sequence > event_chains.pruned_sequence ORDER BY sequence LIMIT 1) AS at \
     FROM event_chains WHERE org > $1 ORDER BY org LIMIT $2";

pub(super) const SET_PRUNED: &str = "UPDATE event_chains SET pruned_sequence = $3, pruned_hash = $4 \
     WHERE org = $1 AND pruned_sequence = $2";

pub(super) const PRUNE: &str = "DELETE FROM events WHERE org = $1 AND sequence > $2 AND sequence <= $3";

#[async_trait]
impl AuditIndex for Database {
    async fn record_reads(
        &self,
        number: i64,
        reads: &[Reads<'_>],
        now: Timestamp,
    ) -> Result<i64, IndexError> {
        reads::record(self, number, reads, now).await
    }

    async fn seal_reads(&self, before: i64) -> Result<(), IndexError> {
        reads::seal::seal(self, before).await
    }

    async fn forget_writers(&self, before: Timestamp) -> Result<(), IndexError> {
        reads::forget_writers(self, before).await
    }

    async fn seal(
        &self,
        reads_before: Timestamp,
        after: &OpenLine,
        limit: u16,
    ) -> Result<Option<OpenLine>, IndexError> {
        seal::seal(self, reads_before, after, limit).await
    }

    async fn next_org(&self, after: &str) -> Result<Option<String>, IndexError> {
        let query = sqlx::query(NEXT_ORG).bind(after);
        self.within(async { query.fetch_one(self.pool()).await?.try_get(0) }).await
    }

    async fn find_ends(&self, org: &str) -> Result<Option<Ends>, IndexError> {
        let query = sqlx::query(ENDS).bind(org);
        self.within(async {
            let Some(row) = query.fetch_optional(self.pool()).await? else { return Ok(None) };
            let hash = |column| decoded(row.try_get::<String, _>(column)?.parse::<ChainHash>());
            Ok(Some(Ends {
                newest: row.try_get("newest_sequence")?,
                newest_hash: hash("newest_hash")?,
                pruned: row.try_get("pruned_sequence")?,
                pruned_hash: hash("pruned_hash")?,
            }))
        })
        .await
    }

    async fn links_after(&self, org: &str, after: i64, limit: u16) -> Result<Vec<Link>, IndexError> {
        let query = sqlx::query(LINKS).bind(org).bind(after).bind(i64::from(limit));
        self.within(async { query.fetch_all(self.pool()).await?.iter().map(events::link).collect() }).await
    }

    async fn link_up_to(&self, org: &str, end: i64) -> Result<Option<Link>, IndexError> {
        let query = sqlx::query(LINK_UP_TO).bind(org).bind(end);
        self.within(async { query.fetch_optional(self.pool()).await?.as_ref().map(events::link).transpose() })
            .await
    }

    async fn count_open(&self, org: &str) -> Result<i64, IndexError> {
        let query = sqlx::query("SELECT COUNT(*) FROM events WHERE org = $1 AND hash IS NULL").bind(org);
        self.within(async {
            let left: i64 = query.fetch_one(self.pool()).await?.try_get(0)?;
            Ok(left + reads::count_open(self, org).await?)
        })
        .await
    }

    async fn orgs_to_prune(
        &self,
        after: &str,
        before: Timestamp,
        limit: u16,
    ) -> Result<Page<String, String>, IndexError> {
        let query = sqlx::query(OLDEST).bind(after).bind(i64::from(limit));
        self.within(async {
            let (mut orgs, mut last) = (Vec::new(), None);
            let rows = query.fetch_all(self.pool()).await?;
            for row in &rows {
                let org: String = row.try_get("org")?;
                if row.try_get::<Option<i64>, _>("at")?.is_some_and(|at| at < millis(before)) {
                    orgs.push(org.clone());
                }
                last = Some(org);
            }
            Ok((orgs, last.filter(|_| rows.len() == usize::from(limit))))
        })
        .await
    }

    async fn prune(&self, org: &str, ends: &Ends, up_to: i64, hash: ChainHash) -> Result<bool, IndexError> {
        let mut tx = self.begin().await?;
        let begins = sqlx::query(SET_PRUNED).bind(org).bind(ends.pruned).bind(up_to).bind(hash.to_string());
        let remove = sqlx::query(PRUNE).bind(org).bind(ends.pruned).bind(up_to);
        self.within(async {
            if begins.execute(&mut *tx).await?.rows_affected() == 0 {
                return Ok(false);
            }
            remove.execute(&mut *tx).await?;
            tx.commit().await?;
            Ok(true)
        })
        .await
    }
}

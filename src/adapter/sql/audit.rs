//! The keeping of the audit log: counted reads, chains, removal in time.

use std::collections::HashMap;

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::{AnyConnection, Row};

use super::{
    Database, decoded,
    events::{self, BEFORE_FIRST, select, take_numbers},
    millis, places, reads,
};
use crate::{
    domain::event::{
        EventType, Record,
        chain::{ChainHash, Link},
    },
    port::{
        audit::{AuditIndex, Closed, Ends, Reads},
        index::IndexError,
    },
};

/// Lines of reads are still counted up for some time; all others wait for nothing.
const ANY_TO_SEAL: &str = "SELECT 1 FROM events WHERE hash IS NULL AND (type <> $1 OR at < $2) LIMIT 1";
const TO_SEAL: &str = select!("hash IS NULL AND (type <> $1 OR at < $2) ORDER BY org, number LIMIT $3");

const LINKS: &str = select!("org = $1 AND sequence > $2 ORDER BY sequence LIMIT $3");
const LINK_UP_TO: &str = select!("org = $1 AND sequence <= $2 ORDER BY sequence LIMIT 1");

const NEXT_ORG: &str = "SELECT MIN(org) AS org FROM (SELECT MIN(org) AS org FROM event_chains WHERE org > $1 \
     UNION ALL SELECT MIN(org) AS org FROM events WHERE org > $1) AS next";

const ENDS: &str =
    "SELECT newest_sequence, newest_hash, pruned_sequence, pruned_hash FROM event_chains WHERE org = $1";

const TO_PRUNE: &str = "SELECT org FROM event_chains WHERE org > $1 AND EXISTS (SELECT 1 FROM events \
     WHERE events.org = event_chains.org AND events.sequence = event_chains.pruned_sequence + 1 AND events.at < $2) \
     ORDER BY org LIMIT $3";

const SET_PRUNED: &str = "UPDATE event_chains SET pruned_sequence = $3, pruned_hash = $4 \
     WHERE org = $1 AND pruned_sequence = $2";

const PRUNE: &str = "DELETE FROM events WHERE org = $1 AND sequence > $2 AND sequence <= $3";

#[async_trait]
impl AuditIndex for Database {
    async fn record_reads(&self, reads: &[Reads]) -> Result<Vec<Closed>, IndexError> {
        if reads.is_empty() {
            return Ok(Vec::new());
        }
        let mut tx = self.begin().await?;
        self.within(async {
            let closed = reads::record(&mut tx, self.origin, reads).await?;
            tx.commit().await?;
            Ok(closed)
        })
        .await
    }

    async fn seal(&self, reads_before: Timestamp, limit: u16) -> Result<usize, IndexError> {
        let (read, before) = (EventType::CredentialsRead.as_str(), millis(reads_before));
        let any = sqlx::query(ANY_TO_SEAL).bind(read).bind(before).fetch_optional(self.pool());
        if self.within(any).await?.is_none() {
            return Ok(0);
        }
        let mut tx = self.begin().await?;
        self.within(async {
            take_numbers(&mut tx, 0).await?;
            let query = sqlx::query(TO_SEAL).bind(read).bind(before).bind(i64::from(limit));
            let rows = query.fetch_all(&mut *tx).await?;
            let mut records = Vec::with_capacity(rows.len());
            for row in &rows {
                let number: i64 = row.try_get("number")?;
                match events::read(row) {
                    Ok(record) => records.push((number, record)),
                    Err(error) => {
                        tracing::warn!(number, %error, "an event can't be read, so it can't be sealed");
                    }
                }
            }
            seal_all(&mut tx, &records).await?;
            tx.commit().await?;
            Ok(records.len())
        })
        .await
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
        self.within(async { query.fetch_one(self.pool()).await?.try_get(0) }).await
    }

    async fn orgs_to_prune(
        &self,
        after: &str,
        before: Timestamp,
        limit: u16,
    ) -> Result<Vec<String>, IndexError> {
        let query = sqlx::query(TO_PRUNE).bind(after).bind(millis(before)).bind(i64::from(limit));
        self.within(async { query.fetch_all(self.pool()).await?.iter().map(|row| row.try_get(0)).collect() })
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

/// Gives each its place. They come organization by organization.
async fn seal_all(tx: &mut AnyConnection, records: &[(i64, Record)]) -> Result<(), sqlx::Error> {
    if records.is_empty() {
        return Ok(());
    }
    // Safe: made of numbered places. Not kept prepared: each number of rows is another text.
    let sql = format!(
        "WITH sealed (number, sequence, hash, actor_id) AS (VALUES {}) UPDATE events SET \
         sequence = sealed.sequence, hash = sealed.hash, actor_id = sealed.actor_id FROM sealed \
         WHERE events.number = sealed.number",
        places(records.len(), 4)
    );
    let mut query = sqlx::query(sqlx::AssertSqlSafe(sql)).persistent(false);
    let chains: Vec<_> = records.chunk_by(|(_, a), (_, b)| a.org == b.org).collect();
    let orgs: Vec<_> = chains.iter().map(|chain| chain[0].1.org.as_str()).collect();
    let mut heads = heads(tx, &orgs).await?;
    for (org, chain) in orgs.iter().zip(chains) {
        let (sequence, hash) = heads.entry((*org).to_owned()).or_insert(BEFORE_FIRST);
        for (number, record) in chain {
            *sequence += 1;
            *hash = hash.next(*sequence, record);
            query = query.bind(*number).bind(*sequence).bind(hash.to_string()).bind(record.actor.id.as_str());
        }
    }
    query.execute(&mut *tx).await?;
    set_heads(tx, &heads).await
}

async fn heads(
    tx: &mut AnyConnection,
    orgs: &[&str],
) -> Result<HashMap<String, (i64, ChainHash)>, sqlx::Error> {
    let sql = format!(
        "SELECT org, newest_sequence, newest_hash FROM event_chains WHERE org IN {}",
        places(1, orgs.len())
    );
    let mut query = sqlx::query(sqlx::AssertSqlSafe(sql)).persistent(false);
    for org in orgs {
        query = query.bind(*org);
    }
    let rows = query.fetch_all(tx).await?;
    rows.iter()
        .map(|row| Ok((row.try_get(0)?, (row.try_get(1)?, decoded(row.try_get::<String, _>(2)?.parse())?))))
        .collect()
}

async fn set_heads(
    tx: &mut AnyConnection,
    heads: &HashMap<String, (i64, ChainHash)>,
) -> Result<(), sqlx::Error> {
    let sql = format!(
        "INSERT INTO event_chains (org, newest_sequence, newest_hash, pruned_sequence, pruned_hash) VALUES {} \
         ON CONFLICT (org) DO UPDATE SET \
         newest_sequence = excluded.newest_sequence, newest_hash = excluded.newest_hash",
        places(heads.len(), 5)
    );
    let mut query = sqlx::query(sqlx::AssertSqlSafe(sql)).persistent(false);
    let (first_sequence, first_hash) = BEFORE_FIRST;
    for (org, (sequence, hash)) in heads {
        query = query.bind(org.as_str()).bind(*sequence).bind(hash.to_string());
        query = query.bind(first_sequence).bind(first_hash.to_string());
    }
    query.execute(tx).await.map(drop)
}

//! The sealing of open lines.

use std::collections::HashMap;

use jiff::Timestamp;
use sqlx::{AnyConnection, Row, any::AnyRow};

use super::{
    Database, ROWS,
    events::{self, BEFORE_FIRST, select, take_numbers},
    for_rows, millis, places,
};
use crate::{
    domain::event::{EventType, Record, chain::ChainHash},
    port::{audit::OpenLine, index::IndexError},
};

/// Lines of reads are still counted up for some time; all others wait for nothing.
///
/// Mostly there is none. The order has PostgreSQL look into the index of open lines then, not through all lines.
pub(super) const ANY: &str = "SELECT 1 FROM events WHERE hash IS NULL AND (type <> $1 OR at < $2) \
     AND (org, number) > ($3, $4) ORDER BY org, number LIMIT 1";
pub(super) const OPEN: &str = select!(
    "hash IS NULL AND (type <> $1 OR at < $2) AND (org, number) > ($3, $4) ORDER BY org, number LIMIT $5"
);

/// What an organization's chain ends with, by its organization.
type Heads = HashMap<String, (i64, ChainHash)>;

pub(super) async fn seal(
    db: &Database,
    reads_before: Timestamp,
    after: &OpenLine,
    limit: u16,
) -> Result<Option<OpenLine>, IndexError> {
    let (read, before) = (EventType::CredentialsRead.as_str(), millis(reads_before));
    let any = sqlx::query(ANY).bind(read).bind(before).bind(after.org.as_str()).bind(after.number);
    if db.within(any.fetch_optional(db.pool())).await?.is_none() {
        return Ok(None);
    }
    let mut tx = db.begin().await?;
    db.within(async {
        take_numbers(&mut tx, 0).await?;
        let open = sqlx::query(OPEN).bind(read).bind(before).bind(after.org.as_str()).bind(after.number);
        let rows = open.bind(i64::from(limit)).fetch_all(&mut *tx).await?;
        let Some(last) = rows.last() else { return Ok(None) };
        let mut last = OpenLine { org: last.try_get("org")?, number: last.try_get("number")? };
        let records = readable(&rows)?;
        let heads = seal_all(&mut tx, &records).await?;
        tx.commit().await?;
        if rows.len() < usize::from(limit) {
            return Ok(None);
        }
        if records.last().is_some_and(|(_, record)| record.org == last.org && !heads.contains_key(&last.org))
        {
            // Nor can what else it has be sealed.
            last.number = i64::MAX;
        }
        Ok(Some(last))
    })
    .await
}

fn readable(rows: &[AnyRow]) -> Result<Vec<(i64, Record)>, sqlx::Error> {
    let mut records = Vec::with_capacity(rows.len());
    for row in rows {
        let number: i64 = row.try_get("number")?;
        match events::read(row) {
            Ok(record) => records.push((number, record)),
            Err(error) => tracing::error!(number, %error, "an event can't be read, so it can't be sealed"),
        }
    }
    Ok(records)
}

/// Gives each its place, but for those whose chain has no end that they could follow. They come
/// organization by organization. Returns where the chains end now.
async fn seal_all(tx: &mut AnyConnection, records: &[(i64, Record)]) -> Result<Heads, sqlx::Error> {
    let chains: Vec<_> = records.chunk_by(|(_, a), (_, b)| a.org == b.org).collect();
    let mut heads = heads(tx, &chains).await?;
    let mut sealed = Vec::with_capacity(records.len());
    for (number, record) in records {
        let Some((sequence, hash)) = heads.get_mut(&record.org) else { continue };
        *sequence += 1;
        *hash = hash.next(*sequence, record);
        sealed.push((*number, *sequence, *hash, record.actor.id.as_str()));
    }
    for sealed in sealed.chunks(ROWS) {
        let sql = format!(
            "WITH sealed (number, sequence, hash, actor_id) AS (VALUES {}) UPDATE events SET \
             sequence = sealed.sequence, hash = sealed.hash, actor_id = sealed.actor_id FROM sealed \
             WHERE events.number = sealed.number",
            places(sealed.len(), 4)
        );
        let mut query = for_rows(sql, sealed.len());
        for (number, sequence, hash, actor) in sealed {
            query = query.bind(*number).bind(*sequence).bind(hash.to_string()).bind(*actor);
        }
        query.execute(&mut *tx).await?;
    }
    set_heads(tx, &heads).await?;
    Ok(heads)
}

/// Where the chains end. One whose noted end can't be read, or lies before its newest event, is left out:
/// whatever it was given next would not fit.
async fn heads(tx: &mut AnyConnection, chains: &[&[(i64, Record)]]) -> Result<Heads, sqlx::Error> {
    let mut heads = Heads::new();
    for chains in chains.chunks(ROWS) {
        let sql = format!(
            "WITH asked (org) AS (VALUES {}) SELECT asked.org, newest_sequence, newest_hash, \
             (SELECT MAX(sequence) FROM events WHERE events.org = asked.org) AS last \
             FROM asked LEFT JOIN event_chains ON event_chains.org = asked.org",
            places(chains.len(), 1)
        );
        let mut query = for_rows(sql, chains.len());
        for chain in chains {
            query = query.bind(chain[0].1.org.as_str());
        }
        for row in query.fetch_all(&mut *tx).await? {
            let org: String = row.try_get("org")?;
            if let Some(head) = head(&row)? {
                heads.insert(org, head);
            } else {
                let why = "where its chain ends can't be read or is not its newest event";
                tracing::error!(org, "an organization's events can't be sealed: {why}");
            }
        }
    }
    Ok(heads)
}

fn head(row: &AnyRow) -> Result<Option<(i64, ChainHash)>, sqlx::Error> {
    let head = match row.try_get::<Option<i64>, _>("newest_sequence")? {
        None => Some(BEFORE_FIRST),
        Some(newest) => row.try_get::<String, _>("newest_hash")?.parse().ok().map(|hash| (newest, hash)),
    };
    let last = row.try_get::<Option<i64>, _>("last")?.unwrap_or(0);
    Ok(head.filter(|(newest, _)| *newest >= last))
}

async fn set_heads(tx: &mut AnyConnection, heads: &Heads) -> Result<(), sqlx::Error> {
    let (first_sequence, first_hash) = BEFORE_FIRST;
    let heads: Vec<_> = heads.iter().collect();
    for heads in heads.chunks(ROWS) {
        let sql = format!(
            "INSERT INTO event_chains (org, newest_sequence, newest_hash, pruned_sequence, pruned_hash) \
             VALUES {} ON CONFLICT (org) DO UPDATE SET \
             newest_sequence = excluded.newest_sequence, newest_hash = excluded.newest_hash",
            places(heads.len(), 5)
        );
        let mut query = for_rows(sql, heads.len());
        for (org, (sequence, hash)) in heads {
            query = query.bind(org.as_str()).bind(*sequence).bind(hash.to_string());
            query = query.bind(first_sequence).bind(first_hash.to_string());
        }
        query.execute(&mut *tx).await?;
    }
    Ok(())
}

//! The sealing of lines that older versions of keybroker left open.

use jiff::Timestamp;
use sqlx::{AnyConnection, Row, any::AnyRow};

use super::{
    Database,
    chains::{Heads, heads, set_heads},
    events::{self, select, take_numbers},
    for_rows, millis, most_rows, places,
};
use crate::{
    domain::event::{EventType, Record},
    port::{audit::OpenLine, index::IndexError},
};

/// Lines of reads are still counted up for some time; all others wait for nothing.
///
/// Mostly there is none. The order has PostgreSQL look into the index of open lines then, not through all
/// lines.
pub(super) const ANY: &str = "SELECT 1 FROM events WHERE hash IS NULL AND (type <> $1 OR at < $2) \
     AND (org, number) > ($3, $4) ORDER BY org, number LIMIT 1";
pub(super) const OPEN: &str = select!(
    "hash IS NULL AND (type <> $1 OR at < $2) AND (org, number) > ($3, $4) ORDER BY org, number LIMIT $5"
);

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
    let chains = records.chunk_by(|(_, a), (_, b)| a.org == b.org);
    let orgs: Vec<_> = chains.map(|chain| chain[0].1.org.as_str()).collect();
    let mut heads = heads(tx, &orgs).await?;
    let mut sealed = Vec::with_capacity(records.len());
    for (number, record) in records {
        let Some((sequence, hash)) = heads.get_mut(&record.org) else { continue };
        *sequence += 1;
        *hash = hash.next(*sequence, record);
        sealed.push((*number, *sequence, *hash, record.actor.id.as_str()));
    }
    for sealed in sealed.chunks(most_rows(4)) {
        let sql = format!(
            "WITH sealed (number, sequence, hash, actor_id) AS (VALUES {}) UPDATE events SET \
             sequence = sealed.sequence, hash = sealed.hash, actor_id = sealed.actor_id FROM sealed \
             WHERE events.number = sealed.number",
            places(sealed.len(), 4)
        );
        let mut query = for_rows(sql, sealed.len(), 4);
        for (number, sequence, hash, actor) in sealed {
            query = query.bind(*number).bind(*sequence).bind(hash.to_string()).bind(*actor);
        }
        query.execute(&mut *tx).await?;
    }
    set_heads(tx, &heads).await?;
    Ok(heads)
}

//! Where chains of events end.

use std::collections::HashMap;

use sqlx::{AnyConnection, AssertSqlSafe, Row, any::AnyRow};

use super::{decoded, events::Query, for_rows, most_rows, places};
use crate::domain::event::chain::ChainHash;

/// Where a chain ends before its first event.
pub(super) const BEFORE_FIRST: (i64, ChainHash) = (0, ChainHash::START);

pub(super) const HEAD: &str = "SELECT newest_sequence, newest_hash FROM event_chains WHERE org = $1";

/// The newest link of a chain, or what comes before its first. An error, if that can't be read.
pub(super) async fn head(tx: &mut AnyConnection, org: &str) -> Result<(i64, ChainHash), sqlx::Error> {
    let row = sqlx::query(HEAD).bind(org.to_owned()).fetch_optional(tx).await?;
    let Some(row) = row else { return Ok(BEFORE_FIRST) };
    Ok((row.try_get(0)?, decoded(row.try_get::<String, _>(1)?.parse())?))
}

/// Notes where a chain ends now.
pub(super) async fn set_head(
    tx: &mut AnyConnection,
    org: &str,
    head: (i64, ChainHash),
) -> Result<(), sqlx::Error> {
    // Safe: of numbered places.
    let query = sqlx::query(AssertSqlSafe(set_query(1)));
    bind_head(query, org, head).execute(tx).await.map(drop)
}

/// Notes where so many chains end.
fn set_query(chains: usize) -> String {
    format!(
        "INSERT INTO event_chains (org, newest_sequence, newest_hash, pruned_sequence, pruned_hash) \
         VALUES {} ON CONFLICT (org) DO UPDATE SET \
         newest_sequence = excluded.newest_sequence, newest_hash = excluded.newest_hash",
        places(chains, 5)
    )
}

fn bind_head(query: Query, org: &str, (sequence, hash): (i64, ChainHash)) -> Query {
    let (first_sequence, first_hash) = BEFORE_FIRST;
    let query = query.bind(org.to_owned()).bind(sequence).bind(hash.to_string());
    query.bind(first_sequence).bind(first_hash.to_string())
}

/// What chains end with, by their organizations.
pub(super) type Heads = HashMap<String, (i64, ChainHash)>;

/// Where the chains of these organizations, each named once, end. One whose noted end can't be read, or lies
/// before its newest event, is left out: whatever it was given next would not fit.
pub(super) async fn heads(tx: &mut AnyConnection, orgs: &[&str]) -> Result<Heads, sqlx::Error> {
    let mut heads = Heads::new();
    for orgs in orgs.chunks(most_rows(1)) {
        let sql = format!(
            "WITH asked (org) AS (VALUES {}) SELECT asked.org, newest_sequence, newest_hash, \
             (SELECT MAX(sequence) FROM events WHERE events.org = asked.org) AS last \
             FROM asked LEFT JOIN event_chains ON event_chains.org = asked.org",
            places(orgs.len(), 1)
        );
        let mut query = for_rows(sql, orgs.len(), 1);
        for org in orgs {
            query = query.bind((*org).to_owned());
        }
        for row in query.fetch_all(&mut *tx).await? {
            let org: String = row.try_get("org")?;
            if let Some(head) = sound_head(&row)? {
                heads.insert(org, head);
            } else {
                let why = "where its chain ends can't be read or is not its newest event";
                tracing::error!(org, "an organization's events can't be sealed: {why}");
            }
        }
    }
    Ok(heads)
}

fn sound_head(row: &AnyRow) -> Result<Option<(i64, ChainHash)>, sqlx::Error> {
    let head = match row.try_get::<Option<i64>, _>("newest_sequence")? {
        None => Some(BEFORE_FIRST),
        Some(newest) => row.try_get::<String, _>("newest_hash")?.parse().ok().map(|hash| (newest, hash)),
    };
    let last = row.try_get::<Option<i64>, _>("last")?.unwrap_or(0);
    Ok(head.filter(|(newest, _)| *newest >= last))
}

/// Notes where chains end now.
pub(super) async fn set_heads(tx: &mut AnyConnection, heads: &Heads) -> Result<(), sqlx::Error> {
    let heads: Vec<_> = heads.iter().collect();
    for heads in heads.chunks(most_rows(5)) {
        let mut query = for_rows(set_query(heads.len()), heads.len(), 5);
        for (org, head) in heads {
            query = bind_head(query, org, **head);
        }
        query.execute(&mut *tx).await?;
    }
    Ok(())
}

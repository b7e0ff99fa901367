//! Where chains of events end.

use std::collections::HashMap;

use sqlx::{AnyConnection, Row, any::AnyRow};

use super::{ROWS, for_rows, places};
use crate::domain::event::chain::ChainHash;

/// Where a chain ends before its first event.
pub(super) const BEFORE_FIRST: (i64, ChainHash) = (0, ChainHash::START);

/// What chains end with, by their organizations.
pub(super) type Heads = HashMap<String, (i64, ChainHash)>;

/// Where the chains of these organizations, each named once, end. One whose noted end can't be read, or lies before its
/// newest event, is left out: whatever it was given next would not fit.
pub(super) async fn heads(tx: &mut AnyConnection, orgs: &[&str]) -> Result<Heads, sqlx::Error> {
    let mut heads = Heads::new();
    for orgs in orgs.chunks(ROWS) {
        let sql = format!(
            "WITH asked (org) AS (VALUES {}) SELECT asked.org, newest_sequence, newest_hash, \
             (SELECT MAX(sequence) FROM events WHERE events.org = asked.org) AS last \
             FROM asked LEFT JOIN event_chains ON event_chains.org = asked.org",
            places(orgs.len(), 1)
        );
        let mut query = for_rows(sql, orgs.len());
        for org in orgs {
            query = query.bind((*org).to_owned());
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

/// Notes where chains end now.
pub(super) async fn set_heads(tx: &mut AnyConnection, heads: &Heads) -> Result<(), sqlx::Error> {
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
            query = query.bind((*org).clone()).bind(*sequence).bind(hash.to_string());
            query = query.bind(first_sequence).bind(first_hash.to_string());
        }
        query.execute(&mut *tx).await?;
    }
    Ok(())
}

//! Reads in the list of events.

use std::collections::HashSet;

use jiff::Timestamp;
use sqlx::{Row, any::AnyRow};

use super::{open, sealed, text::MINUTE};
use crate::{
    adapter::sql::{
        Database, decoded,
        events::{PageQuery, Rows},
        from_millis, millis,
    },
    domain::event::{EventFilter, EventType, Listed, Position, Record, chain::ChainHash, reads::minute},
};

/// How many rows are looked at at a time.
const ROWS: u16 = 16;

/// Those of an organization's reads that pass the filter: the newest `wanted`, and perhaps more.
pub(in crate::adapter::sql) async fn find(
    db: &Database,
    org: &str,
    filter: &EventFilter,
    wanted: usize,
) -> Result<Vec<Listed>, sqlx::Error> {
    if filter.r#type.is_some_and(|wanted| wanted != EventType::CredentialsRead) {
        return Ok(Vec::new());
    }
    // First what is open: what is sealed meanwhile is then seen twice, and not missed.
    let until = filter.after.as_ref().map_or(i64::MAX, |after| minute(after.at));
    let open = open::records(db, org, until).await?;
    let mut found = sealed(db, org, filter, wanted).await?;
    let seen: HashSet<_> = found.iter().map(|listed| listed.record.id.clone()).collect();
    let open = open.into_iter().filter(|record| !seen.contains(&record.id));
    found.extend(open.map(|record| listed(record, None)).filter(|listed| passes(listed, filter)));
    Ok(found)
}

async fn sealed(
    db: &Database,
    org: &str,
    filter: &EventFilter,
    wanted: usize,
) -> Result<Vec<Listed>, sqlx::Error> {
    let (mut found, mut passed) = (Vec::new(), None);
    loop {
        let rows = page(org, filter, passed).fetch(db, ROWS.into()).await?;
        for row in &rows {
            found.extend(events(row)?.into_iter().filter(|listed| passes(listed, filter)));
        }
        let Some(last) = rows.last().filter(|_| rows.len() == usize::from(ROWS)) else { return Ok(found) };
        let (at, number): (i64, i64) = (last.try_get("at")?, last.try_get("number")?);
        // What is left is of the same minute or of one before.
        let over = from_millis(at.saturating_add(MINUTE))?;
        if found.iter().filter(|listed| listed.position.at >= over).count() >= wanted {
            return Ok(found);
        }
        passed = Some((at, number));
    }
}

/// The question for rows of which some events may pass.
pub(in crate::adapter::sql) fn page(
    org: &str,
    filter: &EventFilter,
    passed: Option<(i64, i64)>,
) -> PageQuery {
    let mut query = PageQuery::new(org, Rows::OfReads);
    query.and("actor LIKE", filter.actor.as_deref().map(|id| like("\"id\":\"", id)));
    query.and("reads LIKE", filter.connection.as_ref().map(|name| like("\"", name.as_str())));
    query.and("at <=", filter.after.as_ref().map(|after| millis(after.at)));
    query.and("at <", filter.until.map(millis));
    query.and("at >", filter.since.map(|since| millis(since).saturating_sub(MINUTE)));
    query.and_before(passed);
    query
}

/// A pattern that finds this text in JSON, after `before` and ended by a quotation mark: where it has other
/// characters than are in most names, more than that.
fn like(before: &str, text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '%' };
    format!("%{before}{}\"%", text.chars().map(plain).collect::<String>())
}

/// The events of a row.
fn events(row: &AnyRow) -> Result<Vec<Listed>, sqlx::Error> {
    let records = sealed::records(row)?;
    let last: i64 = row.try_get("sequence")?;
    let own: ChainHash = decoded(row.try_get::<String, _>("hash")?.parse())?;
    let mut hash = sealed::previous(row)?.unwrap_or(own);
    let first = last + 1 - i64::try_from(records.len()).unwrap_or(i64::MAX);
    let placed = (first..).zip(records).map(|(sequence, record)| {
        hash = hash.next(sequence, &record);
        // The row's own at its end, so that what was altered shows.
        let place = (sequence, if sequence == last { own } else { hash });
        listed(record, Some(place))
    });
    Ok(placed.collect())
}

fn listed(record: Record, place: Option<(i64, ChainHash)>) -> Listed {
    let position = Position { at: record.at, number: i64::MAX, id: record.id.clone() };
    Listed { position, record, place }
}

fn passes(listed: &Listed, filter: &EventFilter) -> bool {
    let Record { actor, connection, at, .. } = &listed.record;
    let named = |wanted: &str| connection.as_deref() == Some(wanted);
    let from = |since: Timestamp| *at >= since;
    filter.connection.as_ref().is_none_or(|wanted| named(wanted.as_str()))
        && filter.actor.as_deref().is_none_or(|wanted| actor.id == wanted)
        && filter.since.is_none_or(from)
        && filter.until.is_none_or(|until| *at < until)
        && filter.after.as_ref().is_none_or(|after| listed.position < *after)
}

//! Lines of the audit log that count reads.

use std::collections::HashMap;

use sqlx::{AnyConnection, Row};
use uuid::Uuid;

use super::{events::take_numbers, millis, places, to_json};
use crate::{
    domain::event::EventType,
    port::audit::{Closed, Reads},
};

/// Makes each line tell its count. What is returned was sealed before with another one.
pub(super) async fn record(
    tx: &mut AnyConnection,
    origin: Uuid,
    reads: &[Reads],
) -> Result<Vec<Closed>, sqlx::Error> {
    // The lock first: no line is sealed from here on.
    take_numbers(tx, 0).await?;
    let there = counts(tx, reads).await?;
    let (mut new, mut grown, mut closed) = (Vec::new(), Vec::new(), Vec::new());
    for line in reads {
        match there.get(&line.id.to_string()) {
            None => new.push(line),
            Some((count, _)) if *count == line.count => {}
            Some((_, false)) => grown.push(line),
            Some((count, true)) => closed.push(Closed { id: line.id, count: *count }),
        }
    }
    count_up(tx, &grown).await?;
    append(tx, origin, &new).await?;
    Ok(closed)
}

/// What the log says of these lines: their count, and whether they are sealed.
async fn counts(
    tx: &mut AnyConnection,
    reads: &[Reads],
) -> Result<HashMap<String, (i64, bool)>, sqlx::Error> {
    let sql = format!("SELECT id, count, hash FROM events WHERE id IN {}", places(1, reads.len()));
    // Safe, here and below: made of numbered places alone. Not kept prepared: each length is another text.
    let mut query = sqlx::query(sqlx::AssertSqlSafe(sql)).persistent(false);
    for line in reads {
        query = query.bind(line.id.to_string());
    }
    let rows = query.fetch_all(tx).await?;
    rows.iter()
        .map(|row| {
            let sealed = row.try_get::<Option<String>, _>("hash")?.is_some();
            Ok((row.try_get("id")?, (row.try_get("count")?, sealed)))
        })
        .collect()
}

async fn count_up(tx: &mut AnyConnection, lines: &[&Reads]) -> Result<(), sqlx::Error> {
    if lines.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "WITH said (id, total) AS (VALUES {}) UPDATE events SET count = said.total FROM said \
         WHERE events.id = said.id AND events.hash IS NULL",
        places(lines.len(), 2)
    );
    let mut query = sqlx::query(sqlx::AssertSqlSafe(sql)).persistent(false);
    for line in lines {
        query = query.bind(line.id.to_string()).bind(line.count);
    }
    query.execute(tx).await.map(drop)
}

async fn append(tx: &mut AnyConnection, origin: Uuid, lines: &[&Reads]) -> Result<(), sqlx::Error> {
    if lines.is_empty() {
        return Ok(());
    }
    let taken = i64::try_from(lines.len()).unwrap_or(i64::MAX);
    let first = take_numbers(tx, taken).await? - taken + 1;
    let sql = format!(
        "INSERT INTO events (number, id, org, type, at, actor, actor_id, connection, version, origin, count) \
         VALUES {}",
        places(lines.len(), 11)
    );
    let mut query = sqlx::query(sqlx::AssertSqlSafe(sql)).persistent(false);
    for (number, line) in (first..).zip(lines) {
        query = query
            .bind(number)
            .bind(line.id.to_string())
            .bind(line.secret.org().as_str())
            .bind(EventType::CredentialsRead.as_str())
            .bind(millis(line.at))
            .bind(to_json(&*line.actor))
            .bind(line.actor.id.as_str())
            .bind(line.secret.connection().as_str())
            .bind(line.version.as_str())
            .bind(origin.to_string())
            .bind(line.count);
    }
    query.execute(tx).await.map(drop)
}

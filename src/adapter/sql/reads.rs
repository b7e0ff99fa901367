//! Lines of the audit log that count reads.

use std::collections::HashMap;

use sqlx::{AnyConnection, Row};
use uuid::Uuid;

use super::{ROWS, events::take_numbers, for_rows, millis, places, to_json};
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
    let tried: Vec<_> = reads.iter().filter(|line| !line.new).collect();
    let there = counts(tx, &tried).await?;
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
    reads: &[&Reads],
) -> Result<HashMap<String, (i64, bool)>, sqlx::Error> {
    let mut there = HashMap::with_capacity(reads.len());
    for reads in reads.chunks(ROWS) {
        let sql = format!("SELECT id, count, hash FROM events WHERE id IN {}", places(1, reads.len()));
        let mut query = for_rows(sql, reads.len());
        for line in reads {
            query = query.bind(line.id.to_string());
        }
        for row in query.fetch_all(&mut *tx).await? {
            let sealed = row.try_get::<Option<String>, _>("hash")?.is_some();
            there.insert(row.try_get("id")?, (row.try_get("count")?, sealed));
        }
    }
    Ok(there)
}

async fn count_up(tx: &mut AnyConnection, lines: &[&Reads]) -> Result<(), sqlx::Error> {
    for lines in lines.chunks(ROWS) {
        let sql = format!(
            "WITH said (id, total) AS (VALUES {}) UPDATE events SET count = said.total FROM said \
             WHERE events.id = said.id AND events.hash IS NULL",
            places(lines.len(), 2)
        );
        let mut query = for_rows(sql, lines.len());
        for line in lines {
            query = query.bind(line.id.to_string()).bind(line.count);
        }
        query.execute(&mut *tx).await?;
    }
    Ok(())
}

async fn append(tx: &mut AnyConnection, origin: Uuid, lines: &[&Reads]) -> Result<(), sqlx::Error> {
    if lines.is_empty() {
        return Ok(());
    }
    let taken = i64::try_from(lines.len()).unwrap_or(i64::MAX);
    let mut number = take_numbers(tx, taken).await? - taken;
    for lines in lines.chunks(ROWS) {
        let sql = format!(
            "INSERT INTO events (number, id, org, type, at, actor, actor_id, connection, version, origin, \
             count) VALUES {}",
            places(lines.len(), 11)
        );
        let mut query = for_rows(sql, lines.len());
        for line in lines {
            number += 1;
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
        query.execute(&mut *tx).await?;
    }
    Ok(())
}

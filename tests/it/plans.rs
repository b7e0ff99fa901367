//! That no query of which many are asked takes longer the more there is: both databases are asked how they
//! would carry each out, with thousands of rows in every table.

use keybroker::adapter::{local, sql};
use rstest::rstest;
use uuid::Uuid;

use crate::support::{Db, database::Database};

/// So many of everything.
const NUMBERS: &str = "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)";

/// One row for each number, of which few are open or due, as in a database that has been used for long.
const ROWS: [(&str, &str); 11] = [
    (
        "connections (org, name, provider, status, source, version, generation, fields, check_after, created_at, updated_at)",
        "'org' || (i / 10), 'name' || i, 'custom', 'active', 'managed', 'v', 1, '[]', i, i, i",
    ),
    (
        "events (number, id, org, type, at, actor, actor_id, connection, version, origin, sequence, hash)",
        "i, 'id' || i, 'org' || (i / 10), 'type' || (i % 5), i, '{}', 'actor' || (i % 9), 'name' || (i % 3), 'v', 'o', \
         i, CASE WHEN i % 100 > 0 THEN 'hash' END",
    ),
    (
        "events (number, id, org, type, at, actor, origin, sequence, hash, reads, previous)",
        "20001 + i, 'reads' || i, 'org' || (i / 10), 'credentials.read', i * 60000, '[]', 'o', 20001 + i, 'hash', \
         '[]', 'hash'",
    ),
    ("read_counts (shard, minute, id, lines, actors, reads)", "i % 256, i / 1000, 'id' || i, 1, '[]', '[]'"),
    ("read_writers (origin, newest, at)", "'origin' || i, i, i"),
    (
        "event_chains (org, newest_sequence, newest_hash, pruned_sequence, pruned_hash)",
        "'org' || i, i, 'hash', 0, 'hash'",
    ),
    ("tokens (id, hash, name, scopes, orgs, created_at)", "'id' || i, 'hash' || i, 'name', '[]', 'null', i"),
    (
        "write_intents (org, connection, version, plan, actor, lease_until, uncertain)",
        "'org' || (i / 10), 'name' || i, 'v', '{}', '{}', i, 0",
    ),
    (
        "idempotency_keys (org, lookup, fingerprint, answer, created_at)",
        "'org' || (i / 10), 'lookup' || i, 'print', '{}', i",
    ),
    ("vaults (org, enabled, access, revision)", "'org' || i, i % 2, 'v', 1"),
    (
        "local_secrets (name, version, stage, key_id, sealed, created_at)",
        "'name' || i, 'v', 'current', 'key', 'sealed', i",
    ),
];

const SESSIONS: (&str, &str) = (
    "connect_sessions (id, org, actor, providers, link_hash, link_until, cookie_hash, attempts, created_at)",
    "'id' || i, 'org', '{}', 'null', 'link' || i, i, 'cookie' || i, 0, i",
);

async fn filled(url: &str) -> Database {
    sql::Database::open(url, 1, Uuid::nil()).await.unwrap().close().await;
    let mut database = Database::connect(url).await;
    for (table, row) in ROWS.into_iter().chain([SESSIONS]) {
        database.run(format!("INSERT INTO {table} {NUMBERS} SELECT {row} FROM n")).await;
    }
    database.run("ANALYZE".to_owned()).await;
    database
}

/// The steps that look at more rows than an index leads to.
fn scans(plan: &[String]) -> Vec<&String> {
    plan.iter()
        .filter(|step| {
            let of_ours = ROWS.iter().chain([&SESSIONS]).any(|(table, _)| {
                let (table, _) = table.split_once(' ').unwrap();
                step.split(' ').any(|word| word == table)
            });
            let by_order = step.contains(" USING INDEX ");
            step.contains("Seq Scan on")
                || step.contains("Sort")
                || step.contains("TEMP B-TREE")
                || (step.starts_with("SCAN ") && of_ours && !by_order)
        })
        .collect()
}

#[rstest]
#[case::sqlite(Db::Sqlite)]
#[case::postgres(Db::Postgres)]
#[tokio::test]
async fn hot_queries_use_their_indexes(#[case] db: Db) {
    let folder = tempfile::tempdir().unwrap();
    let url = db.url(folder.path()).await;
    let mut database = filled(&url).await;
    let queries = local::HOT_QUERIES.map(|(name, query)| (name, query.to_owned()));
    let mut faults = Vec::new();
    for (name, query) in sql::hot_queries().into_iter().chain(queries) {
        let plan = database.plan(&query).await;
        assert!(!plan.is_empty(), "{name}");
        if !scans(&plan).is_empty() {
            faults.push(format!("{name}: {query}\n  {}", plan.join("\n  ")));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[rstest]
#[case::sqlite(Db::Sqlite)]
#[case::postgres(Db::Postgres)]
#[tokio::test]
async fn a_scan_is_noticed(#[case] db: Db) {
    let folder = tempfile::tempdir().unwrap();
    let url = db.url(folder.path()).await;
    let mut database = filled(&url).await;
    for query in [
        "SELECT org FROM connections WHERE label = $1",
        "SELECT org FROM events WHERE org = $1 ORDER BY at LIMIT $2",
        "DELETE FROM tokens WHERE created_at < $1",
    ] {
        let plan = database.plan(query).await;
        assert!(!scans(&plan).is_empty(), "{query}: {plan:?}");
    }
}

//! That the command finds whatever was done to the log past the service.

use rstest::rstest;

use super::{events, faults, seal_all, total_reads, verified, verify};
use crate::support::{Db, Store, TestApp, until};

/// What is done to the log of one organization, and what the command must say of it.
const TAMPERING: [(&str, &str); 38] = [
    ("UPDATE events SET id = 'other' WHERE sequence = 3", "event 3 (other) was altered"),
    ("UPDATE events SET type = 'connection.verified' WHERE sequence = 3", "event 3"),
    ("UPDATE events SET at = at + 1 WHERE sequence = 3", "event 3"),
    ("UPDATE events SET actor = REPLACE(actor, 'token', 'system') WHERE sequence = 3", "event 3"),
    ("UPDATE events SET actor = REPLACE(actor, 'bootstrap', 'me') WHERE sequence = 3", "event 3"),
    ("UPDATE events SET actor = 'nonsense' WHERE sequence = 3", "event 3"),
    ("UPDATE events SET actor_id = 'other' WHERE sequence = 3", "event 3"),
    ("UPDATE events SET actor_id = NULL WHERE sequence = 3", "event 3"),
    ("UPDATE events SET connection = 'other' WHERE sequence = 3", "event 3"),
    ("UPDATE events SET connection = NULL WHERE sequence = 3", "event 3"),
    ("UPDATE events SET version = NULL WHERE sequence = 3", "event 3"),
    ("UPDATE events SET token = '' WHERE sequence = 3", "event 3"),
    ("UPDATE events SET request_id = 'other' WHERE sequence = 3", "event 3"),
    ("UPDATE events SET count = 1 WHERE sequence = 3", "event 3"),
    ("UPDATE events SET count = count - 1 WHERE type = 'credentials.read'", "was altered"),
    (
        "UPDATE events SET reads = REPLACE(reads, '\"vapi\"', '\"other\"') WHERE reads IS NOT NULL",
        "was altered",
    ),
    ("UPDATE events SET reads = REPLACE(reads, 'vapi', '\\u0076api') WHERE reads IS NOT NULL", "was altered"),
    ("UPDATE events SET reads = '[]' WHERE reads IS NOT NULL", "can't be read"),
    ("UPDATE events SET reads = 'nonsense' WHERE reads IS NOT NULL", "can't be read"),
    ("UPDATE events SET reads = NULL WHERE reads IS NOT NULL", "can't be read"),
    ("UPDATE events SET at = at + 60000 WHERE reads IS NOT NULL", "was altered"),
    ("UPDATE events SET actor = REPLACE(actor, 'bootstrap', 'me') WHERE reads IS NOT NULL", "was altered"),
    ("UPDATE events SET type = 'vault.tested' WHERE reads IS NOT NULL", "was altered"),
    ("UPDATE events SET connection = 'vapi' WHERE reads IS NOT NULL", "was altered"),
    ("UPDATE events SET previous = hash WHERE reads IS NOT NULL", "was altered"),
    ("DELETE FROM events WHERE reads IS NOT NULL", "is missing"),
    ("UPDATE events SET hash = SUBSTR(hash, 2) || SUBSTR(hash, 1, 1) WHERE sequence = 3", "event 3"),
    ("UPDATE events SET org = 'other' WHERE sequence = 3", "event 3 is missing"),
    ("UPDATE events SET sequence = NULL, hash = NULL WHERE sequence = 3", "event 3 is missing"),
    ("UPDATE events SET sequence = 99 WHERE sequence = 3", "stands outside the chain"),
    ("DELETE FROM events WHERE sequence IN (3, 4)", "events 3 to 4 are missing"),
    ("DELETE FROM events WHERE sequence = 1", "event 1 is missing"),
    ("DELETE FROM events WHERE sequence = (SELECT MAX(sequence) FROM events)", "is missing"),
    (
        "UPDATE events SET sequence = -sequence WHERE sequence IN (2, 3); \
         UPDATE events SET sequence = 5 + sequence WHERE sequence < 0",
        "event 2",
    ),
    (
        "INSERT INTO events (number, id, org, type, at, actor, actor_id, origin, sequence, hash) \
         SELECT number + 1000, 'new', org, type, at, actor, actor_id, origin, 1000, hash FROM events \
         WHERE sequence = 3",
        "event 1000 (new) stands outside the chain",
    ),
    (
        "UPDATE event_chains SET newest_hash = SUBSTR(newest_hash, 2) || SUBSTR(newest_hash, 1, 1)",
        "the head differs",
    ),
    ("UPDATE event_chains SET pruned_sequence = 2", "stands outside the chain"),
    ("DELETE FROM event_chains", "stands outside the chain"),
];

/// A log with every kind of line, sealed, and nobody who writes to it.
async fn sealed(db: Db) -> TestApp {
    let mut app = TestApp::new(db, Store::Local).await;
    for n in 0..6 {
        app.put_vapi(&format!("sk-{n}-0123456789abcdef")).await;
    }
    app.private_key().await;
    app.private_key().await;
    until("the reads are told", || async { (total_reads(&app).await == 2).then_some(()) }).await;
    app.terminate().await;
    seal_all(&app).await;
    app
}

#[rstest]
#[case::sqlite(Db::Sqlite)]
#[case::postgres(Db::Postgres)]
#[tokio::test]
async fn whatever_is_done_to_the_log_is_found(#[case] db: Db) {
    let app = sealed(db).await;
    let all = verified(&app, &[]);
    assert!(all.contains("organizations: 1, ") && all.contains("open: 0, faults: 0"), "{all}");
    let head = verified(&app, &["--verbose"]);
    assert!(
        head.contains(&format!("{}: events: ", app.org)) && head.contains("(every organization)"),
        "{head}"
    );
    let unknown = verify(&app, &["--org", "nobody", "--org", &app.org]);
    assert_eq!(unknown.status.code(), Some(1), "{unknown:?}");
    let (stdout, stderr) =
        (String::from_utf8(unknown.stdout).unwrap(), String::from_utf8(unknown.stderr).unwrap());
    assert!(stderr.contains("holds nothing of nobody: ") && !stderr.contains("does not verify"), "{stderr}");
    assert!(stdout.contains("organizations: 1, ") && !stdout.contains("nobody"), "{stdout}");

    let mut database = app.database().await;
    // The chain of what concerns every organization is left alone.
    database.execute("CREATE TABLE kept_events AS SELECT * FROM events").await;
    database.execute("CREATE TABLE kept_chains AS SELECT * FROM event_chains").await;
    database.execute("DELETE FROM events WHERE org = ''").await;
    database.execute("DELETE FROM event_chains WHERE org = ''").await;
    for (tampering, says) in TAMPERING {
        for statement in tampering.split("; ") {
            database.execute(statement).await;
        }
        let found = faults(&app);
        assert!(found.iter().any(|fault| fault.contains(says)), "{tampering}: {found:?}");
        for undone in [
            "DELETE FROM events",
            "DELETE FROM event_chains",
            "INSERT INTO events SELECT * FROM kept_events WHERE org <> ''",
            "INSERT INTO event_chains SELECT * FROM kept_chains WHERE org <> ''",
        ] {
            database.execute(undone).await;
        }
        verified(&app, &[]);
    }
}

/// As right after the migration: no event has its place, and one is of a type that nobody knows.
#[rstest]
#[case::sqlite(Db::Sqlite)]
#[case::postgres(Db::Postgres)]
#[tokio::test]
async fn events_from_before_the_chain_are_sealed_in_their_order(#[case] db: Db) {
    let mut app = sealed(db).await;
    let mut database = app.database().await;
    for statement in [
        "UPDATE events SET sequence = NULL, hash = NULL, actor_id = NULL",
        "DELETE FROM event_chains",
        "UPDATE events SET type = 'moon.landed' WHERE number = 4",
        "DELETE FROM events WHERE reads IS NOT NULL",
        "INSERT INTO events (number, id, org, type, at, actor, connection, version, origin, count) \
         SELECT 500, '01900000-0000-7000-8000-000000000000', org, 'credentials.read', at + 60000, actor, connection, \
         version, origin, 2 FROM events WHERE number = 5",
        // The minute of the reads is long over.
        "UPDATE events SET at = at - 200000",
    ] {
        database.execute(statement).await;
    }
    drop(database);
    app.start().await;
    until("all is sealed", || async {
        let open = "SELECT COUNT(*) FROM events WHERE hash IS NULL";
        (app.database().await.count(open).await == 0).then_some(())
    })
    .await;
    let found = events(&app, "limit=3").await;
    assert!(found.iter().any(|event| event["type"] == "moon.landed"), "{found:?}");
    let sequences: Vec<_> = found.iter().rev().map(|event| event["sequence"].as_i64().unwrap()).collect();
    let expected: Vec<_> = (1..).take(found.len()).collect();
    assert_eq!(sequences, expected);
    assert!(!events(&app, &format!("actor={}", found[0]["actor"]["id"].as_str().unwrap())).await.is_empty());
    app.put_vapi("sk-again-0123456789abcdef").await.expect(200);
    verified(&app, &[]);
}

#[tokio::test]
async fn a_database_without_the_schema_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("none.db");
    let mut command = crate::support::app::program();
    let url = format!("sqlite:{}", file.display());
    let output = command.args(["events", "verify", "--database-url", &url]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("keybroker migrate"), "{output:?}");
    assert!(!file.exists());
}

//! That what is damaged in one organization's log holds up no other.

use rstest::rstest;

use super::{open, retention::remove, seal_all};
use crate::support::{Db, Store, TestApp, app::vapi};

/// They come before the app's own organization, and all of them have something to be sealed.
#[rstest]
#[case::sqlite(Db::Sqlite)]
#[case::postgres(Db::Postgres)]
#[tokio::test]
async fn others_are_sealed_and_their_old_events_removed(#[case] db: Db) {
    let mut app = TestApp::new(db, Store::Local).await;
    for org in ["0-behind", "0-unreadable"] {
        for n in 0..2 {
            let path = format!("/v1/orgs/{org}/connections/vapi");
            app.put(&path).json(&vapi(&format!("sk-{n}-0123456789abcdef"))).send().await;
        }
        app.get(&format!("/v1/orgs/{org}/connections/vapi/credentials")).send().await.expect(200);
    }
    app.put_vapi("sk-0123456789abcdef").await.expect(201);
    app.private_key().await;
    app.terminate().await;
    let mut database = app.database().await;
    for damage in [
        "UPDATE event_chains SET newest_sequence = 1 WHERE org = '0-behind'",
        "UPDATE event_chains SET newest_hash = 'x' WHERE org = '0-unreadable'",
        // More than are sealed at once, of each of two.
        "INSERT INTO events (number, id, org, type, at, actor, origin) \
         WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1200) \
         SELECT 1000000 + i, CAST(i AS TEXT), CASE WHEN i % 2 = 0 THEN '0-unreadable' ELSE '0-garbled' END, \
         'vault.tested', 1763763420125, CASE WHEN i % 2 = 0 THEN '{}' ELSE 'nonsense' END, '' FROM n",
        // Nor can what was counted be read.
        "INSERT INTO read_counts (shard, minute, id, lines, actors, reads) \
         SELECT shard, minute, 'garbled', 1, actors, 'nonsense' FROM read_counts",
    ] {
        database.execute(damage).await;
    }
    for many in [
        "SELECT COUNT(*) FROM events WHERE org = '0-garbled'",
        "SELECT COUNT(*) FROM events WHERE org = '0-unreadable' AND hash IS NULL",
    ] {
        assert!(database.count(many).await > 500, "{many}");
    }
    seal_all(&app).await;
    for org in ["0-behind", "0-unreadable", "0-garbled"] {
        assert!(open(&app).await.count_open(org).await.unwrap() > 0, "{org}");
    }
    assert_eq!(open(&app).await.count_open(&app.org).await.unwrap(), 0);
    assert!(database.count("SELECT COUNT(*) FROM read_counts WHERE reads = 'nonsense'").await > 0);

    remove(&app, "2100-01-01T00:00:00Z".parse().unwrap()).await;
    let left = "SELECT COUNT(*) FROM events WHERE org NOT LIKE '0-%'";
    assert_eq!(database.count(left).await, 0);
}

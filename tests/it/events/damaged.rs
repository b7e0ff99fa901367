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
        "INSERT INTO events (number, id, org, type, at, actor, origin) SELECT n, CAST(n AS TEXT), org, \
         'vault.tested', 1763763420125, actor, '' FROM (SELECT \
         1000000 + 100000 * a.number + 10000 * b.number + 100 * c.number + d.number AS n, \
         CASE WHEN a.number > 4 THEN '0-unreadable' ELSE '0-garbled' END AS org, \
         CASE WHEN a.number > 4 THEN '{}' ELSE 'nonsense' END AS actor \
         FROM events a, events b, events c, events d \
         WHERE a.number <= 8 AND b.number <= 2 AND c.number <= 9 AND d.number <= 9) AS many",
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

    remove(&app, "2100-01-01T00:00:00Z".parse().unwrap()).await;
    let left = "SELECT COUNT(*) FROM events WHERE org NOT LIKE '0-%'";
    assert_eq!(database.count(left).await, 0);
}

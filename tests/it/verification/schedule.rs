//! Keys are tried by themselves, by one replica at a time.

use super::fresh_key;
use crate::support::{
    Db, Store, TestApp,
    provider::{Treatment, asked, treat},
    until,
};

const OFTEN: &[(&str, &str)] = &[("KEYBROKER_VERIFY_EVERY", "1s")];

#[tokio::test]
async fn a_dead_key_is_noticed_by_itself() {
    let app = TestApp::with(Db::Sqlite, Store::Local, OFTEN).await;
    let (dead, alive) = (fresh_key(), fresh_key());
    app.put_vapi(&dead).await.expect(201);
    let body = crate::support::app::vapi(&alive);
    app.put(&app.path("other")).json(&body).send().await.expect(201);
    treat(&dead, Treatment::Refuse);
    let noticed = async || {
        let status = app.get(&app.path("vapi")).send().await.expect(200).json()["status"].clone();
        (status == "needs_reconnect").then_some(())
    };
    until("it is noticed", noticed).await;
    let events = app.get(&format!("/v1/orgs/{}/events", app.org)).send().await.expect(200).json();
    let events = events["events"].as_array().unwrap();
    let of = |r#type: &str| events.iter().find(|event| event["type"] == r#type);
    let event = of("connection.needs_reconnect").unwrap();
    assert_eq!((&event["actor"]["type"], &event["actor"]["id"]), (&"system".into(), &"verifier".into()));
    until("the other one is tried too", async || (asked(&alive).len() > 1).then_some(())).await;
}

/// With two replicas each key is tried once a round, and by the other one when the first dies.
#[tokio::test]
async fn one_replica_at_a_time() {
    let mut app = TestApp::with(Db::Postgres, Store::Local, &[("KEYBROKER_VERIFY_EVERY", "1h")]).await;
    let replica = app.replica(&[]).await;
    let keys: Vec<_> = std::iter::repeat_with(fresh_key).take(40).collect();
    for (i, key) in keys.iter().enumerate() {
        let body = crate::support::app::vapi(key);
        app.put(&app.path(&format!("c{i}"))).json(&body).send().await.expect(201);
    }
    let due = "UPDATE connections SET check_after = 0";
    let mut database = app.database().await;
    // One request, and one for each of the facts.
    let rounds =
        |key: &String| asked(key).iter().filter(|asked| asked.path == "/assistant?limit=1").count() - 1;
    database.execute(due).await;
    until("all are tried", async || keys.iter().all(|key| rounds(key) >= 1).then_some(())).await;
    assert!(
        keys.iter().all(|key| rounds(key) == 1),
        "each once: {:?}",
        keys.iter().map(rounds).collect::<Vec<_>>()
    );
    let holders = "SELECT COUNT(*) FROM leases WHERE name = 'verification'";
    assert_eq!(database.count(holders).await, 1);

    assert!(app.terminate().await.success());
    database.execute(due).await;
    until("the other takes over", async || keys.iter().all(|key| rounds(key) == 2).then_some(())).await;
    drop(replica);
}

#[tokio::test]
async fn it_can_be_turned_off() {
    let app = TestApp::with(Db::Sqlite, Store::Local, &[("KEYBROKER_VERIFY_EVERY", "0s")]).await;
    let key = fresh_key();
    app.put_vapi(&key).await.expect(201);
    let mut database = app.database().await;
    database.execute("UPDATE connections SET check_after = 0").await;
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    assert_eq!(asked(&key).len(), 1);
    assert_eq!(database.count("SELECT COUNT(*) FROM leases WHERE name = 'verification'").await, 0);
}

//! A replica that can't hear of changes trusts its memory for so long and no longer.

use std::time::Duration;

use hyper::Method;
use keybroker::domain::access::Scope;
use rstest::rstest;

use super::wired_replica;
use crate::support::{
    Db, Reply, Store, TestApp, until,
    wire::State::{self, Cut, Held, Whole},
};

const KEY: &str = "sk-0123456789abcdef";

/// A read of the key with a token, on any replica.
async fn read(on: &TestApp, token: &str) -> Reply {
    let path = format!("{}/credentials", on.path("vapi"));
    on.call(Method::GET, &path).token(token).send().await
}

#[rstest]
#[case::cut(Cut)]
#[case::silent(Held)]
#[tokio::test]
async fn past_the_bound_nothing_is_served_that_the_database_does_not_confirm(#[case] fault: State) {
    let app = TestApp::new(Db::Postgres, Store::Moto).await;
    let (replica, wire) = wired_replica(&app, &[("KEYBROKER_MAX_BLINDNESS", "1s")]).await;
    app.put_vapi(KEY).await.expect(201);
    let token = app.token(&[Scope::CredentialsRead], &[&app.org]).await;
    assert_eq!(replica.private_key().await, KEY);
    read(&replica, &token).await.expect(200);

    wire.set(fault);
    let refused = until("memory is not trusted any more", || async {
        let reply = read(&replica, &token).await;
        (reply.status != 200).then_some(reply)
    })
    .await;
    let refused = refused.expect_problem(503, "store_unavailable");
    assert!(refused.header("retry-after").is_some());
    until("the log says so", async || replica.log().contains("this replica is blind").then_some(())).await;
    // What was changed meanwhile is shown to nobody, and what was revoked opens nothing.
    app.put_vapi("sk-other-0123456789").await.expect(200);
    read(&replica, &token).await.expect_problem(503, "store_unavailable");
    let blindness = replica.blindness().await;
    assert!(blindness >= Duration::from_secs(1), "{blindness:?}");

    wire.set(Whole);
    until("it serves again", async || (read(&replica, &token).await.status == 200).then_some(())).await;
    assert_eq!(replica.private_key().await, "sk-other-0123456789");
    until("it hears again", async || replica.log().contains("this replica sees again").then_some(())).await;
}

/// The database answers those who ask, but the log of changes can't be followed: each read is confirmed, and
/// what is confirmed is served without asking AWS.
#[tokio::test]
async fn what_the_database_confirms_is_served_from_memory() {
    let app = TestApp::with(Db::Postgres, Store::Moto, &[("KEYBROKER_MAX_BLINDNESS", "1s")]).await;
    app.put_vapi(KEY).await.expect(201);
    let token = app.token(&[Scope::CredentialsRead], &[&app.org]).await;
    read(&app, &token).await.expect(200);
    let calls = app.aws().count("GetSecretValue");
    let mut database = app.database().await;
    database.execute("ALTER TABLE events RENAME COLUMN type TO hidden").await;
    until("it is blind", async || app.log().contains("this replica is blind").then_some(())).await;
    for _ in 0..5 {
        read(&app, &token).await.expect(200);
    }
    assert_eq!(app.aws().count("GetSecretValue"), calls, "the store need not be asked");

    // Changes that no event tells of, as far as this replica can read: it asks, and so it hears of them.
    database.execute("UPDATE connections SET generation = generation + 1").await;
    read(&app, &token).await.expect(200);
    assert_eq!(app.aws().count("GetSecretValue"), calls + 1, "a newer generation is loaded");
    database.execute("UPDATE tokens SET revoked_at = 1 WHERE name = 'a test''s'").await;
    read(&app, &token).await.expect_problem(401, "unauthenticated");
}

#[tokio::test]
async fn an_operator_may_choose_availability() {
    let app = TestApp::new(Db::Postgres, Store::Moto).await;
    let settings = [("KEYBROKER_MAX_BLINDNESS", "500ms"), ("KEYBROKER_WHEN_BLIND", "serve")];
    let (replica, wire) = wired_replica(&app, &settings).await;
    app.put_vapi(KEY).await.expect(201);
    replica.caught_up().await;
    assert_eq!(replica.private_key().await, KEY);
    wire.set(Cut);
    until("it would long be blind", || async {
        (replica.blindness().await > Duration::from_secs(2)).then_some(())
    })
    .await;
    assert_eq!(replica.private_key().await, KEY);
    assert!(!replica.log().contains("this replica is blind"));
    // What is not in memory is not to be had.
    replica.read("other").await.expect_problem(503, "store_unavailable");

    app.put_vapi("sk-other-0123456789").await.expect(200);
    wire.set(Whole);
    until("it hears of what it missed", || async {
        let reply = replica.read("vapi").await;
        (reply.status == 200 && reply.json()["credentials"]["privateApiKey"] == "sk-other-0123456789")
            .then_some(())
    })
    .await;
}

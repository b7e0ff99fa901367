//! The database is down: what is warm is served for a moment, and the rest fails closed.

use hyper::Method;
use serde_json::json;

use crate::support::{Db, Store, TestApp, until};

/// For as long as the operator allows: see `replicas/blindness.rs`.
#[tokio::test]
async fn without_its_database_it_serves_what_is_warm_and_nothing_else() {
    let app = TestApp::with(Db::Postgres, Store::Moto, &[("KEYBROKER_MAX_BLINDNESS", "1m")]).await;
    app.put_vapi("sk-0123456789abcdef").await.expect(201);
    let custom = json!({"provider": "custom", "credentials": {"key": "cold"}});
    app.put(&app.path("cold")).json(&custom).send().await.expect(201);
    assert_eq!(app.private_key().await, "sk-0123456789abcdef");
    let unused = app.token(&[keybroker::domain::access::Scope::CredentialsRead], &[&app.org]).await;

    let down = app.database().await.take_down().await;
    assert_eq!(app.private_key().await, "sk-0123456789abcdef", "warm");
    app.read("cold").await.expect_problem(503, "store_unavailable");
    app.put_vapi("sk-other-0123456789").await.expect_problem(503, "store_unavailable");
    app.get(&app.path("vapi")).send().await.expect_problem(503, "store_unavailable");
    let path = format!("{}/credentials", app.path("vapi"));
    let stranger = app.call(Method::GET, &path).token(&unused).send().await;
    let stranger = stranger.expect_problem(503, "store_unavailable");
    assert!(stranger.header("retry-after").is_some());
    let past_cache = app.get(&path).header("cache-control", "no-cache").send().await;
    past_cache.expect_problem(503, "store_unavailable");
    let ready = app.get("/readyz").send().await.expect(503).json();
    assert_eq!(ready["database"], "unavailable");
    assert_eq!(ready["store"], "ok");
    app.get("/healthz").send().await.expect(200);

    down.bring_up().await;
    until("the service works again", || async {
        (app.put_vapi("sk-other-0123456789").await.status == 200).then_some(())
    })
    .await;
    assert_eq!(app.private_key().await, "sk-other-0123456789");
}

/// A stale value stands in for a failing store, not for a failing database: without it nobody hears that a
/// key was replaced elsewhere.
#[tokio::test]
async fn past_its_ttl_nothing_is_served_without_the_database() {
    let settings = [("KEYBROKER_CACHE_TTL", "2s"), ("KEYBROKER_WHEN_BLIND", "serve")];
    let app = TestApp::with(Db::Postgres, Store::Moto, &settings).await;
    app.put_vapi("sk-0123456789abcdef").await.expect(201);
    app.private_key().await;
    let down = app.database().await.take_down().await;
    until("the value is past its time", || async {
        let reply = app.read("vapi").await;
        (reply.status != 200).then(|| reply.expect_problem(503, "store_unavailable"))
    })
    .await;
    down.bring_up().await;
    until("the service works again", || async { (app.read("vapi").await.status == 200).then_some(()) }).await;
}

#[tokio::test]
async fn a_local_secret_that_can_not_be_opened_can_be_replaced() {
    let app = TestApp::local().await;
    app.put_vapi("sk-first-0123456789").await.expect(201);
    app.database().await.execute("UPDATE local_secrets SET sealed = 'AAAA'").await;
    app.read("vapi").await.expect_problem(502, "store_refused");
    app.put_vapi("sk-second-0123456789").await.expect(200);
    assert_eq!(app.private_key().await, "sk-second-0123456789");
}

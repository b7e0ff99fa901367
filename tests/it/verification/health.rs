//! A key that dies is noticed, and one that works again too.

use rstest::rstest;
use serde_json::{Value, json};

use super::fresh_key;
use crate::support::{
    Db, Store, TestApp,
    app::vapi,
    provider::{Treatment, asked, take, treat},
    services::secretsmanager,
    until,
};

async fn verify(app: &TestApp) -> Value {
    app.post(&format!("{}/verify", app.path("vapi"))).send().await.expect(200).json()["outcome"].clone()
}

async fn status(app: &TestApp) -> Value {
    app.get(&app.path("vapi")).send().await.expect(200).json()["status"].clone()
}

async fn report(app: &TestApp, upstream: u16) -> Value {
    let report = app.post(&format!("{}/report", app.path("vapi")));
    report.json(&json!({"upstream_status": upstream})).send().await.expect(202).json()
}

async fn becomes(app: &TestApp, expected: &str) {
    let reached = async || (status(app).await == expected).then_some(());
    until(&format!("the connection is {expected}"), reached).await;
}

fn types(history: &[(String, String)]) -> Vec<&str> {
    history.iter().map(|(r#type, _)| r#type.as_str()).collect()
}

#[rstest]
#[case(Db::Sqlite, Store::Local)]
#[case(Db::Postgres, Store::Moto)]
#[tokio::test]
async fn a_key_that_dies_and_comes_back(#[case] db: Db, #[case] store: Store) {
    let app = TestApp::new(db, store).await;
    let key = fresh_key();
    let created = app.put_vapi(&key).await.expect(201).json();
    treat(&key, Treatment::Refuse);
    assert_eq!(verify(&app).await, "invalid");
    assert_eq!(status(&app).await, "needs_reconnect");
    assert_eq!(app.private_key().await, key, "it can still be read: the app may know better");
    assert_eq!(verify(&app).await, "invalid");
    take(&key);
    assert_eq!(verify(&app).await, "valid");
    assert_eq!(status(&app).await, "active");
    let history = app.history("vapi").await;
    let expected = ["connection.created", "connection.needs_reconnect", "connection.verified"];
    assert_eq!(types(&history), expected, "a key found wrong again is no news");
    assert!(history.iter().all(|(_, version)| *version == created["version"]), "{history:?}");
}

#[tokio::test]
async fn one_refusal_is_not_enough() {
    let app = TestApp::local().await;
    let key = fresh_key();
    app.put_vapi(&key).await.expect(201);
    treat(&key, Treatment::RefuseTimes(1));
    assert_eq!(verify(&app).await, "valid");
    assert_eq!(status(&app).await, "active");
    assert!(asked(&key).len() > 2, "it was asked again");
}

#[tokio::test]
async fn trouble_changes_nothing() {
    let app = TestApp::local().await;
    let key = fresh_key();
    let before = app.put_vapi(&key).await.expect(201).json();
    treat(&key, Treatment::Status(503));
    assert_eq!(verify(&app).await, "unreachable");
    assert_eq!(app.get(&app.path("vapi")).send().await.expect(200).json(), before);
    assert_eq!(app.history("vapi").await.len(), 1);
}

#[tokio::test]
async fn a_report_is_looked_into() {
    let app = TestApp::local().await;
    let key = fresh_key();
    app.put_vapi(&key).await.expect(201);
    assert_eq!(report(&app, 401).await["status"], "active");
    let looked = async || (asked(&key).len() > 1).then_some(());
    until("the key is tried", looked).await;
    assert_eq!(status(&app).await, "active", "the provider says otherwise than the app");

    treat(&key, Treatment::Refuse);
    assert_eq!(report(&app, 401).await["status"], "active", "it is told before it is looked into");
    becomes(&app, "needs_reconnect").await;
    take(&key);
    report(&app, 403).await;
    becomes(&app, "active").await;
}

#[tokio::test]
async fn reports_that_say_nothing_of_the_key_ask_nobody() {
    let app = TestApp::local().await;
    let key = fresh_key();
    app.put_vapi(&key).await.expect(201);
    let before = asked(&key).len();
    for upstream in [429, 500, 503] {
        report(&app, upstream).await;
    }
    for wrong in [json!({"upstream_status": 200}), json!({"upstream_status": "401"}), json!({}), json!([])] {
        let reply = app.post(&format!("{}/report", app.path("vapi"))).json(&wrong).send().await;
        reply.expect_problem(400, "invalid_request");
    }
    assert_eq!(asked(&key).len(), before);
    let none = app.post(&format!("{}/report", app.path("none"))).json(&json!({"upstream_status": 401}));
    none.send().await.expect_problem(404, "not_found");
}

#[tokio::test]
async fn many_reports_are_one_try() {
    let app = TestApp::local().await;
    let key = fresh_key();
    app.put_vapi(&key).await.expect(201);
    treat(&key, Treatment::Silence);
    for _ in 0..20 {
        report(&app, 401).await;
    }
    let asked_again = async || (asked(&key).len() > 1).then_some(());
    until("the key is tried", asked_again).await;
    assert_eq!(asked(&key).len(), 2);
}

/// A new key clears what was found out about the old one, untried or not; the old one again does not.
#[tokio::test]
async fn a_put_clears_the_state() {
    let app = TestApp::local().await;
    let (key, other) = (fresh_key(), fresh_key());
    let untried = format!("{}?verify=false", app.path("vapi"));
    app.put(&untried).json(&vapi(&key)).send().await.expect(201);
    treat(&key, Treatment::Refuse);
    verify(&app).await;
    let again = app.put(&untried).json(&vapi(&key)).send().await.expect(200).json();
    assert_eq!(again["status"], "needs_reconnect", "nothing new is known of it");
    let mut labelled = vapi(&key);
    labelled["label"] = "another".into();
    let labelled = app.put(&untried).json(&labelled).send().await.expect(200).json();
    assert_eq!((&labelled["status"], &labelled["label"]), (&json!("needs_reconnect"), &json!("another")));
    take(&key);
    let tried = app.put_vapi(&key).await.expect(200).json();
    assert_eq!(tried["status"], "active");
    let history = app.history("vapi").await;
    assert_eq!(types(&history[history.len() - 2..]), ["connection.unchanged", "connection.verified"]);
    assert!(tried["verified_at"].is_string());
    treat(&key, Treatment::Refuse);
    verify(&app).await;
    let replaced = app.put(&untried).json(&vapi(&other)).send().await.expect(200).json();
    assert_eq!((&replaced["status"], &replaced["verified_at"]), (&json!("active"), &Value::Null));
}

/// AWS may still answer with the old key right after a write. That says nothing about the new one.
#[tokio::test]
async fn a_verdict_is_on_the_key_that_was_written_last() {
    let app = TestApp::new(Db::Sqlite, Store::Moto).await;
    let (old, new) = (fresh_key(), fresh_key());
    let first = app.put_vapi(&old).await.expect(201).version();
    let second = app.put_vapi(&new).await.expect(200).version();
    treat(&old, Treatment::Refuse);
    let secret = format!("tenant/{}/vapi", app.org);
    let stage = ["update-secret-version-stage", "--secret-id", &secret, "--version-stage", "AWSCURRENT"];
    let back = ["--move-to-version-id", &first, "--remove-from-version-id", &second];
    secretsmanager(&[&stage[..], &back].concat()).await;
    assert_eq!(verify(&app).await, "valid");
    assert_eq!(status(&app).await, "active");
}

/// A key that is known to be dead is tried no more often than one that works.
#[tokio::test]
async fn a_dead_key_is_left_alone_for_its_time() {
    let app = TestApp::local().await;
    let key = fresh_key();
    app.put_vapi(&key).await.expect(201);
    treat(&key, Treatment::Refuse);
    let mut database = app.database().await;
    let due = "SELECT COUNT(*) FROM connections WHERE check_after > 43200000 + updated_at";
    for _ in 0..2 {
        assert_eq!(verify(&app).await, "invalid");
        assert_eq!(database.count(due).await, 1);
        database.execute("UPDATE connections SET check_after = 0").await;
    }
}

/// A key that nobody tried is tried within an hour or two, one that was within a day or so.
#[tokio::test]
async fn an_untried_key_is_tried_soon() {
    let app = TestApp::local().await;
    let mut database = app.database().await;
    let soon = "SELECT COUNT(*) FROM connections WHERE check_after < 7200000 + updated_at";
    app.put(&format!("{}?verify=false", app.path("vapi"))).json(&vapi(&fresh_key())).send().await.expect(201);
    assert_eq!(database.count(soon).await, 1);
    app.put_vapi(&fresh_key()).await.expect(200);
    assert_eq!(database.count(soon).await, 0);
}

/// The provider's slow answer about the old key says nothing about the new one.
#[tokio::test]
async fn a_verdict_on_a_replaced_key_is_dropped() {
    let app = TestApp::with(Db::Sqlite, Store::Local, &[("KEYBROKER_VERIFY_CONFIRM_AFTER", "1s")]).await;
    let (old, new) = (fresh_key(), fresh_key());
    app.put_vapi(&old).await.expect(201);
    treat(&old, Treatment::Refuse);
    let replace = async {
        until("the old key is tried", async || (asked(&old).len() > 1).then_some(())).await;
        app.put_vapi(&new).await.expect(200);
    };
    let (outcome, ()) = tokio::join!(verify(&app), replace);
    assert_eq!(outcome, "valid", "it is the new key's by then");
    assert_eq!(status(&app).await, "active");
    assert!(!types(&app.history("vapi").await).contains(&"connection.needs_reconnect"));
}

#[tokio::test]
async fn a_stop_does_not_wait_for_the_second_try() {
    let mut app = TestApp::with(Db::Sqlite, Store::Local, &[("KEYBROKER_VERIFY_CONFIRM_AFTER", "30s")]).await;
    let key = fresh_key();
    app.put_vapi(&key).await.expect(201);
    treat(&key, Treatment::Refuse);
    report(&app, 401).await;
    until("the key is tried", async || (asked(&key).len() > 1).then_some(())).await;
    assert!(app.terminate().await.success());
    assert!(!app.log().contains("grace time"), "{}", app.log());
    app.start().await;
    assert_eq!(status(&app).await, "active", "once is not enough");
}

//! Rows without credentials: what an app has written into AWS itself is taken over as it is.

use std::process::Stdio;

use rstest::rstest;
use serde_json::{Value, json};

use super::{Rows, adopted};
use crate::support::{Db, Store, TestApp, aws::Fault, services::secretsmanager};

const THEIRS: &str = r#"{ "privateApiKey" : "sk-theirs-0123456789",  "publicApiKey":"pk-theirs"}"#;

/// Another program makes a secret; its version.
async fn make(app: &TestApp, connection: &str, value: &str) -> String {
    let name = format!("tenant/{}/{connection}", app.org);
    let made = secretsmanager(&["create-secret", "--name", &name, "--secret-string", value]).await;
    made["VersionId"].as_str().unwrap().to_owned()
}

/// Another program replaces one; its version.
async fn replace(app: &TestApp, connection: &str, value: &str) -> String {
    let name = format!("tenant/{}/{connection}", app.org);
    let put = secretsmanager(&["put-secret-value", "--secret-id", &name, "--secret-string", value]).await;
    put["VersionId"].as_str().unwrap().to_owned()
}

fn writes(app: &TestApp) -> usize {
    app.aws().calls().iter().filter(|call| *call != "GetSecretValue").count()
}

fn event(kind: &str, version: &str) -> (String, String) {
    (format!("connection.{kind}"), version.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stored_value_becomes_the_connections() {
    let app = TestApp::new(Db::Postgres, Store::Moto).await;
    let theirs = make(&app, "vapi", THEIRS).await;
    let mut row = adopted(&app.org, "vapi");
    row["label"] = "Main".into();
    let rows = Rows::of(&[row.clone()]);
    rows.import(&app, &[]).expect(0, &["0 created, 0 updated, 0 unchanged, 1 adopted"]);

    let connection = app.get(&app.path("vapi")).send().await.expect(200).json();
    assert_eq!((&connection["version"], &connection["label"]), (&json!(theirs), &json!("Main")));
    assert_eq!(connection["fields"]["publicApiKey"]["value"], "pk-theirs");
    let read = app.read("vapi").await.expect(200);
    assert_eq!(read.version(), theirs);
    assert_eq!(read.json()["credentials"], serde_json::from_str::<Value>(THEIRS).unwrap());
    assert_eq!(app.history("vapi").await, [event("created", &theirs)]);

    // Again: nothing changes but the label, if it is another.
    rows.import(&app, &[]).expect(0, &["1 unchanged, 0 adopted"]);
    assert_eq!(app.history("vapi").await.len(), 1);
    row["label"] = Value::Null;
    rows.write(&[row.to_string()]);
    rows.import(&app, &[]).expect(0, &["0 unchanged, 1 adopted"]);
    assert_eq!(app.get(&app.path("vapi")).send().await.expect(200).json()["label"], Value::Null);

    // The app writes once more, before it has changed over.
    let later = replace(&app, "vapi", r#"{"publicApiKey":"p","privateApiKey":"sk-later"}"#).await;
    rows.import(&app, &[]).expect(0, &["1 adopted"]);
    let history = app.history("vapi").await;
    assert_eq!(history[1..], [event("updated", &theirs), event("updated", &later)]);
    assert_eq!(app.private_key().await, "sk-later");
    assert_eq!(writes(&app), 0, "nothing was written");
    app.post(&format!("{}/rollback", app.path("vapi"))).send().await.expect_problem(409, "conflict");

    // From then on it is a connection like any other.
    app.put_vapi("sk-ours-0123456789").await.expect(200);
    app.post(&format!("{}/rollback", app.path("vapi"))).send().await.expect(200);
    assert_eq!(app.private_key().await, "sk-later");
    app.delete(&app.path("vapi")).send().await.expect(204);
    rows.import(&app, &[]).expect(1, &["the store holds nothing at"]);
    let back = replace(&app, "vapi", THEIRS).await;
    rows.import(&app, &[]).expect(0, &["1 adopted"]);
    assert_eq!(app.read("vapi").await.expect(200).version(), back);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_is_refused() {
    let app = TestApp::new(Db::Sqlite, Store::Moto).await;
    for (connection, value) in [
        ("empty", "{}"),
        ("text", "canary"),
        ("nested", r#"{"publicApiKey":{"x":"canary"}}"#),
        ("partial", r#"{"publicApiKey":"canary"}"#),
        ("more", r#"{"publicApiKey":"p","privateApiKey":"s","canary1":"canary"}"#),
        ("vapi", THEIRS),
    ] {
        make(&app, connection, value).await;
    }
    let names = ["missing", "empty", "text", "nested", "partial", "more"];
    let mut all: Vec<_> = names.map(|name| adopted(&app.org, name)).into();
    all.push(json!({"org": app.org, "connection": "vapi", "provider": "openai"}));
    let rows = Rows::of(&all);
    let told = rows.import(&app, &[]).expect(1, &["0 adopted", "7 refused"]);
    let mut refused = rows.refused();
    refused.sort_by_key(|row| row["line"].as_u64());
    let secret = |name: &str| format!("tenant/{}/{name}", app.org);
    for (row, reason) in refused.iter().zip([
        format!("holds nothing at {}; write", secret("missing")),
        format!("holds nothing at {}; write", secret("empty")),
        "not a flat JSON object of text fields".into(),
        "not a flat JSON object of text fields".into(),
        format!("{} does not fit: privateApiKey is required", secret("partial")),
        "has an unknown field".into(),
        "apiKey is required".into(),
    ]) {
        let text = row["reason"].as_str().unwrap();
        assert!(text.contains(&reason), "{reason}: {text}");
    }
    assert!(!format!("{told:?}{refused:?}").contains("canary"));
    assert_eq!(writes(&app), 0);
    assert_eq!(app.database().await.count("SELECT COUNT(*) FROM connections").await, 0);
    app.settled().await;
}

/// Killed while it reads, or when it has read: nothing had happened, and the next run adopts.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn an_adoption_cut_short_did_not_happen(
    #[values(Db::Sqlite, Db::Postgres)] db: Db,
    #[values(Fault::HoldCall, Fault::HoldAnswer)] at: Fault,
) {
    let app = TestApp::with(db, Store::Moto, &[("KEYBROKER_STORE_TIMEOUT", "1s")]).await;
    let theirs = make(&app, "vapi", THEIRS).await;
    let rows = Rows::of(&[adopted(&app.org, "vapi")]);
    app.aws().fail("GetSecretValue", usize::MAX, at);
    let mut process = rows.command(&app, &[]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    app.aws().held().await;
    process.kill().unwrap();
    process.wait().unwrap();
    app.aws().release();
    assert_eq!(app.history("vapi").await, []);
    assert_eq!(app.database().await.intents().await, 1);

    rows.import(&app, &[]).expect(0, &["1 adopted"]);
    app.settled().await;
    assert_eq!(app.history("vapi").await, [event("created", &theirs)]);
    assert_eq!(app.private_key().await, "sk-theirs-0123456789");
    assert_eq!(writes(&app), 0);
}

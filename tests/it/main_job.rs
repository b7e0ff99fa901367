//! The main job: store, read, replace, roll back, disconnect, on every database and store.

use rstest::rstest;
use serde_json::json;

use crate::support::{Db, Store, TestApp, app::vapi};

#[rstest]
#[case::embedded(Db::Sqlite, Store::Local)]
#[case::at_scale(Db::Postgres, Store::Moto)]
#[case::dev_stack(Db::Postgres, Store::LocalStack)]
#[case::postgres_and_local(Db::Postgres, Store::Local)]
#[case::sqlite_and_aws(Db::Sqlite, Store::Moto)]
#[tokio::test]
async fn a_connections_whole_life(#[case] db: Db, #[case] store: Store) {
    let app = TestApp::new(db, store).await;
    let path = app.path("vapi");

    let created = app.put_vapi("sk-first-0123456789").await.expect(201);
    let first = created.version();
    let body = created.json();
    assert_eq!(body["status"], "active");
    assert_eq!(body["source"], "managed");
    assert_eq!(body["version"], first);
    assert_eq!(body["secret_name"], format!("tenant/{}/vapi", app.org));
    assert_eq!(body["fields"], json!({"publicApiKey": {"value": "pk"}, "privateApiKey": {"hint": "…6789"}}));
    assert_eq!(app.private_key().await, "sk-first-0123456789");

    let replaced = app.put_vapi("sk-second-0123456789").await.expect(200);
    assert_ne!(replaced.version(), first);
    assert_eq!(app.private_key().await, "sk-second-0123456789");
    let same = app.put_vapi("sk-second-0123456789").await.expect(200);
    assert_eq!(same.version(), replaced.version());

    let previous = app.get(&format!("{path}/credentials?version=previous")).send().await.expect(200);
    assert_eq!(previous.json()["credentials"]["privateApiKey"], "sk-first-0123456789");
    assert_eq!(previous.version(), first);

    let rolled_back = app.post(&format!("{path}/rollback")).send().await.expect(200);
    assert!(![first.clone(), replaced.version()].contains(&rolled_back.version()));
    assert_eq!(app.private_key().await, "sk-first-0123456789");

    app.delete(&path).send().await.expect(204);
    app.read("vapi").await.expect_problem(404, "not_found");
    app.get(&format!("{path}/credentials?version=previous")).send().await.expect_problem(404, "not_found");
    app.post(&format!("{path}/rollback")).send().await.expect_problem(409, "conflict");
    let gone = app.get(&path).send().await.expect(200);
    assert_eq!(gone.json()["status"], "disconnected");
    assert_eq!(gone.json()["fields"], json!({}));
    app.delete(&path).send().await.expect(204);

    let again = app.put(&path).json(&vapi("sk-third-0123456789")).send().await.expect(200);
    assert_eq!(again.json()["status"], "active");
    assert_eq!(app.private_key().await, "sk-third-0123456789");
    app.get(&format!("{path}/credentials?version=previous")).send().await.expect_problem(404, "not_found");

    let types: Vec<_> = app.history("vapi").await.into_iter().map(|(r#type, _)| r#type).collect();
    let expected = ["created", "updated", "unchanged", "rolled_back", "disconnected", "updated"];
    assert_eq!(types, expected.map(|r#type| format!("connection.{type}")));
    app.get("/readyz").send().await.expect(200);
}

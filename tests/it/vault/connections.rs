//! Connections of an organization that has a vault: made without keys, tried, reported, disconnected.

use std::time::Duration;

use hyper::Method;
use rstest::rstest;
use serde_json::json;

use super::{
    IN_VAULT, MANAGED, PRIVATE, PUBLIC, QUIET, both, enable, enable_for, put, quiet, vault, with_vapi,
};
use crate::{
    support::{
        Db, Store, TestApp,
        app::vapi,
        fake_vault::FakeVault,
        provider::{self, Treatment, asked, treat},
        services::secretsmanager_as_keybroker,
        until,
    },
    verification::fresh_key,
};

#[tokio::test]
async fn without_a_vault_keys_are_required() {
    let app = quiet(Db::Sqlite, Store::Local, &[]).await;
    let refused = app.put(&app.path("vapi")).json(&json!({"provider": "vapi"})).send().await;
    let refused = refused.expect_problem(422, "invalid_credentials").json();
    assert_eq!(refused["errors"][0]["field"], "credentials");
    app.get(&app.path("vapi")).send().await.expect_problem(404, "not_found");
}

/// From its making to its end it leaves nothing in the store, and asks it nothing.
#[rstest]
#[case(Db::Postgres, Store::Moto)]
#[case(Db::Sqlite, Store::Local)]
#[tokio::test]
async fn a_connection_without_keys_is_never_in_the_store(#[case] db: Db, #[case] store: Store) {
    let app = quiet(db, store, &[]).await;
    let function = with_vapi().await;
    enable(&app, &function).await;
    let path = app.path("vapi");
    let calls = || app.aws.as_ref().map(|aws| aws.calls().len());
    let before = calls();
    let body = json!({"provider": "vapi", "label": "Main"});
    let made = app.put(&path).json(&body).send().await.expect(201);
    let state = made.json();
    assert_eq!((&state["source"], &state["status"]), (&json!("customer_vault"), &json!("active")));
    assert_eq!((&state["fields"], &state["label"]), (&json!({}), &json!("Main")));
    let again = app.put(&path).json(&json!({})).send().await.expect(200);
    assert_eq!(again.version(), made.version(), "the same again is no new version");
    app.put(&path).json(&json!({"provider": "openai"})).send().await.expect_problem(409, "conflict");
    let create_only = app.put(&path).header("if-none-match", "*").json(&body).send().await;
    create_only.expect_problem(412, "precondition_failed");
    assert_eq!(calls(), before);

    let keys = vault(&app, Method::GET, "/keys").send().await.expect(200);
    assert!(keys.text.contains(PUBLIC) && keys.text.contains(PRIVATE), "{}", keys.text);
    assert_eq!(app.private_key().await, IN_VAULT);

    let before = calls();
    app.delete(&path).send().await.expect(204);
    app.read("vapi").await.expect_problem(404, "not_found");
    assert_eq!(calls(), before, "there was nothing to erase");
    assert!(!vault(&app, Method::GET, "/keys").send().await.text.contains(PRIVATE));
    if store == Store::Moto {
        let secret = format!("tenant/{}/vapi", app.org);
        let missing = secretsmanager_as_keybroker(&["get-secret-value", "--secret-id", &secret]).await;
        assert!(missing.unwrap_err().contains("ResourceNotFoundException"));
    }
    let types: Vec<_> = app.history("vapi").await.into_iter().map(|(r#type, _)| r#type).collect();
    assert_eq!(types, ["connection.created", "connection.disconnected"]);
    app.put(&path).json(&body).send().await.expect(200);
    assert_eq!(app.private_key().await, IN_VAULT, "connected again");
}

/// Without the vault it has no keys, until it gets some of its own.
#[rstest]
#[case(Db::Postgres, Store::Moto)]
#[case(Db::Sqlite, Store::Local)]
#[tokio::test]
async fn a_connection_made_for_the_vault_outlives_it(#[case] db: Db, #[case] store: Store) {
    let app = quiet(db, store, &[]).await;
    let function = with_vapi().await;
    enable(&app, &function).await;
    app.put(&app.path("vapi")).json(&json!({"provider": "vapi"})).send().await.expect(201);
    assert_eq!(app.private_key().await, IN_VAULT);
    put(&app, &json!({"enabled": false})).await.expect(200);
    function.take_asked();
    app.read("vapi").await.expect_problem(404, "not_found");
    assert_eq!(app.get(&app.path("vapi")).send().await.expect(200).json()["status"], "disconnected");
    let verify = app.post(&format!("{}/verify", app.path("vapi"))).send().await;
    verify.expect_problem(404, "not_found");
    assert!(function.take_asked().is_empty());

    app.put_vapi(MANAGED).await.expect(200);
    assert_eq!(app.private_key().await, MANAGED);
    let nothing = app.post(&format!("{}/rollback", app.path("vapi"))).send().await;
    nothing.expect_problem(409, "conflict");
    put(&app, &json!({"enabled": true})).await.expect(200);
    assert_eq!(app.private_key().await, IN_VAULT);
    put(&app, &json!({"enabled": false})).await.expect(200);
    assert_eq!(app.private_key().await, MANAGED);
}

#[tokio::test]
async fn managed_keys_are_not_written_while_the_vault_is_enabled() {
    let (app, function) = both(Db::Postgres, Store::Moto, &[]).await;
    let before = app.history("vapi").await;
    app.put_vapi("sk-other-0123456789").await.expect_problem(409, "conflict");
    app.put(&app.path("new")).json(&vapi("sk-other-0123456789")).send().await.expect_problem(409, "conflict");
    let rollback = app.post(&format!("{}/rollback", app.path("vapi"))).send().await;
    rollback.expect_problem(409, "conflict");
    assert_eq!(app.history("vapi").await, before);
    // What only changes the label says nothing of keys.
    let labelled = app.put(&app.path("vapi")).json(&json!({"label": "Main"})).send().await.expect(200);
    assert_eq!(labelled.json()["label"], "Main");
    put(&app, &json!({"enabled": false})).await.expect(200);
    assert_eq!(app.private_key().await, MANAGED);

    put(&app, &json!({"enabled": true})).await.expect(200);
    app.delete(&app.path("vapi")).send().await.expect(204);
    function.take_asked();
    app.read("vapi").await.expect_problem(404, "not_found");
    assert!(function.take_asked().is_empty(), "a disconnected one is not asked for");
    put(&app, &json!({"enabled": false})).await.expect(200);
    app.read("vapi").await.expect_problem(404, "not_found");
}

/// The provider sees what the vault holds, and the connection is judged by that.
#[tokio::test]
async fn keys_in_the_vault_are_the_ones_that_are_tried() {
    let app = quiet(Db::Sqlite, Store::Local, &[]).await;
    let (managed, in_vault) = (fresh_key(), fresh_key());
    app.put_vapi(&managed).await.expect(201);
    let tried = asked(&managed).len();
    let function = FakeVault::with(&[(PUBLIC, "pk"), (PRIVATE, &in_vault)]).await;
    enable(&app, &function).await;
    let verify = async || app.post(&format!("{}/verify", app.path("vapi"))).send().await;
    let state = async || app.get(&app.path("vapi")).send().await.expect(200).json();

    assert_eq!(verify().await.expect(200).json()["outcome"], "valid");
    assert_eq!(asked(&in_vault)[0].headers["authorization"], format!("Bearer {in_vault}"));
    treat(&in_vault, Treatment::Refuse);
    let report = app.post(&format!("{}/report", app.path("vapi"))).json(&json!({"upstream_status": 401}));
    assert_eq!(report.send().await.expect(202).json()["source"], "customer_vault");
    until("the report is looked into", async || (state().await["status"] == "needs_reconnect").then_some(()))
        .await;
    provider::take(&in_vault);
    assert_eq!(verify().await.expect(200).json()["outcome"], "valid");
    assert_eq!(state().await["status"], "active");
    function.set(PRIVATE, "");
    verify().await.expect_problem(502, "vault_key_missing");
    assert_eq!(state().await["status"], "active", "nothing was said of the key");
    assert_eq!(asked(&managed).len(), tried, "the key in the store was not tried");
}

/// What a provider said of the vault's key is not held against the one in the store.
#[tokio::test]
async fn the_other_keys_are_tried_after_a_change() {
    let app = TestApp::with(Db::Sqlite, Store::Local, &[("KEYBROKER_VERIFY_EVERY", "1h")]).await;
    let (managed, in_vault) = (fresh_key(), fresh_key());
    app.put_vapi(&managed).await.expect(201);
    treat(&in_vault, Treatment::Refuse);
    let function = FakeVault::with(&[(PUBLIC, "pk"), (PRIVATE, &in_vault)]).await;
    enable(&app, &function).await;
    let becomes = async |status: &str| {
        until(status, async || {
            let state = app.get(&app.path("vapi")).send().await.expect(200).json();
            (state["status"] == status).then_some(())
        })
        .await;
    };
    becomes("needs_reconnect").await;
    put(&app, &json!({"enabled": false})).await.expect(200);
    becomes("active").await;
}

/// What has no keys at present is no trouble, however often it comes up.
#[tokio::test]
async fn the_schedule_passes_over_what_has_no_keys() {
    let app = TestApp::with(Db::Sqlite, Store::Local, &[("KEYBROKER_VERIFY_EVERY", "1s")]).await;
    let function = with_vapi().await;
    enable(&app, &function).await;
    app.put(&app.path("vapi")).json(&json!({})).send().await.expect(201);
    put(&app, &json!({"enabled": false})).await.expect(200);
    let key = fresh_key();
    app.put(&app.path("other")).json(&vapi(&key)).send().await.expect(201);
    let tried = asked(&key).len();
    until("the schedule has come by", async || (asked(&key).len() > tried + 1).then_some(())).await;
    assert!(!app.log().contains("a key could not be tried"));
}

/// What a provider says late, when the keys in the store are already back, is not kept for those.
#[rstest]
#[case::sqlite(Db::Sqlite)]
#[case::postgres(Db::Postgres)]
#[tokio::test]
async fn a_late_answer_is_not_kept_for_the_other_keys(#[case] db: Db) {
    let app = quiet(db, Store::Local, &[]).await;
    let in_vault = fresh_key();
    app.put_vapi(&fresh_key()).await.expect(201);
    let function = FakeVault::with(&[(PUBLIC, "pk"), (PRIVATE, &in_vault)]).await;
    enable(&app, &function).await;
    let before = app.get(&app.path("vapi")).send().await.expect(200).json()["verified_at"].clone();
    treat(&in_vault, Treatment::Slow(Duration::from_secs(2)));
    let verify = app.post(&format!("{}/verify", app.path("vapi"))).send();
    let disable = async {
        until("the provider is asked", async || (!asked(&in_vault).is_empty()).then_some(())).await;
        put(&app, &json!({"enabled": false})).await.expect(200);
    };
    let (verified, ()) = tokio::join!(verify, disable);
    assert_eq!(verified.expect(200).json()["outcome"], "valid");
    assert_eq!(app.get(&app.path("vapi")).send().await.expect(200).json()["verified_at"], before);
    let types: Vec<_> = app.history("vapi").await.into_iter().map(|(r#type, _)| r#type).collect();
    assert_eq!(types, ["connection.created"]);
}

#[tokio::test]
async fn oauth_providers_stay_managed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("oauth.toml");
    let entry = "[providers.crm]\ndisplay_name = 'CRM'\ncategory = 'workflow_connection'\noauth = true\n\
                 [[providers.crm.fields]]\nname = 'accessToken'\nlabel = 'Access token'\nrequired = true\n";
    std::fs::write(&file, format!("{}{entry}", provider::file())).unwrap();
    let settings = [QUIET, ("KEYBROKER_PROVIDERS_FILE", file.to_str().unwrap())];
    let app = TestApp::with(Db::Sqlite, Store::Local, &settings).await;
    let function = FakeVault::with(&[]).await;
    enable(&app, &function).await;
    let body = |token: &str| json!({"provider": "crm", "credentials": {"accessToken": token}});
    app.put(&app.path("crm"))
        .json(&json!({"provider": "crm"}))
        .send()
        .await
        .expect_problem(422, "invalid_credentials");
    app.put(&app.path("crm")).json(&body("at-first")).send().await.expect(201);
    app.put(&app.path("crm")).json(&body("at-second")).send().await.expect(200);
    let read = app.read("crm").await.expect(200).json();
    assert_eq!(
        (&read["source"], &read["credentials"]["accessToken"]),
        (&json!("managed"), &json!("at-second"))
    );
    app.post(&format!("{}/rollback", app.path("crm"))).send().await.expect(200);
    assert_eq!(app.read("crm").await.json()["credentials"]["accessToken"], "at-first");
    let previous = format!("{}/credentials?version=previous", app.path("crm"));
    assert_eq!(app.get(&previous).send().await.expect(200).json()["credentials"]["accessToken"], "at-second");
    assert_eq!(vault(&app, Method::GET, "/keys").send().await.expect(200).json()["keys"], json!([]));
    assert!(function.take_asked().is_empty());
}

/// One organization's vault is nothing to another.
#[tokio::test]
async fn other_organizations_are_not_concerned() {
    let (app, function) = both(Db::Postgres, Store::Local, &[]).await;
    let other = format!("{}-b", app.org);
    let path = format!("/v1/orgs/{other}/connections/vapi");
    app.put(&path).json(&vapi("sk-of-the-other-0123456789")).send().await.expect(201);
    let read = async || app.get(&format!("{path}/credentials")).send().await.expect(200).json();
    assert_eq!(read().await["credentials"]["privateApiKey"], "sk-of-the-other-0123456789");
    assert!(function.take_asked().is_empty());

    let theirs = FakeVault::with(&[(PUBLIC, "pk"), (PRIVATE, "sk-in-their-vault")]).await;
    enable_for(&app, &other, &theirs).await;
    assert_eq!(read().await["credentials"]["privateApiKey"], "sk-in-their-vault");
    assert_eq!(app.private_key().await, IN_VAULT);
    assert_eq!((theirs.take_asked().len(), function.take_asked().len()), (1, 1));
    let of_other = crate::vault::of(&app, &other, Method::DELETE, "");
    of_other.send().await.expect(204);
    assert_eq!(app.private_key().await, IN_VAULT);
}

/// The vault's own secret is no connection, however one asks for it.
#[tokio::test]
async fn the_reserved_name_is_refused() {
    let (app, _function) = both(Db::Sqlite, Store::Local, &[]).await;
    let path = app.path("_vault");
    for (method, path) in [
        (Method::GET, path.clone()),
        (Method::PUT, path.clone()),
        (Method::DELETE, path.clone()),
        (Method::GET, format!("{path}/credentials")),
        (Method::GET, format!("{path}/credentials?version=previous")),
        (Method::POST, format!("{path}/verify")),
        (Method::POST, format!("{path}/report")),
        (Method::POST, format!("{path}/rollback")),
        (Method::GET, app.path("%5Fvault")),
        (Method::GET, format!("/v1/orgs/{}/events?connection=_vault", app.org)),
    ] {
        let call = app.call(method, &path).token(&app.root).json(&vapi("x"));
        call.send().await.expect_problem(400, "invalid_request");
    }
    let list = app.get(&format!("/v1/orgs/{}/connections", app.org)).send().await.expect(200);
    assert_eq!(list.json()["connections"].as_array().unwrap().len(), 1, "{}", list.text);
}

//! What an organization's admin does, in that order, with the template really running.

use hyper::Method;
use rstest::rstest;
use serde_json::{Value, json};

use super::{IN_VAULT, MANAGED, PRIVATE, PUBLIC, event_types, events, make_token, put, quiet, shown, vault};
use crate::support::{Db, Store, TestApp, services::secretsmanager, vault::VaultFunction};

async fn test(app: &TestApp) -> Value {
    vault(app, Method::POST, "/test").send().await.expect(200).json()
}

/// A refusal to enable, after which everything is as it was.
async fn enabling_is_refused(app: &TestApp, status: u16, code: &str) {
    let before = shown(app).await;
    put(app, &json!({"enabled": true})).await.expect_problem(status, code);
    let after = shown(app).await;
    assert_eq!(after["enabled"], false);
    assert_eq!((&after["url"], &after["token_hint"]), (&before["url"], &before["token_hint"]));
    assert_eq!(app.private_key().await, MANAGED);
}

#[rstest]
#[case(Db::Sqlite, Store::Local)]
#[case(Db::Postgres, Store::Moto)]
#[tokio::test]
async fn from_the_template_to_the_vault_and_back(#[case] db: Db, #[case] store: Store) {
    let app = quiet(db, store, &[]).await;
    let managed = app.put_vapi(MANAGED).await.expect(201).version();

    let template = app.get("/v1/vault/template").send().await.expect(200);
    let disposition = "attachment; filename=\"secret-vault-lambda.mjs\"";
    assert_eq!(template.header("content-disposition"), Some(disposition));
    assert_eq!(template.text, include_str!("../../../vault/secret-vault-lambda.mjs"));

    vault(&app, Method::GET, "").send().await.expect_problem(404, "not_found");
    vault(&app, Method::DELETE, "").send().await.expect_problem(404, "not_found");
    let keys = vault(&app, Method::GET, "/keys").send().await.expect(200).json();
    let names: Vec<_> = keys["keys"].as_array().unwrap().iter().map(|key| &key["key"]).collect();
    assert_eq!(names, [PUBLIC, PRIVATE]);

    let function = VaultFunction::deploy(&[]).await;
    let url = format!("http://{}/", function.address);
    put(&app, &json!({"enabled": true})).await.expect_problem(409, "conflict");
    put(&app, &json!({"url": url, "enabled": true})).await.expect_problem(409, "conflict");
    vault(&app, Method::GET, "").send().await.expect_problem(404, "not_found");
    put(&app, &json!({"url": url, "enabled": false})).await.expect(200);
    assert_eq!(
        shown(&app).await,
        json!({"enabled": false, "url": url, "token_hint": null, "last_test": null})
    );
    vault(&app, Method::POST, "/test").send().await.expect_problem(409, "conflict");

    let token = make_token(&app, &app.org).await;
    assert!(token.len() >= 32, "the template takes no shorter one");
    let now = shown(&app).await;
    assert_eq!(now["token_hint"], format!("…{}", &token[token.len() - 4..]));
    assert!(!now.to_string().contains(&token), "shown once");

    let refused = test(&app).await;
    assert_eq!((&refused["outcome"], &refused["missing_keys"]), (&json!("unauthorized"), &json!([])));
    assert!(refused["detail"].as_str().unwrap().contains("AUTH_TOKEN"), "{refused}");
    enabling_is_refused(&app, 502, "vault_unauthorized").await;

    function.set(&[("AUTH_TOKEN", &token), (PUBLIC, "pk-in-the-vault")]).await;
    let lacking = test(&app).await;
    assert_eq!((&lacking["outcome"], &lacking["missing_keys"]), (&json!("ok"), &json!([PRIVATE])));
    function.set(&[("AUTH_TOKEN", &token), (PUBLIC, "pk-in-the-vault"), (PRIVATE, IN_VAULT)]).await;
    let good = test(&app).await;
    assert_eq!((&good["outcome"], &good["missing_keys"]), (&json!("ok"), &json!([])));
    let size = ["AUTH_TOKEN", &token, PUBLIC, "pk-in-the-vault", PRIVATE, IN_VAULT].concat().len();
    assert_eq!(good["environment_bytes"], size);
    assert_eq!(shown(&app).await["last_test"]["outcome"], "ok");

    let enabled = put(&app, &json!({"enabled": true})).await.expect(200).json();
    assert_eq!((&enabled["enabled"], &enabled["url"]), (&json!(true), &json!(url)));
    assert_eq!(enabled["last_test"]["outcome"], "ok");
    let read = app.read("vapi").await.expect(200);
    assert_eq!(read.header("cache-control"), Some("no-store"));
    let body = read.json();
    assert_eq!((&body["provider"], &body["source"]), (&json!("vapi"), &json!("customer_vault")));
    let keys = json!({"publicApiKey": "pk-in-the-vault", "privateApiKey": IN_VAULT});
    assert_eq!(body["credentials"], keys);
    assert_eq!(app.get(&app.path("vapi")).send().await.expect(200).json()["source"], "customer_vault");

    put(&app, &json!({"enabled": false})).await.expect(200);
    let back = app.read("vapi").await.expect(200);
    assert_eq!((back.version(), &back.json()["source"]), (managed.clone(), &json!("managed")));
    assert_eq!(app.private_key().await, MANAGED);
    let connection = app.get(&app.path("vapi")).send().await.expect(200);
    assert_eq!((connection.version(), &connection.json()["source"]), (managed, &json!("managed")));

    vault(&app, Method::DELETE, "").send().await.expect(204);
    vault(&app, Method::GET, "").send().await.expect_problem(404, "not_found");
    vault(&app, Method::DELETE, "").send().await.expect_problem(404, "not_found");
    assert_eq!(app.private_key().await, MANAGED);
    if store == Store::Moto {
        assert_eq!(stages(&app).await, ["{}", "{}"], "the token is in neither stage");
    }

    let expected = [
        "vault.token_created",
        "vault.tested",
        "vault.tested",
        "vault.tested",
        "vault.tested",
        "vault.tested",
        "vault.enabled",
        "vault.disabled",
    ];
    assert_eq!(event_types(&app).await, expected);
}

/// What is at AWSCURRENT and AWSPREVIOUS of the secret that holds the URL and the token.
async fn stages(app: &TestApp) -> Vec<Value> {
    let secret = format!("tenant/{}/_vault", app.org);
    let mut values = Vec::new();
    for stage in ["AWSCURRENT", "AWSPREVIOUS"] {
        let arguments = ["get-secret-value", "--secret-id", &secret, "--version-stage", stage];
        values.push(secretsmanager(&arguments).await["SecretString"].clone());
    }
    values
}

#[tokio::test]
async fn enabling_is_refused_while_the_function_does_not_work() {
    let app = quiet(Db::Sqlite, Store::Local, &[]).await;
    app.put_vapi(MANAGED).await.expect(201);
    let token = make_token(&app, &app.org).await;
    let function = crate::support::fake_vault::FakeVault::with(&[]).await;
    put(&app, &json!({"url": function.url(), "enabled": false})).await.expect(200);
    enabling_is_refused(&app, 502, "vault_unauthorized").await;
    assert_eq!(shown(&app).await["last_test"]["outcome"], "unauthorized");
    function.set_token(&token);
    let gibberish = crate::support::fake_vault::answer(500, "text/html", "<html>");
    function.conduct(crate::support::fake_vault::Conduct::Bytes(gibberish));
    enabling_is_refused(&app, 502, "vault_bad_response").await;
    assert_eq!(shown(&app).await["last_test"]["outcome"], "bad_response");
    drop(function);
    enabling_is_refused(&app, 502, "vault_unreachable").await;
    assert_eq!(shown(&app).await["last_test"]["outcome"], "unreachable");
    assert!(!event_types(&app).await.contains(&"vault.enabled".to_owned()));
}

/// Each change to a vault is told with who made it.
#[tokio::test]
async fn events_name_their_actors() {
    let app = quiet(Db::Postgres, Store::Local, &[]).await;
    let function = super::with_vapi().await;
    let scopes = [keybroker::domain::access::Scope::VaultWrite];
    let body = json!({"name": "admin", "scopes": scopes, "orgs": [app.org]});
    let made = app.post("/v1/tokens").json(&body).send().await.expect(201).json();
    let admin = made["token"].as_str().unwrap();
    let path = |rest: &str| format!("/v1/orgs/{}/vault{rest}", app.org);
    let token = app.call(Method::POST, &path("/token")).token(admin).send().await.expect(201).json();
    function.set_token(token["token"].as_str().unwrap());
    let set = |enabled| json!({"url": function.url(), "enabled": enabled});
    app.call(Method::PUT, &path("")).token(admin).json(&set(true)).send().await.expect(200);
    // The same again is tested again, and enables nothing that was not.
    app.call(Method::PUT, &path("")).token(admin).json(&set(true)).send().await.expect(200);
    app.call(Method::DELETE, &path("")).token(admin).send().await.expect(204);
    let expected = ["vault.token_created", "vault.tested", "vault.enabled", "vault.tested", "vault.disabled"];
    let events = events(&app).await;
    assert_eq!(events.iter().map(|(r#type, _)| r#type.as_str()).collect::<Vec<_>>(), expected);
    for (r#type, actor) in events {
        assert_eq!((&actor["type"], &actor["id"]), (&json!("token"), &made["id"]), "{type}");
    }
}

//! Readers of keys in a vault.

use hyper::Method;
use rstest::rstest;
use serde_json::json;

use super::{IN_VAULT, PRIVATE, PUBLIC, both, enable, quiet, vault};
use crate::support::{Db, Store, fake_vault::FakeVault};

#[rstest]
#[case(Db::Sqlite, Store::Local)]
#[case(Db::Postgres, Store::Moto)]
#[tokio::test]
async fn each_read_asks_once_and_the_store_never(#[case] db: Db, #[case] store: Store) {
    let (app, function) = both(db, store, &[]).await;
    // The first read looks up where the vault is, and so does the first after the change was heard of.
    app.caught_up().await;
    app.read("vapi").await.expect(200);
    let calls = || app.aws.as_ref().map(|aws| aws.calls().len());
    let before = calls();
    function.take_asked();
    for _ in 0..5 {
        assert_eq!(app.private_key().await, IN_VAULT);
    }
    let asked = function.take_asked();
    assert_eq!(asked.len(), 5);
    for one in &asked {
        assert_eq!((one.method.as_str(), one.path.as_str()), ("POST", "/"));
        assert_eq!(one.keys, [PUBLIC, PRIVATE], "all that the connection needs, at once");
        assert_eq!(one.connection, asked[0].connection, "the connection is used again");
    }
    function.set(PRIVATE, "sk-replaced-0123456789");
    assert_eq!(app.private_key().await, "sk-replaced-0123456789", "at the very next read");
    let concurrent: Vec<_> = (0..10).map(|_| app.read("vapi")).collect();
    for reply in futures_util::future::join_all(concurrent).await {
        reply.expect(200);
    }
    assert_eq!(function.take_asked().len(), 11, "readers at the same time share nothing");
    assert_eq!(calls(), before, "the store was left alone");
}

/// Also where nothing at all is kept in memory.
#[tokio::test]
async fn without_a_cache_it_is_no_different() {
    let (app, function) = both(Db::Sqlite, Store::Local, &[("KEYBROKER_CACHE_TTL", "0s")]).await;
    for number in 1..=3 {
        assert_eq!(app.private_key().await, IN_VAULT);
        assert_eq!(function.take_asked().len(), 1, "read {number}");
    }
    let read = app.get(&format!("{}/credentials", app.path("vapi"))).header("cache-control", "no-cache");
    read.send().await.expect(200);
    assert_eq!(function.take_asked().len(), 1);
}

#[tokio::test]
async fn the_version_follows_the_key() {
    let (app, function) = both(Db::Sqlite, Store::Local, &[]).await;
    let path = format!("{}/credentials", app.path("vapi"));
    let version = app.read("vapi").await.expect(200).version();
    assert_eq!(app.read("vapi").await.version(), version, "the same for the same keys");
    let held = || app.get(&path).header("if-none-match", &format!("\"{version}\"")).send();
    function.take_asked();
    let same = held().await.expect(304);
    assert_eq!((same.text.as_str(), same.version()), ("", version.clone()));
    assert_eq!(same.header("cache-control"), Some("no-store"));
    assert_eq!(function.take_asked().len(), 1, "only the function knows");

    function.set(PRIVATE, "sk-replaced-0123456789");
    let changed = held().await.expect(200);
    assert_ne!(changed.version(), version);
    assert_eq!(changed.json()["version"], changed.version());
    function.set(PRIVATE, IN_VAULT);
    held().await.expect(304);
    app.get(&format!("{path}?version=previous")).send().await.expect_problem(404, "not_found");
    let ours = app.get(&app.path("vapi")).send().await.expect(200).version();
    assert_ne!(ours, version, "what is kept about the connection tells nothing of the key");
}

/// The log tells of reads of a vault as of any other.
#[tokio::test]
async fn reads_are_in_the_audit_log() {
    let (app, _function) = both(Db::Sqlite, Store::Local, &[]).await;
    let version = app.read("vapi").await.expect(200).version();
    app.read("vapi").await.expect(200);
    let page = format!("/v1/orgs/{}/events?type=credentials.read", app.org);
    crate::support::until("the read is told", async || {
        let events = app.get(&page).send().await.expect(200).json()["events"].clone();
        let read = events.as_array().unwrap().iter().find(|event| event["version"] == version)?.clone();
        (read["count"] == 2).then_some(())
    })
    .await;
}

/// One request for each connection's fields, by the names of its category.
#[tokio::test]
async fn names_follow_the_categories() {
    let app = quiet(Db::Sqlite, Store::Local, &[]).await;
    let expected = [
        ("openai-eu", "openai", json!({"apiKey": "ai_provider_openai_api_key"})),
        ("mail-1", "sendgrid", json!({"apiKey": "wf_conn_mail_1_token"})),
        ("help-bot", "telegram", json!({"botToken": "bot_channel_help_bot_token"})),
        (
            "team",
            "slack",
            json!({"botToken": "bot_channel_team_slack_bot_token", "signingSecret": "bot_channel_team_slack_signing_secret"}),
        ),
        ("vapi", "vapi", json!({"publicApiKey": PUBLIC, "privateApiKey": PRIVATE})),
        (
            "calls",
            "twilio",
            json!({"accountSid": "wf_conn_calls_token_accountSid", "authToken": "wf_conn_calls_token_authToken"}),
        ),
        ("own", "custom", json!({"token": "wf_conn_own_token"})),
    ];
    let function = FakeVault::with(&[]).await;
    enable(&app, &function).await;
    for (connection, provider, names) in &expected {
        let body = json!({"provider": provider});
        app.put(&app.path(connection)).json(&body).send().await.expect(201);
        for name in names.as_object().unwrap().values() {
            let name = name.as_str().unwrap();
            function.set(name, &format!("value of {name}"));
        }
    }
    let keys = vault(&app, Method::GET, "/keys").send().await.expect(200).json();
    let listed = keys["keys"].as_array().unwrap();
    for (connection, provider, names) in expected {
        let names = names.as_object().unwrap();
        for (field, name) in names {
            let key =
                listed.iter().find(|key| key["key"] == *name).unwrap_or_else(|| panic!("{name}: {keys}"));
            let of = (&key["connection"], &key["provider"], &key["field"]);
            assert_eq!(of, (&json!(connection), &json!(provider), &json!(field)));
            assert!(key["description"].as_str().unwrap().len() > 5, "{key}");
        }
        assert_eq!(listed.iter().filter(|key| key["connection"] == connection).count(), names.len());

        function.take_asked();
        let credentials = app.read(connection).await.expect(200).json()["credentials"].clone();
        for (field, name) in names {
            assert_eq!(credentials[field], format!("value of {}", name.as_str().unwrap()), "{connection}");
        }
        let asked = function.take_asked();
        assert_eq!(asked.len(), 1, "{connection}");
        assert_eq!(asked[0].keys.len(), names.len(), "{connection}: {:?}", asked[0].keys);
    }
    let used = keys["environment_bytes"].as_u64().unwrap();
    assert!(used > 300 && keys["environment_limit"] == 4_096, "{keys}");
}

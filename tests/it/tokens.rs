//! API tokens: none reaches beyond the one that made it, and each ends when it should.

mod elsewhere;

use std::time::Duration;

use hyper::Method;
use keybroker::domain::access::Scope;
use serde_json::{Value, json};

use crate::support::{TestApp, client::Reply};

/// What a token is answered that opens nothing.
async fn status(app: &TestApp, token: &str) -> u16 {
    app.call(Method::GET, "/v1/providers").token(token).send().await.status.as_u16()
}

/// Waits until a token is refused.
async fn refused_in_time(app: &TestApp, token: &str) {
    for _ in 0..200 {
        if status(app, token).await == 401 {
            let reply = app.call(Method::GET, "/v1/providers").token(token).send().await;
            let reply = reply.expect_problem(401, "unauthenticated");
            assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the token is still taken");
}

async fn create(app: &TestApp, maker: &str, scopes: &[Scope], orgs: &[&str]) -> Reply {
    let body = json!({"name": "made", "scopes": scopes, "orgs": orgs});
    app.call(Method::POST, "/v1/tokens").token(maker).json(&body).send().await
}

async fn revoke(app: &TestApp, by: &str, id: &str) -> Reply {
    app.call(Method::DELETE, &format!("/v1/tokens/{id}")).token(by).send().await
}

/// The ids that a token sees.
async fn seen(app: &TestApp, by: &str) -> Vec<String> {
    let list = app.call(Method::GET, "/v1/tokens").token(by).send().await.expect(200).json();
    let tokens = list["tokens"].as_array().unwrap();
    assert!(tokens.iter().all(|token| token.get("token").is_none() && token.get("hash").is_none()), "{list}");
    tokens.iter().map(|token| token["id"].as_str().unwrap().to_owned()).collect()
}

/// A token and its id.
fn made(reply: Reply) -> (String, String) {
    let body = reply.expect(201).json();
    let text = |field: &str| body[field].as_str().unwrap().to_owned();
    (text("token"), text("id"))
}

#[tokio::test]
async fn no_token_makes_one_that_reaches_more() {
    let app = TestApp::local().await;
    let mine = [Scope::TokensWrite, Scope::CredentialsRead];
    let maker = app.token(&mine, &["a", "b"]).await;
    for (scopes, orgs, status, code) in [
        (&[Scope::ConnectionsWrite][..], &["a"][..], 403, "missing_scope"),
        (&[Scope::CredentialsRead, Scope::EventsRead], &["a"], 403, "missing_scope"),
        (&Scope::ALL, &["*"], 403, "missing_scope"),
        (&[Scope::CredentialsRead], &["c"], 404, "not_found"),
        (&[Scope::CredentialsRead], &["a", "b", "c"], 404, "not_found"),
        (&[Scope::CredentialsRead], &["*"], 404, "not_found"),
        (&mine, &["*"], 404, "not_found"),
    ] {
        create(&app, &maker, scopes, orgs).await.expect_problem(status, code);
    }
    for (scopes, orgs) in [(&mine[..], &["a", "b"][..]), (&mine[..1], &["b"]), (&mine[1..], &["a"])] {
        let (token, _) = made(create(&app, &maker, scopes, orgs).await);
        assert_eq!(status(&app, &token).await, 200);
        // Nor does what it makes reach more than it does itself.
        let next = create(&app, &token, &Scope::ALL, &["a"]).await;
        next.expect_problem(403, "missing_scope");
    }
    let no_maker = app.token(&[Scope::CredentialsRead], &["a"]).await;
    create(&app, &no_maker, &[Scope::CredentialsRead], &["a"]).await.expect_problem(403, "missing_scope");
}

#[tokio::test]
async fn no_token_sees_or_revokes_one_that_reaches_more() {
    let app = TestApp::local().await;
    let mine = [Scope::TokensWrite, Scope::EventsRead];
    let (manager, own_id) = made(create(&app, &app.root, &mine, &["a", "b"]).await);
    let mut wider = Vec::new();
    for (scopes, orgs) in [
        (&[Scope::TokensWrite, Scope::ProxyUse][..], &["a"][..]),
        (&[Scope::EventsRead], &["c"]),
        (&[Scope::EventsRead], &["a", "c"]),
        (&[Scope::EventsRead], &["*"]),
        (&Scope::ALL, &["*"]),
    ] {
        wider.push(made(create(&app, &app.root, scopes, orgs).await));
    }
    let (narrower, narrower_id) = made(create(&app, &app.root, &[Scope::EventsRead], &["b"]).await);
    assert_eq!(seen(&app, &manager).await, [own_id.clone(), narrower_id.clone()]);

    let missing = revoke(&app, &manager, "01920000-0000-7000-8000-000000000001").await;
    let missing = missing.expect_problem(404, "not_found").json();
    for (token, id) in &wider {
        let refused = revoke(&app, &manager, id).await.expect_problem(404, "not_found");
        let with_id = |mut body: Value, id: &Value| {
            body["request_id"] = id.clone();
            body
        };
        let found = refused.json();
        assert_eq!(with_id(missing.clone(), &found["request_id"]), found, "as if there were none");
        assert_eq!(status(&app, token).await, 200, "it was not revoked");
    }

    revoke(&app, &manager, &narrower_id).await.expect(204);
    assert_eq!(status(&app, &narrower).await, 401, "at once");
    revoke(&app, &manager, &narrower_id).await.expect_problem(404, "not_found");
    revoke(&app, &manager, &own_id).await.expect(204);
    assert_eq!(status(&app, &manager).await, 401, "its own, too");
    let all = seen(&app, &app.root).await;
    assert!(wider.iter().all(|(_, id)| all.contains(id)) && !all.contains(&own_id), "{all:?}");
}

#[tokio::test]
async fn making_and_revoking_is_in_the_audit_log_of_each_organization() {
    let app = TestApp::local().await;
    let (_, id) = made(create(&app, &app.root, &[Scope::EventsRead], &["a", "b"]).await);
    revoke(&app, &app.root, &id).await.expect(204);
    for org in ["a", "b"] {
        let log = app.get(&format!("/v1/orgs/{org}/events")).send().await.expect(200).json();
        let events = log["events"].as_array().unwrap();
        let types: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
        assert_eq!(types, ["token.revoked", "token.created"], "{log}");
        for event in events {
            assert_eq!(event["token"], id, "{log}");
            assert_eq!(event["actor"]["type"], "token");
            assert!(event["request_id"].is_string() && event["actor"]["id"] != id, "{log}");
        }
    }
}

#[tokio::test]
async fn a_token_ends_when_it_was_said_to() {
    let app = TestApp::local().await;
    let body = |seconds: u64| json!({"name": "short", "scopes": ["events:read"], "orgs": ["a"], "expires_in": seconds});
    let reply = app.post("/v1/tokens").json(&body(1)).send().await;
    assert!(reply.json()["expires_at"].is_string(), "{}", reply.text);
    let (short, _) = made(reply);
    let (long, _) = made(app.post("/v1/tokens").json(&body(3_600)).send().await);
    // Remembered before it ends, so that what is remembered must end too.
    assert_eq!(status(&app, &long).await, 200);
    let _ = status(&app, &short).await;
    refused_in_time(&app, &short).await;
    assert_eq!(status(&app, &long).await, 200);
}

#[tokio::test]
async fn tokens_can_be_told_by_their_form() {
    let app = TestApp::local().await;
    let token = app.token(&[Scope::EventsRead], &["a"]).await;
    let rest = token.strip_prefix("kb_").unwrap();
    assert_eq!((token.len(), rest.bytes().all(|b| b.is_ascii_alphanumeric())), (52, true), "{token}");
    let (random, checksum) = token.split_at(46);
    let digits = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut value = u64::from(crc32fast::hash(random.as_bytes()));
    let mut expected = Vec::new();
    for _ in 0..6 {
        expected.insert(0, digits[usize::try_from(value % 62).unwrap()]);
        value /= 62;
    }
    assert_eq!(checksum.as_bytes(), expected, "a scanner computes the same checksum");
    assert_ne!(app.token(&[Scope::EventsRead], &["a"]).await, token);
}

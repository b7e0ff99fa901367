//! A whole session, compared with what the log tells of it.

use std::collections::BTreeMap;

use hyper::Method;
use keybroker::domain::access::Scope;
use rstest::rstest;
use serde_json::{Value, json};

use super::{events, reads, seal_all, verified};
use crate::support::{Db, Reply, Store, TestApp, app::vapi, until};

/// A token's id and the token.
async fn token(app: &TestApp, request: &str, scopes: &[Scope]) -> (String, String) {
    let body = json!({"name": request, "scopes": scopes, "orgs": [app.org]});
    let reply = app.post("/v1/tokens").header("x-request-id", request).json(&body).send().await;
    let reply = reply.expect(201).json();
    let text = |field: &str| reply[field].as_str().unwrap().to_owned();
    (text("id"), text("token"))
}

#[rstest]
#[case(Db::Sqlite, Store::Local)]
#[case(Db::Postgres, Store::Local)]
#[case(Db::Postgres, Store::Moto)]
#[tokio::test]
async fn the_log_tells_what_was_done(#[case] db: Db, #[case] store: Store) {
    let app = TestApp::new(db, store).await;
    let root = app.get("/v1/tokens").send().await.json()["tokens"][0]["id"].as_str().unwrap().to_owned();
    let path = app.path("vapi");
    let put = |request: &'static str, key: &str| {
        app.put(&path).header("x-request-id", request).json(&vapi(key)).send()
    };
    let (a, token_a) = token(&app, "r1", &[Scope::CredentialsRead]).await;
    let (b, token_b) = token(&app, "r2", &[Scope::CredentialsRead, Scope::ConnectionsWrite]).await;
    let get =
        |token: &str, query: &str| app.call(Method::GET, &format!("{path}/credentials{query}")).token(token);

    let first = put("r3", "sk-first-0123456789").await.expect(201).version();
    put("r4", "sk-first-0123456789").await.expect(200);
    for _ in 0..3 {
        get(&token_a, "").send().await.expect(200);
    }
    get(&token_b, "").send().await.expect(200);
    // None of these gives keys out.
    get(&token_a, "").header("if-none-match", &format!("\"{first}\"")).send().await.expect(304);
    get(&token_a, "?version=previous").send().await.expect_problem(404, "not_found");
    app.read("missing").await.expect_problem(404, "not_found");
    app.get(&path).send().await.expect(200);

    let second = put("r5", "sk-second-0123456789").await.expect(200).version();
    put("r6", "").await.expect_problem(422, "invalid_credentials");
    let previous = get(&token_a, "?version=previous").send().await.expect(200);
    assert_eq!(previous.version(), first);
    let held = format!("\"{first}\"");
    get(&token_a, "?version=previous").header("if-none-match", &held).send().await.expect(304);
    get(&token_b, "").header("cache-control", "no-cache").send().await.expect(200);
    let by_b = |call: crate::support::client::Call, request: &str| {
        call.token(&token_b).header("x-request-id", request).send()
    };
    let rolled_back: Reply =
        by_b(app.call(Method::POST, &format!("{path}/rollback")), "r7").await.expect(200);
    let third = rolled_back.version();
    get(&token_b, "").send().await.expect(200);
    by_b(app.call(Method::DELETE, &path), "r8").await.expect(204);
    get(&token_b, "").send().await.expect_problem(404, "not_found");
    let gone = app.get(&path).send().await.expect(200).version();
    let revoke = app.delete(&format!("/v1/tokens/{a}")).header("x-request-id", "r9");
    revoke.send().await.expect(204);

    let changes = [
        ("token.created", &root, None, Some(&a), "r1"),
        ("token.created", &root, None, Some(&b), "r2"),
        ("connection.created", &root, Some(&first), None, "r3"),
        ("connection.unchanged", &root, Some(&first), None, "r4"),
        ("connection.updated", &root, Some(&second), None, "r5"),
        ("connection.rolled_back", &b, Some(&third), None, "r7"),
        ("connection.disconnected", &b, Some(&gone), None, "r8"),
        ("token.revoked", &root, None, Some(&a), "r9"),
    ];
    let expected = changes.map(|(r#type, actor, version, token, request)| {
        let connection = version.map(|_| "vapi");
        json!([r#type, actor, connection, version, token, request, null])
    });
    let given = BTreeMap::from([
        ((a.clone(), first.clone()), 4),
        ((b.clone(), first), 1),
        ((b.clone(), second), 1),
        ((b, third), 1),
    ]);
    until("the reads are in the log", || async { (reads(&app).await == given).then_some(()) }).await;

    let mut told = events(&app, "limit=200").await;
    told.reverse();
    let told: Vec<Value> = told
        .iter()
        .filter(|event| event["type"] != "credentials.read")
        .map(|e| {
            let (r#type, actor, count) = (&e["type"], &e["actor"]["id"], &e["count"]);
            json!([r#type, actor, e["connection"], e["version"], e["token"], e["request_id"], count])
        })
        .collect();
    assert_eq!(told, expected);
    seal_all(&app).await;
    assert_eq!(reads(&app).await, given, "sealing changes no count");
    let all = events(&app, "limit=200").await;
    let last = all.iter().map(|event| event["sequence"].as_i64().unwrap()).max().unwrap();
    assert_eq!(usize::try_from(last).unwrap(), all.len(), "every event has its place");
    let said = verified(&app, &["--org", &app.org]);
    assert!(said.contains(&format!("events: {last}, open: 0, newest: {last} ")), "{said}");
}

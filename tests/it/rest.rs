//! The API's finer points: headers, conditions, lists, labels.

use serde_json::{Value, json};

use crate::support::{Reply, TestApp, app::vapi};

/// Status, headers and body, with what differs from run to run left out.
fn shape(reply: &Reply, app: &TestApp) -> String {
    let mut lines = vec![format!("{}", reply.status)];
    for name in ["content-type", "cache-control", "x-content-type-options", "etag", "x-request-id"] {
        lines.extend(reply.header(name).map(|value| format!("{name}: {value}")));
    }
    let body = if reply.text.is_empty() { String::new() } else { format!("{:#}", reply.json()) };
    let text = format!("{}\n{body}", lines.join("\n")).replace(&app.org, "ORG");
    let uuid = "[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}";
    let text = regex::Regex::new(uuid).unwrap().replace_all(&text, "UUID").into_owned();
    regex::Regex::new(r"\d{4}-\d\d-\d\dT[\d:.]+Z").unwrap().replace_all(&text, "TIME").into_owned()
}

#[tokio::test]
async fn answers_have_the_documented_form() {
    let app = TestApp::local().await;
    let mut body = vapi("sk-0123456789ab9f3c");
    body["label"] = "Main account".into();
    let created = app.put(&app.path("vapi")).json(&body).send().await;
    insta::assert_snapshot!("created", shape(&created, &app));
    insta::assert_snapshot!("credentials", shape(&app.read("vapi").await, &app));
    let list = app.get(&format!("/v1/orgs/{}/connections", app.org)).send().await;
    insta::assert_snapshot!("list", shape(&list, &app));
    let events = format!("/v1/orgs/{}/events?type=connection.created", app.org);
    let events = app.get(&events).header("x-request-id", "mine").send().await;
    let events =
        regex::Regex::new("[0-9a-f]{64}").unwrap().replace_all(&shape(&events, &app), "HASH").into_owned();
    let id = app.get("/v1/tokens").send().await.json()["tokens"][0]["id"].as_str().unwrap().to_owned();
    insta::assert_snapshot!("events", events.replace(&id, "TOKEN"));
    let providers = app.get("/v1/providers").send().await.expect(200).json();
    let vapi =
        providers["providers"].as_array().unwrap().iter().find(|p| p["name"] == "vapi").unwrap().clone();
    insta::assert_snapshot!("provider", format!("{vapi:#}"));
}

#[tokio::test]
async fn a_reader_that_has_the_version_gets_no_body() {
    let app = TestApp::local().await;
    let version = app.put_vapi("sk-first-0123456789").await.version();
    let path = format!("{}/credentials", app.path("vapi"));
    let held = |tags: &str| app.get(&path).header("if-none-match", tags).send();
    for tags in
        [&format!("\"{version}\""), &format!("W/\"{version}\""), &format!("\"x\", \"{version}\""), "*"]
    {
        let reply = held(tags).await.expect(304);
        assert_eq!((reply.text.as_str(), reply.version()), ("", version.clone()), "{tags}");
        assert_eq!(reply.header("cache-control"), Some("no-store"));
    }
    held("\"another\"").await.expect(200);
    app.put_vapi("sk-second-0123456789").await.expect(200);
    held(&format!("\"{version}\"")).await.expect(200);
}

#[tokio::test]
async fn conditions_guard_every_write() {
    let app = TestApp::local().await;
    let path = app.path("vapi");
    let put = |name: &str, value: &str| {
        app.put(&path).header(name, value).json(&vapi("sk-0123456789abcdef")).send()
    };
    put("if-match", "*").await.expect_problem(412, "precondition_failed");
    put("if-match", "\"x\"").await.expect_problem(412, "precondition_failed");
    let first = put("if-none-match", "*").await.expect(201).version();
    put("if-none-match", "*").await.expect_problem(412, "precondition_failed");
    put("if-match", &format!("W/\"{first}\"")).await.expect_problem(412, "precondition_failed");

    let second = app.put_vapi("sk-second-0123456789").await.version();
    let stale = format!("\"{first}\"");
    put("if-match", &stale).await.expect_problem(412, "precondition_failed");
    let rollback = format!("{path}/rollback");
    app.post(&rollback).header("if-match", &stale).send().await.expect_problem(412, "precondition_failed");
    app.delete(&path).header("if-match", &stale).send().await.expect_problem(412, "precondition_failed");
    assert_eq!(app.private_key().await, "sk-second-0123456789");

    let current = format!("\"x\", \"{second}\"");
    let third = app.post(&rollback).header("if-match", &current).send().await.expect(200).version();
    app.delete(&path).header("if-match", &format!("\"{third}\"")).send().await.expect(204);
    assert_eq!(app.history("vapi").await.len(), 4, "refused writes leave no event");
}

#[tokio::test]
async fn a_list_is_read_page_by_page() {
    let app = TestApp::local().await;
    let names = ["a", "B", "c-1", "vapi", "z_9"];
    for name in names {
        app.put(&app.path(name)).json(&vapi("sk-0123456789abcdef")).send().await.expect(201);
    }
    app.delete(&app.path("a")).send().await.expect(204);
    let mut seen = Vec::new();
    let mut page = format!("/v1/orgs/{}/connections?limit=2", app.org);
    loop {
        let body = app.get(&page).send().await.expect(200).json();
        let connections = body["connections"].as_array().unwrap().clone();
        assert!((1..=2).contains(&connections.len()));
        seen.extend(connections.iter().map(|c| (c["connection"].clone(), c["status"].clone())));
        let Value::String(cursor) = &body["next_cursor"] else { break };
        page = format!("/v1/orgs/{}/connections?limit=2&cursor={cursor}", app.org);
    }
    let mut expected =
        names.map(|name| (json!(name), json!(if name == "a" { "disconnected" } else { "active" })));
    expected.sort_by_key(|(name, _)| name.to_string());
    assert_eq!(seen, expected);
    let empty = app.get("/v1/orgs/nobody/connections").send().await.expect(200);
    assert_eq!(empty.json(), json!({"connections": [], "next_cursor": null}));
}

#[tokio::test]
async fn a_label_stays_until_it_is_changed() {
    let app = TestApp::local().await;
    let path = app.path("vapi");
    let put = |label: Option<Value>| {
        let mut body = vapi("sk-0123456789abcdef");
        if let Some(label) = label {
            body["label"] = label;
        }
        app.put(&path).json(&body).send()
    };
    let version = put(Some(json!("Main"))).await.expect(201).version();
    let kept = put(None).await.expect(200);
    assert_eq!((kept.json()["label"].clone(), kept.version()), (json!("Main"), version.clone()));
    let changed = put(Some(json!("Other"))).await.expect(200);
    assert_eq!((changed.json()["label"].clone(), changed.version()), (json!("Other"), version));
    assert_eq!(put(Some(Value::Null)).await.expect(200).json()["label"], Value::Null);
    let types: Vec<_> = app.history("vapi").await.into_iter().map(|(r#type, _)| r#type).collect();
    let expected = ["created", "unchanged", "updated", "updated"].map(|t| format!("connection.{t}"));
    assert_eq!(types, expected);
}

#[tokio::test]
async fn the_provider_is_found_where_it_is_clear() {
    let app = TestApp::local().await;
    let openai = json!({"credentials": {"apiKey": "sk-0123456789abcdef"}});
    let put = |name: &str, body: &Value| app.put(&app.path(name)).json(body).send();
    assert_eq!(put("openai", &openai).await.expect(201).json()["provider"], "openai");
    put("second", &openai).await.expect_problem(422, "invalid_credentials");
    put("second", &json!({"provider": "openai", "credentials": openai["credentials"]})).await.expect(201);
    assert_eq!(put("second", &openai).await.expect(200).json()["provider"], "openai");

    let other = json!({"provider": "anthropic", "credentials": openai["credentials"]});
    put("second", &other).await.expect_problem(409, "conflict");
    app.delete(&app.path("second")).send().await.expect(204);
    assert_eq!(put("second", &other).await.expect(200).json()["provider"], "anthropic");
}

#[tokio::test]
async fn a_custom_connection_has_the_fields_it_wants() {
    let app = TestApp::local().await;
    let body = r#"{"provider":"custom","credentials":{"zeta":"z \u0001 é 👋","alpha":"0123456789abcdef"}}"#;
    let call = app.put(&app.path("own")).header("content-type", "application/json; charset=utf-8");
    let created = call.body(body).send().await.expect(201).json();
    assert_eq!(created["fields"], json!({"zeta": {"hint": null}, "alpha": {"hint": "…cdef"}}));
    let read = app.read("own").await.expect(200);
    assert!(read.text.contains(r#"{"zeta":"z \u0001 é 👋","alpha":"0123456789abcdef"}"#), "{}", read.text);
}

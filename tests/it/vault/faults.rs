//! What a function can do wrong. Each has its code, comes within the time limit, is asked for once, and never
//! makes keybroker fall back to the keys in the store.

use std::time::Duration;

use hyper::Method;
use rstest::rstest;
use serde_json::json;

use super::{IN_VAULT, MANAGED, PRIVATE, PUBLIC, both, put, vault};
use crate::support::{
    Db, Store, TestApp,
    fake_vault::{Conduct, FakeVault, answer},
};

const JSON: &str = "application/json";

fn json_answer(body: &str) -> Conduct {
    Conduct::Bytes(answer(200, JSON, body))
}

fn status(status: u16) -> Conduct {
    Conduct::Bytes(answer(status, JSON, r#"{"error":"no"}"#))
}

fn bytes(text: &str) -> Conduct {
    Conduct::Bytes(text.as_bytes().to_vec())
}

/// An answer whose length is announced only if `announced`.
fn large(bytes: usize, announced: bool) -> Conduct {
    let body = json!({"values": {PUBLIC: "pk", PRIVATE: "x".repeat(bytes)}, "missing": []}).to_string();
    if announced {
        return Conduct::Bytes(answer(200, JSON, &body));
    }
    bytes_until_the_end(&body)
}

fn bytes_until_the_end(body: &str) -> Conduct {
    bytes(&format!("HTTP/1.1 200 OK\r\ncontent-type: {JSON}\r\n\r\n{body}"))
}

/// Every way to fail that ends by itself, what it is called, and whether the function got the request.
fn failures() -> Vec<(&'static str, Conduct, &'static str, usize)> {
    let good = json!({"values": {PUBLIC: "pk", PRIVATE: IN_VAULT}, "missing": []}).to_string();
    let twice = format!(r#"{{"values":{{"{PUBLIC}":"pk","{PRIVATE}":"{IN_VAULT}","{PRIVATE}":"other"}}}}"#);
    let number = json!({"values": {PUBLIC: "pk", PRIVATE: 1}}).to_string();
    let denied = json!({"values": {PUBLIC: "pk", PRIVATE: IN_VAULT}, "missing": [PRIVATE]}).to_string();
    let html = Conduct::Bytes(answer(200, "text/html", &good));
    let untyped = bytes(&format!(
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{good}",
        good.len()
    ));
    let cut = bytes(&format!("HTTP/1.1 200 OK\r\ncontent-type: {JSON}\r\ncontent-length: 900\r\n\r\n{good}"));
    let (unreachable, unauthorized) = ("vault_unreachable", "vault_unauthorized");
    let (missing, bad) = ("vault_key_missing", "vault_bad_response");
    vec![
        ("hangs up after the request", bytes(""), unreachable, 1),
        ("hangs up at once", Conduct::HangUpFirst, unreachable, 0),
        ("hangs up within the headers", bytes("HTTP/1.1 200 OK\r\ncontent-ty"), unreachable, 1),
        ("hangs up within the body", cut, unreachable, 1),
        ("does not speak HTTP", bytes("SSH-2.0-OpenSSH_9.6\r\n"), unreachable, 1),
        ("401", status(401), unauthorized, 1),
        ("403", status(403), unauthorized, 1),
        ("201", Conduct::Bytes(answer(201, JSON, &good)), bad, 1),
        ("204", bytes("HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n"), bad, 1),
        ("400", status(400), bad, 1),
        ("404", status(404), bad, 1),
        ("429", status(429), bad, 1),
        ("500", status(500), bad, 1),
        ("502", status(502), bad, 1),
        ("503", status(503), bad, 1),
        ("HTML", html, bad, 1),
        ("no content type", untyped, bad, 1),
        ("not JSON", json_answer("<html>"), bad, 1),
        ("empty", json_answer(""), bad, 1),
        ("null", json_answer("null"), bad, 1),
        ("a list", json_answer("[]"), bad, 1),
        ("no values", json_answer(r#"{"missing":[]}"#), bad, 1),
        ("values in a list", json_answer(r#"{"values":[]}"#), bad, 1),
        ("a number as a value", json_answer(&number), bad, 1),
        ("a key twice", json_answer(&twice), bad, 1),
        ("more after the answer", json_answer(&format!("{good}{good}")), bad, 1),
        ("too large, announced", large(64 << 10, true), bad, 1),
        ("too large, unannounced", large(64 << 10, false), bad, 1),
        ("no keys", json_answer(r#"{"values":{},"missing":[]}"#), missing, 1),
        ("an empty key", json_answer(&good.replace(IN_VAULT, "")), missing, 1),
        ("a key in other letters", json_answer(&good.replace(PRIVATE, &PRIVATE.to_uppercase())), missing, 1),
        ("a key it calls missing", json_answer(&denied), missing, 1),
    ]
}

/// Reads once, and checks that it fails as it should.
async fn fails(app: &TestApp, function: &FakeVault, what: &str, code: &str, requests: usize) {
    function.take_asked();
    let reply = app.read("vapi").await;
    assert_eq!(reply.status, 502, "{what}: {}", reply.text);
    let reply = reply.expect_problem(502, code);
    assert!(!reply.text.contains(MANAGED) && !reply.text.contains(IN_VAULT), "{what}: {}", reply.text);
    let detail = reply.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.starts_with("The organization's own vault gave no keys: "), "{what}: {detail}");
    assert_eq!(reply.json()["retryable"], code == "vault_unreachable", "{what}");
    assert_eq!(function.take_asked().len(), requests, "{what}: asked once");
}

#[tokio::test]
async fn each_failure_has_its_code_and_none_falls_back() {
    let (app, function) = both(Db::Sqlite, Store::Local, &[]).await;
    for (what, conduct, code, requests) in failures() {
        function.conduct(conduct);
        fails(&app, &function, what, code, requests).await;
    }
    function.set_token("another token");
    function.conduct(Conduct::Proper);
    fails(&app, &function, "another token", "vault_unauthorized", 1).await;
    assert!(!app.log().contains("\"level\":\"ERROR\""), "no failure of ours");
}

/// What takes its time gets the time limit's, and no more.
#[tokio::test]
async fn what_does_not_come_is_not_waited_for() {
    let (app, function) = both(Db::Sqlite, Store::Local, &[("KEYBROKER_VAULT_TIMEOUT", "300ms")]).await;
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {JSON}\r\n");
    let start = format!("{head}\r\n{{\"values\":{{\"{PUBLIC}\":\"");
    for (what, conduct) in [
        ("no answer", Conduct::Stall(Vec::new())),
        ("slow headers", Conduct::Stall(head.clone().into())),
        ("slow body", Conduct::Stall(start.clone().into())),
        ("announced and never sent", Conduct::Stall(format!("{head}content-length: 9\r\n\r\n").into())),
    ] {
        function.conduct(conduct);
        let waited = tokio::time::timeout(
            Duration::from_secs(30),
            fails(&app, &function, what, "vault_unreachable", 1),
        );
        waited.await.unwrap_or_else(|_| panic!("{what}: no end"));
    }
    function.conduct(Conduct::Proper);
    assert_eq!(app.private_key().await, IN_VAULT, "it is well again at once");
}

/// However long an answer goes on, little of it is read.
#[rstest]
#[case::body("content-type: application/json\r\n\r\n", "vault_bad_response")]
#[case::headers("", "vault_unreachable")]
#[tokio::test]
async fn what_never_ends_is_not_read_to_its_end(#[case] start: &str, #[case] code: &str) {
    let (app, function) = both(Db::Sqlite, Store::Local, &[]).await;
    let start = format!("HTTP/1.1 200 OK\r\n{start}");
    let more = if code == "vault_unreachable" { "x-a: b\r\n".repeat(4_096) } else { " ".repeat(64 << 10) };
    function.conduct(Conduct::Endless(start.into(), more.into()));
    fails(&app, &function, "endless", code, 1).await;
    // What a connection's buffers take in between, on both sides, is some megabytes.
    assert!(function.sent() < 32 << 20, "{}", function.sent());
}

#[tokio::test]
async fn no_redirect_is_followed() {
    let (app, function) = both(Db::Sqlite, Store::Local, &[]).await;
    let elsewhere = FakeVault::with(&[]).await;
    for status in [301, 302, 303, 307, 308] {
        let answer = format!(
            "HTTP/1.1 {status} Moved\r\nconnection: close\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n",
            elsewhere.url()
        );
        function.conduct(bytes(&answer));
        fails(&app, &function, "redirect", "vault_bad_response", 1).await;
    }
    assert_eq!(elsewhere.connections(), 0);
}

/// What the function gives beyond what was asked for is left where it is.
#[tokio::test]
async fn what_was_not_asked_for_is_not_taken() {
    let (app, function) = both(Db::Sqlite, Store::Local, &[]).await;
    let more = json!({
        "values": {PUBLIC: "pk", PRIVATE: IN_VAULT, "AUTH_TOKEN": "canary-more", "wf_conn_other": "canary-more"},
        "missing": ["ai_provider_x"],
        "version": 2,
    });
    function.conduct(json_answer(&more.to_string()));
    let read = app.read("vapi").await.expect(200);
    assert_eq!(read.json()["credentials"], json!({"publicApiKey": "pk", "privateApiKey": IN_VAULT}));
    assert!(!read.text.contains("canary-more"));
    function.conduct(large(63 << 10, false));
    assert_eq!(app.private_key().await.len(), 63 << 10, "64 KiB are enough for anyone");
}

/// Where nothing listens, and where TLS can't be had.
#[tokio::test]
async fn a_function_that_is_not_there_is_unreachable() {
    let settings = [("KEYBROKER_VAULT_ALLOWED_HOSTS", "localhost"), ("KEYBROKER_VAULT_TIMEOUT", "2s")];
    let (app, function) = both(Db::Sqlite, Store::Local, &settings).await;
    drop(function);
    app.read("vapi").await.expect_problem(502, "vault_unreachable");
    for url in ["https://localhost/", "http://nowhere.invalid/"] {
        let test = vault(&app, Method::POST, "/test").json(&json!({"url": url})).send().await.expect(200);
        assert_eq!(test.json()["outcome"], "unreachable", "{url}: {}", test.text);
        let refused = put(&app, &json!({"url": url, "enabled": true})).await;
        refused.expect_problem(502, "vault_unreachable");
    }
}

//! A vault's URL is a stranger's input.

use hyper::Method;
use serde_json::json;

use super::{QUIET, make_token, put, shown, vault};
use crate::support::{Db, Store, TestApp, fake_vault::FakeVault};

/// What no vault may have, wherever private addresses are not allowed.
fn refused_urls(port: u16) -> Vec<String> {
    let mut urls: Vec<String> = [
        "",
        "abc.lambda-url.us-east-1.on.aws",
        "//abc.on.aws/",
        "http://abc.lambda-url.us-east-1.on.aws/",
        "ftp://abc.on.aws/",
        "file:///etc/passwd",
        "gopher://abc.on.aws/",
        "data:text/plain,x",
        "javascript:alert(1)",
        "https://on.aws/",
        "https://.on.aws/",
        "https://evil-on.aws/",
        "https://abc.on.aws.evil.example/",
        "https://abc.on.aws./",
        "https://evil.example/abc.on.aws",
        "https://evil.example\\.on.aws/",
        "https://abc.on.aws:8443/",
        "https://abc.on.aws:22/",
        "https://user@abc.on.aws/",
        "https://user:password@abc.on.aws/",
        "https://abc.on.aws@evil.example/",
        "https://abc.on.aws/?key=x",
        "https://abc.on.aws/#x",
        "https://abc.on.aws/\n",
        " https://abc.on.aws/",
        "https://abc\t.on.aws/",
        "https://\u{ff41}bc.on.aws/",
        "https://169.254.169.254/latest/meta-data/",
        "https://metadata.google.internal/",
        "https://[fd00:ec2::254]/",
        "https://10.0.0.1/",
        "https://[::ffff:169.254.169.254]/",
        "https://localhost/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0177.0.0.1/",
    ]
    .map(str::to_owned)
    .into();
    for host in ["127.0.0.1", "localhost", "[::1]", "0.0.0.0", "127.1", "[::ffff:127.0.0.1]", "2130706433"] {
        urls.push(format!("http://{host}:{port}/"));
        urls.push(format!("https://{host}:{port}/"));
    }
    urls.push(format!("https://abc.on.aws/{}", "a".repeat(3_000)));
    urls
}

/// Nothing is stored, nothing is asked, and the answer does not repeat what was sent.
#[tokio::test]
async fn urls_that_are_no_function_s_are_refused() {
    let settings = [QUIET, ("KEYBROKER_ALLOW_PRIVATE_ADDRESSES", "false")];
    let app = TestApp::with(Db::Sqlite, Store::Local, &settings).await;
    let listener = FakeVault::with(&[]).await;
    make_token(&app, &app.org).await;
    let before = shown(&app).await;
    let secrets = async || app.database().await.count("SELECT COUNT(*) FROM local_secrets").await;
    let stored = secrets().await;
    for url in refused_urls(listener.address.port()) {
        for enabled in [true, false] {
            put(&app, &json!({"url": url, "enabled": enabled})).await.expect_problem(400, "invalid_request");
        }
        let test = vault(&app, Method::POST, "/test").json(&json!({"url": url})).send().await;
        test.expect_problem(400, "invalid_request");
    }
    assert_eq!((shown(&app).await, secrets().await), (before, stored));
    assert_eq!(listener.connections(), 0);
}

/// Where they are allowed, plain HTTP still goes to private addresses only, and https to allowed hosts.
#[tokio::test]
async fn development_opens_no_more_than_it_says() {
    let app = TestApp::with(Db::Sqlite, Store::Local, &[QUIET]).await;
    make_token(&app, &app.org).await;
    for url in
        ["https://localhost/", "https://evil.example/", "http://user@127.0.0.1/", "http://127.0.0.1/?x"]
    {
        put(&app, &json!({"url": url, "enabled": false})).await.expect_problem(400, "invalid_request");
    }
    let public = json!({"url": "http://93.184.216.34/"});
    let test = vault(&app, Method::POST, "/test").json(&public).send().await.expect(200).json();
    assert_eq!(test["outcome"], "unreachable");
    assert!(
        test["detail"].as_str().unwrap().contains("its URL is http, and its address is public"),
        "{test}"
    );
}

/// A URL that was allowed once is not asked any more when the operator's rules change.
#[tokio::test]
async fn narrower_rules_hold_for_what_is_stored() {
    let (app, function) = super::both(Db::Postgres, Store::Local, &[]).await;
    app.read("vapi").await.expect(200);
    function.take_asked();
    let strict = app.replica(&[("KEYBROKER_ALLOW_PRIVATE_ADDRESSES", "false")]).await;
    strict.read("vapi").await.expect_problem(502, "vault_unreachable");
    assert!(function.take_asked().is_empty());
    // It can still be switched off there, without losing what is stored.
    put(&strict, &json!({"enabled": false})).await.expect(200);
    assert_eq!(strict.private_key().await, super::MANAGED);
    put(&app, &json!({"enabled": true})).await.expect(200);
}

#[tokio::test]
async fn bodies_are_checked() {
    let app = TestApp::with(Db::Sqlite, Store::Local, &[QUIET]).await;
    for body in [
        json!({}),
        json!({"url": "https://abc.on.aws/"}),
        json!({"enabled": "true"}),
        json!({"enabled": true, "url": 1}),
        json!({"enabled": true, "token": "x"}),
        json!([]),
        json!(null),
    ] {
        put(&app, &body).await.expect_problem(400, "invalid_request");
    }
    let twice = vault(&app, Method::PUT, "").header("content-type", "application/json");
    twice.body(r#"{"enabled":false,"enabled":true}"#).send().await.expect_problem(400, "invalid_request");
    let untyped = vault(&app, Method::PUT, "").body(r#"{"enabled":false}"#);
    untyped.send().await.expect_problem(415, "unsupported_media_type");
    let unknown = vault(&app, Method::POST, "/test").json(&json!({"uri": "x"})).send().await;
    unknown.expect_problem(400, "invalid_request");
    vault(&app, Method::GET, "").send().await.expect_problem(404, "not_found");
    // Nothing to say yet is no configuration.
    put(&app, &json!({"enabled": false})).await.expect_problem(409, "conflict");
    vault(&app, Method::GET, "").send().await.expect_problem(404, "not_found");
}

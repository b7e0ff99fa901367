//! The template as a real function behind a real Function URL. `vault/` tests its every rule, in Node.

use hyper::Method;
use serde_json::json;

use crate::support::{Reply, client::Call, vault::VaultFunction};

const TOKEN: &str = "token-of-the-function-0123456789abcdef";
const OPENAI: (&str, &str) = ("ai_provider_openai_api_key", "sk-\"openai\" ü 0123456789");
const MAIL: (&str, &str) = ("wf_conn_mail_token", "SG.mail-0123456789");

async fn deployed() -> VaultFunction {
    VaultFunction::deploy(&[("AUTH_TOKEN", TOKEN), OPENAI, MAIL]).await
}

fn request(function: &VaultFunction) -> Call {
    Call::new(function.address, Method::POST, "/")
}

async fn ask(function: &VaultFunction, keys: &[&str]) -> Reply {
    request(function).token(TOKEN).json(&json!({"keys": keys})).send().await
}

/// An answer of the template's, not one of what stands before it.
fn expect(reply: Reply, status: u16) -> Reply {
    let reply = reply.expect(status);
    assert_eq!(reply.header("content-type"), Some("application/json"), "{reply:?}");
    assert_eq!(reply.header("cache-control"), Some("no-store"), "{reply:?}");
    reply
}

fn expect_refusal(reply: Reply, status: u16, error: &str) -> Reply {
    let reply = expect(reply, status);
    assert_eq!(reply.json(), json!({"error": error}));
    reply
}

#[tokio::test]
async fn it_gives_the_keys_that_are_asked_for() {
    let function = deployed().await;
    let nothing = expect(ask(&function, &[]).await, 200);
    assert_eq!(nothing.json(), json!({"values": {}, "missing": []}));

    let reserved = ["AUTH_TOKEN", "AWS_REGION", "AWS_SECRET_ACCESS_KEY", "LAMBDA_TASK_ROOT", "PATH"];
    let keys = [&[OPENAI.0, "wf_conn_other_token", "WF_CONN_MAIL_TOKEN"], &reserved[..]].concat();
    let some = expect(ask(&function, &keys).await, 200);
    assert_eq!(some.json(), json!({"values": {OPENAI.0: OPENAI.1}, "missing": keys[1..]}));

    // Lambda passes a body of any other type on in base64.
    let untyped = request(&function).token(TOKEN).body(r#"{"keys":["wf_conn_mail_token"]}"#).send().await;
    assert_eq!(expect(untyped, 200).json()["values"], json!({MAIL.0: MAIL.1}));
}

#[tokio::test]
async fn it_follows_its_settings() {
    let function = deployed().await;
    function.set(&[("AUTH_TOKEN", TOKEN), (OPENAI.0, "sk-replaced"), (MAIL.0, "")]).await;
    let reply = expect(ask(&function, &[OPENAI.0, MAIL.0]).await, 200);
    assert_eq!(reply.json(), json!({"values": {OPENAI.0: "sk-replaced"}, "missing": [MAIL.0]}));

    let short = "t".repeat(31);
    function.set(&[("AUTH_TOKEN", &short), OPENAI]).await;
    expect(request(&function).token(&short).json(&json!({"keys": []})).send().await, 401);
    function.set(&[OPENAI]).await;
    expect(request(&function).token("").json(&json!({"keys": []})).send().await, 401);
}

#[tokio::test]
async fn it_refuses_strangers() {
    let function = deployed().await;
    let ping = || request(&function).json(&json!({"keys": []}));
    for stranger in [ping(), ping().token(""), ping().token("token"), ping().token(&format!("{TOKEN}0"))] {
        let reply = expect_refusal(stranger.send().await, 401, "The bearer token is missing or wrong.");
        assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
    }
}

#[tokio::test]
async fn it_refuses_what_it_does_not_understand() {
    let function = deployed().await;
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        let reply = Call::new(function.address, method, "/").token(TOKEN).send().await;
        let reply = expect_refusal(reply, 405, "The method must be POST.");
        assert_eq!(reply.header("allow"), Some("POST"));
    }
    let body = |text: &'static str| request(&function).token(TOKEN).body(text).send();
    expect_refusal(body("").await, 400, "The body is not JSON.");
    expect_refusal(body(r#"{"keys":"#).await, 400, "The body is not JSON.");
    expect(body(r#"{"keys":"wf_conn_mail_token"}"#).await, 400);
    expect(ask(&function, &[MAIL.0, "wf-conn"]).await, 400);
}

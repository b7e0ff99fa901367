//! Keys are tried with their providers: when they are put, on demand, on report and by themselves.

mod addresses;
mod catalogue;
mod health;
mod schedule;

use std::time::Duration;

use rstest::rstest;
use serde_json::{Value, json};

use crate::support::{
    Db, Store, TestApp,
    app::vapi,
    provider::{self, Treatment, asked, take, treat},
};

/// A key that no other test has.
pub(crate) fn fresh_key() -> String {
    format!("sk-{}", uuid::Uuid::from_bytes(crate::support::app::random_bytes()).simple())
}

#[tokio::test]
async fn a_key_is_tried_before_anything_is_stored() {
    let app = TestApp::local().await;
    let key = fresh_key();
    treat(&key, Treatment::Refuse);
    let refused = app.put_vapi(&key).await.expect_problem(422, "key_rejected");
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.starts_with("Vapi refuses the key: status 401. Nothing was stored."), "{detail}");
    assert!(detail.contains("https://dashboard.vapi.ai/org/api-keys"), "{detail}");
    app.get(&app.path("vapi")).send().await.expect_problem(404, "not_found");
    assert!(app.history("vapi").await.is_empty());

    take(&key);
    let created = app.put_vapi(&key).await.expect(201).json();
    assert!(created["verified_at"].is_string(), "{created}");
    let asked = asked(&key);
    assert_eq!(asked.len(), 2);
    let last = &asked[1];
    assert_eq!((last.provider.as_str(), last.method.as_str()), ("vapi", "GET"));
    assert_eq!(last.path, "/assistant?limit=1");
    assert_eq!(last.headers["authorization"], format!("Bearer {key}"));
    assert!(last.headers["user-agent"].to_str().unwrap().starts_with("keybroker/"));
}

#[tokio::test]
async fn a_key_that_is_refused_leaves_the_one_before() {
    let app = TestApp::local().await;
    let (good, bad) = (fresh_key(), fresh_key());
    treat(&bad, Treatment::Refuse);
    let version = app.put_vapi(&good).await.expect(201).version();
    app.put_vapi(&bad).await.expect_problem(422, "key_rejected");
    assert_eq!(app.private_key().await, good);
    let after = app.get(&app.path("vapi")).send().await.expect(200);
    assert_eq!((after.version(), &after.json()["status"]), (version, &json!("active")));
}

#[tokio::test]
async fn verify_false_asks_nobody() {
    let app = TestApp::local().await;
    let key = fresh_key();
    treat(&key, Treatment::Refuse);
    let put = app.put(&format!("{}?verify=false", app.path("vapi"))).json(&vapi(&key)).send().await;
    assert_eq!(put.expect(201).json()["verified_at"], Value::Null);
    assert!(asked(&key).is_empty());
}

#[tokio::test]
async fn a_request_that_would_fail_anyway_asks_nobody() {
    let app = TestApp::local().await;
    let key = fresh_key();
    app.put_vapi(&fresh_key()).await.expect(201);
    let put = || app.put(&app.path("vapi")).json(&vapi(&key));
    put().header("if-none-match", "*").send().await.expect_problem(412, "precondition_failed");
    let other = json!({"provider": "openai", "credentials": {"apiKey": key}});
    app.put(&app.path("vapi")).json(&other).send().await.expect_problem(409, "conflict");
    let without = json!({"provider": "vapi", "credentials": {"privateApiKey": key}});
    app.put(&app.path("vapi")).json(&without).send().await.expect_problem(422, "invalid_credentials");
    assert!(asked(&key).is_empty());
}

/// A provider in trouble is not a wrong key: nothing is stored, and the caller may try again.
#[rstest]
#[case::busy(Treatment::Status(429))]
#[case::broken(Treatment::Status(500))]
#[case::away(Treatment::Status(503))]
#[case::elsewhere(Treatment::Status(404))]
#[case::redirecting(Treatment::Redirect(format!("{}/vapi/assistant?limit=1", provider::base())))]
#[case::silent(Treatment::Silence)]
#[tokio::test]
async fn trouble_is_told_apart(#[case] treatment: Treatment) {
    let app = TestApp::with(Db::Sqlite, Store::Local, &[("KEYBROKER_VERIFY_TIMEOUT", "500ms")]).await;
    let key = fresh_key();
    treat(&key, treatment);
    let reply = app.put_vapi(&key).await.expect_problem(502, "provider_unreachable");
    assert_eq!(reply.json()["retryable"], true);
    assert!(reply.json()["detail"].as_str().unwrap().contains("verify=false"), "{}", reply.text);
    app.get(&app.path("vapi")).send().await.expect_problem(404, "not_found");
    assert_eq!(asked(&key).len(), 1, "no redirect is followed and nothing is tried twice");
}

/// What follows the status can't hold up what the status has said, nor take memory.
#[rstest]
#[case::endless(Treatment::Endless)]
#[case::silent(Treatment::SilentBody)]
#[case::nonsense(Treatment::Body(200, "<html>".into()))]
#[tokio::test]
async fn a_body_that_is_not_needed_is_not_read(#[case] treatment: Treatment) {
    let app = TestApp::with(Db::Sqlite, Store::Local, &[("KEYBROKER_VERIFY_TIMEOUT", "1s")]).await;
    let key = fresh_key();
    treat(&key, treatment);
    app.put_vapi(&key).await.expect(201);
    let verdict = app.post(&format!("{}/verify", app.path("vapi"))).send().await.expect(200).json();
    assert_eq!((&verdict["outcome"], &verdict["opens"]), (&json!("valid"), &json!([])), "{verdict}");
}

/// Where the body decides, an answer without a readable one decides nothing.
#[rstest]
#[case::endless(Treatment::Endless)]
#[case::silent(Treatment::SilentBody)]
#[case::nonsense(Treatment::Body(200, "<html>".into()))]
#[case::limited(Treatment::Body(200, r#"{"ok":false,"error":"ratelimited"}"#.into()))]
#[tokio::test]
async fn slack_must_say_ok(#[case] treatment: Treatment) {
    let app = TestApp::with(Db::Sqlite, Store::Local, &[("KEYBROKER_VERIFY_TIMEOUT", "1s")]).await;
    let token = format!("xoxb-{}", fresh_key());
    treat(&token, treatment);
    let body = json!({"provider": "slack", "credentials": {"botToken": token, "signingSecret": "s"}});
    let put = || app.put(&app.path("slack")).json(&body).send();
    put().await.expect_problem(502, "provider_unreachable");
    treat(&token, Treatment::Refuse);
    put().await.expect_problem(422, "key_rejected");
    take(&token);
    put().await.expect(201);
}

#[tokio::test]
async fn verify_tells_what_the_key_opens() {
    let app = TestApp::local().await;
    let (vapi_key, openai_key) = (fresh_key(), fresh_key());
    app.put_vapi(&vapi_key).await.expect(201);
    let openai = json!({"provider": "openai", "credentials": {"apiKey": openai_key}});
    app.put(&app.path("openai")).json(&openai).send().await.expect(201);
    let verify = async |connection: &str| {
        app.post(&format!("{}/verify", app.path(connection))).send().await.expect(200).json()
    };
    let verdict = verify("vapi").await;
    assert_eq!((&verdict["outcome"], &verdict["detail"]), (&json!("valid"), &json!("Vapi takes the key.")));
    assert!(verdict["checked_at"].is_string());
    let fact = |label: &str, value: &str| json!({"label": label, "value": value});
    let opens =
        [fact("Organization", "org-of-vapi"), fact("Assistants", "3"), fact("Phone numbers", "100 or more")];
    assert_eq!(verdict["opens"], json!(opens));
    assert_eq!(verify("openai").await["opens"], json!([fact("Organization", "acme-inc")]));
    assert_eq!(app.history("vapi").await.last().unwrap().0, "connection.verified");
}

#[tokio::test]
async fn a_liar_that_repeats_the_key_is_not_repeated() {
    let app = TestApp::local().await;
    let key = fresh_key();
    app.put_vapi(&key).await.expect(201);
    treat(&key, Treatment::Body(200, json!([{"orgId": format!("it is {key}")}]).to_string()));
    let verdict = app.post(&format!("{}/verify", app.path("vapi"))).send().await.expect(200);
    assert_eq!(verdict.json()["outcome"], "valid");
    assert!(!verdict.text.contains(&key), "{}", verdict.text);
}

#[tokio::test]
async fn what_can_not_be_tried_is_unsupported() {
    let app = TestApp::local().await;
    let body = json!({"provider": "custom", "credentials": {"any": "thing"}});
    assert_eq!(
        app.put(&app.path("own")).json(&body).send().await.expect(201).json()["verified_at"],
        Value::Null
    );
    let verdict = app.post(&format!("{}/verify", app.path("own"))).send().await.expect(200).json();
    assert_eq!(verdict["outcome"], "unsupported");
    app.post(&format!("{}/verify", app.path("none"))).send().await.expect_problem(404, "not_found");
    app.delete(&app.path("own")).send().await.expect(204);
    app.post(&format!("{}/verify", app.path("own"))).send().await.expect_problem(404, "not_found");
}

/// Each way to present a key, as the entries have it.
#[rstest]
#[case("anthropic", json!({"apiKey": "KEY"}), "x-api-key", "KEY")]
#[case("google", json!({"apiKey": "KEY"}), "x-goog-api-key", "KEY")]
#[case("elevenlabs", json!({"apiKey": "KEY"}), "xi-api-key", "KEY")]
#[case("deepgram", json!({"apiKey": "KEY"}), "authorization", "Token KEY")]
#[case("sendgrid", json!({"apiKey": "KEY"}), "authorization", "Bearer KEY")]
#[tokio::test]
async fn keys_are_presented_as_each_provider_wants(
    #[case] provider: &str,
    #[case] credentials: Value,
    #[case] header: &str,
    #[case] value: &str,
) {
    let app = TestApp::local().await;
    let key = if provider == "sendgrid" { format!("SG.{}", fresh_key()) } else { fresh_key() };
    let credentials: Value = serde_json::from_str(&credentials.to_string().replace("KEY", &key)).unwrap();
    let body = json!({"provider": provider, "credentials": credentials});
    let put = || app.put(&app.path("it")).json(&body).send();
    treat(&key, Treatment::Refuse);
    put().await.expect_problem(422, "key_rejected");
    take(&key);
    put().await.expect(201);
    let asked = asked(&key);
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[0].headers[header], value.replace("KEY", &key));
    assert_eq!(asked[0].provider, provider);
}

#[tokio::test]
async fn a_token_may_be_in_the_path_and_a_pair_in_basic() {
    let app = TestApp::local().await;
    let (bot, twilio) = (format!("12345678:{}", fresh_key()), fresh_key());
    let telegram = json!({"provider": "telegram", "credentials": {"botToken": bot}});
    app.put(&app.path("bot")).json(&telegram).send().await.expect(201);
    assert_eq!(asked(&bot)[0].path, format!("/bot{bot}/getMe"));
    let sid = "AC00000000000000000000000000000000";
    let body = json!({"provider": "twilio", "credentials": {"accountSid": sid, "authToken": twilio}});
    app.put(&app.path("twilio")).json(&body).send().await.expect(201);
    assert_eq!(asked(&twilio)[0].path, format!("/2010-04-01/Accounts/{sid}.json"));
}

#[tokio::test]
async fn a_caller_that_hangs_up_stores_nothing() {
    let app = TestApp::local().await;
    let key = fresh_key();
    treat(&key, Treatment::Slow(Duration::from_secs(1)));
    tokio::select! {
        reply = app.put_vapi(&key) => panic!("{reply:?}"),
        _ = crate::support::until("the provider is asked", async || asked(&key).first().cloned()) => {}
    }
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    app.get(&app.path("vapi")).send().await.expect_problem(404, "not_found");
}

//! The canary hunt: a value that is put through every path must come out of none but the credentials
//! route.

use rstest::rstest;
use serde_json::json;

use crate::support::{
    Db, Store, TestApp,
    app::vapi,
    aws::Fault,
    provider::{Treatment, treat},
};

#[rstest]
#[case(Db::Sqlite, Store::Moto)]
#[case(Db::Sqlite, Store::Local)]
#[case(Db::Postgres, Store::Moto)]
#[tokio::test]
async fn no_secret_gets_out(#[case] db: Db, #[case] store: Store) {
    let mut app = TestApp::with(db, store, &[("KEYBROKER_STORE_TIMEOUT", "1s")]).await;
    let canary = format!("canary{}", app.org.trim_start_matches("org_"));
    let token = app.token(&keybroker::domain::access::Scope::ALL, &["*"]).await;
    let mut said = everything_that_is_answered(&app, &canary).await;
    if let Some(aws) = &app.aws {
        for fault in
            [Fault::Internal, Fault::Code("AccessDeniedException"), Fault::Code("ValidationException")]
        {
            aws.fail_all(fault);
            said.push(app.put_vapi(&format!("{canary}-b")).await.text);
            said.push(app.put(&app.path("fresh")).json(&vapi(&canary)).send().await.text);
            said.push(
                app.get(&format!("{}/credentials?version=previous", app.path("vapi"))).send().await.text,
            );
            aws.heal();
            app.settled().await;
        }
    }
    let metrics = app.metrics().await;
    assert!(metrics.contains("keybroker_http_requests_total"), "{metrics}");
    said.push(metrics);
    app.terminate().await;

    let log = app.log();
    assert!(
        log.contains("\"level\":\"DEBUG\"") && log.contains("connection changed"),
        "the log is talkative"
    );
    said.push(log);
    for answer in &said {
        assert!(!answer.contains(&canary), "{answer}");
        assert!(!answer.contains(&token) && !answer.contains(&app.root), "{answer}");
    }
    for (file, bytes) in app.files() {
        assert!(!holds(&bytes, &canary), "{}", file.display());
        assert!(!holds(&bytes, &token) && !holds(&bytes, &app.root), "{}", file.display());
    }
    if db == Db::Postgres {
        let dump = app.database().await.dump().await;
        assert!(dump.contains("connection.created"), "the dump is one");
        assert!(!dump.contains(&canary) && !dump.contains(&token) && !dump.contains(&app.root));
    }
}

/// Sends the canary wherever a secret can be put, rightly or wrongly, and returns all answers but those
/// of the credentials route.
async fn everything_that_is_answered(app: &TestApp, canary: &str) -> Vec<String> {
    let path = app.path("vapi");
    let mut said = Vec::new();
    for reply in [
        app.put_vapi(canary).await.expect(201),
        app.put_vapi(&format!("{canary}-2")).await.expect(200),
        app.get(&path).send().await.expect(200),
        app.post(&format!("{path}/rollback")).header("idempotency-key", "one").send().await.expect(200),
        app.post(&format!("{path}/rollback")).header("idempotency-key", "one").send().await.expect(200),
        app.put(&path).header("idempotency-key", "two").json(&vapi(canary)).send().await.expect(200),
        app.get(&format!("/v1/orgs/{}/connections", app.org)).send().await.expect(200),
        app.get(&format!("/v1/orgs/{}/events", app.org)).send().await.expect(200),
        app.get(&format!("/v1/orgs/{}/events?format=jsonl", app.org)).send().await.expect(200),
        app.get("/v1/tokens").send().await.expect(200),
        app.get("/readyz").send().await.expect(200),
    ] {
        said.push(reply.text);
    }
    assert!(app.read("vapi").await.expect(200).text.contains(canary), "the one place where it belongs");
    let wrong = [
        json!({"credentials": canary}),
        json!({"credentials": [canary]}),
        json!({"credentials": {"publicApiKey": "p", "privateApiKey": {"deep": canary}}}),
        json!({"credentials": {"publicApiKey": "p", "privateApiKey": format!("{canary} ")}}),
        json!({"credentials": {"publicApiKey": "p", "privateApiKey": canary.repeat(200)}}),
        json!({"credentials": {"publicApiKey": "p", canary: "x"}}),
        json!({"credentials": {"publicApiKey": "p", "privateApiKey": canary}, "provider": canary}),
        json!({"credentials": {"publicApiKey": "p", "privateApiKey": canary}, "label": 1}),
        json!({"provider": {"x": canary}}),
        json!({canary: canary}),
        json!(canary),
    ];
    for body in wrong {
        let reply = app.put(&path).json(&body).send().await;
        assert!(reply.status.is_client_error(), "{body}: {}", reply.text);
        said.push(reply.text);
    }
    for text in [format!("{{\"credentials\":{{\"privateApiKey\":\"{canary}\""), canary.to_owned()] {
        let reply = app.put(&path).header("content-type", "application/json").body(text).send().await;
        said.push(reply.expect_problem(400, "invalid_request").text);
    }
    let misplaced = [
        app.get(&format!("/v1/orgs/{canary}/connections/{canary}!")),
        app.get(&format!("/v1/{canary}")),
        app.get(&format!("{path}/credentials?version={canary}")),
        app.get(&format!("/v1/orgs/{}/events?cursor={canary}", app.org)),
        app.get(&format!("/v1/orgs/{}/events?since={canary}", app.org)),
        app.get(&format!("/v1/orgs/{}/events?connection={canary}!", app.org)),
        app.put(&path).header("if-match", canary).json(&vapi("x")),
        app.put(&path).header("content-type", canary).body(canary.to_owned()),
        app.call(hyper::Method::GET, &path).token(&format!("kb_{canary}")),
        app.post("/v1/tokens").json(&json!({"name": "x", "scopes": [canary], "orgs": ["*"]})),
    ];
    for call in misplaced {
        let reply = call.send().await;
        assert!(reply.status.is_client_error(), "{}", reply.text);
        said.push(reply.text);
    }
    said.extend(everything_about_trying(app, canary).await);
    let frozen = app.database().await.freeze().await;
    said.push(app.put_vapi(&format!("{canary}-3")).await.expect_problem(503, "store_unavailable").text);
    drop(frozen);
    app.settled().await;
    said
}

/// Providers that refuse, break, redirect to a place named after the key, and repeat it in their answers.
async fn everything_about_trying(app: &TestApp, canary: &str) -> Vec<String> {
    let mut said = Vec::new();
    let echo = format!("[{{\"orgId\":\"{canary}\"}}]");
    for treatment in [
        Treatment::Refuse,
        Treatment::Status(503),
        Treatment::Redirect(format!("http://127.0.0.1:1/{canary}")),
        Treatment::Body(401, echo.clone()),
        Treatment::Body(200, echo),
    ] {
        treat(canary, treatment);
        said.push(app.put_vapi(canary).await.text);
        said.push(app.post(&format!("{}/verify", app.path("vapi"))).send().await.expect(200).text);
    }
    let bot = json!({"provider": "telegram", "credentials": {"botToken": format!("12345678:{canary}")}});
    treat(&format!("12345678:{canary}"), Treatment::Refuse);
    said.push(app.put(&app.path("bot")).json(&bot).send().await.text);
    let report = app.post(&format!("{}/report", app.path("vapi"))).json(&json!({"upstream_status": canary}));
    said.push(report.send().await.expect_problem(400, "invalid_request").text);
    said
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

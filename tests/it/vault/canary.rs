//! What an organization keeps in its vault comes out of nothing but the credentials route; nor do the URL and
//! the token of its function.

use hyper::Method;
use rstest::rstest;
use serde_json::json;

use super::{MANAGED, PRIVATE, PUBLIC, enable, put, vault};
use crate::support::{
    Db, Store, TestApp,
    fake_vault::{Conduct, FakeVault, answer},
    provider::{Treatment, treat},
};

/// Everything that a canary could come out of.
struct Hunt {
    app: TestApp,
    canary: String,
    said: Vec<String>,
}

impl Hunt {
    async fn read(&mut self) {
        let reply = self.app.read("vapi").await;
        assert!(reply.status == 502, "{}", reply.text);
        self.said.push(reply.text);
    }

    /// Every answer of an organization's that shows something of it.
    async fn look_around(&mut self) {
        let org = format!("/v1/orgs/{}", self.app.org);
        for rest in ["/vault/keys", "/connections", "/connections/vapi", "/events", "/events?format=jsonl"] {
            self.said.push(self.app.get(&format!("{org}{rest}")).send().await.expect(200).text);
        }
        let path = format!("{org}/connections/vapi");
        self.said.push(self.app.post(&format!("{path}/verify")).send().await.text);
        let report = self.app.post(&format!("{path}/report")).json(&json!({"upstream_status": 401}));
        self.said.push(report.send().await.text);
        self.said.push(vault(&self.app, Method::POST, "/test").send().await.expect(200).text);
        self.said.push(self.app.get("/readyz").send().await.expect(200).text);
    }
}

#[rstest]
#[case(Db::Sqlite, Store::Local)]
#[case(Db::Sqlite, Store::Moto)]
#[case(Db::Postgres, Store::Moto)]
#[tokio::test]
async fn nothing_of_a_vault_gets_out(#[case] db: Db, #[case] store: Store) {
    let app = TestApp::with(db, store, &[("KEYBROKER_VAULT_TIMEOUT", "500ms")]).await;
    let canary = format!("canary{}", app.org.trim_start_matches("org_"));
    app.put_vapi(MANAGED).await.expect(201);
    let function = FakeVault::with(&[(PUBLIC, &format!("pk-{canary}")), (PRIVATE, &canary)]).await;
    enable(&app, &function).await;
    let token = super::make_token(&app, &app.org).await;
    function.set_token(&token);
    let mut hunt = Hunt { app, canary: canary.clone(), said: Vec::new() };

    let read = hunt.app.read("vapi").await.expect(200);
    assert!(read.text.contains(&canary), "the one place where it belongs");
    hunt.look_around().await;
    for treatment in
        [Treatment::Refuse, Treatment::Body(401, canary.clone()), Treatment::Body(200, canary.clone())]
    {
        treat(&canary, treatment);
        hunt.look_around().await;
    }
    wrong_answers(&mut hunt, &function, &token).await;
    let url = function.url();
    drop(function);
    hunt.read().await;
    hunt.look_around().await;
    hunt.said
        .push(put(&hunt.app, &json!({"enabled": true})).await.expect_problem(502, "vault_unreachable").text);
    hunt.said.push(put(&hunt.app, &json!({"enabled": false})).await.expect(200).text.replace(&url, ""));
    let address = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
    nowhere(hunt, &[&canary, &token, &address]).await;
}

/// A function that answers nonsense made of its keys and its token.
async fn wrong_answers(hunt: &mut Hunt, function: &FakeVault, token: &str) {
    let secret = format!("{} {token}", hunt.canary);
    let json = |body: &str| Conduct::Bytes(answer(200, "application/json", body));
    let said =
        format!("HTTP/1.1 200 {secret}\r\nx-secret: {secret}\r\ncontent-type: {secret}\r\n\r\n{secret}");
    for conduct in [
        json(&format!("{{\"values\":{{\"{PRIVATE}\":[\"{secret}\"]}}}}")),
        json(&format!("{{\"values\":{{\"{secret}\":\"{secret}\",\"{secret}\":1}}}}")),
        json(&format!("{{\"values\":{{}},\"missing\":[\"{secret}\"]}}")),
        json(&secret),
        Conduct::Bytes(answer(500, "text/plain", &secret)),
        Conduct::Bytes(answer(401, "application/json", &format!("{{\"error\":\"{secret}\"}}"))),
        Conduct::Bytes(answer(302, &secret, &secret)),
        Conduct::Bytes(said.into_bytes()),
        Conduct::Bytes(format!("{secret}\r\n\r\n").into_bytes()),
        Conduct::Stall(format!("HTTP/1.1 200 OK\r\nx-secret: {secret}").into_bytes()),
    ] {
        function.conduct(conduct);
        hunt.read().await;
        hunt.look_around().await;
        let enabling = put(&hunt.app, &json!({"url": function.url(), "enabled": true})).await;
        hunt.said.push(enabling.text.replace(&function.url(), ""));
    }
    function.conduct(Conduct::Proper);
}

/// Not in an answer, the log, the metrics or the database.
async fn nowhere(hunt: Hunt, canaries: &[&str]) {
    let Hunt { mut app, mut said, .. } = hunt;
    let metrics = app.metrics().await;
    assert!(metrics.contains("keybroker_vault_requests_total"), "{metrics}");
    said.push(metrics);
    app.terminate().await;
    let log = app.log();
    assert!(log.contains("\"level\":\"DEBUG\"") && log.contains("vault changed"), "the log is talkative");
    said.push(log);
    if app.database_url.starts_with("postgres") {
        let dump = app.database().await.dump().await;
        assert!(dump.contains("vault.enabled") && dump.contains("latency_ms"), "the dump is one");
        said.push(dump);
    }
    for canary in canaries {
        for text in &said {
            let at = text
                .find(canary)
                .map(|at| text[at.saturating_sub(300)..].chars().take(500).collect::<String>());
            assert_eq!(at, None, "{canary}");
        }
        for (file, bytes) in app.files() {
            let found = bytes.windows(canary.len()).any(|window| window == canary.as_bytes());
            assert!(!found, "{canary} in {}", file.display());
        }
    }
}

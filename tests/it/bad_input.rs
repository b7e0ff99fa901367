//! Every kind of bad input gets its exact answer, and nothing comes of it.

mod bodies;
mod headers;
mod ids;
mod problems;
mod routes;

use hyper::Method;
use serde_json::Value;

use crate::support::{
    TestApp,
    app::{random_bytes, vapi},
    client::{Call, Reply, raw},
};

/// A service whose state is known, and a value that no answer may repeat.
struct Watched {
    app: TestApp,
    canary: String,
    before: Vec<i64>,
}

impl Watched {
    async fn new() -> Self {
        let app = TestApp::local().await;
        let canary = format!("sk-canary-{}", uuid::Uuid::from_bytes(random_bytes()).simple());
        let mut watched = Self { app, canary, before: Vec::new() };
        watched.take_stock().await;
        watched
    }

    /// One that has a connection already; returns its version too.
    async fn with_connection() -> (Self, String) {
        let mut watched = Self::new().await;
        let version = watched.app.put_vapi("sk-before-0123456789").await.expect(201).version();
        watched.take_stock().await;
        (watched, version)
    }

    /// Remembers what is there, as what must still be there at the end.
    async fn take_stock(&mut self) {
        self.before = self.rows().await;
    }

    async fn rows(&self) -> Vec<i64> {
        let mut database = self.app.database().await;
        let mut rows = Vec::new();
        for count in [
            "SELECT COUNT(*) FROM events WHERE type <> 'credentials.read'",
            "SELECT COUNT(*) FROM connections",
            "SELECT COUNT(*) FROM write_intents",
            "SELECT COUNT(*) FROM idempotency_keys",
            "SELECT COUNT(*) FROM tokens",
            "SELECT COUNT(*) FROM local_secrets",
        ] {
            rows.push(database.count(count).await);
        }
        rows
    }

    /// A body that would be stored, were it not for what is wrong besides.
    fn good_body(&self) -> Value {
        vapi(&self.canary)
    }

    /// A put that would succeed, were it not for what is yet to be added.
    fn good_put(&self) -> Call {
        self.app.put(&self.app.path("vapi")).json(&self.good_body())
    }

    /// Sends what must be refused, and checks the whole answer.
    async fn refused(&self, call: Call, status: u16, code: &str, what: &str) -> Reply {
        let reply = call.send().await;
        self.check(&reply, status, code, what);
        reply
    }

    /// The same for bytes that no client would send. They must ask for the connection's end.
    async fn refused_raw(&self, request: &[u8], status: u16, code: &str, what: &str) -> Reply {
        let reply = raw(self.app.address, request).await;
        self.check(&reply, status, code, what);
        reply
    }

    fn check(&self, reply: &Reply, status: u16, code: &str, what: &str) {
        let found = (reply.status.as_u16(), reply.text.contains(&format!("\"code\":\"{code}\"")));
        assert_eq!(found, (status, true), "{what}: wants {status} {code}, got {} {}", found.0, reply.text);
        reply.clone().expect_problem(status, code);
        assert!(!format!("{reply:?}").contains(&self.canary), "{what}: repeats the value: {reply:?}");
        let id = reply.header("x-request-id").unwrap();
        let charset = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
        assert!((1..=64).contains(&id.len()) && id.bytes().all(charset), "{what}: id {id:?}");
        assert_eq!(reply.header("retry-after"), None, "{what}: it is no use trying again");
        assert_eq!(reply.json()["retryable"], false, "{what}");
    }

    /// Nothing was written, nothing failed on our side, and the value is nowhere in the log.
    async fn nothing_happened(&self) {
        assert_eq!(self.rows().await, self.before, "something was written");
        self.app.get("/readyz").send().await.expect(200);
        let log = self.app.log();
        assert!(!log.contains(&self.canary), "the log repeats the value");
        assert!(log.contains("request refused"), "the log is not detailed enough for this test");
        for line in log.lines() {
            let entry: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
            assert!(entry["level"] != "ERROR" && entry["message"] != "request failed", "{line}");
            assert!(entry["status"].as_u64().unwrap_or(0) < 500, "{line}");
        }
    }
}

/// A request's first lines, for [`raw`].
fn head(app: &TestApp, method: &Method, path: &str) -> Vec<u8> {
    let (host, token) = (app.address, &app.root);
    let lines = [
        format!("{method} {path} HTTP/1.1"),
        format!("host: {host}"),
        "connection: close".to_owned(),
        format!("authorization: Bearer {token}"),
    ];
    format!("{}\r\n", lines.join("\r\n")).into_bytes()
}

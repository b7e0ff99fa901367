//! The audit log: that it tells what was done, all of it and nothing else, and that nobody can change it
//! unnoticed.

mod chain;
mod counts;
mod damaged;
mod list;
mod reads;
mod retention;
mod session;

use std::{collections::BTreeMap, process::Output, sync::Arc};

use keybroker::{
    adapter::sql::Database,
    broker::{lease::Chore, seal::Sealer},
    domain::clock::{Clock, ManualClock, SystemClock},
    port::audit::AuditIndex,
};
use serde_json::Value;

use crate::support::TestApp;

/// Every event that this query finds, newest first, page by page.
async fn events(app: &TestApp, query: &str) -> Vec<Value> {
    let (mut events, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = format!("/v1/orgs/{}/events?{query}{cursor}", app.org);
        let page = app.get(&page).send().await.expect(200).json();
        events.extend(page["events"].as_array().unwrap().iter().cloned());
        let Value::String(next) = &page["next_cursor"] else { return events };
        cursor = format!("&cursor={next}");
    }
}

/// How often each token was given each version, as far as the log tells.
async fn reads(app: &TestApp) -> BTreeMap<(String, String), i64> {
    let mut reads = BTreeMap::new();
    for event in events(app, "limit=200&type=credentials.read").await {
        assert_eq!((&event["token"], &event["request_id"]), (&Value::Null, &Value::Null), "{event}");
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        *reads.entry((text(&event["actor"]["id"]), text(&event["version"]))).or_default() +=
            event["count"].as_i64().unwrap();
    }
    reads
}

/// How many reads the log tells of.
async fn total_reads(app: &TestApp) -> i64 {
    reads(app).await.values().sum()
}

/// The log itself, past the service.
async fn open(app: &TestApp) -> Arc<dyn AuditIndex> {
    let origin = uuid::Uuid::from_bytes(crate::support::app::random_bytes());
    Arc::new(Database::open(&app.database_url, 1, origin).await.unwrap())
}

/// Seals every line of reads, as happens when its minute is over.
async fn seal_all(app: &TestApp) {
    let later = SystemClock::default().now() + std::time::Duration::from_mins(2);
    Sealer::new(open(app).await, Arc::new(ManualClock::at(later))).run_once().await.unwrap();
}

/// What `keybroker events verify` says, with these further arguments.
fn verify(app: &TestApp, arguments: &[&str]) -> Output {
    app.command(&[&["events", "verify"], arguments].concat()).output().unwrap()
}

/// What it prints when all is well.
#[track_caller]
fn verified(app: &TestApp, arguments: &[&str]) -> String {
    let output = verify(app, arguments);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The faults that it names.
#[track_caller]
fn faults(app: &TestApp) -> Vec<String> {
    let output = verify(app, &[]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("keybroker: the audit log does not verify"), "{text}");
    text.lines().filter(|line| !line.starts_with("keybroker: ")).map(str::to_owned).collect()
}

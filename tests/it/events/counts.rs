//! That counted reads are told once and in their order, however they come and whenever they are sealed.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use keybroker::{
    domain::{
        access::{Actor, ActorType},
        event::reads::minute,
    },
    port::audit::{AuditIndex, Reads},
};
use rstest::rstest;
use serde_json::Value;

use super::{events, open, total_reads, verified};
use crate::support::{Db, Store, TestApp};

/// The beginning of a minute that no server seals yet.
fn to_come() -> Timestamp {
    "2100-01-01T00:00:00Z".parse().unwrap()
}

fn actor(id: &str) -> Actor {
    Actor { r#type: ActorType::Token, id: id.into(), name: Some("\"quoted\" %".into()) }
}

/// What an actor read of a connection, so long after that.
fn reads<'a>(
    app: &'a TestApp,
    actor: &'a Actor,
    connection: &'a str,
    after: Duration,
    count: i64,
) -> Reads<'a> {
    let version = "01900000-0000-7000-8000-000000000000";
    Reads { org: &app.org, connection, version, actor, at: to_come() + after, count }
}

async fn seal_before(index: &Arc<dyn AuditIndex>, after: Duration) {
    index.seal_reads(minute(to_come() + after)).await.unwrap();
}

#[rstest]
#[case::sqlite(Db::Sqlite)]
#[case::postgres(Db::Postgres)]
#[tokio::test]
async fn a_batch_counts_once(#[case] db: Db) {
    let app = TestApp::new(db, Store::Local).await;
    let (one, other) = (open(&app).await, open(&app).await);
    let t = actor("t");
    let batch = [reads(&app, &t, "vapi", Duration::from_secs(1), 3)];
    let now = to_come();
    for _ in 0..2 {
        one.record_reads(1, &batch, now).await.unwrap();
        other.record_reads(1, &batch, now).await.unwrap();
    }
    assert_eq!(one.count_open(&app.org).await.unwrap(), 1, "both count into one line");
    seal_before(&one, Duration::from_hours(1)).await;
    // Who did not hear that it was done tries again, even after it was sealed.
    one.record_reads(1, &batch, now).await.unwrap();
    let late = [reads(&app, &t, "vapi", Duration::from_secs(2), 3)];
    one.record_reads(2, &late, now).await.unwrap();
    // Of those that have long been quiet nothing need be known.
    one.forget_writers(now).await.unwrap();
    one.record_reads(2, &late, now).await.unwrap();
    one.forget_writers(now + Duration::from_millis(1)).await.unwrap();
    assert_eq!(app.database().await.count("SELECT COUNT(*) FROM read_writers").await, 0);
    assert_eq!(total_reads(&app).await, 9);
    verified(&app, &[]);
}

/// Lines of three minutes, of which the first is sealed, the second partly and the third not at all.
async fn busy(app: &TestApp) {
    let index = open(app).await;
    let actors = [0, 1, 2, 3, 4].map(|n| actor(&format!("t{n}")));
    let connections: Vec<_> = (0..8).map(|n| format!("c-{n}")).collect();
    let mut number = 0;
    for (after, sealed) in [(0, true), (60, true), (61, false), (125, false)] {
        let mut batch = Vec::new();
        for n in 0..40 {
            let after = Duration::from_secs(after) + Duration::from_millis(7) * (n / 2);
            let n = usize::try_from(n).unwrap();
            batch.push(reads(app, &actors[n % 5], &connections[n % 8], after, 1));
        }
        for half in batch.chunks(20) {
            number += 1;
            index.record_reads(number, half, to_come()).await.unwrap();
        }
        if sealed {
            tokio::join!(
                seal_before(&index, Duration::from_secs(after + 60)),
                seal_before(&index, Duration::from_secs(after + 60))
            );
        }
    }
}

type Check = Box<dyn Fn(&Value) -> bool>;

#[rstest]
#[case::sqlite(Db::Sqlite)]
#[case::postgres(Db::Postgres)]
#[tokio::test]
async fn pages_and_filters_show_each_line_once(#[case] db: Db) {
    let app = TestApp::new(db, Store::Local).await;
    busy(&app).await;
    let all = events(&app, "limit=200").await;
    assert_eq!(all.len(), 160);
    let (sealed, open): (Vec<_>, Vec<_>) = all.iter().partition(|event| event["sequence"].is_i64());
    assert_eq!((sealed.len(), open.len()), (80, 80));
    let times: Vec<_> = all.iter().map(|event| event["at"].as_str().unwrap()).collect();
    assert!(times.is_sorted_by(|newer, older| newer >= older), "{times:?}");
    let filters: [(&str, Check); 5] = [
        ("", Box::new(|_| true)),
        ("&actor=t3", Box::new(|event| event["actor"]["id"] == "t3")),
        ("&connection=c-1&type=credentials.read", Box::new(|event| event["connection"] == "c-1")),
        ("&since=2100-01-01T00:00:00.050Z&until=2100-01-01T00:01:01.050Z", {
            let within = "2100-01-01T00:00:00.050Z".."2100-01-01T00:01:01.050Z";
            Box::new(move |event| within.contains(&event["at"].as_str().unwrap()))
        }),
        ("&type=connection.created", Box::new(|_| false)),
    ];
    for (filter, passes) in filters {
        let expected: Vec<_> = all.iter().filter(|event| passes(event)).cloned().collect();
        for limit in [1, 7, 160, 200] {
            assert_eq!(events(&app, &format!("limit={limit}{filter}")).await, expected, "{limit} {filter}");
        }
        let export = app.get(&format!("/v1/orgs/{}/events?format=jsonl{filter}", app.org)).send().await;
        let exported: Vec<Value> =
            export.expect(200).text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(exported, expected, "{filter}");
    }
}

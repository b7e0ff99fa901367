//! That counted reads are told once and in their order, however they come and whenever they are sealed.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use keybroker::{
    broker::{
        cache::Served,
        reads::{ReadLog, ReadRecorder},
    },
    domain::{
        access::{Actor, ActorType, Caller, Reach},
        clock::{Clock, ManualClock},
        connection::Source,
        event::reads::minute,
        secret::Credentials,
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
    let at = to_come() + after;
    Reads { line: 0, told: false, org: &app.org, connection, version, actor, at, count }
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

/// Each connection and how often it was read, as the list shows it.
async fn listed(app: &TestApp) -> Vec<(String, i64)> {
    let of = |event: &Value| (event["connection"].as_str().unwrap().into(), event["count"].as_i64().unwrap());
    let mut listed: Vec<_> = events(app, "type=credentials.read").await.iter().map(of).collect();
    listed.sort_unstable();
    listed
}

#[rstest]
#[case::sqlite(Db::Sqlite)]
#[case::postgres(Db::Postgres)]
#[tokio::test]
async fn a_line_may_be_told_by_its_number_until_its_minute_is_sealed(#[case] db: Db) {
    let app = TestApp::new(db, Store::Local).await;
    let (one, other) = (open(&app).await, open(&app).await);
    let (t, now) = (actor("t"), to_come());
    let line = |line, connection, told, count| Reads {
        line,
        told,
        ..reads(&app, &t, connection, Duration::from_secs(1), count)
    };
    let told = async |index: &Arc<dyn AuditIndex>, number, lines: &[Reads<'_>]| {
        index.record_reads(number, lines, now).await.unwrap() <= minute(now)
    };
    assert!(told(&one, 1, &[line(70, "a", false, 1), line(71, "b", false, 1)]).await);
    assert!(told(&other, 1, &[line(70, "c", false, 1), line(71, "a", false, 1)]).await);
    assert!(
        told(&one, 2, &[line(70, "a", true, 10), line(72, "d", false, 1), line(71, "b", true, 10)]).await
    );
    assert!(told(&other, 2, &[line(71, "a", true, 100)]).await);
    let expected = [("a", 112), ("b", 11), ("c", 1), ("d", 1)].map(|(name, count)| (name.to_owned(), count));
    assert_eq!(listed(&app).await, expected);
    seal_before(&one, Duration::from_mins(1)).await;
    assert_eq!(listed(&app).await, expected);

    // Neither knows yet that it is sealed.
    assert!(!told(&one, 3, &[line(70, "a", true, 1)]).await);
    assert!(!told(&other, 3, &[line(70, "c", true, 1)]).await);
    assert_eq!(one.count_open(&app.org).await.unwrap(), 2);
    seal_before(&one, Duration::from_mins(1)).await;
    assert_eq!(total_reads(&app).await, 127);
    verified(&app, &[]);
}

/// Two replicas that count and write, while minutes pass and are sealed in the same moment.
#[rstest]
#[case::sqlite(Db::Sqlite)]
#[case::postgres(Db::Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_where_a_minute_is_sealed_while_it_is_told(#[case] db: Db) {
    const ROUNDS: i64 = 60;
    let app = TestApp::new(db, Store::Local).await;
    let clock = Arc::new(ManualClock::at(to_come()));
    let provider = "vapi".parse().unwrap();
    let version = "01900000-0000-7000-8000-000000000000".parse().unwrap();
    let serve = |name| (name, Served::new(&provider, &Credentials::none(), &version, Source::Managed));
    let served = ["a", "b", "c"].map(serve);
    let replica = async |name: &str| {
        let log = ReadLog::new(clock.clone());
        let recorder = ReadRecorder::new(log.clone(), open(&app).await);
        let caller = Caller::new(actor(name), Reach::everything());
        (log, recorder, caller)
    };
    let mut replicas = [replica("one").await, replica("other").await];
    let sealer = open(&app).await;
    let mut counted = 0;
    for round in 0..ROUNDS {
        let writing = replicas.each_mut().map(|(log, recorder, caller)| {
            for (connection, served) in served.iter().take(1 + usize::try_from(round % 3).unwrap()) {
                let permit = caller.permit(app.org.parse().unwrap(), connection.parse().unwrap()).unwrap();
                assert!(log.count(&permit, served, || true));
                counted += 1;
            }
            recorder.run_once()
        });
        // What is counted now is of a minute that is over before it is written.
        clock.advance(Duration::from_secs(if round % 4 == 3 { 60 } else { 1 }));
        let sealing = sealer.seal_reads(minute(clock.now()));
        let (written, sealed) = tokio::join!(futures_util::future::try_join_all(writing), sealing);
        written.unwrap();
        sealed.unwrap();
    }
    sealer.seal_reads(i64::MAX).await.unwrap();
    assert_eq!(app.database().await.count("SELECT COUNT(*) FROM read_counts").await, 0);
    assert_eq!(total_reads(&app).await, counted);
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

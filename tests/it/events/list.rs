//! Filters and the export.

use std::{
    pin::pin,
    process::{Command, Stdio},
    sync::Arc,
};

use futures_util::TryStreamExt;
use keybroker::{
    adapter::sql::Database,
    broker::{events::Events, tokens::operator},
    domain::event::EventFilter,
};
use rstest::rstest;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{events, seal_all, total_reads, verified};
use crate::support::{Db, Store, TestApp, app::vapi, services::root, until};

async fn busy(db: Db) -> TestApp {
    let app = TestApp::new(db, Store::Local).await;
    for n in 0..5 {
        for name in ["a", "b"] {
            let key = format!("sk-{n}-0123456789abcdef");
            app.put(&app.path(name)).json(&vapi(&key)).send().await;
            tokio::time::sleep(std::time::Duration::from_millis(3)).await;
        }
    }
    app.read("a").await.expect(200);
    let shell = ["token", "create", "--name", "x", "--scope", "events:read", "--org", &app.org];
    assert!(app.command(&shell).output().unwrap().status.success());
    until("the read is told", || async { (total_reads(&app).await == 1).then_some(()) }).await;
    app
}

type Check<'a> = Box<dyn Fn(&Value) -> bool + 'a>;

#[rstest]
#[case::sqlite(Db::Sqlite)]
#[case::postgres(Db::Postgres)]
#[tokio::test]
async fn filters_find_what_they_should(#[case] db: Db) {
    let app = busy(db).await;
    let all = events(&app, "limit=200").await;
    assert_eq!(all.len(), 12);
    let actor = all.last().unwrap()["actor"]["id"].as_str().unwrap().to_owned();
    let (from, to) = (all[9]["at"].as_str().unwrap().to_owned(), all[4]["at"].as_str().unwrap().to_owned());
    let text = |event: &Value, field: &str| event[field].as_str().unwrap_or_default().to_owned();
    let checks: Vec<(String, Check<'_>)> = vec![
        ("type=connection.updated".into(), Box::new(|e| text(e, "type") == "connection.updated")),
        ("type=credentials.read".into(), Box::new(|e| text(e, "type") == "credentials.read")),
        ("type=session.opened".into(), Box::new(|_| false)),
        ("connection=a".into(), Box::new(|e| text(e, "connection") == "a")),
        (format!("actor={actor}"), Box::new(|e| text(&e["actor"], "id") == actor)),
        ("actor=cli".into(), Box::new(|e| text(&e["actor"], "type") == "operator")),
        ("actor=nobody".into(), Box::new(|_| false)),
        (format!("since={from}"), Box::new(|e| text(e, "at") >= from)),
        (format!("until={to}"), Box::new(|e| text(e, "at") < to)),
        (
            format!("since={from}&until={to}&connection=b&type=connection.updated&actor={actor}"),
            Box::new(|e| {
                text(e, "at") >= from
                    && text(e, "at") < to
                    && e["connection"] == "b"
                    && text(e, "type") == "connection.updated"
            }),
        ),
    ];
    for (query, check) in checks {
        let expected: Vec<_> = all.iter().filter(|event| check(event)).cloned().collect();
        for limit in [2, 200] {
            assert_eq!(events(&app, &format!("{query}&limit={limit}")).await, expected, "{query}");
        }
        assert_eq!(export(&app, &query).await, expected, "{query}");
    }
    // The first time there is has none before it.
    assert_eq!(events(&app, "since=-009999-01-02T01:59:59Z").await.len(), 12);
    // Any offset is a time.
    let elsewhere = events(&app, "since=2020-01-01T00:00:00%2B05:00").await;
    assert_eq!(elsewhere.len(), 12);
}

/// More events than the export holds at a time.
const MANY: &str = "INSERT INTO events (number, id, org, type, at, actor, origin) \
     SELECT n, '00000000-0000-7000-8000-' || CAST(100000000000 + n AS TEXT), org, 'vault.tested', \
     1763763420125, '{\"type\":\"user\",\"id\":\"ada\"}', '' FROM (SELECT a.org AS org, \
     100000 + 10000 * c.number + 100 * a.number + b.number AS n FROM events a, events b, events c \
     WHERE a.number > 1 AND c.number <= 6) AS many";

/// What `format=jsonl` gives.
async fn export(app: &TestApp, query: &str) -> Vec<Value> {
    let path = format!("/v1/orgs/{}/events?format=jsonl&{query}", app.org);
    let reply = app.get(&path).send().await.expect(200);
    assert_eq!(reply.header("content-type"), Some("application/x-ndjson"));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert!(reply.text.is_empty() || reply.text.ends_with('\n'), "{}", reply.text);
    reply.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// More than the export holds at a time, and checked as docs/architecture.md tells an outsider to.
#[rstest]
#[case::sqlite(Db::Sqlite)]
#[case::postgres(Db::Postgres)]
#[tokio::test]
async fn an_export_is_whole_and_can_be_verified_by_anyone(#[case] db: Db) {
    let app = busy(db).await;
    seal_all(&app).await;
    let mut database = app.database().await;
    database.execute(MANY).await;
    database.execute("UPDATE event_counter SET newest = 900000").await;
    seal_all(&app).await;
    let exported = export(&app, "").await;
    assert!(exported.len() > 500, "{}", exported.len());
    let mut sequences: Vec<_> = exported.iter().map(|event| event["sequence"].as_u64().unwrap()).collect();
    sequences.sort_unstable();
    assert!(sequences.into_iter().eq(1..=exported.len() as u64), "each event once");
    assert_eq!(outsider_says(&app, &exported).await, "");
    let mut altered = exported.clone();
    let one = altered.iter_mut().find(|event| event["sequence"] == 7).unwrap();
    one["actor"]["name"] = "another".into();
    assert_eq!(outsider_says(&app, &altered).await, "7 does not fit\n");
    // Of an export that begins later the rest can be verified.
    altered.retain(|event| event["sequence"].as_u64() > Some(7));
    assert_eq!(outsider_says(&app, &altered).await, "");
    verified(&app, &[]);
}

/// Events go by their age meanwhile: what is left of them is exported, and no page passes for the last one.
#[rstest]
#[case::sqlite(Db::Sqlite)]
#[case::postgres(Db::Postgres)]
#[tokio::test]
async fn an_event_that_is_gone_ends_no_list_silently(#[case] db: Db) {
    let app = busy(db).await;
    let mut database = app.database().await;
    database.execute(MANY).await;
    let all = events(&app, "limit=200").await.len();
    let index = Arc::new(Database::open(&app.database_url, 1, uuid::Uuid::nil()).await.unwrap());
    let permit = operator().permit_org(app.org.parse().unwrap()).unwrap();
    let mut pages = pin!(Events::new(index).export(permit, EventFilter::default()));
    let mut exported = pages.try_next().await.unwrap().unwrap().len();
    let page = app.get(&format!("/v1/orgs/{}/events?limit=200", app.org)).send().await.expect(200).json();
    let cursor = page["next_cursor"].as_str().unwrap();
    database.execute("CREATE TABLE gone AS SELECT id FROM events ORDER BY number DESC LIMIT 493").await;
    database.execute("DELETE FROM events WHERE id IN (SELECT id FROM gone)").await;

    let next = app.get(&format!("/v1/orgs/{}/events?cursor={cursor}", app.org)).send().await;
    let problem = next.expect_problem(400, "invalid_request");
    assert!(problem.json()["detail"].as_str().unwrap().contains("Start again"), "{}", problem.text);
    while let Some(page) = pages.try_next().await.unwrap() {
        exported += page.len();
    }
    assert!(exported > 500 && exported == all - 5, "{exported} of {all}");
}

/// What the program in docs/architecture.md says of an export.
async fn outsider_says(app: &TestApp, events: &[Value]) -> String {
    let docs = std::fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let (program, _) = docs.split_once("```python\n").unwrap().1.split_once("```").unwrap();
    let mut python = Command::new("python3");
    python.args(["-c", program, &app.org]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut python = python.spawn().unwrap();
    let lines: Vec<_> = events.iter().map(Value::to_string).collect();
    let mut stdin = python.stdin.take().unwrap();
    let output = tokio::task::spawn_blocking(move || {
        std::io::Write::write_all(&mut stdin, lines.join("\n").as_bytes()).unwrap();
        drop(stdin);
        python.wait_with_output().unwrap()
    });
    let output = output.await.unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// So many events that they don't fit between the service and a caller who does not read on.
#[tokio::test]
async fn an_export_that_fails_half_way_is_broken_off() {
    let app = busy(Db::Postgres).await;
    let mut database = app.database().await;
    database
        .execute(
            "INSERT INTO events (number, id, org, type, at, actor, origin) \
             SELECT 100000 + n, '00000000-0000-7000-8000-' || CAST(100000000000 + n AS TEXT), org, 'vault.tested', \
             1763763420125, '{\"type\":\"user\",\"id\":\"ada\"}', '' \
             FROM generate_series(1, 60000) AS n, events WHERE number = 2",
        )
        .await;
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(app.address).await.unwrap();
    let (org, root) = (&app.org, &app.root);
    let request = format!(
        "GET /v1/orgs/{org}/events?format=jsonl HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {root}\r\n\
         connection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = vec![0; 1024];
    stream.read_exact(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{answer:?}");
    let down = database.take_down().await;
    let _ = stream.read_to_end(&mut answer).await;
    assert!(!answer.ends_with(b"0\r\n\r\n"), "the end of a whole answer");
    until("the log says so", || async {
        app.log().contains("an export of events was broken off").then_some(())
    })
    .await;
    let path = format!("/v1/orgs/{org}/events?format=jsonl");
    app.get(&path).send().await.expect_problem(503, "store_unavailable");
    down.bring_up().await;
}

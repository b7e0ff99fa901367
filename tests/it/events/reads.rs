//! That no read is lost on its way into the log, whatever happens.

use futures_util::future::join_all;
use rstest::rstest;

use super::{events, seal_all, total_reads, verified};
use crate::support::{Db, Store, TestApp, app::vapi, until};

async fn read(app: &TestApp, times: usize) {
    for reply in join_all((0..times).map(|_| app.read("vapi"))).await {
        reply.expect(200);
    }
}

async fn until_told(app: &TestApp, reads: i64) {
    until("the log tells all reads", || async { (total_reads(app).await >= reads).then_some(()) }).await;
    assert_eq!(total_reads(app).await, reads);
}

#[rstest]
#[case::sqlite(Db::Sqlite)]
#[case::postgres(Db::Postgres)]
#[tokio::test]
async fn reads_are_told_soon_and_flushed_at_the_end(#[case] db: Db) {
    let mut app = TestApp::new(db, Store::Local).await;
    app.put_vapi("sk-0123456789abcdef").await.expect(201);
    read(&app, 20).await;
    until_told(&app, 20).await;
    until("the metrics tell them too", || async {
        let metrics = app.metrics().await;
        let told = ["keybroker_reads_recorded_total 20", "keybroker_reads_waiting 0"];
        told.iter().all(|line| metrics.contains(line)).then_some(())
    })
    .await;

    read(&app, 7).await;
    assert_eq!(app.terminate().await.code(), Some(0), "{}", app.log());
    app.start().await;
    until_told(&app, 27).await;
}

#[rstest]
#[case::sqlite(Db::Sqlite)]
#[case::postgres(Db::Postgres)]
#[tokio::test]
async fn reads_outlast_a_database_that_takes_none(#[case] db: Db) {
    let app = TestApp::new(db, Store::Local).await;
    app.put_vapi("sk-0123456789abcdef").await.expect(201);
    read(&app, 1).await;
    until_told(&app, 1).await;
    let frozen = app.database().await.freeze().await;
    read(&app, 5).await;
    tokio::time::sleep(std::time::Duration::from_secs(6)).await;
    read(&app, 5).await;
    drop(frozen);
    until_told(&app, 11).await;
}

#[tokio::test]
async fn reads_outlast_a_database_that_is_down() {
    let app = TestApp::new(Db::Postgres, Store::Local).await;
    app.put_vapi("sk-0123456789abcdef").await.expect(201);
    read(&app, 3).await;
    let down = app.database().await.take_down().await;
    read(&app, 10).await;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    read(&app, 10).await;
    down.bring_up().await;
    until("the service works again", || async {
        (app.get("/readyz").send().await.status == 200).then_some(())
    })
    .await;
    until_told(&app, 23).await;
    assert!(app.log().contains("reads of keys can't be logged at present"), "{}", app.log());
}

#[tokio::test]
async fn what_comes_after_its_line_was_sealed_gets_another() {
    let app = TestApp::local().await;
    app.put_vapi("sk-0123456789abcdef").await.expect(201);
    read(&app, 2).await;
    until_told(&app, 2).await;
    seal_all(&app).await;
    read(&app, 3).await;
    until_told(&app, 5).await;
    let lines = events(&app, "type=credentials.read").await;
    assert!(lines.len() >= 2 && lines.last().unwrap()["sequence"].is_i64(), "{lines:?}");
    verified(&app, &[]);
}

#[tokio::test]
async fn two_replicas_tell_all_and_keep_what_they_have_in_memory() {
    let app = TestApp::new(Db::Postgres, Store::Local).await;
    let replica = app.replica(&[]).await;
    app.put_vapi("sk-0123456789abcdef").await.expect(201);
    read(&app, 1).await;
    read(&replica, 1).await;
    until_told(&app, 2).await;
    let misses = |metrics: String| {
        let line =
            metrics.lines().find(|line| line.starts_with("keybroker_cache_reads_total{result=\"miss\"}"));
        line.unwrap().rsplit_once(' ').unwrap().1.to_owned()
    };
    let before = misses(app.metrics().await);
    let writes = (0..8).map(|n| {
        let app = if n % 2 == 0 { &app } else { &replica };
        async move {
            let put = app.put(&app.path(&format!("other-{n}"))).json(&vapi("sk-0123456789abcdef")).send();
            put.await.expect(201);
            read(app, 5).await;
            verified(app, &[]);
        }
    });
    join_all(writes).await;
    until_told(&app, 42).await;
    assert_eq!(misses(app.metrics().await), before, "another replica's reads make nobody forget");
    seal_all(&app).await;
    let open = events(&app, "limit=200").await.iter().filter(|event| event["sequence"].is_null()).count();
    assert_eq!(open, 0);
    verified(&replica, &[]);
}

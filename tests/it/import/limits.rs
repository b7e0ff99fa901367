//! An import into AWS: its write limit, its refusals, and an end that is asked for.

use std::{process::Command, process::Stdio, time::Instant};

use super::{Rows, Told, vapi};
use crate::support::{Db, Store, TestApp, aws::Fault};

fn rows(app: &TestApp, count: usize) -> Rows {
    let rows: Vec<_> =
        (1..=count).map(|i| vapi(&app.org, &format!("c{i}"), &format!("sk-of-{i:010}"))).collect();
    Rows::of(&rows)
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_keep_to_the_limit() {
    let app = TestApp::with(Db::Postgres, Store::Moto, &[("KEYBROKER_AWS_WRITES_PER_SECOND", "20")]).await;
    let rows = rows(&app, 100);
    #[expect(clippy::disallowed_methods, reason = "a test measures")]
    let began = Instant::now();
    rows.import(&app, &[]).expect(0, &["100 created", "0 refused"]);
    let seconds = began.elapsed().as_secs_f64();
    let writes = app.aws().count("CreateSecret") + app.aws().count("PutSecretValue");
    assert_eq!(writes, 100, "one call for each row");
    assert_eq!(app.aws().count("GetSecretValue"), 0, "and none to read");
    // A burst of a quarter of a second's writes, then so many a second.
    assert!(seconds >= 95.0 / 20.0, "100 writes in {seconds} s");
    let reply = app.read("c100").await.expect(200);
    assert_eq!(reply.json()["credentials"]["privateApiKey"], "sk-of-0000000100");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_refuses_everything_ends_it() {
    let app = TestApp::new(Db::Sqlite, Store::Moto).await;
    let rows = rows(&app, 200);
    app.aws().fail_all(Fault::Code("AccessDeniedException"));
    rows.import(&app, &[])
        .expect(1, &["refuses every row", "keybroker doctor", "run the same command again"]);
    assert!(rows.refused().len() < 20, "the rest was not tried");
    app.aws().heal();
    app.settled().await;
    rows.import(&app, &[]).expect(0, &["200 created"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn passing_faults_are_waited_out() {
    let app = TestApp::with(Db::Postgres, Store::Moto, &[("KEYBROKER_STORE_TIMEOUT", "2s")]).await;
    let rows = rows(&app, 20);
    app.aws().fail_after(5, "CreateSecret", 12, Fault::Code("ThrottlingException"));
    let told = rows.import(&app, &[]).expect(0, &["0 refused"]);
    assert!(!told.stderr.contains("line "), "{told:?}");
    app.settled().await;
    for i in 1..=20 {
        assert_eq!(app.history(&format!("c{i}")).await[0].0, "connection.created");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn told_to_stop_it_finishes_what_is_under_way() {
    let app = TestApp::new(Db::Sqlite, Store::Moto).await;
    let rows = rows(&app, 50);
    app.aws().fail_after(10, "CreateSecret", usize::MAX, Fault::HoldCall);
    let mut command = rows.command(&app, &[]);
    let process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    app.aws().held().await;
    assert!(Command::new("kill").args(["-TERM", &process.id().to_string()]).status().unwrap().success());
    // Until it has heard of it, it would begin the next row.
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    app.aws().release();
    let ended = tokio::task::spawn_blocking(|| process.wait_with_output().unwrap()).await.unwrap();
    let told = Told::from(ended).expect(1, &["stopping", "run the same command again", " left, in "]);
    let created: u64 = told.stdout.split(' ').next().unwrap().parse().unwrap();
    assert!((11..50).contains(&created), "{told:?}");
    assert_eq!(app.database().await.intents().await, 0, "nothing is left half-way");

    let left = format!("{} created", 50 - created);
    rows.import(&app, &[]).expect(0, &[&left, &format!("{created} skipped")]);
    assert_eq!(app.aws().count("CreateSecret"), 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_takes_anything_from_an_import_under_way() {
    let app = TestApp::new(Db::Sqlite, Store::Moto).await;
    let rows = rows(&app, 1);
    let good = std::fs::read_to_string(rows.file()).unwrap();
    rows.write(&[good, "{}".into()]);
    app.aws().fail_after(0, "CreateSecret", usize::MAX, Fault::HoldCall);
    let mut command = rows.command(&app, &[]);
    let process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    app.aws().held().await;
    rows.import(&app, &["--dry-run"]).expect(1, &["1 refused", "rows.jsonl.dry-run.refused.jsonl"]);
    for flags in [&[][..], &["--restart"]] {
        rows.import(&app, flags).expect(1, &["another import of this file is under way"]);
    }
    assert_eq!(rows.refused_lines(), [2]);
    app.aws().release();
    let ended = tokio::task::spawn_blocking(|| process.wait_with_output().unwrap()).await.unwrap();
    Told::from(ended).expect(1, &["1 created", "1 refused", "refused: 1 row"]);
    assert_eq!(rows.refused_lines(), [2]);
    rows.import(&app, &[]).expect(1, &["1 skipped as done before"]);
}

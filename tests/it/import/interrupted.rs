//! An import that is killed half-way and run again.

use std::{
    fs,
    process::{Child, Stdio},
    time::Duration,
};

use super::{Rows, Told, vapi};
use crate::support::{self, TestApp};

/// Every hundredth row is bad, each in another way.
const BAD: [&str; 5] = [
    "not JSON",
    r#"{"org":"acme","connection":"x","provider":"none"}"#,
    r#"{"org":"acme","connection":"x","provider":"vapi","credentials":{"publicApiKey":"pk"}}"#,
    r#"{"org":"acme","org":"acme"}"#,
    "{}",
];

fn rows(org: &str, count: usize) -> Rows {
    let row = |i: usize| match i % 100 {
        57 => BAD[i / 100 % BAD.len()].to_owned(),
        _ => vapi(org, &format!("c{i}"), &format!("sk-of-{i:010}")).to_string(),
    };
    Rows::new(&(1..=count).map(row).collect::<Vec<_>>())
}

/// The most memory that the process has had, in KiB; nothing when it has ended.
fn peak(process: &Child) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", process.id())).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

fn begin(rows: &Rows, app: &TestApp) -> Child {
    let mut command = rows.command(app, &[]);
    command.env("KEYBROKER_LOG", "error").stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// Waits for its end; what it said, and its peak.
async fn end(mut process: Child) -> (Told, u64) {
    let mut most = 0;
    while process.try_wait().unwrap().is_none() {
        most = peak(&process).unwrap_or(most);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    (process.wait_with_output().unwrap().into(), most)
}

#[tokio::test]
async fn ten_thousand_rows_killed_half_way_are_there_once() {
    let app = TestApp::local().await;
    let (few, few_kib) = end(begin(&rows("few", 1_000), &app)).await;
    few.expect(1, &["990 created", "10 refused"]);

    let rows = rows(&app.org, 10_000);
    let mut first = begin(&rows, &app);
    let mut database = app.database().await;
    let done = "SELECT COUNT(*) FROM connections WHERE org <> 'few'";
    while database.count(done).await < 5_000 {
        assert!(first.try_wait().unwrap().is_none(), "it ended before it was killed");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let beside = app.put("/v1/orgs/few/connections/beside").json(&support::app::vapi("sk-beside-0123456789"));
    beside.send().await.expect(201);
    first.kill().unwrap();
    first.wait().unwrap();

    let (told, kib) = end(begin(&rows, &app)).await;
    let told = told.expect(1, &["10000 rows: ", "100 refused", "refused: 100 rows", " rows, "]);
    let skipped = told.stdout.split(" skipped").next().unwrap().rsplit(' ').next().unwrap();
    assert!(skipped.parse::<u64>().unwrap() >= 4_900, "{told:?}");
    app.settled().await;
    for (query, expected) in [
        ("SELECT COUNT(*) FROM connections WHERE org <> 'few'", 9_900),
        (
            "SELECT COUNT(*) FROM connections WHERE org <> 'few' AND generation = 1 AND status = 'active'",
            9_900,
        ),
        ("SELECT COUNT(*) FROM events WHERE org <> 'few' AND type = 'connection.created'", 9_900),
        (
            "SELECT COUNT(DISTINCT connection) FROM events WHERE org <> 'few' AND type = 'connection.created'",
            9_900,
        ),
        ("SELECT COUNT(*) FROM events WHERE org <> 'few' AND type = 'connection.updated'", 0),
        ("SELECT COUNT(*) FROM local_secrets", 9_900 + 990 + 1),
    ] {
        assert_eq!(database.count(query).await, expected, "{query}");
    }
    let reply = app.read("c10000").await.expect(200);
    assert_eq!(reply.json()["credentials"]["privateApiKey"], "sk-of-0000010000");

    assert_eq!(rows.refused_lines(), (0..100).map(|i| i * 100 + 57).collect::<Vec<_>>());
    assert_eq!(told.stderr.lines().filter(|line| line.starts_with("line ")).count(), 20);
    // Ten times the rows take a few hashes more, and the pages that SQLite keeps for each connection.
    assert!(kib < few_kib + 8_000, "{kib} KiB for 10000 rows, {few_kib} KiB for 1000");
    println!("{kib} KiB for 10000 rows, {few_kib} KiB for 1000");

    // The file is mended: only what was bad is left, and then nothing.
    let text = fs::read_to_string(rows.file()).unwrap();
    let good: Vec<String> = text.lines().filter(|line| !BAD.contains(line)).map(str::to_owned).collect();
    rows.write(&good);
    let (told, _) = end(begin(&rows, &app)).await;
    told.expect(0, &["9900 rows: 0 to do, 9900 done before, 0 refused", "0 created", "9900 skipped"]);
    assert_eq!(rows.files(), ["rows.jsonl"]);
}

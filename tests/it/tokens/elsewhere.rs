//! Tokens made and revoked by another process, and what is left of them on disk.

use std::process::{Command, Output};

use hyper::Method;
use keybroker::domain::access::Scope;
use rstest::rstest;

use super::{create, made, refused_in_time, revoke, seen, status};
use crate::support::{Db, Store, TestApp};

fn run(app: &TestApp, arguments: &[&str]) -> Output {
    app.command(&[&["token"], arguments].concat()).output().unwrap()
}

/// What a command printed that did its work.
fn printed(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The token of `token create`, and its id from `token list`.
fn create_by_command(app: &TestApp, name: &str, arguments: &[&str]) -> (String, String) {
    let output = run(app, &[&["create", "--name", name], arguments].concat());
    let token = printed(&output).trim_end().to_owned();
    assert!(!String::from_utf8_lossy(&output.stderr).contains(&token), "it is printed once");
    let list = printed(&run(app, &["list"]));
    assert!(!list.contains(&token), "{list}");
    let line = list.lines().find(|line| line.contains(name)).unwrap_or_else(|| panic!("{name}: {list}"));
    (token, line.split_whitespace().next().unwrap().to_owned())
}

#[rstest]
#[case::sqlite(Db::Sqlite)]
#[case::postgres(Db::Postgres)]
#[tokio::test]
async fn the_command_line_makes_lists_and_revokes(#[case] db: Db) {
    let app = TestApp::new(db, Store::Local).await;
    let scopes = ["--scope", "connections:read", "events:read", "--org", &app.org, "--expires-in", "90d"];
    let (token, id) = create_by_command(&app, "from-the-shell", &scopes);
    let list = app.call(Method::GET, &format!("/v1/orgs/{}/connections", app.org));
    list.token(&token).send().await.expect(200);
    let read = app.call(Method::GET, &format!("{}/credentials", app.path("vapi")));
    read.token(&token).send().await.expect_problem(403, "missing_scope");
    assert_eq!(status(&app, &token).await, 200);

    let record = app.get("/v1/tokens").send().await.expect(200).json();
    let record = record["tokens"].as_array().unwrap().iter().find(|token| token["id"] == id).unwrap().clone();
    assert_eq!(record["name"], "from-the-shell");
    assert_eq!(record["orgs"], serde_json::json!([app.org]));
    assert!(record["expires_at"].is_string(), "{record}");

    printed(&run(&app, &["revoke", &id]));
    refused_in_time(&app, &token).await;
    let again = run(&app, &["revoke", &id]);
    assert_eq!(again.status.code(), Some(1), "{again:?}");
    assert!(String::from_utf8_lossy(&again.stderr).contains("token list"), "{again:?}");
    assert!(!printed(&run(&app, &["list"])).contains(&id));

    let events = app.get(&format!("/v1/orgs/{}/events?type=token.revoked", app.org)).send().await.json();
    assert_eq!(events["events"][0]["actor"]["type"], "operator", "{events}");
}

#[tokio::test]
async fn the_command_line_says_what_is_wrong() {
    let app = TestApp::local().await;
    let before = seen(&app, &app.root).await;
    let id = "01920000-0000-7000-8000-000000000001";
    for (arguments, code, says) in [
        (&["create", "--name", "x", "--scope", "events:read"][..], 2, "--org"),
        (&["create", "--name", "x", "--scope", "events:read", "--org", "a", "--all-orgs"], 2, "--all-orgs"),
        (&["create", "--name", "x", "--scope", "everything", "--org", "a"], 2, "connections:read"),
        (&["create", "--name", "x", "--org", "a"], 2, "--scope"),
        (&["create", "--scope", "events:read", "--org", "a"], 2, "--name"),
        (&["create", "--name", "", "--scope", "events:read", "--org", "a"], 2, "1 to 100"),
        (&["create", "--name", "x", "--scope", "events:read", "--org", "../b"], 2, "organization id"),
        (&["create", "--name", "x", "--scope", "events:read", "--org", "*"], 2, "organization id"),
        (&["create", "--name", "x", "--scope", "events:read", "--org", "a", "--expires-in", "9"], 2, "90d"),
        (
            &["create", "--name", "x", "--scope", "events:read", "--org", "a", "--expires-in", "0s"],
            2,
            "1 second",
        ),
        (&["revoke"], 2, "<ID>"),
        (&["revoke", "x"], 2, "'x'"),
        (&["revoke", id], 1, "token list"),
        (&["forget", id], 2, "forget"),
    ] {
        let output = run(&app, arguments);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        assert!(text.contains(says), "{arguments:?} should say {says}: {text}");
        assert!(output.stdout.is_empty(), "{output:?}");
    }
    assert_eq!(seen(&app, &app.root).await, before);
}

#[tokio::test]
async fn every_replica_refuses_what_one_revoked() {
    let app = TestApp::new(Db::Postgres, Store::Local).await;
    let replica = app.replica(&[]).await;
    let (token, id) = made(create(&app, &app.root, &[Scope::EventsRead], &["a"]).await);
    assert_eq!(status(&app, &token).await, 200);
    assert_eq!(status(&replica, &token).await, 200);
    revoke(&app, &app.root, &id).await.expect(204);
    assert_eq!(status(&app, &token).await, 401, "where it was revoked, at once");
    refused_in_time(&replica, &token).await;
    assert_eq!(status(&replica, &app.root).await, 200);
}

#[tokio::test]
async fn the_bootstrap_token_is_made_once_and_stays_revoked() {
    let mut app = TestApp::local().await;
    let root = app.root.clone();
    let ids = seen(&app, &root).await;
    assert_eq!(ids.len(), 1);
    app.kill();
    app.start().await;
    assert_eq!(seen(&app, &root).await, ids, "a second start makes no second one");

    let (successor, _) = made(create(&app, &root, &Scope::ALL, &["*"]).await);
    revoke(&app, &successor, &ids[0]).await.expect(204);
    assert_eq!(status(&app, &root).await, 401);
    app.kill();
    app.start().await;
    assert_eq!(status(&app, &root).await, 401, "a start does not bring it back");
    assert_eq!(seen(&app, &successor).await.len(), 1);
    assert!(app.log().contains("the bootstrap token was revoked"));
}

#[tokio::test]
async fn no_token_is_on_disk_or_in_the_log() {
    let mut app = TestApp::local().await;
    let (by_command, _) = create_by_command(&app, "shell", &["--scope", "events:read", "--all-orgs"]);
    let tokens = [app.root.clone(), app.token(&Scope::ALL, &["*"]).await, by_command];
    for token in &tokens {
        assert_eq!(status(&app, token).await, 200);
        assert_eq!(status(&app, &token[..token.len() - 1]).await, 401);
    }
    app.terminate().await;
    let mut files = app.files();
    assert!(files.iter().any(|(name, _)| name.ends_with("keybroker.db")), "{files:?}");
    files.push((app.log_file(), std::fs::read(app.log_file()).unwrap()));
    for (name, bytes) in &files {
        for token in &tokens {
            // Nor any part of it that would narrow a search down.
            let part = &token.as_bytes()[8..token.len() - 8];
            let found = bytes.windows(part.len()).any(|window| window == part);
            assert!(!found, "{} holds a token", name.display());
        }
    }
}

#[rstest]
#[case::remembered("300s")]
#[case::asked_for_each_time("0s")]
#[tokio::test]
async fn a_token_that_is_used_too_often_is_told_to_wait(#[case] ttl: &str) {
    let settings = [("KEYBROKER_TOKEN_RATE", "1"), ("KEYBROKER_CACHE_TTL", ttl)];
    let app = TestApp::with(Db::Sqlite, Store::Local, &settings).await;
    // The rate is each token's own, so the commands make these.
    let (busy, _) = create_by_command(&app, "busy", &["--scope", "events:read", "--all-orgs"]);
    let (calm, _) = create_by_command(&app, "calm", &["--scope", "events:read", "--all-orgs"]);
    let get = |token: &str| app.call(Method::GET, "/v1/providers").token(token);
    get(&busy).send().await.expect(200);
    let mut limited = None;
    for _ in 0..100 {
        let reply = get(&busy).send().await;
        if reply.status.as_u16() != 200 {
            limited = Some(reply.expect_problem(429, "rate_limited"));
            break;
        }
    }
    let limited = limited.expect("a hundred requests take less than a hundred seconds");
    let wait: u64 = limited.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=2).contains(&wait), "{wait}");
    assert_eq!(limited.json()["retryable"], true);
    get(&calm).send().await.expect(200);
    tokio::time::sleep(std::time::Duration::from_secs(wait)).await;
    get(&busy).send().await.expect(200);
}

/// The program, for what needs no app: kept apart so that nothing of a test's environment is in it.
#[test]
fn without_a_database_the_command_line_says_so() {
    let mut command: Command = crate::support::app::program();
    let output = command.args(["token", "list"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("KEYBROKER_DATABASE_URL"), "{output:?}");
}

/// A newer version of keybroker may write what this one has no name for: it hears of the rest all the same.
#[tokio::test]
async fn an_event_of_an_unknown_type_does_not_make_deaf() {
    let app = TestApp::new(Db::Postgres, Store::Local).await;
    let (token, id) = create_by_command(&app, "revoked", &["--scope", "events:read", "--all-orgs"]);
    assert_eq!(status(&app, &token).await, 200);
    app.database()
        .await
        .execute(
            "WITH next AS (UPDATE event_counter SET newest = newest + 1 RETURNING newest) \
             INSERT INTO events (number, id, org, type, at, actor, origin) \
             SELECT newest, 'new', '', 'moon.landed', 0, '{}', 'elsewhere' FROM next",
        )
        .await;
    printed(&run(&app, &["revoke", &id]));
    refused_in_time(&app, &token).await;
}

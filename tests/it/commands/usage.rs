//! Wrong usage and configuration, help, and the commands that need no service.

use serde_json::{Value, json};

use super::{failed, finish, printed, run};
use crate::support::{TestApp, app::master_key};

/// The settings that a service on this machine needs, and a folder that they are in.
fn settings(folder: &std::path::Path) -> Vec<(&'static str, String)> {
    let database = format!("sqlite:{}", folder.join("keybroker.db").display());
    vec![
        ("KEYBROKER_DATABASE_URL", database),
        ("KEYBROKER_STORE", "local".to_owned()),
        ("KEYBROKER_MASTER_KEY_FILE", master_key(folder).display().to_string()),
        ("KEYBROKER_LISTEN", "127.0.0.1:0".to_owned()),
        ("KEYBROKER_ADMIN_LISTEN", "127.0.0.1:0".to_owned()),
    ]
}

#[test]
fn serve_names_everything_that_is_missing() {
    failed(
        &run(&["serve"], &[]),
        2,
        &["KEYBROKER_DATABASE_URL", "KEYBROKER_STORE", "sqlite:PATH", "aws or local"],
    );
    failed(
        &run(&["serve"], &[("KEYBROKER_STORE", "local")]),
        2,
        &["KEYBROKER_DATABASE_URL", "KEYBROKER_MASTER_KEY_FILE"],
    );
    let aws = [("KEYBROKER_STORE", "aws"), ("KEYBROKER_DATABASE_URL", "")];
    failed(&run(&["serve"], &aws), 2, &["KEYBROKER_DATABASE_URL"]);
}

/// Each setting in turn is wrong; what the program says must name it and repeat no secret.
#[test]
fn serve_refuses_each_wrong_setting() {
    let folder = tempfile::tempdir().unwrap();
    let (empty, words, short) = ["", "not base64, canary", "MTIzNDU2Nzg5MGNhbmFyeQ=="]
        .map(|text| {
            let file = folder.path().join(format!("key-{}", text.len()));
            std::fs::write(&file, text).unwrap();
            file.display().to_string()
        })
        .into();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    // Nothing listens on a port that was just given back.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let unreachable = format!("postgres://u:canary@127.0.0.1:{free}/db");
    let no_folder = format!("sqlite:{}/none/x.db", folder.path().display());
    let key = "KEYBROKER_MASTER_KEY_FILE";
    for (name, value, code, says) in [
        (key, "/nonexistent/key", 2, &[key, "does not exist", "openssl rand -base64 32"][..]),
        (key, &empty, 2, &[key, "holds no key"]),
        (key, &words, 2, &[key, "line 1"]),
        (key, &short, 2, &[key, "32 bytes"]),
        ("KEYBROKER_DATABASE_URL", "mysql://u:canary@h/db", 2, &["KEYBROKER_DATABASE_URL", "sqlite:PATH"]),
        ("KEYBROKER_DATABASE_URL", "canary", 2, &["KEYBROKER_DATABASE_URL", "sqlite:PATH"]),
        ("KEYBROKER_DATABASE_URL", &unreachable, 1, &["database"]),
        ("KEYBROKER_DATABASE_URL", &no_folder, 1, &["folder must exist"]),
        ("KEYBROKER_STORE", "vault", 2, &["--store", "aws, local"]),
        ("KEYBROKER_LISTEN", &taken, 1, &[&taken, "choose another"]),
        ("KEYBROKER_ADMIN_LISTEN", &taken, 1, &[&taken, "choose another"]),
        ("KEYBROKER_LISTEN", "nowhere", 2, &["--listen"]),
        ("KEYBROKER_LOG", "keybroker=loud=x", 2, &["KEYBROKER_LOG"]),
        ("KEYBROKER_LOG_FORMAT", "xml", 2, &["--log-format", "json"]),
        ("KEYBROKER_CACHE_TTL", "300", 2, &["--cache-ttl", "300s"]),
        ("KEYBROKER_CACHE_MAX_BYTES", "lots", 2, &["--cache-max-bytes"]),
        ("KEYBROKER_SECRET_PREFIX", "/tenant", 2, &["--secret-prefix", "slash"]),
        ("KEYBROKER_TOKEN_RATE", "0", 2, &["--token-rate"]),
        ("KEYBROKER_STORE_CONCURRENCY", "0", 2, &["--store-concurrency"]),
        ("KEYBROKER_STORE_TIMEOUT", "1ms", 2, &["KEYBROKER_STORE_TIMEOUT", "100ms"]),
        ("KEYBROKER_BOOTSTRAP_TOKEN", "canary", 2, &["KEYBROKER_BOOTSTRAP_TOKEN", "kb_"]),
    ] {
        let case = tempfile::tempdir().unwrap();
        let mut all = settings(case.path());
        all.retain(|(known, _)| *known != name);
        let mut all: Vec<_> = all.iter().map(|(name, value)| (*name, value.as_str())).collect();
        all.push((name, value));
        let output = run(&["serve"], &all);
        println!("{name}={value}");
        failed(&output, code, says);
        assert!(!String::from_utf8_lossy(&output.stderr).contains("canary"), "{output:?}");
    }
}

#[tokio::test]
async fn another_master_key_does_not_open_a_store() {
    let mut app = TestApp::local().await;
    app.put_vapi("sk-0123456789").await.expect(201);
    app.terminate().await;
    let other = tempfile::tempdir().unwrap();
    let mut command = app.command(&["serve"]);
    command.env("KEYBROKER_MASTER_KEY_FILE", master_key(other.path()));
    command.env("KEYBROKER_LISTEN", "127.0.0.1:0").env("KEYBROKER_ADMIN_LISTEN", "127.0.0.1:0");
    failed(&finish(&mut command), 2, &["KEYBROKER_MASTER_KEY_FILE", "key"]);
    app.start().await;
    assert_eq!(app.private_key().await, "sk-0123456789", "and nothing was harmed");
}

#[test]
fn migrate_may_be_run_again() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("x.db").display());
    for _ in 0..2 {
        let output = run(&["migrate"], &[("KEYBROKER_DATABASE_URL", &url)]);
        assert_eq!(printed(&output), "the schema is up to date\n");
    }
    failed(&run(&["migrate"], &[]), 2, &["KEYBROKER_DATABASE_URL"]);
    failed(&run(&["migrate", "--database-url", "mysql://canary"], &[]), 2, &["sqlite:PATH"]);
    failed(&run(&["migrate", "--database-url", "sqlite:/nonexistent/x.db"], &[]), 1, &["database"]);
}

#[tokio::test]
async fn the_printed_document_is_the_served_one() {
    let document: Value = serde_json::from_str(&printed(&run(&["openapi"], &[]))).unwrap();
    let app = TestApp::local().await;
    let served = app.call(hyper::Method::GET, "/openapi.json").send().await.expect(200);
    assert_eq!(document, served.json());
}

#[test]
fn the_policy_is_four_actions_on_one_prefix() {
    let all = ["iam", "policy", "--account", "123456789012", "--region", "eu-west-1"];
    let policy: Value = serde_json::from_str(&printed(&run(&all, &[]))).unwrap();
    assert_eq!(policy["Version"], "2012-10-17");
    let text = policy.to_string();
    let arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:tenant/*";
    assert!(text.contains(arn), "{text}");
    let statements = policy["Statement"].as_array().unwrap();
    let mut actions: Vec<_> =
        statements.iter().flat_map(|statement| statement["Action"].as_array().unwrap()).collect();
    actions.sort_by_key(ToString::to_string);
    let expected = ["CreateSecret", "GetSecretValue", "PutSecretValue", "UpdateSecret"];
    assert_eq!(json!(actions), json!(expected.map(|action| format!("secretsmanager:{action}"))));
    assert!(statements.iter().all(|statement| statement["Effect"] == "Allow"), "{text}");

    let more = ["--partition", "aws-us-gov", "--prefix", "apps/keys"];
    let other = printed(&run(&[&all[..], &more].concat(), &[]));
    assert!(
        other.contains("arn:aws-us-gov:secretsmanager:eu-west-1:123456789012:secret:apps/keys/*"),
        "{other}"
    );
    let by_environment = printed(&run(&all, &[("KEYBROKER_SECRET_PREFIX", "apps")]));
    assert!(by_environment.contains(":secret:apps/*"), "{by_environment}");
}

#[test]
fn wrong_usage_is_told_apart_from_failure() {
    let policy = |account, region| vec!["iam", "policy", "--account", account, "--region", region];
    for (arguments, says) in [
        (vec![], "Usage"),
        (vec!["no-such-command"], "no-such-command"),
        (vec!["serve", "--no-such-flag"], "--no-such-flag"),
        (vec!["iam"], "Usage"),
        (vec!["iam", "policy"], "--account"),
        (policy("12345678901", "eu-west-1"), "12 digits"),
        (policy("12345678901x", "eu-west-1"), "12 digits"),
        (policy("123456789012", "nowhere!"), "--region"),
        ([policy("123456789012", "eu-west-1"), vec!["--prefix", "a//b"]].concat(), "--prefix"),
        ([policy("123456789012", "eu-west-1"), vec!["--partition", "x y"]].concat(), "--partition"),
        (vec!["healthcheck", "--listen", "x"], "--listen"),
        (vec!["import"], "FILE.jsonl"),
        (vec!["dev", "--port", "70000"], "--port"),
    ] {
        failed(&run(&arguments, &[]), 2, &[says]);
    }
}

#[test]
fn help_lists_every_setting() {
    let settings = [
        "LISTEN",
        "ADMIN_LISTEN",
        "DATABASE_URL",
        "STORE",
        "MASTER_KEY_FILE",
        "SECRET_PREFIX",
        "CACHE_TTL",
        "CACHE_STALE_IF_ERROR",
        "CACHE_MAX_BYTES",
        "BOOTSTRAP_TOKEN",
        "LOG",
        "LOG_FORMAT",
    ];
    for (arguments, settings) in [
        (&["serve"][..], &settings[..]),
        (&["import"], &settings[..]),
        (&["dev"], &["LOG", "LOG_FORMAT"]),
        (&["migrate"], &["DATABASE_URL"]),
        (&["token", "create"], &["DATABASE_URL"]),
        (&["token", "list"], &["DATABASE_URL"]),
        (&["token", "revoke"], &["DATABASE_URL"]),
        (&["iam", "policy"], &["SECRET_PREFIX"]),
        (&["healthcheck"], &["LISTEN"]),
        (&["openapi"], &[]),
        (&["token"], &[]),
        (&["iam"], &[]),
        (&[], &[]),
    ] {
        let secret = ("KEYBROKER_BOOTSTRAP_TOKEN", "kb_canary-canary-canary");
        let help = printed(&run(&[arguments, &["--help"]].concat(), &[secret]));
        assert!(help.contains("Usage: keybroker"), "{help}");
        for setting in settings {
            assert!(
                help.contains(&format!("[env: KEYBROKER_{setting}")),
                "{arguments:?}: {setting} in {help}"
            );
        }
        assert!(!help.contains("canary"), "{help}");
        let undocumented = help.lines().filter(|line| line.trim_start().starts_with("--"));
        for line in undocumented {
            let flag = line.split_whitespace().next().unwrap();
            assert!(help.split(flag).nth(1).is_some_and(|rest| rest.trim().len() > 10), "{flag} in {help}");
        }
    }
    let version = printed(&run(&["--version"], &[]));
    assert_eq!(version.trim_end(), format!("keybroker {}", env!("CARGO_PKG_VERSION")));
}

//! `keybroker doctor`, against set-ups that are right and wrong in known ways.

use std::process::{Command, Output};

use serde_json::Value;

use crate::support::{
    Db, Store, TestApp,
    app::{master_key, program},
    services::{self, Aws, secretsmanager},
};

/// A set-up on this emulator, with a database of its own.
fn set_up(folder: &tempfile::TempDir, aws: &Aws) -> Command {
    let mut command = program();
    command.args(["doctor", "--json"]).env("KEYBROKER_STORE", "aws");
    command.env("KEYBROKER_DATABASE_URL", format!("sqlite:{}", folder.path().join("kb.db").display()));
    command.env("AWS_ENDPOINT_URL", &aws.endpoint).env("AWS_REGION", &aws.region);
    command.env("AWS_ACCESS_KEY_ID", &aws.access_key_id);
    command.env("AWS_SECRET_ACCESS_KEY", &aws.secret_access_key);
    command
}

/// The exit code, and verdict, finding and remedy of each check.
fn examine(mut command: Command) -> (i32, Vec<(String, String, String)>) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let report: Value = serde_json::from_slice(&stdout)
        .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&stderr)));
    let text = |finding: &Value, field: &str| finding[field].as_str().unwrap_or_default().to_owned();
    let findings = report["findings"].as_array().unwrap().iter();
    let findings = findings.map(|f| {
        let told = format!("{} / {}", text(f, "found"), text(f, "remedy"));
        (text(f, "check"), text(f, "verdict"), told)
    });
    (status.code().unwrap(), findings.collect())
}

fn verdicts(findings: &[(String, String, String)]) -> Vec<String> {
    findings.iter().map(|(check, verdict, _)| format!("{check}: {verdict}")).collect()
}

#[tokio::test]
async fn the_printed_policy_is_enough_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let (code, findings) = examine(set_up(&folder, services::moto()));
        assert_eq!(code, 0, "{findings:?}");
        assert_eq!(
            verdicts(&findings),
            [
                "settings: good",
                "database: warning", // not migrated yet; the doctor changes nothing
                "secretsmanager:GetSecretValue: good",
                "secretsmanager:CreateSecret: good",
                "secretsmanager:PutSecretValue: good",
                "secretsmanager:UpdateSecret: good",
                "store: good",
                "clock: good",
                "secretsmanager:ListSecrets: good",
                "secretsmanager:DescribeSecret: good",
                "prefix: good",
            ]
        );
    }
    assert!(!folder.path().join("kb.db").exists());
    let listed = secretsmanager(&["list-secrets", "--filters", "Key=name,Values=tenant/_doctor"]).await;
    assert_eq!(listed["SecretList"].as_array().unwrap().len(), 1, "one probe, used again");
}

#[tokio::test]
async fn an_identity_that_may_do_anything_is_too_wide() {
    let folder = tempfile::tempdir().unwrap();
    let (code, findings) = examine(set_up(&folder, services::localstack()));
    assert_eq!(code, 0, "{findings:?}");
    for check in ["secretsmanager:ListSecrets", "secretsmanager:DescribeSecret", "prefix"] {
        let (_, verdict, told) = findings.iter().find(|(name, ..)| name == check).unwrap();
        assert_eq!(verdict, "warning", "{check}");
        assert!(told.contains("keybroker iam policy"), "{told}");
    }
}

#[tokio::test]
async fn the_one_missing_permission_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let everything_but = ["GetSecretValue", "CreateSecret", "UpdateSecret"];
    let mut command = set_up(&folder, services::moto());
    let (id, secret) = services::identity(&everything_but, "*").await;
    command.env("AWS_ACCESS_KEY_ID", id).env("AWS_SECRET_ACCESS_KEY", secret);
    // A probe of its own, since without writing it there is nothing to read.
    command.env("KEYBROKER_SECRET_PREFIX", "tenant/one-missing");
    let (code, findings) = examine(command);
    assert_eq!(code, 1);
    let bad: Vec<_> = findings.iter().filter(|(_, verdict, _)| verdict == "bad").collect();
    assert_eq!(bad[0].0, "secretsmanager:PutSecretValue");
    assert!(bad[0].2.contains("AccessDeniedException") && bad[0].2.contains("attach the policy"), "{bad:?}");
    assert!(bad[1..].iter().all(|(check, ..)| check == "store"), "{bad:?}");
}

#[tokio::test]
async fn a_wrong_set_up_tells_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let mut wrong_key = set_up(&folder, services::moto());
    wrong_key.env("AWS_SECRET_ACCESS_KEY", "canary-wrong");
    let mut nowhere = set_up(&folder, services::moto());
    nowhere.env("AWS_ENDPOINT_URL", "http://127.0.0.1:1").env("KEYBROKER_STORE_TIMEOUT", "1s");
    let mut no_region = set_up(&folder, services::moto());
    no_region.env_remove("AWS_REGION");
    let mut empty_region = set_up(&folder, services::moto());
    empty_region.env("AWS_REGION", "");
    let mut no_url = set_up(&folder, services::moto());
    no_url.env("AWS_ENDPOINT_URL", "not a url");
    let mut no_database = set_up(&folder, services::moto());
    no_database.env("KEYBROKER_DATABASE_URL", "postgres://keybroker:canary@127.0.0.1:1/x");
    let mut nothing = program();
    nothing.args(["doctor", "--json"]);
    let cases = [
        (wrong_key, 1, "secretsmanager:GetSecretValue", "AWS_SECRET_ACCESS_KEY"),
        (nowhere, 1, "secretsmanager:GetSecretValue", "AWS_ENDPOINT_URL"),
        (no_region, 1, "credentials", "AWS_REGION"),
        (empty_region, 1, "credentials", "AWS_REGION"),
        (no_url, 1, "credentials", "AWS_ENDPOINT_URL"),
        (no_database, 1, "database", "KEYBROKER_DATABASE_URL"),
        (nothing, 2, "settings", "KEYBROKER_DATABASE_URL"),
    ];
    for (command, expected, check, told) in cases {
        let (code, findings) = examine(command);
        assert_eq!(code, expected, "{findings:?}");
        if told == "AWS_SECRET_ACCESS_KEY" {
            let wide = ["secretsmanager:ListSecrets", "secretsmanager:DescribeSecret", "prefix"];
            let learnt = findings.iter().any(|(c, v, _)| wide.contains(&c.as_str()) && v == "good");
            assert!(!learnt, "AWS did not know who asked: {findings:?}");
        }
        let (_, verdict, said) = findings.iter().find(|(name, ..)| name == check).unwrap();
        assert_eq!(verdict, "bad", "{check}");
        assert!(said.contains(told), "{told} in {said}");
        assert!(!format!("{findings:?}").contains("canary"), "{findings:?}");
    }
}

#[tokio::test]
async fn the_local_store_is_tried_too() {
    let app = TestApp::new(Db::Postgres, Store::Local).await;
    let (code, findings) = examine(app.command(&["doctor", "--json"]));
    assert_eq!(code, 0, "{findings:?}");
    let expected = [
        "settings: good",
        "database: good",
        "clock: good",
        "providers: good",
        "master key: good",
        "store: good",
    ];
    assert_eq!(verdicts(&findings), expected);

    app.put_vapi("sk-0123456789abcdef").await.expect(201);
    let other = tempfile::tempdir().unwrap();
    let mut command = app.command(&["doctor", "--json"]);
    command.env("KEYBROKER_MASTER_KEY_FILE", master_key(other.path()));
    let (code, findings) = examine(command);
    let (check, verdict, told) = findings.last().unwrap();
    assert_eq!((code, check.as_str(), verdict.as_str()), (1, "store", "bad"), "{told}");
}

#[tokio::test]
async fn people_get_words_and_no_colour_in_a_pipe() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = program();
    command.arg("doctor").env("KEYBROKER_STORE", "local");
    command.env("KEYBROKER_DATABASE_URL", format!("sqlite:{}", folder.path().join("kb.db").display()));
    command.env("KEYBROKER_MASTER_KEY_FILE", folder.path().join("missing"));
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text.contains(" FAILED  master key") && text.contains("→ make one with"), "{text}");
    assert!(!text.contains('\x1b'), "{text}");
}

//! What a file may hold, and what is said of one that can't be used.

use std::{fs, path::Path};

use serde_json::json;

use super::{Rows, Told, mode, vapi};
use crate::{
    commands::finish,
    support::{TestApp, app::program},
};

/// Only checks a file; takes no settings.
fn check(file: &Path) -> Told {
    finish(program().args(["import", "--dry-run"]).arg(file)).into()
}

#[test]
fn each_bad_row_is_named_with_its_reason() {
    let good = |org: &str| vapi(org, "vapi", "sk-0123456789").to_string();
    let long = format!("{{\"org\":\"{}\"}}", "x".repeat(128 << 10));
    let rows = Rows::new(&[
        format!("\u{feff}{}\r", good("a")),
        "not JSON, canary".into(),
        String::new(),
        r#"{"org":"acme","connection":"vapi","provider":"vapi","org":"canary"}"#.into(),
        r#"{"org":"acme","connection":"vapi","provider":"canary"}"#.into(),
        r#"{"org":"acme","connection":"vapi","provider":"vapi","credentials":{"publicApiKey":"canary"}}"#
            .into(),
        r#"{"org":"acme/canary","connection":"vapi","provider":"vapi"}"#.into(),
        r#"{"org":"acme","connection":"vapi","provider":"vapi","secret":"canary"}"#.into(),
        r#"{"connection":7}"#.into(),
        long,
        good("b"),
        good("a"),
        "  \t".into(),
        r#"{"org":"acme","connection":"vapi","provider":"vapi","label":"Adopted"}"#.into(),
    ]);
    let told = check(&rows.file())
        .expect(1, &["12 rows: 3 to do, 0 done before, 9 refused", "rows.jsonl.dry-run.refused.jsonl"]);
    let reasons = [
        (2, "not a JSON object"),
        (4, "duplicate keys"),
        (5, "provider is not in the catalogue, which has anthropic, "),
        (6, "privateApiKey is required"),
        (7, "the organization id must be 1 to 128"),
        (8, "a field other than org, connection"),
        (9, "org is missing; connection must be text; provider is missing"),
        (10, "longer than 131072 bytes"),
        (12, "line 1 is for the same connection"),
    ];
    let refused = rows.refused_by_dry_run();
    assert_eq!(refused.len(), reasons.len(), "{refused:?}");
    for ((line, reason), row) in reasons.iter().zip(&refused) {
        assert_eq!(row["line"], *line);
        let text = row["reason"].as_str().unwrap();
        assert!(text.contains(reason), "{line}: {text}");
        assert!(told.stderr.contains(&format!("line {line}: {text}\n")), "{told:?}");
    }
    assert_eq!((&refused[3]["org"], &refused[3]["connection"]), (&json!("acme"), &json!("vapi")));
    assert_eq!((&refused[4]["org"], &refused[4]["connection"]), (&json!(null), &json!("vapi")));
    assert!(!format!("{told:?}{refused:?}").contains("canary"));
    assert_eq!(rows.files(), ["rows.jsonl", "rows.jsonl.dry-run.refused.jsonl"]);

    rows.write(&[good("a")]);
    check(&rows.file()).expect(0, &["1 row: 1 to do, 0 done before, 0 refused"]);
    assert_eq!(rows.files(), ["rows.jsonl"], "the list of an earlier run is gone");
}

#[test]
fn only_the_first_refusals_are_told() {
    let rows = Rows::new(&vec!["{}".to_owned(); 50]);
    let told = check(&rows.file()).expect(1, &["refused: 50 rows", "more rows are refused; see "]);
    assert_eq!(told.stderr.lines().filter(|line| line.starts_with("line ")).count(), 20, "{told:?}");
    assert_eq!(rows.refused_by_dry_run().len(), 50);
}

#[test]
fn a_file_that_can_not_be_used_is_wrong_usage() {
    let folder = tempfile::tempdir().unwrap();
    check(&folder.path().join("missing.jsonl")).expect(2, &["missing.jsonl can't be opened"]);
    check(folder.path()).expect(2, &["no regular file"]);
    check(Path::new("-")).expect(2, &["standard input", "write them to a file"]);
    let empty = folder.path().join("empty.jsonl");
    fs::write(&empty, "").unwrap();
    check(&empty).expect(0, &["there are no rows in the file"]);
    let told: Told = finish(program().arg("import").arg(&empty)).into();
    told.expect(2, &["KEYBROKER_DATABASE_URL", "KEYBROKER_STORE"]);
}

#[test]
fn rows_are_checked_by_the_operators_catalogue_too() {
    let credentials = json!({"key": "0123456789"});
    let rows = Rows::of(&[
        json!({"org": "a", "connection": "b", "provider": "in_house", "credentials": credentials}),
    ]);
    check(&rows.file()).expect(1, &["provider is not in the catalogue"]);
    let providers = rows.folder.path().join("providers.toml");
    let entry = "display_name = 'In house'\ncategory = 'voice'\nfields = [{ name = 'key', label = 'Key' }]";
    fs::write(&providers, format!("[providers.in_house]\n{entry}\n")).unwrap();
    let with = |file: &Path| {
        let mut command = program();
        command.args(["import", "--dry-run"]).arg(rows.file()).arg("--providers-file").arg(file);
        Told::from(finish(&mut command))
    };
    with(&providers).expect(0, &["1 row: 1 to do"]);
    with(Path::new("/nonexistent")).expect(2, &["KEYBROKER_PROVIDERS_FILE"]);
}

#[tokio::test]
async fn a_dry_run_touches_nothing() {
    let app = TestApp::local().await;
    let rows = Rows::of(&[vapi(&app.org, "vapi", "sk-0123456789")]);
    rows.import(&app, &["--dry-run"]).expect(0, &["1 row: 1 to do"]);
    app.read("vapi").await.expect_problem(404, "not_found");
    assert_eq!(rows.files(), ["rows.jsonl"]);

    let told = rows.import(&app, &[]).expect(0, &["1 created, 0 updated, 0 unchanged, 0 adopted, 0 skipped"]);
    assert!(told.stdout.contains("0 refused"), "{told:?}");
    assert_eq!(app.private_key().await, "sk-0123456789");
    assert_eq!(rows.files(), ["rows.jsonl"], "nothing is left to go on with");
    rows.import(&app, &[]).expect(0, &["0 created, 0 updated, 1 unchanged"]);
}

#[tokio::test]
async fn a_row_replaces_what_is_there_but_no_other_providers_key() {
    let app = TestApp::local().await;
    app.put_vapi("sk-before-0123456789").await.expect(201);
    let mut row = vapi(&app.org, "vapi", "sk-after-0123456789");
    row["label"] = "Main".into();
    Rows::of(&[row]).import(&app, &[]).expect(0, &["0 created, 1 updated"]);
    assert_eq!(app.private_key().await, "sk-after-0123456789");
    let connection = app.get(&app.path("vapi")).send().await.expect(200).json();
    assert_eq!(connection["label"], "Main");
    let events = app.get(&format!("/v1/orgs/{}/events?limit=1", app.org)).send().await.expect(200).json();
    let actor = &events["events"][0]["actor"];
    assert_eq!((&actor["type"], &actor["id"]), (&json!("operator"), &json!("import")));

    let credentials = json!({"apiKey": "sk-openai"});
    let other =
        json!({"org": app.org, "connection": "vapi", "provider": "openai", "credentials": credentials});
    let rows = Rows::of(&[other]);
    rows.import(&app, &[]).expect(1, &["line 1: the connection is another provider's"]);
    assert_eq!(app.private_key().await, "sk-after-0123456789");
}

#[tokio::test]
async fn a_corrected_file_goes_on_with_what_is_left() {
    let app = TestApp::local().await;
    let good = vapi(&app.org, "one", "sk-0123456789").to_string();
    let rows = Rows::new(&[good.clone(), "{}".into()]);
    rows.import(&app, &[]).expect(1, &["1 created", "1 refused", "rows.jsonl.progress knows what is done"]);
    assert_eq!(mode(&rows.progress()), 0o600);

    rows.write(&[vapi(&app.org, "two", "sk-9876543210").to_string(), good]);
    rows.import(&app, &[])
        .expect(0, &["2 rows: 1 to do, 1 done before", "1 created", "1 skipped as done before"]);
    assert_eq!(rows.files(), ["rows.jsonl"]);
    assert_eq!(app.history("one").await.len(), 1);

    // What was done in one database is not done in another.
    rows.write(&[vapi(&app.org, "three", "sk-0123456789").to_string(), "{}".into()]);
    rows.import(&app, &[]).expect(1, &["1 created"]);
    let other = TestApp::local().await;
    rows.import(&app, &["--restart", "--dry-run"]).expect(1, &["1 to do, 0 done before, 1 refused"]);
    rows.import(&other, &[]).expect(1, &["another database", "1 created"]);
    rows.import(&other, &[]).expect(1, &["1 skipped as done before"]);
    rows.import(&other, &["--restart"]).expect(1, &["1 unchanged", "0 skipped"]);
}

#[tokio::test]
async fn no_key_gets_out() {
    let mut app = TestApp::local().await;
    let canary = format!("canary{}", app.org.trim_start_matches("org_"));
    let mut wrong = vapi(&app.org, "wrong", &format!("{canary} "));
    let rows = [
        vapi(&app.org, "vapi", &canary).to_string(),
        wrong.to_string(),
        {
            wrong["provider"] = canary.as_str().into();
            wrong.to_string()
        },
        format!("{{\"credentials\":\"{canary}"),
        format!("{{\"credentials\":\"{canary}\",\"{canary}\":1}}"),
        json!({"org": format!("{canary}!"), "connection": format!("{canary}!"), "label": {"x": canary}})
            .to_string(),
    ];
    let rows = Rows::new(&rows);
    let told = rows.import(&app, &[]).expect(1, &["1 created", "5 refused"]);
    assert_eq!(app.private_key().await, canary);
    app.terminate().await;
    let mut said = vec![format!("{told:?}"), app.log()];
    for name in rows.files().iter().filter(|name| *name != "rows.jsonl") {
        said.push(fs::read_to_string(rows.folder.path().join(name)).unwrap());
    }
    assert_eq!(said.len(), 4, "the progress and the refused rows are there");
    for text in said {
        assert!(!text.contains(&canary), "{text}");
    }
    for (file, bytes) in app.files() {
        let found = bytes.windows(canary.len()).any(|window| window == canary.as_bytes());
        assert!(!found, "{}", file.display());
    }
}

//! The operator's own catalogue file.

use std::process::Output;

use serde_json::json;

use super::fresh_key;
use crate::support::{Db, Store, TestApp, provider};

#[tokio::test]
async fn a_file_adds_a_provider() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("own.toml");
    let entry = format!(
        "[providers.acme]\ndisplay_name = 'Acme'\ncategory = 'workflow_connection'\nbase_url = '{}/acme'\n\
         docs_url = 'https://acme.example/keys'\nauth = {{ header = 'X-Api-Key', value = '{{apiKey}}' }}\n\
         verify = {{ path = '/me', valid = [200], invalid = [401] }}\n\
         [[providers.acme.fields]]\nname = 'apiKey'\nlabel = 'API key'\npattern = 'sk-.*'\n",
        provider::base()
    );
    std::fs::write(&file, entry).unwrap();
    let settings = [("KEYBROKER_PROVIDERS_FILE", file.to_str().unwrap())];
    let app = TestApp::with(Db::Sqlite, Store::Local, &settings).await;
    let providers = app.get("/v1/providers").send().await.expect(200).json();
    let find = |name: &str| providers["providers"].as_array().unwrap().iter().find(|p| p["name"] == name);
    assert_eq!(find("acme").unwrap()["verifies"], true);
    assert_eq!(find("custom").unwrap()["verifies"], false);
    assert_eq!(find("vapi").unwrap()["verifies"], true);
    let key = fresh_key();
    let body = json!({"credentials": {"apiKey": key}});
    let created = app.put(&app.path("acme")).json(&body).send().await.expect(201).json();
    assert_eq!(created["provider"], "acme");
    assert_eq!(provider::asked(&key)[0].path, "/me");
}

fn start_with(text: Option<&str>) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("own.toml");
    if let Some(text) = text {
        std::fs::write(&file, text).unwrap();
    }
    let mut command = crate::support::app::program();
    let key = crate::support::app::master_key(folder.path());
    command.arg("serve").args([
        "--store",
        "local",
        "--listen",
        "127.0.0.1:0",
        "--admin-listen",
        "127.0.0.1:0",
    ]);
    command.arg("--database-url").arg(format!("sqlite:{}", folder.path().join("db").display()));
    command.arg("--master-key-file").arg(key).arg("--providers-file").arg(&file);
    command.output().unwrap()
}

/// A file that can't be used stops the start, with the line and the reason, as wrong configuration.
#[test]
fn an_unusable_file_stops_the_start() {
    for (text, said) in [
        (None, "own.toml can't be read"),
        (Some("[providers.vapi\n"), "own.toml:1: unclosed table"),
        (Some("\n[providers.vapi]\nbase = ''\n"), "own.toml:3: unknown field `base`"),
        (Some("[providers.acme]\ndisplay_name = 'Acme'\n"), "own.toml:1: provider acme: it has no fields"),
        (
            Some("[providers.vapi]\nauth = { value = '{apikey}' }\n"),
            "own.toml:1: provider vapi: it puts in {apikey}",
        ),
    ] {
        let output = start_with(text);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(said), "{said}: {error}");
        assert!(error.contains("KEYBROKER_PROVIDERS_FILE"), "{error}");
    }
}

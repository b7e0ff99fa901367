//! The portal in a real browser. Each test acts the scenarios of one file of `tests/browser`, against a
//! service that it has to itself; `tests/run` installs the browser.
//!
//! To add one: a file there, and a test of its name here.

use std::{net::TcpListener, process::Command};

use crate::support::{Db, Store, TestApp, app::random_bytes, provider, services::root, vault::VaultFunction};

/// The whole flow as an admin does it.
#[tokio::test]
async fn flow() {
    act("flow").await;
}

#[tokio::test]
async fn keyboard() {
    act("keyboard").await;
}

#[tokio::test]
async fn wrong_key() {
    act("wrong_key").await;
}

/// Takes a minute: no link lives shorter.
#[tokio::test]
async fn links() {
    act("links").await;
}

#[tokio::test]
async fn no_script() {
    act("no_script").await;
}

#[tokio::test]
async fn looks() {
    act("looks").await;
}

#[tokio::test]
async fn embed() {
    act("embed").await;
}

/// The whole flow of the customer vault, with the template really running.
#[tokio::test]
async fn vault() {
    let function = VaultFunction::deploy(&[("AUTH_TOKEN", "")]).await;
    act_with("vault", &[("KEYBROKER_TEST_VAULT", &format!("http://{}/", function.address))]).await;
}

#[test]
fn every_scenario_is_acted() {
    for entry in std::fs::read_dir(root().join("tests/browser")).unwrap() {
        let file = entry.unwrap().path();
        let acts = || std::fs::read_to_string(&file).unwrap().contains("\nscenario(");
        if file.extension().is_some_and(|extension| extension == "mjs") && acts() {
            let name = file.file_stem().unwrap().to_str().unwrap();
            let acted = ["act", "act_with"].map(|act| format!("{act}(\"{name}\""));
            assert!(acted.iter().any(|act| include_str!("portal.rs").contains(act)), "nothing acts {name}");
        }
    }
}

async fn act(scenario: &str) {
    act_with(scenario, &[]).await;
}

async fn act_with(scenario: &str, environment: &[(&str, &str)]) {
    // localhost is another site than 127.0.0.1, as an app is another site than keybroker.
    let embedding = format!("http://localhost:{}", free_port());
    let settings = [("KEYBROKER_RETURN_URLS", embedding.as_str()), ("KEYBROKER_VERIFY_TIMEOUT", "3s")];
    let app = TestApp::with(Db::Sqlite, Store::Local, &settings).await;
    let mut command = Command::new("node");
    command
        .args(["--test", "--test-reporter=spec"])
        .arg(root().join(format!("tests/browser/{scenario}.mjs")));
    command.env("NO_COLOR", "1").envs(environment.iter().copied());
    command.env("KEYBROKER_URL", format!("http://{}", app.address)).env("KEYBROKER_TOKEN", &app.root);
    command.env("KEYBROKER_ORG", &app.org);
    command.env("KEYBROKER_TEST_PROVIDER", format!("{}/_control", provider::base()));
    command.env("KEYBROKER_TEST_APP_ORIGIN", embedding);
    let output = tokio::task::spawn_blocking(move || command.output().expect("node is there")).await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
}

/// Below the ports that the kernel hands out, so that no client's socket takes it before its server does.
fn free_port() -> u16 {
    loop {
        let port = 20_000 + u16::from_le_bytes(random_bytes()) % 12_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

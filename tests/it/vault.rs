//! The customer vault: an organization's own function, which holds its keys.

mod canary;
mod changes;
mod connections;
mod fairness;
mod faults;
mod flow;
mod reading;
mod replicas;
mod template;
mod urls;

use hyper::Method;
use serde_json::{Value, json};

use crate::support::{Db, Reply, Store, TestApp, client::Call, fake_vault::FakeVault};

/// The two keys of a connection to Vapi.
pub(crate) const PUBLIC: &str = "wf_conn_vapi_token_publicApiKey";
pub(crate) const PRIVATE: &str = "wf_conn_vapi_token_privateApiKey";

/// What the store holds beside the vault, and no reader may get while that is enabled.
const MANAGED: &str = "sk-managed-0123456789";
/// What the vault holds.
const IN_VAULT: &str = "sk-in-the-vault-0123456789";

/// Keys are not tried by themselves, so that the function is asked only by what a test does.
const QUIET: (&str, &str) = ("KEYBROKER_VERIFY_EVERY", "0s");

/// A service with these settings whose vaults are asked by nobody but the test.
async fn quiet(db: Db, store: Store, settings: &[(&str, &str)]) -> TestApp {
    TestApp::with(db, store, &[&[QUIET], settings].concat()).await
}

/// A call to an organization's vault: `""`, `/token`, `/test` or `/keys`.
fn of(app: &TestApp, org: &str, method: Method, rest: &str) -> Call {
    app.call(method, &format!("/v1/orgs/{org}/vault{rest}")).token(&app.root)
}

/// The same for the test's own organization.
fn vault(app: &TestApp, method: Method, rest: &str) -> Call {
    of(app, &app.org, method, rest)
}

/// Makes a token for an organization's vault.
async fn make_token(app: &TestApp, org: &str) -> String {
    let made = of(app, org, Method::POST, "/token").send().await.expect(201).json();
    made["token"].as_str().unwrap().to_owned()
}

async fn put(app: &TestApp, body: &Value) -> Reply {
    vault(app, Method::PUT, "").json(body).send().await
}

/// Makes the vault the one of an organization, and enables it.
async fn enable_for(app: &TestApp, org: &str, function: &FakeVault) {
    function.set_token(&make_token(app, org).await);
    let body = json!({"url": function.url(), "enabled": true});
    of(app, org, Method::PUT, "").json(&body).send().await.expect(200);
    function.take_asked();
}

async fn enable(app: &TestApp, function: &FakeVault) {
    enable_for(app, &app.org, function).await;
}

/// A function with the keys of a connection to Vapi.
async fn with_vapi() -> FakeVault {
    FakeVault::with(&[(PUBLIC, "pk-in-the-vault"), (PRIVATE, IN_VAULT)]).await
}

/// A service whose organization has Vapi's keys in the store, and others in its vault, which is enabled.
async fn both(db: Db, store: Store, settings: &[(&str, &str)]) -> (TestApp, FakeVault) {
    let app = quiet(db, store, settings).await;
    app.put_vapi(MANAGED).await.expect(201);
    let function = with_vapi().await;
    enable(&app, &function).await;
    (app, function)
}

/// What the vault's page shows.
async fn shown(app: &TestApp) -> Value {
    vault(app, Method::GET, "").send().await.expect(200).json()
}

/// The types of the vault's events with who caused them, oldest first.
async fn events(app: &TestApp) -> Vec<(String, Value)> {
    let page = format!("/v1/orgs/{}/events?limit=200", app.org);
    let page = app.get(&page).send().await.expect(200).json();
    let all = page["events"].as_array().unwrap().iter().rev();
    let of_vault = all.filter(|event| event["type"].as_str().unwrap().starts_with("vault."));
    of_vault.map(|event| (event["type"].as_str().unwrap().to_owned(), event["actor"].clone())).collect()
}

async fn event_types(app: &TestApp) -> Vec<String> {
    events(app).await.into_iter().map(|(r#type, _)| r#type).collect()
}

//! Every operation of the API asks for its token, its scope and its organization.

use std::collections::BTreeSet;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use hyper::{HeaderMap, Method};
use keybroker::domain::access::Scope;
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::{
    Db, Store, TestApp,
    app::vapi,
    client::{Call, Reply},
};

/// What an operation asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asks {
    /// Nothing.
    Nothing,
    /// Any valid token.
    AnyToken,
    /// A token with this scope, whose organizations decide what it sees.
    Scope(Scope),
    /// A token with this scope for the organization in the path.
    ScopeInOrg(Scope),
}

/// One operation, how it is called well, and what it answers then.
struct Operation {
    method: Method,
    path: &'static str,
    asks: Asks,
    status: u16,
    /// Adds the body.
    body: fn(Call, &TestApp) -> Call,
}

/// Every operation of the OpenAPI document. To add one: a row here.
fn operations() -> Vec<Operation> {
    use Asks::{AnyToken, Nothing, Scope as Any, ScopeInOrg};
    let row = |method, path, asks, status, body| Operation { method, path, asks, status, body };
    let none: fn(Call, &TestApp) -> Call = |call, _| call;
    let connection = "/v1/orgs/{org}/connections/{connection}";
    vec![
        row(Method::GET, "/healthz", Nothing, 200, none),
        row(Method::GET, "/readyz", Nothing, 200, none),
        row(Method::GET, "/v1/providers", AnyToken, 200, none),
        row(Method::GET, "/v1/orgs/{org}/connections", ScopeInOrg(Scope::ConnectionsRead), 200, none),
        row(Method::GET, connection, ScopeInOrg(Scope::ConnectionsRead), 200, none),
        row(Method::PUT, connection, ScopeInOrg(Scope::ConnectionsWrite), 200, |call, _| {
            call.json(&vapi("sk-new-0123456789"))
        }),
        row(Method::DELETE, connection, ScopeInOrg(Scope::ConnectionsWrite), 204, none),
        row(
            Method::POST,
            "/v1/orgs/{org}/connections/{connection}/rollback",
            ScopeInOrg(Scope::ConnectionsWrite),
            200,
            none,
        ),
        row(
            Method::POST,
            "/v1/orgs/{org}/connections/{connection}/verify",
            ScopeInOrg(Scope::ConnectionsWrite),
            200,
            none,
        ),
        row(
            Method::POST,
            "/v1/orgs/{org}/connections/{connection}/report",
            ScopeInOrg(Scope::CredentialsRead),
            202,
            |call, _| call.json(&json!({"upstream_status": 401})),
        ),
        row(
            Method::GET,
            "/v1/orgs/{org}/connections/{connection}/credentials",
            ScopeInOrg(Scope::CredentialsRead),
            200,
            none,
        ),
        row(Method::GET, "/v1/orgs/{org}/events", ScopeInOrg(Scope::EventsRead), 200, none),
        row(
            Method::POST,
            "/v1/orgs/{org}/connect-sessions",
            ScopeInOrg(Scope::SessionsWrite),
            201,
            |call, _| call.json(&json!({})),
        ),
        row(Method::GET, "/v1/tokens", Any(Scope::TokensWrite), 200, none),
        row(Method::POST, "/v1/tokens", Any(Scope::TokensWrite), 201, |call, app| {
            call.json(&json!({"name": "x", "scopes": ["tokens:write"], "orgs": [app.org]}))
        }),
        row(Method::DELETE, "/v1/tokens/{id}", Any(Scope::TokensWrite), 204, none),
        row(Method::GET, "/v1/vault/template", AnyToken, 200, none),
        // In the order in which a vault is set up and forgotten.
        row(Method::POST, "/v1/orgs/{org}/vault/token", ScopeInOrg(Scope::VaultWrite), 201, none),
        row(Method::PUT, "/v1/orgs/{org}/vault", ScopeInOrg(Scope::VaultWrite), 200, |call, _| {
            call.json(&json!({"url": "http://127.0.0.1:1/", "enabled": false}))
        }),
        row(Method::POST, "/v1/orgs/{org}/vault/test", ScopeInOrg(Scope::VaultWrite), 200, none),
        row(Method::GET, "/v1/orgs/{org}/vault", ScopeInOrg(Scope::ConnectionsRead), 200, none),
        row(Method::GET, "/v1/orgs/{org}/vault/keys", ScopeInOrg(Scope::ConnectionsRead), 200, none),
        row(Method::DELETE, "/v1/orgs/{org}/vault", ScopeInOrg(Scope::VaultWrite), 204, none),
    ]
}

/// What is public without being an operation of the document.
const PAGES: [&str; 3] = ["/openapi.json", "/docs", "/docs/style.css"];

#[tokio::test]
async fn the_table_names_every_operation() {
    let app = TestApp::local().await;
    let document = app.call(Method::GET, "/openapi.json").send().await.expect(200).json();
    let documented: BTreeSet<_> = documented(&document).into_iter().map(|(name, _)| name).collect();
    let tested: BTreeSet<_> = operations().iter().map(Operation::name).collect();
    assert_eq!(documented, tested, "left the document's operations, right the table's");
    for page in PAGES {
        app.call(Method::GET, page).send().await.expect(200);
    }
}

#[tokio::test]
async fn the_document_says_which_operations_are_public() {
    let app = TestApp::local().await;
    let document = app.call(Method::GET, "/openapi.json").send().await.expect(200).json();
    assert_eq!(document["security"], json!([{"token": []}]));
    for (name, operation) in documented(&document) {
        let row = operations().into_iter().find(|row| row.name() == name);
        let public = row.is_some_and(|row| row.asks == Asks::Nothing);
        assert_eq!(operation["security"] == json!([{}]), public, "{name}");
        assert_eq!(operation["responses"]["401"].is_object(), !public, "{name}");
    }
}

fn documented(document: &Value) -> Vec<(String, Value)> {
    let paths = document["paths"].as_object().unwrap();
    let operations = paths.iter().flat_map(|(path, item)| {
        let methods = item.as_object().unwrap().iter().filter(|(key, _)| key.parse::<Method>().is_ok());
        methods
            .filter(|(key, _)| !["parameters", "summary", "description", "servers"].contains(&key.as_str()))
            .map(move |(method, operation)| (format!("{} {path}", method.to_uppercase()), operation.clone()))
    });
    let operations: Vec<_> = operations.collect();
    assert!(operations.len() > 10, "{operations:?}");
    operations
}

impl Operation {
    fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// Calls it on what [`TestApp`] has for it.
    fn call(&self, app: &TestApp, org: &str, connection: &str, id: &str) -> Call {
        let path = self.path.replace("{org}", org).replace("{connection}", connection).replace("{id}", id);
        (self.body)(app.call(self.method.clone(), &path), app)
    }
}

/// A connection with a version to go back to.
async fn connected(app: &TestApp, connection: &str) -> String {
    let path = app.path(connection);
    app.put(&path).json(&vapi("sk-first-0123456789")).send().await.expect(201);
    app.put(&path).json(&vapi("sk-second-0123456789")).send().await.expect(200).version()
}

/// A token's id, for one that the bearer of `tokens:write` for this organization may revoke.
async fn some_token(app: &TestApp) -> String {
    let body = json!({"name": "some", "scopes": ["tokens:write"], "orgs": [app.org]});
    app.post("/v1/tokens").json(&body).send().await.expect(201).json()["id"].as_str().unwrap().to_owned()
}

#[rstest]
#[case::sqlite(Db::Sqlite)]
#[case::postgres(Db::Postgres)]
#[tokio::test]
async fn each_operation_asks_for_what_it_should(#[case] db: Db) {
    let app = TestApp::new(db, Store::Local).await;
    let org = app.org.clone();
    let missing = app.token(&[Scope::ConnectionsRead], &[&org]).await;
    let missing = app.call(Method::GET, &app.path("missing")).token(&missing).send().await;
    let missing = anonymous(missing.expect_problem(404, "not_found"));
    for (number, operation) in operations().into_iter().enumerate() {
        let name = operation.name();
        let connection = format!("vapi-{number}");
        let version = connected(&app, &connection).await;
        let id = some_token(&app).await;
        let call = || operation.call(&app, &org, &connection, &id);

        let bare = call().send().await;
        if operation.asks == Asks::Nothing {
            bare.expect(operation.status);
            continue;
        }
        let refused = bare.expect_problem(401, "unauthenticated");
        assert_eq!(refused.header("www-authenticate"), Some("Bearer"), "{name}");

        let (scope, in_org) = match operation.asks {
            Asks::Nothing | Asks::AnyToken => (None, false),
            Asks::Scope(scope) => (Some(scope), false),
            Asks::ScopeInOrg(scope) => (Some(scope), true),
        };
        let sufficient: &[Scope] = &[scope.unwrap_or(Scope::ProxyUse)];
        if let Some(scope) = scope {
            let others: Vec<_> = Scope::ALL.into_iter().filter(|other| *other != scope).collect();
            for orgs in [[org.as_str()], ["*"], ["other"]] {
                let token = app.token(&others, &orgs).await;
                let refused = call().token(&token).send().await.expect_problem(403, "missing_scope");
                assert!(refused.text.contains(scope.as_str()), "{name} must say which: {}", refused.text);
            }
        }
        if in_org {
            let stranger = app.token(sufficient, &["other", "org"]).await;
            let refused = call().token(&stranger).send().await;
            assert_eq!(anonymous(refused), missing, "{name} by a token of another organization");
            let nowhere = operation.call(&app, "no-such-org", "none", &id).token(&stranger).send().await;
            assert_eq!(anonymous(nowhere), missing, "{name} where there is nothing");
        }
        assert_eq!(app.get(&app.path(&connection)).send().await.version(), version, "{name} changed it");

        let token = app.token(sufficient, &[&org]).await;
        let reply = call().token(&token).send().await;
        assert_eq!(reply.status.as_u16(), operation.status, "{name} with all it asks for: {}", reply.text);
    }
}

/// An answer but for what tells one request from another.
fn anonymous(reply: Reply) -> (u16, HeaderMap, String) {
    let id = reply.header("x-request-id").unwrap().to_owned();
    let mut headers = reply.headers;
    headers.remove("x-request-id");
    headers.remove("date");
    (reply.status.as_u16(), headers, reply.text.replace(&id, "[id]"))
}

/// Every organization's token sees its own connections and events, wherever its page starts.
#[tokio::test]
async fn a_cursor_opens_no_other_organization() {
    let app = TestApp::local().await;
    let scopes = [Scope::ConnectionsRead, Scope::EventsRead];
    let (a, b) = (format!("{}-a", app.org), format!("{}-b", app.org));
    for (org, names) in [(&a, ["a1", "a2", "a3"]), (&b, ["b0", "b1", "b2"])] {
        for name in names {
            let path = format!("/v1/orgs/{org}/connections/{name}");
            app.put(&path).json(&vapi("sk-0123456789")).send().await.expect(201);
        }
    }
    let of_b = app.token(&scopes, &[&b]).await;
    for kind in ["connections", "events"] {
        let first = app.get(&format!("/v1/orgs/{a}/{kind}?limit=1")).send().await.expect(200).json();
        let cursor = first["next_cursor"].as_str().unwrap();
        let stolen = app.call(Method::GET, &format!("/v1/orgs/{a}/{kind}?cursor={cursor}"));
        stolen.token(&of_b).send().await.expect_problem(404, "not_found");
        let moved = app.call(Method::GET, &format!("/v1/orgs/{b}/{kind}?cursor={cursor}&limit=200"));
        let page = moved.token(&of_b).send().await;
        if kind == "events" {
            // Not there, as one that never was.
            let unknown = BASE64_URL_SAFE_NO_PAD.encode(uuid::Uuid::nil().to_string());
            let unknown = app.call(Method::GET, &format!("/v1/orgs/{b}/{kind}?cursor={unknown}&limit=200"));
            let unknown = unknown.token(&of_b).send().await.expect_problem(400, "invalid_request");
            assert_eq!(anonymous(page), anonymous(unknown));
            continue;
        }
        let page = page.expect(200);
        assert!(!page.text.contains("\"a1\"") && !page.text.contains(&a), "{}", page.text);
        for item in page.json()[kind].as_array().unwrap() {
            assert!(item["connection"].as_str().unwrap().starts_with('b'), "{item}");
        }
    }
    let all = app.call(Method::GET, &format!("/v1/orgs/{b}/connections")).token(&of_b).send().await;
    let all = all.expect(200).json();
    let names: Vec<_> = all["connections"].as_array().unwrap().iter().map(|one| &one["connection"]).collect();
    assert_eq!(names, ["b0", "b1", "b2"]);
}

//! Ids in the path, however they are encoded.

use hyper::Method;

use super::{Watched, head};

/// What is neither an organization's id nor a connection's name.
const HOSTILE: [&str; 34] = [
    "..",
    ".",
    "...",
    "%2e%2e",
    "%2E.",
    ".%2e",
    "%2e",
    "%2F",
    "%2f..%2f",
    "a%2Fb",
    "a%2F..%2Fb",
    "a%5Cb",
    "%00",
    "a%00",
    "a%00b",
    "%C0%AF",
    "%C0%AE%C0%AE",
    "%E0%80%AF",
    "%FF",
    "a%FFb",
    "%",
    "%2",
    "%zz",
    "a%0Ab",
    "a%0D%0Ab",
    "%20",
    "a%20",
    "%E2%80%AE",
    "%EF%BC%8E%EF%BC%8E",
    "_vault",
    "-x",
    "%252F",
    "a%252e%252e",
    "",
];

#[tokio::test]
async fn hostile_ids_in_every_position_are_refused() {
    let watched = Watched::new().await;
    let app = &watched.app;
    let (long_org, long_connection) = ("a".repeat(129), "a".repeat(65));
    for id in HOSTILE.into_iter().chain([long_org.as_str(), "*", "a:b", "a;b", "~a", "a,b", "'"]) {
        for (method, path) in [
            (Method::GET, format!("/v1/orgs/{id}/connections")),
            (Method::GET, format!("/v1/orgs/{id}/events")),
            (Method::GET, format!("/v1/orgs/{id}/connections/vapi")),
            (Method::PUT, format!("/v1/orgs/{id}/connections/vapi")),
            (Method::GET, format!("/v1/orgs/{id}/connections/vapi/credentials")),
            (Method::GET, format!("/v1/orgs/{id}/vault")),
            (Method::POST, format!("/v1/orgs/{id}/vault/token")),
        ] {
            let call = app.call(method, &path).token(&app.root).json(&watched.good_body());
            watched.refused(call, 400, "invalid_request", &path).await;
        }
    }
    for id in HOSTILE.into_iter().chain([long_connection.as_str(), "a.b", "a@b", "a+b", "a=b", "*"]) {
        let path = app.path(id);
        for (method, path) in [
            (Method::PUT, path.clone()),
            (Method::GET, path.clone()),
            (Method::DELETE, path.clone()),
            (Method::GET, format!("{path}/credentials")),
            (Method::POST, format!("{path}/rollback")),
        ] {
            let call = app.call(method, &path).token(&app.root).json(&watched.good_body());
            watched.refused(call, 400, "invalid_request", &path).await;
        }
    }
    watched.nothing_happened().await;
}

#[tokio::test]
async fn hostile_ids_in_a_body_are_refused() {
    let watched = Watched::new().await;
    let app = &watched.app;
    let hostile = ["..", "a/b", "a\0b", "_vault", "-x", "", " ", "a\n", "\u{202e}", "%2e%2e"];
    for id in hostile {
        let body = serde_json::json!({"name": "x", "scopes": ["events:read"], "orgs": [id]});
        let call = app.post("/v1/tokens").json(&body);
        watched.refused(call, 400, "invalid_request", &format!("org {id:?}")).await;
        if id == "_vault" {
            continue; // A provider's name may begin so.
        }
        let body = serde_json::json!({"provider": id, "credentials": {"apiKey": watched.canary}});
        let call = app.put(&app.path("x")).json(&body);
        watched.refused(call, 400, "invalid_request", &format!("provider {id:?}")).await;
    }
    for id in ["x", "..", "%2F", "%00", "%FF", "00000000-0000-0000-0000-00000000000"] {
        let path = format!("/v1/tokens/{id}");
        watched.refused(app.delete(&path), 400, "invalid_request", &path).await;
    }
    watched.nothing_happened().await;
}

#[tokio::test]
async fn the_longest_ids_are_taken() {
    let watched = Watched::new().await;
    let app = &watched.app;
    for (org, connection) in [
        ("a".repeat(128), "v".repeat(64)),
        ("0_.@+=-".to_owned(), "0_-".to_owned()),
        ("org%5F1".to_owned(), "v%61pi".to_owned()),
    ] {
        let path = format!("/v1/orgs/{org}/connections/{connection}");
        app.put(&path).json(&watched.good_body()).send().await.expect(201);
    }
    app.get("/v1/orgs/org_1/connections/vapi").send().await.expect(200);
}

/// Whatever it says to a path that is no path: it does not answer with anything, and lives on.
#[tokio::test]
async fn raw_bytes_in_the_path_open_nothing() {
    let watched = Watched::new().await;
    let app = &watched.app;
    for path in
        [&b"/v1/orgs/a\0b/connections"[..], b"/v1/orgs/a\xffb/connections", b"/v1/orgs/a b/connections"]
    {
        let mut request = head(app, &Method::GET, "PATH");
        let at = request.windows(4).position(|window| window == b"PATH").unwrap();
        request.splice(at..at + 4, path.iter().copied());
        request.extend_from_slice(b"\r\n");
        let reply = crate::support::client::raw(app.address, &request).await;
        assert_eq!(reply.status.as_u16(), 400, "{path:?}: {reply:?}");
    }
    let call = app.get("/v1/orgs/%00/connections");
    watched.refused(call, 400, "invalid_request", "the server still answers").await;
    watched.nothing_happened().await;
}

//! Paths and methods that there are not.

use std::collections::BTreeSet;

use hyper::Method;

use super::Watched;

#[tokio::test]
async fn unknown_paths_have_no_route() {
    let watched = Watched::new().await;
    let app = &watched.app;
    for path in [
        "/".to_owned(),
        "/v1".to_owned(),
        "/v1/".to_owned(),
        "/v1//".to_owned(),
        "/v1/nothing".to_owned(),
        "/v1/providers/".to_owned(),
        "/v2/providers".to_owned(),
        "/V1/providers".to_owned(),
        "/v1/orgs".to_owned(),
        format!("/v1/orgs/{}", app.org),
        format!("/v1/orgs/{}/nothing", app.org),
        format!("/v1/orgs/{}/vault/nothing", app.org),
        format!("{}/nothing", app.path("vapi")),
        format!("{}/credentials/more", app.path("vapi")),
        "/metrics".to_owned(),
        "/healthz/x".to_owned(),
        "/.env".to_owned(),
        "/docs/../v1/providers".to_owned(),
    ] {
        for method in [Method::GET, Method::POST, Method::PUT, Method::DELETE] {
            let call = app.call(method, &path).token(&app.root);
            watched.refused(call, 404, "no_such_route", &path).await;
        }
        let call = app.call(Method::GET, &path);
        watched.refused(call, 404, "no_such_route", &format!("{path} without a token")).await;
    }
    watched.nothing_happened().await;
}

#[tokio::test]
async fn empty_segments_are_malformed() {
    let watched = Watched::new().await;
    let app = &watched.app;
    for path in [
        "/v1/orgs/".to_owned(),
        "/v1/orgs//connections".to_owned(),
        "/v1/orgs//connections/vapi".to_owned(),
        format!("/v1/orgs/{}/connections/", app.org),
        format!("/v1/orgs/{}//connections", app.org),
        format!("/v1/orgs/{}/connections//credentials", app.org),
        format!("/v1/orgs/{}/connections//vapi", app.org),
        format!("{}/", app.path("vapi")),
        format!("/v1/orgs/{}/../other/connections", app.org),
        format!("/v1/orgs/{}/%2e%2E/other/connections", app.org),
        format!("/v1/orgs/{}/./connections/vapi/credentials/x", app.org),
    ] {
        watched.refused(app.get(&path), 400, "invalid_request", &path).await;
    }
    watched.nothing_happened().await;
}

#[tokio::test]
async fn unknown_methods_are_told_which_there_are() {
    let watched = Watched::new().await;
    let app = &watched.app;
    let connection = app.path("vapi");
    let all = ["GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"];
    for (path, allowed) in [
        ("/v1/providers".to_owned(), &["GET", "HEAD"][..]),
        (format!("/v1/orgs/{}/connections", app.org), &["GET", "HEAD"]),
        (connection.clone(), &["GET", "HEAD", "PUT", "DELETE"]),
        (format!("{connection}/rollback"), &["POST"]),
        (format!("{connection}/credentials"), &["GET", "HEAD"]),
        (format!("{connection}/verify"), &["POST"]),
        (format!("{connection}/report"), &["POST"]),
        (format!("/v1/orgs/{}/events", app.org), &["GET", "HEAD"]),
        ("/v1/tokens".to_owned(), &["GET", "HEAD", "POST"]),
        ("/v1/tokens/01920000-0000-7000-8000-000000000001".to_owned(), &["DELETE"]),
        ("/v1/vault/template".to_owned(), &["GET", "HEAD"]),
        (format!("/v1/orgs/{}/vault", app.org), &["GET", "HEAD", "PUT", "DELETE"]),
        (format!("/v1/orgs/{}/vault/keys", app.org), &["GET", "HEAD"]),
        (format!("/v1/orgs/{}/vault/token", app.org), &["POST"]),
        (format!("/v1/orgs/{}/vault/test", app.org), &["POST"]),
        ("/healthz".to_owned(), &["GET", "HEAD"]),
        ("/readyz".to_owned(), &["GET", "HEAD"]),
        ("/openapi.json".to_owned(), &["GET", "HEAD"]),
        ("/docs".to_owned(), &["GET", "HEAD"]),
    ] {
        for method in all.iter().filter(|method| !allowed.contains(method) && **method != "HEAD") {
            let call = app.call(method.parse().unwrap(), &path).token(&app.root);
            let reply = watched.refused(call, 405, "method_not_allowed", &format!("{method} {path}")).await;
            let allow: BTreeSet<_> = reply.header("allow").unwrap().split(',').map(str::trim).collect();
            assert_eq!(allow, allowed.iter().copied().collect(), "{method} {path}");
        }
    }
    watched.nothing_happened().await;
}

//! Headers and queries: conditions, idempotency keys, tokens, request ids, parameters.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use hyper::Method;
use keybroker::domain::access::Scope;

use super::{Watched, head};
use crate::support::client::{Call, raw};

/// A version of the right form that nothing has.
const OTHER: &str = "\"01920000-0000-7000-8000-000000000001\"";

#[tokio::test]
async fn malformed_conditions_are_refused() {
    let (watched, version) = Watched::with_connection().await;
    let (app, path) = (&watched.app, watched.app.path("vapi"));
    let quoted = format!("\"{version}\"");
    let cases: &[&[(&str, &str)]] = &[
        &[("if-match", "abc")],
        &[("if-match", &version)],
        &[("if-match", "")],
        &[("if-match", "\"abc")],
        &[("if-match", "abc\"")],
        &[("if-match", "\"a\"b\"")],
        &[("if-match", "\"a\",")],
        &[("if-match", "w/\"a\"")],
        &[("if-match", "*, \"a\"")],
        &[("if-none-match", OTHER)],
        &[("if-none-match", "abc")],
        &[("if-none-match", "")],
        &[("if-match", &quoted), ("if-none-match", "*")],
        &[("if-match", &quoted), ("if-match", &quoted)],
        &[("if-none-match", "*"), ("if-none-match", "*")],
        &[("idempotency-key", "")],
        &[("idempotency-key", "a b")],
        &[("idempotency-key", "a"), ("idempotency-key", "a")],
    ];
    let add = |mut call: Call, headers: &[(&str, &str)]| {
        for (name, value) in headers {
            call = call.header(name, value);
        }
        call
    };
    for headers in cases {
        for call in [watched.good_put(), app.post(&format!("{path}/rollback")), app.delete(&path)] {
            let what = format!("{headers:?}");
            watched.refused(add(call, headers), 400, "invalid_request", &what).await;
        }
    }
    let long = watched.good_put().header("idempotency-key", &"k".repeat(256));
    watched.refused(long, 400, "invalid_request", "a long idempotency key").await;
    let credentials = format!("{path}/credentials");
    for value in ["abc", "", "\"a", "\"a\",,\"b\""] {
        let call = app.get(&credentials).header("if-none-match", value);
        watched.refused(call, 400, "invalid_request", value).await;
    }
    for header in [&b"if-match: \"\xc3\xa9\""[..], b"idempotency-key: \xc3\xa9", b"idempotency-key: a\x7fb"] {
        let mut request = head(app, &Method::DELETE, &path);
        request.extend_from_slice(header);
        request.extend_from_slice(b"\r\n\r\n");
        let reply = raw(app.address, &request).await;
        assert_eq!(reply.status.as_u16(), 400, "{header:?}: {reply:?}");
    }
    watched.nothing_happened().await;
}

#[tokio::test]
async fn conditions_that_fail_change_nothing() {
    let (watched, version) = Watched::with_connection().await;
    let (app, path) = (&watched.app, watched.app.path("vapi"));
    let weak = format!("W/\"{version}\"");
    for (name, value) in [
        ("if-match", OTHER),
        ("if-match", "\"\""),
        ("if-match", "\"abc\""),
        ("if-match", weak.as_str()),
        ("if-match", "\"a\", W/\"b\", \"c\""),
        ("if-none-match", "*"),
    ] {
        for call in [watched.good_put(), app.post(&format!("{path}/rollback")), app.delete(&path)] {
            watched.refused(call.header(name, value), 412, "precondition_failed", value).await;
        }
    }
    let body = watched.good_body();
    for value in [OTHER, "*"] {
        let call = app.put(&app.path("missing")).json(&body).header("if-match", value);
        watched.refused(call, 412, "precondition_failed", &format!("{value} on nothing")).await;
    }
    assert_eq!(app.get(&path).send().await.expect(200).version(), version);
    watched.nothing_happened().await;
}

#[tokio::test]
async fn malformed_queries_are_refused() {
    let (watched, _) = Watched::with_connection().await;
    let app = &watched.app;
    let (list, events) =
        (format!("/v1/orgs/{}/connections", app.org), format!("/v1/orgs/{}/events", app.org));
    let path = app.path("vapi");
    let credentials = format!("{path}/credentials");
    let encoded = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
    let limits =
        ["limit=0", "limit=201", "limit=abc", "limit=-1", "limit=", "limit=99999", "limit=1.5", "limit=%FF"];
    let cursors = ["cursor=", "cursor=!", "cursor=%FF", "cursor=%00", "cursor=a"];
    let repeated = ["limit=1&limit=1", "cursor=YQ&cursor=YQ", "limit=1&%6Cimit=1"];
    let unknown = ["x=1", "Limit=1", "limit=1&x", "org=other", "verify=true"];
    for query in limits.into_iter().chain(cursors).chain(repeated).chain(unknown) {
        for base in [&list, &events] {
            let path = format!("{base}?{query}");
            watched.refused(app.get(&path), 400, "invalid_request", &path).await;
        }
    }
    for (base, query) in [
        (&list, format!("cursor={}", encoded("../x"))),
        (&list, format!("cursor={}", encoded("' OR 1=1 --"))),
        (&list, "type=connection.created".to_owned()),
        (&events, format!("cursor={}", encoded("vapi"))),
        (&events, format!("cursor={}", encoded("1; DROP TABLE events"))),
        (&events, format!("cursor={}", encoded("99999999999999999999"))),
        (&events, "type=connection".to_owned()),
        (&events, "type=".to_owned()),
        (&events, "connection=".to_owned()),
        (&events, "connection=a%2Fb".to_owned()),
        (&events, "actor=".to_owned()),
        (&events, "actor=a%00b".to_owned()),
        (&events, "since=".to_owned()),
        (&events, "since=yesterday".to_owned()),
        (&events, "until=2026-11-21".to_owned()),
        (&events, "until=1763763420".to_owned()),
        (&events, "format=csv".to_owned()),
        (&events, "format=jsonl&limit=2".to_owned()),
        (&events, "type=token.created&type=token.created".to_owned()),
        (&credentials, "version=next".to_owned()),
        (&credentials, "version=".to_owned()),
        (&credentials, "version=Previous".to_owned()),
        (&credentials, "version=previous&version=previous".to_owned()),
        (&credentials, "versoin=previous".to_owned()),
    ] {
        let path = format!("{base}?{query}");
        watched.refused(app.get(&path), 400, "invalid_request", &path).await;
    }
    for query in
        ["verify=maybe", "verify=", "verify=1", "verify=TRUE", "verify=true&verify=true", "dry_run=true"]
    {
        let call = app.put(&format!("{path}?{query}")).json(&watched.good_body());
        watched.refused(call, 400, "invalid_request", query).await;
    }
    watched.nothing_happened().await;
}

#[tokio::test]
async fn what_is_no_token_opens_nothing() {
    let mut watched = Watched::new().await;
    let root = watched.app.root.clone();
    let mut mistyped = watched.app.token(&Scope::ALL, &["*"]).await;
    let last = if mistyped.ends_with('0') { '1' } else { '0' };
    mistyped.pop();
    mistyped.push(last);
    watched.take_stock().await;
    let app = &watched.app;
    let long = format!("Bearer kb_{}", "x".repeat(300));
    let (bare, basic, upper) =
        (root.clone(), format!("Basic {root}"), format!("Bearer {}", root.to_uppercase()));
    let (mistyped, cut) = (format!("Bearer {mistyped}"), format!("Bearer {}", &root[..root.len() - 1]));
    let (spaced, twice) = (format!("Bearer {root} {root}"), format!("Bearer {root}, Bearer {root}"));
    let values = [
        "",
        "Bearer",
        "Bearer ",
        "Bearer kb_",
        "Bearer x",
        "Basic Og==",
        "kb_",
        &bare,
        &basic,
        &upper,
        &mistyped,
    ];
    let more =
        [&cut, &spaced, &twice, &long, "Bearer ' OR 1=1 --", "Bearer null", "Bearer undefined", "Token x"];
    for value in values.into_iter().chain(more.map(|value| value as &str)) {
        for (method, path) in [(Method::GET, app.path("vapi")), (Method::PUT, app.path("vapi"))] {
            let call = app.call(method, &path).json(&watched.good_body()).header("authorization", value);
            let reply = watched.refused(call, 401, "unauthenticated", value).await;
            assert_eq!(reply.header("www-authenticate"), Some("Bearer"), "{value}");
            assert!(!reply.text.contains(&root), "{value}");
        }
    }
    for call in [
        app.call(Method::GET, "/v1/providers"),
        app.get("/v1/providers").token(&root),
        app.get("/v1/providers").header("authorization", "Basic Og=="),
        app.call(Method::GET, &format!("/v1/providers?token={root}")),
        app.call(Method::GET, "/v1/providers").header("x-api-key", &root),
        app.call(Method::GET, "/v1/providers").header("cookie", &format!("token={root}")),
    ] {
        let reply = watched.refused(call, 401, "unauthenticated", "no token, or two").await;
        assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
    }
    let request = format!(
        "GET /v1/providers HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {root}é\r\n\r\n"
    );
    watched.refused_raw(request.as_bytes(), 401, "unauthenticated", "a token that is not ASCII").await;
    watched.nothing_happened().await;
}

#[tokio::test]
async fn a_request_id_is_echoed_unless_it_is_hostile() {
    let watched = Watched::new().await;
    let app = &watched.app;
    let longest = "x".repeat(64);
    for id in ["a", "0192-AB_cd", &longest] {
        let reply =
            watched.refused(app.get("/v1/x").header("x-request-id", id), 404, "no_such_route", id).await;
        assert_eq!(reply.header("x-request-id"), Some(id));
        let reply = app.get("/v1/providers").header("x-request-id", id).send().await.expect(200);
        assert_eq!(reply.header("x-request-id"), Some(id));
    }
    let too_long = "x".repeat(65);
    for id in [
        "",
        "a b",
        "<script>",
        "\",\"a\":\"",
        "a;b",
        "../../etc",
        "%0d%0a",
        "{}",
        &watched.canary.repeat(9),
        &too_long,
    ] {
        let call = app.get("/v1/x").header("x-request-id", id);
        let reply = watched.refused(call, 404, "no_such_route", id).await;
        let made = reply.header("x-request-id").unwrap();
        assert!(made.parse::<uuid::Uuid>().is_ok(), "{id:?} became {made:?}");
    }
    let mut request = head(app, &Method::GET, "/v1/x");
    request.extend_from_slice(b"x-request-id: \xff\xfe\r\n\r\n");
    let reply = watched.refused_raw(&request, 404, "no_such_route", "not ASCII").await;
    assert!(reply.header("x-request-id").unwrap().parse::<uuid::Uuid>().is_ok());
    watched.nothing_happened().await;
}

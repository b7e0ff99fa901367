//! Bodies: what is not JSON, what is not the right JSON, and what is too much.

use hyper::Method;
use serde_json::{Value, json};

use super::{Watched, head};

/// What a JSON body may be called, besides `application/json`: nothing.
const WRONG_TYPES: [Option<&str>; 7] = [
    None,
    Some(""),
    Some("text/plain"),
    Some("application/x-www-form-urlencoded"),
    Some("multipart/form-data; boundary=x"),
    Some("application/jsonp"),
    Some("text/json; application/json"),
];

#[tokio::test]
async fn what_does_not_call_itself_json_is_not_read() {
    let watched = Watched::new().await;
    let app = &watched.app;
    for content_type in WRONG_TYPES {
        for call in [app.put(&app.path("vapi")), app.post("/v1/tokens")] {
            let call = call.body(watched.good_body().to_string());
            let call = match content_type {
                Some(content_type) => call.header("content-type", content_type),
                None => call,
            };
            watched.refused(call, 415, "unsupported_media_type", &format!("{content_type:?}")).await;
        }
    }
    watched.nothing_happened().await;
}

#[tokio::test]
async fn what_is_not_the_right_json_is_malformed() {
    let watched = Watched::new().await;
    let app = &watched.app;
    let canary = &watched.canary;
    let good = watched.good_body().to_string();
    let keys = format!(r#"{{"publicApiKey":"pk","privateApiKey":"{canary}"}}"#);
    let nested = |deep: usize| format!("{}{}", "[".repeat(deep), "]".repeat(deep));
    let nested_map = |deep: usize| format!("{}1{}", r#"{"a":"#.repeat(deep), "}".repeat(deep));
    let with = |more: &str| format!(r#"{{"provider":"vapi","credentials":{keys},{more}}}"#);
    let long_label = "x".repeat(201);
    let long_provider = "x".repeat(65);
    let mut cases: Vec<(&str, Vec<u8>)> = [
        ("empty", String::new()),
        ("white space", "  \n".into()),
        ("not JSON", canary.clone()),
        ("truncated", good[..good.len() - 1].into()),
        ("trailing garbage", format!("{good}{canary}")),
        ("two objects", format!("{good}{good}")),
        ("a list", "[]".into()),
        ("a list of the right length", format!(r#"["vapi",{keys},"label"]"#)),
        ("text", format!("\"{canary}\"")),
        ("null", "null".into()),
        ("a number", "1".into()),
        ("a huge number", "1e999".into()),
        ("a comment", format!("{good}// {canary}")),
        ("single quotes", good.replace('"', "'")),
        ("a trailing comma", format!("{},}}", &good[..good.len() - 1])),
        ("a byte order mark", format!("\u{feff}{good}")),
        ("a raw line end in text", good.replace("\"pk\"", "\"p\nk\"")),
        ("half a surrogate pair", good.replace("\"pk\"", r#""\ud800""#)),
        ("a key twice", with(&format!(r#""credentials":{keys}"#))),
        ("a key twice, spelt otherwise", with(r#""pr\u006fvider":"vapi""#)),
        ("a field twice", format!(r#"{{"credentials":{{"publicApiKey":"pk",{}}}"#, &keys[1..])),
        ("a key twice far inside", with(r#""label":{"a":[{"b":1,"b":1}]}"#)),
        ("an unknown key", with(&format!(r#""secret":"{canary}""#))),
        ("the unknown key is the value", with(&format!(r#""{canary}":1"#))),
        ("deep", with(&format!(r#""label":{}"#, nested(100)))),
        (
            "deep where a field should be",
            format!(r#"{{"credentials":{{"publicApiKey":{}}}}}"#, nested_map(100)),
        ),
        ("abysmal", nested(10_000)),
        ("abysmal, and never closed", "[".repeat(30_000)),
        ("abysmal objects", with(&format!(r#""label":{}"#, nested_map(10_000)))),
        ("a label that is a number", with(r#""label":1"#)),
        ("a label that is an object", with(r#""label":{}"#)),
        ("an empty label", with(r#""label":"""#)),
        ("a long label", with(&format!(r#""label":"{long_label}""#))),
        ("a label with a line end", with(r#""label":"a\nb""#)),
        ("a label with a NUL", with(r#""label":"a\u0000b""#)),
        ("a provider with a capital", good.replace("\"vapi\"", "\"Vapi\"")),
        ("a provider with a slash", good.replace("\"vapi\"", "\"../vapi\"")),
        ("a long provider", good.replace("\"vapi\"", &format!("\"{long_provider}\""))),
        ("a provider that is a number", good.replace("\"vapi\"", "1")),
        ("a provider that is a list", good.replace("\"vapi\"", "[]")),
    ]
    .into_iter()
    .map(|(what, text)| (what, text.into_bytes()))
    .collect();
    let mut broken = good.clone().into_bytes();
    let at = good.find("pk").unwrap();
    broken.splice(at..at + 2, [0xff, 0xfe]);
    cases.push(("not UTF-8", broken));
    cases.push(("UTF-16", good.encode_utf16().flat_map(u16::to_le_bytes).collect()));
    for (what, body) in cases {
        let call = app.put(&app.path("vapi")).header("content-type", "application/json").body(body);
        watched.refused(call, 400, "invalid_request", what).await;
    }
    watched.nothing_happened().await;
}

#[tokio::test]
async fn tokens_that_make_no_sense_are_malformed() {
    let watched = Watched::new().await;
    let app = &watched.app;
    let good = json!({"name": "x", "scopes": ["events:read"], "orgs": ["acme"]});
    let with = |field: &str, value: Value| {
        let mut body = good.clone();
        body[field] = value;
        body.to_string()
    };
    for body in [
        "[]".to_owned(),
        r#"["x",["events:read"],["acme"],null]"#.to_owned(),
        json!({"scopes": ["events:read"], "orgs": ["acme"]}).to_string(),
        json!({"name": "x", "orgs": ["acme"]}).to_string(),
        json!({"name": "x", "scopes": ["events:read"]}).to_string(),
        with("name", json!("")),
        with("name", json!("x".repeat(101))),
        with("name", json!("a\nb")),
        with("name", json!(1)),
        with("scopes", json!([])),
        with("scopes", json!("events:read")),
        with("scopes", json!(["everything"])),
        with("scopes", json!(["*"])),
        with("scopes", json!([1])),
        with("scopes", json!(null)),
        with("orgs", json!([])),
        with("orgs", json!(["*", "acme"])),
        with("orgs", json!("*")),
        with("orgs", json!([null])),
        with("expires_in", json!(0)),
        with("expires_in", json!(-1)),
        with("expires_in", json!(1.5)),
        with("expires_in", json!("90d")),
        with("expires_in", json!(u64::MAX)),
        with("expires_in", json!(1_000_000_000_000_u64)),
        with("token", json!("kb_my-own-token-of-choice")),
    ] {
        let call = app.post("/v1/tokens").header("content-type", "application/json").body(body.clone());
        watched.refused(call, 400, "invalid_request", &body).await;
    }
    watched.nothing_happened().await;
}

/// What the errors name, for a body that is JSON and holds the wrong fields.
#[tokio::test]
async fn wrong_credentials_are_told_by_their_fields() {
    let watched = Watched::new().await;
    let app = &watched.app;
    let canary = watched.canary.as_str();
    let long = format!("{canary}{}", "x".repeat(4_096));
    let private = |value: Value| json!({"publicApiKey": "pk", "privateApiKey": value});
    let many: serde_json::Map<_, _> = (0..51).map(|n| (format!("f{n}"), json!(canary))).collect();
    let cases: Vec<(&str, Value, &[&str])> = vec![
        ("vapi", json!(null), &["credentials"]),
        ("vapi", json!([]), &["credentials"]),
        ("vapi", json!([canary]), &["credentials"]),
        ("vapi", json!(canary), &["credentials"]),
        ("vapi", json!(1), &["credentials"]),
        ("vapi", json!(-1), &["credentials"]),
        ("vapi", json!(1.5), &["credentials"]),
        ("vapi", json!(true), &["credentials"]),
        ("vapi", json!({}), &["publicApiKey", "privateApiKey"]),
        ("vapi", json!({"publicApiKey": canary}), &["privateApiKey"]),
        ("vapi", json!({"privateApiKey": canary}), &["publicApiKey"]),
        ("vapi", json!({"publicapikey": "pk", "privateApiKey": canary}), &["publicApiKey", "publicapikey"]),
        ("vapi", json!({"publicApiKey": "pk", "privateApiKey": canary, "more": canary}), &["more"]),
        // Its name may be a key that slipped into the wrong place.
        ("vapi", json!({"publicApiKey": "pk", "privateApiKey": canary, canary: "x"}), &["credentials"]),
        ("vapi", private(json!("")), &["privateApiKey"]),
        ("vapi", private(json!(null)), &["privateApiKey"]),
        ("vapi", private(json!(1)), &["privateApiKey"]),
        ("vapi", private(json!(-1)), &["privateApiKey"]),
        ("vapi", private(json!(0.5)), &["privateApiKey"]),
        ("vapi", private(json!(true)), &["privateApiKey"]),
        ("vapi", private(json!([canary])), &["privateApiKey"]),
        ("vapi", private(json!({"value": canary})), &["privateApiKey"]),
        ("vapi", private(json!(long)), &["privateApiKey"]),
        ("vapi", private(json!(format!(" {canary}"))), &["privateApiKey"]),
        ("vapi", private(json!(format!("{canary}\n"))), &["privateApiKey"]),
        ("vapi", private(json!(format!("{canary}\0"))), &["privateApiKey"]),
        ("vapi", private(json!(format!("{canary}é"))), &["privateApiKey"]),
        ("slack", json!({"botToken": canary, "signingSecret": ""}), &["botToken", "signingSecret"]),
        ("telegram", json!({"botToken": canary}), &["botToken"]),
        ("twilio", json!({"accountSid": canary, "authToken": canary}), &["accountSid"]),
        (
            "smtp",
            json!({"host": "mail.example.com", "port": 587, "username": "u", "password": canary}),
            &["port"],
        ),
        ("custom", json!({}), &["credentials"]),
        ("custom", json!({"a": ""}), &["a"]),
        ("custom", json!({"a": 1, "b": [canary]}), &["a", "b"]),
        ("custom", json!({format!("{canary} with spaces"): "x"}), &["credentials"]),
        ("custom", json!({"": canary}), &["credentials"]),
        ("custom", Value::Object(many), &["credentials"]),
        ("no_such_provider", private(json!(canary)), &["provider"]),
    ];
    for (provider, credentials, fields) in cases {
        let body = json!({"provider": provider, "credentials": credentials});
        let call = app.put(&app.path("x")).json(&body);
        let reply = watched.refused(call, 422, "invalid_credentials", &body.to_string()).await.json();
        let errors = reply["errors"].as_array().unwrap();
        let mut named: Vec<_> = errors.iter().map(|error| error["field"].as_str().unwrap()).collect();
        let mut fields = fields.to_vec();
        named.sort_unstable();
        fields.sort_unstable();
        assert_eq!(named, fields, "{body}: {reply}");
        assert!(errors.iter().all(|error| !error["message"].as_str().unwrap().is_empty()), "{reply}");
    }
    for (body, field) in [
        (json!({"provider": "vapi"}), "credentials"),
        (json!({}), "provider"),
        (json!({"credentials": {"apiKey": canary}}), "provider"),
    ] {
        let call = app.put(&app.path("not-a-provider")).json(&body);
        let reply = watched.refused(call, 422, "invalid_credentials", &body.to_string()).await.json();
        assert_eq!(reply["errors"][0]["field"], field, "{reply}");
    }
    watched.nothing_happened().await;
}

/// A custom provider's body of exactly so many bytes.
fn of_size(size: usize, value: &str) -> String {
    let body =
        |filler: &str| json!({"provider": "custom", "credentials": {"a": value, "b": filler}}).to_string();
    body(&"x".repeat(size - body("").len()))
}

#[tokio::test]
async fn a_body_may_have_64_kib_and_no_more() {
    let mut watched = Watched::new().await;
    let app = &watched.app;
    for size in [65_537, 100_000, 1_000_000, 20_000_000] {
        let call = app.put(&app.path("big")).header("content-type", "application/json");
        watched.refused(call.body(of_size(size, &watched.canary)), 413, "too_large", &size.to_string()).await;
        let mut chunked = head(app, &Method::PUT, &app.path("big"));
        chunked.extend_from_slice(b"content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n");
        for chunk in of_size(size, &watched.canary).as_bytes().chunks(10_000) {
            chunked.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            chunked.extend_from_slice(chunk);
            chunked.extend_from_slice(b"\r\n");
        }
        chunked.extend_from_slice(b"0\r\n\r\n");
        watched.refused_raw(&chunked, 413, "too_large", &format!("{size}, in chunks")).await;
    }
    watched.nothing_happened().await;

    let body = of_size(65_536, &watched.canary);
    assert_eq!(body.len(), 65_536);
    let call = app.put(&app.path("big")).header("content-type", "application/json");
    call.body(body.clone()).send().await.expect(201);
    let stored = app.read("big").await.expect(200).json();
    assert_eq!(stored["credentials"], serde_json::from_str::<Value>(&body).unwrap()["credentials"]);
    watched.take_stock().await;
    watched.nothing_happened().await;
}

#[tokio::test]
async fn a_body_that_breaks_off_is_not_taken() {
    let watched = Watched::new().await;
    let app = &watched.app;
    let body = watched.good_body().to_string();
    let mut request = head(app, &Method::PUT, &app.path("vapi"));
    let headers = format!("content-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len() + 1);
    request.extend_from_slice(headers.as_bytes());
    request.extend_from_slice(body.as_bytes());
    let mut stream = tokio::net::TcpStream::connect(app.address).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stream, &request).await.unwrap();
    drop(stream);
    let call = app.get(&app.path("vapi"));
    watched.refused(call, 404, "not_found", "it was not stored").await;
    watched.nothing_happened().await;
}

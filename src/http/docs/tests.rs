use std::collections::BTreeSet;

use axum::{
    body::Body,
    http::{Request, StatusCode, header},
    response::Response,
};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{CONTENT_SECURITY_POLICY, curl, operation, routes, text, view::Page};
use crate::http::{error, router};
use askama::Template;

fn document() -> Value {
    serde_json::to_value(router::openapi()).unwrap()
}

fn page_of(document: &Value) -> String {
    Page::of(document).render().unwrap()
}

/// A document with one operation, `POST /things/{id}`, that is as given.
fn page_with(operation: &Value, schemas: &Value) -> String {
    page_of(&json!({
        "info": {"title": "Test", "version": "1"},
        "paths": {"/things/{id}": {"post": operation}},
        "components": {"schemas": schemas},
    }))
}

/// The values of an attribute.
fn attributes<'p>(page: &'p str, name: &str) -> Vec<&'p str> {
    let before = format!(" {name}=\"");
    page.split(before.as_str()).skip(1).map(|rest| rest.split('"').next().unwrap()).collect()
}

async fn get(path: &str) -> Response {
    let request = Request::get(path).body(Body::empty()).unwrap();
    routes(&router::openapi()).oneshot(request).await.unwrap()
}

async fn body(response: Response) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[test]
fn every_operation_schema_and_code_has_its_anchor() {
    let (document, page) = (document(), page_of(&document()));
    let ids: BTreeSet<_> = attributes(&page, "id").into_iter().collect();
    let mut operations = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in
            item.as_object().unwrap().iter().filter(|(_, it)| it["responses"].is_object())
        {
            let anchor = operation::anchor(method, path, operation);
            assert!(ids.contains(anchor.as_str()), "{method} {path} has no anchor");
            operations += 1;
        }
    }
    assert!(operations > 0);
    for name in document["components"]["schemas"].as_object().unwrap().keys() {
        assert!(ids.contains(format!("schema-{name}").as_str()), "{name} has no anchor");
    }
    for (code, ..) in error::CODES {
        assert!(page.contains(&format!("<h3 id=\"{code}\">")), "{code} has no anchor");
    }
}

#[test]
fn every_link_of_the_page_leads_somewhere_and_no_id_is_there_twice() {
    let page = page_of(&document());
    let ids = attributes(&page, "id");
    let distinct: BTreeSet<_> = ids.iter().copied().collect();
    assert_eq!(ids.len(), distinct.len());
    let links = attributes(&page, "href").into_iter().chain(attributes(&page, "aria-labelledby"));
    for link in links.filter(|link| !["docs/style.css", "openapi.json"].contains(link)) {
        assert!(distinct.contains(link.trim_start_matches('#')), "{link} leads nowhere");
    }
}

#[test]
fn the_page_needs_no_script_no_inline_style_and_no_other_origin() {
    let page = page_of(&document());
    for forbidden in ["<script", "<style", " style=", "<iframe", "<img", "=\"http", "=\"//", "javascript:"] {
        assert!(!page.contains(forbidden), "the page has {forbidden}");
    }
    let style = include_str!("style.css");
    assert!(style.len() < 15_000);
    for forbidden in ["@import", "url(", "http:", "https:"] {
        assert!(!style.contains(forbidden), "the stylesheet has {forbidden}");
    }
}

#[test]
fn headings_skip_no_level() {
    let page = page_of(&document());
    let levels = page.match_indices("<h").filter_map(|(at, _)| page[at + 2..].chars().next()?.to_digit(10));
    let levels: Vec<_> = levels.collect();
    assert_eq!(levels.iter().filter(|level| **level == 1).count(), 1);
    assert!(levels.windows(2).all(|pair| pair[1] <= pair[0] + 1), "{levels:?}");
}

#[test]
fn text_is_escaped() {
    let hostile = "<script>alert(1)</script>\"><b onclick=x>";
    let operation = json!({
        "operationId": hostile, "summary": hostile, "description": hostile, "tags": [hostile],
        "parameters": [
            {"name": "id", "in": "path", "required": true, "description": hostile, "example": hostile},
            {"name": hostile, "in": "header", "required": true, "schema": {"type": "string", "format": hostile}},
        ],
        "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}}},
        "responses": {"200": {"description": hostile}, hostile: {"description": hostile}},
    });
    let page = page_with(
        &operation,
        &json!({"Thing": {"type": "object", "description": hostile,
            "properties": {hostile: {"type": "string", "example": hostile}}}}),
    );
    assert!(!page.contains("<script"));
    assert!(!page.contains("<b on"));
    assert!(page.contains("alert(1)"));
}

#[test]
fn a_curl_example_has_all_that_the_request_needs() {
    let operation = json!({
        "security": [{"token": ["things:write"]}],
        "parameters": [
            {"name": "id", "in": "path", "required": true, "schema": {"type": "string"}},
            {"name": "dry", "in": "query", "required": true, "schema": {"type": "boolean"}},
            {"name": "X-Why", "in": "header", "required": true, "example": "it's"},
            {"name": "limit", "in": "query", "schema": {"type": "integer"}},
        ],
        "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}}},
        "responses": {"204": {"description": ""}},
    });
    let document = json!({
        "paths": {"/things/{id}": {"post": operation}},
        "components": {"schemas": {"Thing": {"type": "object", "properties": {"id": {"example": "t1"}}}}},
    });
    let all = operation::all(&document);
    let (tag, operation) = &all[0];
    assert_eq!(*tag, "other");
    assert_eq!(operation.anchor, "op-post-things-id");
    assert_eq!(operation.scopes, ["things:write"]);
    assert_eq!(
        operation.curl,
        r#"curl -X POST "$KEYBROKER_URL/things/t1?dry=true" \
  -H "Authorization: Bearer $KEYBROKER_TOKEN" \
  -H 'X-Why: it'\''s' \
  -H 'Content-Type: application/json' \
  -d '{
    "id": "t1"
  }'"#
    );
}

#[test]
fn an_operation_without_security_needs_no_token() {
    let bare = json!({"security": [{}], "responses": {"200": {"description": "Alive."}}});
    let page = page_with(&bare, &json!({}));
    assert!(page.contains("Needs no token."));
    assert!(!page.contains("Authorization: Bearer"));
}

#[test]
fn nothing_that_the_shell_reads_leaves_an_example() {
    let path = "/a\"$(id)`id`\\";
    let sample = curl::Sample { method: "GET", path, headers: &[], body: None, needs_token: false };
    assert_eq!(curl::command(&sample), r#"curl "$KEYBROKER_URL/a\"\$(id)\`id\`\\""#);
}

#[test]
fn a_schema_that_holds_itself_has_an_example() {
    let itself = json!({"$ref": "#/components/schemas/Node"});
    let node = json!({"allOf": [itself, {"type": "object", "properties": {"next": itself}}]});
    assert!(page_with(&json!({"responses": {}}), &json!({"Node": node})).contains("schema-Node"));
}

#[test]
fn types_are_named_for_people() {
    let other = json!({"$ref": "#/components/schemas/Other"});
    let link = "<a href=\"#schema-Other\">Other</a>";
    let page = page_with(
        &json!({"responses": {}}),
        &json!({"Other": {"type": "object"}, "It": {"type": "object", "properties": {
            "a": {"type": "array", "items": other},
            "b": {"oneOf": [{"type": "null"}, other]},
            "c": {"type": "object", "additionalProperties": {"type": ["string", "null"]}},
            "d": {"type": "string", "format": "uuid"},
            "e": {"type": "string", "enum": ["x", "y"]},
        }}}),
    );
    for kind in [
        format!("array of {link}"),
        format!("{link} or null"),
        "map of string to string or null".into(),
        "string (uuid)".into(),
        "&#34;x&#34; or &#34;y&#34;".into(),
    ] {
        assert!(page.contains(&format!("<td class=\"kind\">{kind}</td>")), "{kind}");
    }
}

#[test]
fn code_stands_between_backticks() {
    let cut = |text| text::spans(text).into_iter().map(|it| (it.text, it.code)).collect::<Vec<_>>();
    let plain = |text: &str| (text.to_owned(), false);
    assert_eq!(
        cut("Send `a` or `b`."),
        [plain("Send "), ("a".into(), true), plain(" or "), ("b".into(), true), plain(".")]
    );
    assert_eq!(cut("a lone ` stays"), [plain("a lone ` stays")]);
    assert_eq!(text::first_sentence("Do it. Or not."), ("Do it", "Or not."));
    assert_eq!(text::first_sentence("Alive?"), ("Alive?", ""));
    assert_eq!(text::paragraphs(Some("one\n\n\ntwo\n")).len(), 2);
}

#[tokio::test]
async fn the_page_is_strict_and_cached_for_a_short_while() {
    let page = get("/docs").await;
    assert_eq!(page.status(), StatusCode::OK);
    assert_eq!(page.headers()[header::CONTENT_TYPE], "text/html; charset=utf-8");
    assert_eq!(page.headers()[header::CONTENT_SECURITY_POLICY], CONTENT_SECURITY_POLICY);
    assert_eq!(page.headers()[header::REFERRER_POLICY], "no-referrer");
    assert_eq!(page.headers()[header::CACHE_CONTROL], "public, max-age=300");
    assert!(body(page).await.starts_with("<!doctype html>"));
    let style = get("/docs/style.css").await;
    assert_eq!(style.headers()[header::CONTENT_TYPE], "text/css; charset=utf-8");
    assert_eq!(body(style).await, include_str!("style.css"));
}

#[tokio::test]
async fn the_document_is_served_as_it_is() {
    let served = get("/openapi.json").await;
    assert_eq!(served.headers()[header::CONTENT_TYPE], "application/json");
    let served: Value = serde_json::from_str(&body(served).await).unwrap();
    assert_eq!(served, document());
}

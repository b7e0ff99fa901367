//! The API's documentation: the OpenAPI document, and a page that shows it to people.
//!
//! Nothing here is written by hand that the document says: a new route or schema appears by itself, and
//! each code of [`super::error::Problem`] has its anchor, which is where a problem's `type` leads. The
//! page is rendered once, at the start, and needs no script and no other origin.

mod curl;
mod example;
mod operation;
mod schema;
mod text;
mod view;

use std::future::ready;

use askama::Template;
use axum::{
    Router,
    http::{HeaderMap, HeaderName, HeaderValue, header},
    routing::{MethodRouter, get},
};
use bytes::Bytes;
use utoipa::openapi::OpenApi;

use view::Page;

/// The page loads its stylesheet and nothing else, and nobody may frame it.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'";

/// All of this is public, and changes only with a new release.
const CACHE_CONTROL: &str = "public, max-age=300";

/// `/openapi.json`, `/docs` and what the page loads.
pub(super) fn routes(openapi: &OpenApi) -> Router {
    let document = serde_json::to_value(openapi).expect("an OpenAPI document is always JSON");
    let page = Page::of(&document).render().expect("a page is always written to memory");
    let json = [(header::CONTENT_TYPE, "application/json")];
    let html = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    let css = [(header::CONTENT_TYPE, "text/css; charset=utf-8")];
    Router::new()
        .route("/openapi.json", serve(json, Bytes::from(document.to_string())))
        .route("/docs", serve(html, Bytes::from(page)))
        .route("/docs/style.css", serve(css, Bytes::from_static(include_bytes!("docs/style.css"))))
}

/// Answers with the same bytes each time.
fn serve<const N: usize>(headers: [(HeaderName, &'static str); N], body: Bytes) -> MethodRouter {
    let own = headers.into_iter().map(|(name, value)| (name, HeaderValue::from_static(value)));
    let cached = (header::CACHE_CONTROL, HeaderValue::from_static(CACHE_CONTROL));
    let headers: HeaderMap = own.chain([cached]).collect();
    get(move || ready((headers.clone(), body.clone())))
}

#[cfg(test)]
mod tests;

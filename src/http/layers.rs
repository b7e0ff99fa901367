//! What surrounds every route, from the outside in.

use std::{any::Any, sync::Arc};

use axum::{
    Router,
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
};
use metrics::{Counter, Histogram, SharedString, counter, histogram};
use tokio::time::Instant;
use tower_http::catch_panic::CatchPanicLayer;

use super::{drain::drain, error::Problem};
use crate::{
    broker::error::Error,
    domain::{
        clock::{Clock, Random, time_ordered_id},
        event::RequestId,
    },
};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Makes request ids.
#[derive(Clone)]
pub(super) struct Ids {
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
}

impl Ids {
    /// The id that a request came with, or a new one.
    pub(super) fn id_of(&self, headers: &HeaderMap) -> RequestId {
        let own = || RequestId::from(time_ordered_id(&*self.clock, &*self.random));
        let sent = headers.get(&REQUEST_ID).and_then(|id| id.to_str().ok()?.parse().ok());
        sent.unwrap_or_else(own)
    }
}

/// Wraps a router. What is added last is outermost.
pub(super) fn wrap(router: Router, ids: Ids) -> Router {
    router
        // Innermost, so that a panic is measured, logged and answered like any other failure.
        .layer(CatchPanicLayer::custom(panicked))
        // Counts and times by route, which only a layer inside the router knows.
        .layer(from_fn(measure))
        // A refusal may come before the body has; not measured, since the caller's line sets its time.
        .layer(from_fn(drain))
        // Outermost: gives the request its id, and every answer the headers that all have.
        .layer(from_fn_with_state(ids, identify))
}

#[expect(clippy::needless_pass_by_value, reason = "the signature that the layer wants")]
fn panicked(panic: Box<dyn Any + Send>) -> Response {
    // A panic's text may hold what a caller sent. Its place is on standard error already.
    let kind = if panic.is::<String>() { "with a formatted message" } else { "with a fixed message" };
    Problem::from(Error::Internal(format!("a handler panicked {kind}"))).into_response()
}

/// The route's pattern, never the path: a path may hold anything a caller put there.
fn route(request: &Request) -> String {
    let matched = request.extensions().get::<MatchedPath>();
    matched.map_or_else(|| "none".to_owned(), |path| path.as_str().to_owned())
}

async fn measure(request: Request, next: Next) -> Response {
    let route = route(&request);
    let method = match *request.method() {
        Method::GET => "GET",
        Method::PUT => "PUT",
        Method::POST => "POST",
        Method::DELETE => "DELETE",
        _ => "other",
    };
    let start = Instant::now();
    let response = next.run(request).await;
    requests(method, route.clone(), response.status()).increment(1);
    seconds(method, route).record(start.elapsed());
    response
}

/// Counts requests.
pub(super) fn requests(method: &'static str, route: impl Into<SharedString>, status: StatusCode) -> Counter {
    let (route, status) = (route.into(), status.as_u16().to_string());
    counter!("keybroker_http_requests_total", "method" => method, "route" => route, "status" => status)
}

/// How long they take.
pub(super) fn seconds(method: &'static str, route: impl Into<SharedString>) -> Histogram {
    histogram!("keybroker_http_request_seconds", "method" => method, "route" => route.into())
}

async fn identify(State(ids): State<Ids>, mut request: Request, next: Next) -> Response {
    let id = ids.id_of(request.headers());
    request.extensions_mut().insert(id.clone());
    let (method, route) = (request.method().clone(), route(&request));
    let mut response = next.run(request).await;
    finish(&method, &route, id, &mut response);
    response
}

/// What every answer goes through last.
pub(super) fn finish(method: &Method, route: &str, id: RequestId, response: &mut Response) {
    log(method, route, &id, response);
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        *response.body_mut() = problem.render(id.as_str());
    }
    let headers = response.headers_mut();
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Ok(id) = HeaderValue::from_maybe_shared(id.into_bytes()) {
        headers.insert(REQUEST_ID, id);
    }
}

/// One line for each failure on our side, with its cause; the rest only if asked for.
fn log(method: &Method, route: &str, id: &RequestId, response: &Response) {
    let (status, id) = (response.status().as_u16(), id.as_str());
    match response.extensions().get::<Problem>() {
        // Not a failure of ours.
        Some(problem) if problem.code() == "provider_unreachable" || problem.code().starts_with("vault_") => {
            tracing::warn!(%method, route, status, code = problem.code(), request_id = id, "request failed");
        }
        Some(problem) if status >= 500 => {
            let (code, cause) = (problem.code(), problem.cause());
            tracing::error!(%method, route, status, code, cause, request_id = id, "request failed");
        }
        Some(problem) => {
            let (code, cause) = (problem.code(), problem.cause());
            tracing::debug!(%method, route, status, code, cause, request_id = id, "request refused");
        }
        None => tracing::debug!(%method, route, status, request_id = id, "request answered"),
    }
}

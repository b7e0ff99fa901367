//! The shortest way for what nearly every request is: a read of a key that is in memory.
//!
//! An app reads a key for each request that it serves itself, and most of what such a read costs is what
//! surrounds it. As shares of what a bare axum server of the same bytes can do on one core, this work was
//! measured at 98 to 100 % in a service before the router, 78 to 82 % in a handler of the router, and 54 %
//! below the usual stack of layers: routing takes longer than the token's hash and both look-ups together,
//! and metrics whose labels are looked up for each request take three times as long.
//!
//! So the plainest form of `GET …/credentials` is answered here, and only that. Whatever is unusual in the
//! least goes to the router as it came, with nothing done and nothing counted: a query, an escape, a body,
//! a token or a value that is not in memory, and every refusal. No rule stands here a second time: token,
//! permit, cache, rate, audit log, metrics and answer are those of the handler and of [`super::layers`]. A
//! test sends both thousands of requests, and takes no difference in an answer.
//!
//! Nothing here waits, so there is nothing to limit in time; how long headers may take is the server's.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    sync::Arc,
};

use axum::{
    BoxError, Router,
    body::HttpBody,
    http::{HeaderValue, Method, Request, StatusCode, Uri, header},
    response::Response,
};
use bytes::Bytes;
use futures_util::future::Either;
use hyper::service::Service;
use metrics::{Counter, Histogram};
use tower::{ServiceExt, util::Oneshot};

use super::{
    extract::{Held, PastCache, bearer},
    layers::{self, Ids},
    router::router,
    state::AppState,
    v1::credentials,
};
use crate::{
    broker::{cache::Served, credentials::CredentialReader, tokens::Tokens},
    domain::{
        access::Read,
        clock::{Clock, Random},
        id::{ConnectionName, OrgId},
        token::HashedToken,
    },
};

/// The one route that is known here.
const ROUTE: &str = "/v1/orgs/{org}/connections/{connection}/credentials";

/// The API: warm reads at once, and the router for everything else. Clones share it.
#[derive(Clone)]
pub struct Fast {
    warm: Arc<Warm>,
    router: Router,
}

/// What a warm read takes.
struct Warm {
    tokens: Tokens,
    credentials: CredentialReader,
    ids: Ids,
    given: Counter,
    held: Counter,
    seconds: Histogram,
}

impl Fast {
    /// The API on that state.
    #[must_use]
    pub fn new(state: AppState, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        let warm = Warm {
            tokens: state.tokens.clone(),
            credentials: state.credentials.clone(),
            ids: Ids { clock: Arc::clone(&clock), random: Arc::clone(&random) },
            given: layers::requests("GET", ROUTE, StatusCode::OK),
            held: layers::requests("GET", ROUTE, StatusCode::NOT_MODIFIED),
            seconds: layers::seconds("GET", ROUTE),
        };
        Self { warm: Arc::new(warm), router: router(state, clock, random) }
    }
}

impl<B> Service<Request<B>> for Fast
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Either<Ready<Result<Response, Infallible>>, Oneshot<Router, Request<B>>>;

    fn call(&self, request: Request<B>) -> Self::Future {
        match self.warm.answer(&request) {
            Some(response) => Either::Left(ready(Ok(response))),
            None => Either::Right(self.router.clone().oneshot(request)),
        }
    }
}

impl Warm {
    /// The answer, if the request is of the plainest form and all that it takes is in memory.
    fn answer<B: HttpBody>(&self, request: &Request<B>) -> Option<Response> {
        let began = self.ids.clock.uptime();
        if request.method() != Method::GET || !request.body().is_end_stream() {
            return None;
        }
        let (org, connection) = names(request.uri())?;
        let headers = request.headers();
        let hash = HashedToken::of(bearer(headers)?);
        let token = self.tokens.known(hash, began).ok()??;
        let permit = token.caller().permit::<Read>(org, connection).ok()?;
        let (PastCache(past_cache), held) = (PastCache::of(headers), Held::of(headers).ok()?);
        if past_cache {
            return None;
        }
        // Most callers hold none, and then it need not be looked for.
        let held = |served: &Served| held.any() && held.includes(served.version());
        let admit = || self.tokens.admit(&token).is_ok();
        let mut response = credentials::answer(self.credentials.recall(&permit, began, held, admit)?);
        let requests = if response.status() == StatusCode::OK { &self.given } else { &self.held };
        requests.increment(1);
        self.seconds.record(self.ids.clock.uptime().saturating_sub(began));
        layers::finish(&Method::GET, ROUTE, self.ids.id_of(headers), &mut response);
        // The router ends every answer so.
        if let Some(length) = response.body().size_hint().exact() {
            response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        }
        Some(response)
    }
}

/// The names in the route's path. No name has an escape in it, so one that is escaped is none here.
fn names(uri: &Uri) -> Option<(OrgId, ConnectionName)> {
    if uri.query().is_some() {
        return None;
    }
    let (org, rest) = uri.path().strip_prefix("/v1/orgs/")?.split_once('/')?;
    let connection = rest.strip_prefix("connections/")?.strip_suffix("/credentials")?;
    Some((org.parse().ok()?, connection.parse().ok()?))
}

#[cfg(test)]
mod tests;

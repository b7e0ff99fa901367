//! Bodies: JSON, strictly read.
//!
//! No message repeats what was sent: it may hold a key.

use std::time::Duration;

use axum::{
    body::Body,
    extract::{FromRequest, Request},
    http::{HeaderMap, header},
};
use futures_util::{Stream, StreamExt};
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::{error::Problem, state::AppState};
pub(super) use crate::domain::strict::SentCredentials;
use crate::domain::{
    secret::LONGEST_VALUE,
    strict::{DEEPEST, NotStrict, check_object},
};

/// How long a body may take to arrive.
pub(super) const ARRIVAL: Duration = Duration::from_secs(10);

/// A type that a route takes as its body.
pub(super) trait Shape: DeserializeOwned {
    /// What the body looks like, for the error.
    const SHAPE: &'static str;
}

/// A body that was read whole and understood.
pub(super) struct Json<T> {
    /// What it says.
    pub value: T,
    /// As it came.
    pub raw: Zeroizing<Vec<u8>>,
}

impl<T: Shape> FromRequest<AppState> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &AppState) -> Result<Self, Problem> {
        expect_json(request.headers())?;
        let arrival = tokio::time::timeout(ARRIVAL, collect(request.into_body()));
        let raw = arrival
            .await
            .map_err(|_| Problem::invalid_request("The body did not arrive within 10 seconds."))??;
        let value = parse(&raw)?;
        Ok(Self { value, raw })
    }
}

/// As [`Json`], of a body that may be left out.
pub(super) struct MaybeJson<T>(pub T);

impl<T: Shape + Default> FromRequest<AppState> for MaybeJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Problem> {
        if axum::body::HttpBody::is_end_stream(request.body()) {
            return Ok(Self(T::default()));
        }
        Json::from_request(request, state).await.map(|body| Self(body.value))
    }
}

fn expect_json(headers: &HeaderMap) -> Result<(), Problem> {
    let text = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = text.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        Ok(())
    } else {
        Err(Problem::unsupported_media_type("Send JSON, with the header `Content-Type: application/json`."))
    }
}

/// Reads the body into one buffer that is wiped when dropped, and never grows: growing would leave a
/// copy behind.
pub(super) async fn collect(body: Body) -> Result<Zeroizing<Vec<u8>>, Problem> {
    let too_large = || Problem::too_large(format!("A body may have {LONGEST_VALUE} bytes at most."));
    let mut stream = body.into_data_stream();
    let (announced, _) = stream.size_hint();
    if announced > LONGEST_VALUE {
        return Err(too_large());
    }
    let mut raw = Zeroizing::new(Vec::with_capacity(LONGEST_VALUE));
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|_| Problem::invalid_request("The body broke off. Send it again."))?;
        if raw.len() + chunk.len() > LONGEST_VALUE {
            return Err(too_large());
        }
        raw.extend_from_slice(&chunk);
    }
    Ok(raw)
}

fn parse<T: Shape>(raw: &[u8]) -> Result<T, Problem> {
    check_object(raw).map_err(|e| match e {
        NotStrict::NotAnObject => Problem::invalid_request(format!("The body must be {}.", T::SHAPE)),
        NotStrict::Malformed { line, column } => {
            let place = format!("line {line}, column {column}");
            Problem::invalid_request(format!(
                "The body is not JSON without duplicate keys and nested at most {DEEPEST} deep: see {place}."
            ))
        }
    })?;
    serde_json::from_slice(raw).map_err(|e| {
        let place = format!("line {}, column {}", e.line(), e.column());
        Problem::invalid_request(format!("The body must be {}: see {place}.", T::SHAPE))
    })
}

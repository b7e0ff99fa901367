//! The keys themselves.

use std::collections::BTreeMap;

use axum::{
    body::Body,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    broker::{
        cache::Freshness,
        credentials::{CredentialReader, Reading},
    },
    domain::access::Read,
    http::{
        error::{Problem, ProblemBody},
        extract::{Held, Parameters, PastCache, Permitted, Query},
    },
};

// Only described here: `cache::Served` writes them, into memory that is wiped.
/// A connection's keys.
#[derive(Serialize, ToSchema)]
#[schema(as = Credentials)]
pub(in crate::http) struct CredentialsView {
    #[schema(example = "vapi")]
    provider: String,
    /// The provider's fields.
    credentials: BTreeMap<String, String>,
    /// Which version they are; also the `ETag`.
    version: String,
    /// `managed` or `customer_vault`.
    #[schema(example = "managed")]
    source: String,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct VersionQuery {
    /// `previous`: the keys before the current ones.
    #[param(inline)]
    version: Option<WhichVersion>,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::http) enum WhichVersion {
    Previous,
}

impl Parameters for VersionQuery {
    const TAKES: &'static str = "version=previous";
}

/// Read a connection's keys.
#[utoipa::path(get, path = "/v1/orgs/{org}/connections/{connection}/credentials", tag = "credentials", security(("token" = ["credentials:read"])),
    params(("org" = String, Path), ("connection" = String, Path), VersionQuery,
        ("If-None-Match" = Option<String>, Header, description = "`\"<version>\"`: 304 if it is still that one."),
        ("Cache-Control" = Option<String>, Header, description = "`no-cache`: ask the store, past the cache.")),
    responses(
        (status = 200, body = CredentialsView), (status = 304, description = "You have that version."),
        (status = 400, body = ProblemBody), (status = 401, body = ProblemBody), (status = 429, body = ProblemBody),
        (status = 403, body = ProblemBody), (status = 404, body = ProblemBody),
        (status = 409, body = ProblemBody), (status = 502, body = ProblemBody),
        (status = 503, body = ProblemBody),
    ))]
pub(in crate::http) async fn read_credentials(
    Permitted(permit): Permitted<Read>,
    State(reader): State<CredentialReader>,
    Query(VersionQuery { version }): Query<VersionQuery>,
    PastCache(past_cache): PastCache,
    held: Held,
) -> Result<Response, Problem> {
    let held = |version: &str| held.includes(version);
    let reading = match version {
        Some(WhichVersion::Previous) => reader.read_previous(&permit, held).await?,
        None if past_cache => reader.read(&permit, Freshness::Now, held).await?,
        None => reader.read(&permit, Freshness::Cached, held).await?,
    };
    Ok(answer(reading))
}

/// The answer to a read.
pub(in crate::http) fn answer(reading: Reading) -> Response {
    let etag = |version: &str| [(header::ETAG, ["\"", version, "\""].concat())];
    let served = match reading {
        Reading::Held(version) => return (StatusCode::NOT_MODIFIED, etag(&version)).into_response(),
        Reading::Keys(served) => served,
    };
    let json = [(header::CONTENT_TYPE, "application/json")];
    (etag(served.version()), json, Body::from(served.into_document())).into_response()
}

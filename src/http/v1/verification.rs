//! Whether keys work: trying them, and hearing that they don't.

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::connections::ConnectionView;
use crate::{
    broker::verification::{Verdict, Verifier},
    domain::{
        access::{Read, Write},
        event::RequestId,
        secret::Prefix,
    },
    http::{
        error::{Problem, ProblemBody},
        extract::Permitted,
        json::{Json, Shape},
        time::rfc3339,
    },
};

/// What came of trying a connection's keys.
#[derive(Serialize, ToSchema)]
#[schema(as = Verification)]
pub(in crate::http) struct VerdictView {
    /// `valid`, `invalid` (the provider says that the key is wrong), `unreachable` (it did not say) or
    /// `unsupported` (there is no way to ask it).
    #[schema(example = "valid")]
    outcome: &'static str,
    /// The outcome in a sentence.
    #[schema(example = "Vapi takes the key.")]
    detail: String,
    #[schema(format = DateTime, example = "2026-11-21T21:17:00.000Z")]
    checked_at: String,
    /// What the key opens, where the provider tells it, to see that it is the right account.
    opens: Vec<FactView>,
}

/// Something that a key opens.
#[derive(Serialize, ToSchema)]
#[schema(as = Fact)]
pub(in crate::http) struct FactView {
    #[schema(example = "Assistants")]
    label: String,
    #[schema(example = "12")]
    value: String,
}

impl From<Verdict> for VerdictView {
    fn from(verdict: Verdict) -> Self {
        Self {
            outcome: verdict.outcome.as_str(),
            detail: verdict.detail,
            checked_at: rfc3339(verdict.checked_at),
            opens: verdict.opens.into_iter().map(|(label, value)| FactView { label, value }).collect(),
        }
    }
}

/// Try a connection's keys with its provider. Keys that it takes make the connection active; keys that it
/// refuses twice, some seconds apart, make it need reconnecting.
#[utoipa::path(post, path = "/v1/orgs/{org}/connections/{connection}/verify", tag = "connections", security(("token" = ["connections:write"])),
    params(("org" = String, Path), ("connection" = String, Path)),
    responses(
        (status = 200, body = VerdictView), (status = 400, body = ProblemBody),
        (status = 401, body = ProblemBody), (status = 429, body = ProblemBody), (status = 403, body = ProblemBody),
        (status = 404, body = ProblemBody), (status = 409, body = ProblemBody),
        (status = 502, body = ProblemBody), (status = 503, body = ProblemBody),
    ))]
pub(in crate::http) async fn verify_connection(
    Permitted(permit): Permitted<Write>,
    State(verifier): State<Verifier>,
    request_id: RequestId,
) -> Result<axum::Json<VerdictView>, Problem> {
    Ok(axum::Json(verifier.verify(&permit, Some(request_id)).await?.into()))
}

/// What a provider answered to the app.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Report {
    /// The HTTP status, 400 to 599.
    #[schema(example = 401, minimum = 400, maximum = 599)]
    upstream_status: u16,
}

impl Shape for Report {
    const SHAPE: &'static str = "an object with \"upstream_status\" (a number, 400 to 599)";
}

/// Report that a provider refused a connection's keys. They are tried soon, which may make the connection
/// need reconnecting; the answer is the connection as it is now.
#[utoipa::path(post, path = "/v1/orgs/{org}/connections/{connection}/report", tag = "connections", security(("token" = ["credentials:read"])),
    params(("org" = String, Path), ("connection" = String, Path)),
    request_body = Report,
    responses(
        (status = 202, body = ConnectionView), (status = 400, body = ProblemBody),
        (status = 401, body = ProblemBody), (status = 429, body = ProblemBody), (status = 403, body = ProblemBody),
        (status = 404, body = ProblemBody), (status = 413, body = ProblemBody),
        (status = 415, body = ProblemBody), (status = 503, body = ProblemBody),
    ))]
pub(in crate::http) async fn report_connection(
    Permitted(permit): Permitted<Read>,
    State(verifier): State<Verifier>,
    State(prefix): State<Prefix>,
    request_id: RequestId,
    body: Json<Report>,
) -> Result<Response, Problem> {
    let status = body.value.upstream_status;
    if !(400..=599).contains(&status) {
        return Err(Problem::invalid_request(format!("The body must be {}.", Report::SHAPE)));
    }
    let connection = verifier.report(permit, status, Some(request_id)).await?;
    Ok((StatusCode::ACCEPTED, ConnectionView::new(connection, &prefix).with_etag()).into_response())
}

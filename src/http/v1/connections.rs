//! Connections: put, get, list, roll back, disconnect.

use axum::{
    extract::State,
    http::{HeaderName, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};

use super::{page_size, read_cursor, write_cursor};
use crate::{
    broker::{
        connections::{Connections, Wanted},
        error::Error,
        write::{Answer, LabelChange, Outcome},
    },
    domain::{
        access::{Inspect, Write},
        connection::{Connection, Label, Shown},
        id::{ConnectionName, ProviderName},
        provider::FieldError,
        secret::Prefix,
    },
    http::{
        error::{Problem, ProblemBody},
        extract::{Parameters, Permitted, PermittedOrg, Query, WriteHeaders},
        json::{Json, SentCredentials, Shape},
        time::rfc3339,
    },
};

/// One organization's set of keys for one provider: everything but the keys.
#[derive(Serialize, ToSchema)]
#[schema(as = Connection)]
pub(in crate::http) struct ConnectionView {
    #[schema(example = "org_2abc")]
    org: String,
    #[schema(example = "vapi")]
    connection: String,
    #[schema(example = "vapi")]
    provider: String,
    #[schema(example = "Main account")]
    label: Option<String>,
    /// `active`, `needs_reconnect` or `disconnected`.
    #[schema(example = "active")]
    status: &'static str,
    /// `managed` or `customer_vault`.
    #[schema(example = "managed")]
    source: &'static str,
    /// The current version; also the `ETag`.
    version: String,
    /// What may be shown of each field.
    fields: BTreeMap<String, ShownView>,
    /// Where the keys are in AWS Secrets Manager, unless they are in the organization's own vault.
    #[schema(example = "tenant/org_2abc/vapi")]
    secret_name: String,
    #[schema(format = DateTime, example = "2026-11-21T21:17:00.000Z")]
    verified_at: Option<String>,
    #[schema(format = DateTime, example = "2026-11-21T21:17:00.000Z")]
    created_at: String,
    #[schema(format = DateTime, example = "2026-11-21T21:17:00.000Z")]
    updated_at: String,
}

/// A field's value, where the catalogue says that it is no secret; else its last four characters, where
/// it has sixteen or more.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ShownField)]
pub(in crate::http) enum ShownView {
    Value(String),
    #[schema(example = "…9f3c")]
    Hint(Option<String>),
}

impl From<Shown> for ShownView {
    fn from(shown: Shown) -> Self {
        match shown {
            Shown::Value(value) => Self::Value(value),
            Shown::Hint(hint) => Self::Hint(hint),
        }
    }
}

impl ConnectionView {
    pub(super) fn new(connection: Connection, prefix: &Prefix) -> Self {
        Self {
            secret_name: connection.secret_name().under(prefix),
            org: connection.org.to_string(),
            connection: connection.name.to_string(),
            provider: connection.provider.to_string(),
            label: connection.label.map(|label| label.as_str().to_owned()),
            status: connection.status.as_str(),
            source: connection.source.as_str(),
            version: connection.version.to_string(),
            fields: connection.fields.into_iter().map(|field| (field.name, field.shown.into())).collect(),
            verified_at: connection.verified_at.map(rfc3339),
            created_at: rfc3339(connection.created_at),
            updated_at: rfc3339(connection.updated_at),
        }
    }

    pub(super) fn with_etag(self) -> impl IntoResponse {
        let etag: [(HeaderName, String); 1] = [(header::ETAG, format!("\"{}\"", self.version))];
        (etag, axum::Json(self))
    }
}

/// What a connection is to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::option_option, reason = "a label that is absent stays, and one that is null goes")]
pub(in crate::http) struct PutConnection {
    /// May be left out when it equals the connection's name, or the connection exists.
    #[schema(example = "vapi")]
    provider: Option<String>,
    /// The provider's fields, all of them text. Left out where the organization keeps its keys in its own
    /// vault.
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, String>)]
    credentials: Option<SentCredentials>,
    /// Left out, it stays as it is; null removes it.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, example = "Main account")]
    label: Option<Option<String>>,
}

impl Shape for PutConnection {
    const SHAPE: &'static str = "an object with \"credentials\" (an object of text fields), and maybe \"provider\" and \"label\" (text)";
}

/// Tells null from absent.
#[expect(clippy::option_option, reason = "absent, null and text are three things here")]
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl PutConnection {
    fn wanted(self, verify: bool) -> Result<Wanted, Error> {
        let malformed = |rule: String| Error::InvalidRequest(format!("{rule}."));
        let missing =
            |message: &str| Error::InvalidCredentials(vec![FieldError::new("credentials", message)]);
        let provider: Option<ProviderName> =
            self.provider.map(|name| name.parse()).transpose().map_err(|e| malformed(format!("{e}")))?;
        let label = match self.label {
            None => LabelChange::Keep,
            Some(None) => LabelChange::Set(None),
            Some(Some(text)) => {
                LabelChange::Set(Some(Label::try_from(text).map_err(|e| malformed(e.to_string()))?))
            }
        };
        let credentials = match self.credentials {
            Some(SentCredentials::Fields(fields)) => Some(fields),
            Some(SentCredentials::NotAnObject) => return Err(missing("must be an object of text fields")),
            None => None,
        };
        Ok(Wanted { provider, credentials, label, verify })
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct PutQuery {
    /// Whether to try the key with the provider first, where it has a way to. True if left out.
    verify: Option<bool>,
}

impl Parameters for PutQuery {
    const TAKES: &'static str = "verify=true or verify=false";
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct ListQuery {
    /// How many at most, 1 to 200; 50 if left out.
    limit: Option<u16>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

impl Parameters for ListQuery {
    const TAKES: &'static str = "limit (1 to 200) and cursor";
}

#[derive(Serialize, ToSchema)]
pub(in crate::http) struct ConnectionList {
    connections: Vec<ConnectionView>,
    /// For the next page; null on the last one.
    next_cursor: Option<String>,
}

/// Create or replace a connection. The key is tried with its provider before anything is stored, where
/// there is a way. The same keys again make no new version.
#[utoipa::path(put, path = "/v1/orgs/{org}/connections/{connection}", tag = "connections", security(("token" = ["connections:write"])),
    params(("org" = String, Path), ("connection" = String, Path), PutQuery,
        ("If-Match" = Option<String>, Header, description = "Replace only this version: `\"<version>\"`."),
        ("If-None-Match" = Option<String>, Header, description = "`*`: create only."),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key and body within 24 h: the same answer.")),
    request_body = PutConnection,
    responses(
        (status = 200, body = ConnectionView, description = "Replaced, or unchanged."),
        (status = 201, body = ConnectionView, description = "Created."),
        (status = 400, body = ProblemBody), (status = 401, body = ProblemBody), (status = 429, body = ProblemBody),
        (status = 403, body = ProblemBody), (status = 404, body = ProblemBody),
        (status = 409, body = ProblemBody), (status = 412, body = ProblemBody),
        (status = 413, body = ProblemBody), (status = 415, body = ProblemBody),
        (status = 422, body = ProblemBody), (status = 502, body = ProblemBody),
        (status = 503, body = ProblemBody),
    ))]
pub(in crate::http) async fn put_connection(
    Permitted(permit): Permitted<Write>,
    State(connections): State<Connections>,
    State(prefix): State<Prefix>,
    Query(query): Query<PutQuery>,
    headers: WriteHeaders,
    body: Json<PutConnection>,
) -> Result<Response, Problem> {
    let terms = headers.terms(&permit, &body.raw)?;
    let wanted = body.value.wanted(query.verify.unwrap_or(true))?;
    let answer = connections.put(permit, wanted, terms).await?;
    Ok(changed(answer, &prefix))
}

/// Show a connection, without its keys.
#[utoipa::path(get, path = "/v1/orgs/{org}/connections/{connection}", tag = "connections", security(("token" = ["connections:read"])),
    params(("org" = String, Path), ("connection" = String, Path)),
    responses(
        (status = 200, body = ConnectionView), (status = 400, body = ProblemBody),
        (status = 401, body = ProblemBody), (status = 429, body = ProblemBody), (status = 403, body = ProblemBody),
        (status = 404, body = ProblemBody), (status = 503, body = ProblemBody),
    ))]
pub(in crate::http) async fn get_connection(
    Permitted(permit): Permitted<Inspect>,
    State(connections): State<Connections>,
    State(prefix): State<Prefix>,
) -> Result<Response, Problem> {
    let connection = connections.find(&permit).await?;
    Ok(ConnectionView::new(connection, &prefix).with_etag().into_response())
}

/// List an organization's connections by name, disconnected ones included.
#[utoipa::path(get, path = "/v1/orgs/{org}/connections", tag = "connections", security(("token" = ["connections:read"])),
    params(("org" = String, Path), ListQuery),
    responses(
        (status = 200, body = ConnectionList), (status = 400, body = ProblemBody),
        (status = 401, body = ProblemBody), (status = 429, body = ProblemBody), (status = 403, body = ProblemBody),
        (status = 404, body = ProblemBody), (status = 503, body = ProblemBody),
    ))]
pub(in crate::http) async fn list_connections(
    PermittedOrg(permit): PermittedOrg<Inspect>,
    State(connections): State<Connections>,
    State(prefix): State<Prefix>,
    Query(query): Query<ListQuery>,
) -> Result<axum::Json<ConnectionList>, Problem> {
    let after: Option<ConnectionName> = read_cursor(query.cursor.as_deref())?;
    let (page, next) = connections.list(&permit, after.as_ref(), page_size(query.limit)?).await?;
    let connections = page.into_iter().map(|connection| ConnectionView::new(connection, &prefix)).collect();
    let next_cursor = next.map(|name| write_cursor(name.as_str()));
    Ok(axum::Json(ConnectionList { connections, next_cursor }))
}

/// Make the previous keys current again, as a new version.
#[utoipa::path(post, path = "/v1/orgs/{org}/connections/{connection}/rollback", tag = "connections", security(("token" = ["connections:write"])),
    params(("org" = String, Path), ("connection" = String, Path),
        ("If-Match" = Option<String>, Header, description = "Roll back only this version: `\"<version>\"`."),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key within 24 h: the same answer.")),
    responses(
        (status = 200, body = ConnectionView), (status = 400, body = ProblemBody),
        (status = 401, body = ProblemBody), (status = 429, body = ProblemBody), (status = 403, body = ProblemBody),
        (status = 404, body = ProblemBody), (status = 409, body = ProblemBody),
        (status = 412, body = ProblemBody), (status = 502, body = ProblemBody),
        (status = 503, body = ProblemBody),
    ))]
pub(in crate::http) async fn rollback_connection(
    Permitted(permit): Permitted<Write>,
    State(connections): State<Connections>,
    State(prefix): State<Prefix>,
    headers: WriteHeaders,
) -> Result<Response, Problem> {
    let terms = headers.terms(&permit, b"")?;
    Ok(changed(connections.roll_back(permit, terms).await?, &prefix))
}

/// Disconnect: erase the keys, in the current version and in the previous one. PUT reconnects.
#[utoipa::path(delete, path = "/v1/orgs/{org}/connections/{connection}", tag = "connections", security(("token" = ["connections:write"])),
    params(("org" = String, Path), ("connection" = String, Path),
        ("If-Match" = Option<String>, Header, description = "Disconnect only this version: `\"<version>\"`.")),
    responses(
        (status = 204), (status = 400, body = ProblemBody),
        (status = 401, body = ProblemBody), (status = 429, body = ProblemBody), (status = 403, body = ProblemBody),
        (status = 404, body = ProblemBody), (status = 409, body = ProblemBody),
        (status = 412, body = ProblemBody), (status = 502, body = ProblemBody),
        (status = 503, body = ProblemBody),
    ))]
pub(in crate::http) async fn delete_connection(
    Permitted(permit): Permitted<Write>,
    State(connections): State<Connections>,
    headers: WriteHeaders,
) -> Result<StatusCode, Problem> {
    let terms = headers.terms(&permit, b"")?;
    connections.disconnect(permit, terms).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn changed(answer: Answer, prefix: &Prefix) -> Response {
    let status = match answer.outcome {
        Outcome::Created => StatusCode::CREATED,
        Outcome::Updated | Outcome::Unchanged | Outcome::RolledBack | Outcome::Disconnected => StatusCode::OK,
    };
    (status, ConnectionView::new(answer.connection, prefix).with_etag()).into_response()
}

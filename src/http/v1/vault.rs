//! The customer vault: where an organization keeps its keys itself.

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    broker::vault::{VaultState, Vaults},
    domain::{
        access::{Inspect, ManageVault},
        event::RequestId,
        vault::{LAMBDA_ENVIRONMENT, TEMPLATE, VaultKey, VaultTest, environment_of},
    },
    http::{
        error::{Problem, ProblemBody},
        extract::{Authenticated, PermittedOrg},
        json::{Json, MaybeJson, Shape},
        time::rfc3339,
    },
};

/// A customer vault.
#[derive(Serialize, ToSchema)]
#[schema(as = Vault)]
pub(in crate::http) struct VaultView {
    /// Whether keys are read from it.
    enabled: bool,
    #[schema(example = "https://abc123.lambda-url.us-east-1.on.aws/")]
    url: Option<String>,
    /// The last four characters of its token.
    #[schema(example = "…9f3c")]
    token_hint: Option<String>,
    last_test: Option<VaultTestView>,
}

/// What came of testing a vault.
#[derive(Serialize, ToSchema)]
#[schema(as = VaultTest)]
pub(in crate::http) struct VaultTestView {
    /// `ok`, `unreachable`, `unauthorized` or `bad_response`.
    #[schema(example = "ok")]
    outcome: &'static str,
    /// Why, and what to do. Left out if it is ok, and of the last test.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// Keys of the organization's connections that the function has no value for.
    missing_keys: Vec<String>,
    latency_ms: u64,
    /// Bytes of the function's environment that these keys and the token take.
    environment_bytes: usize,
    #[schema(format = DateTime, example = "2026-11-21T21:17:00.000Z")]
    tested_at: String,
}

impl From<VaultTest> for VaultTestView {
    fn from(test: VaultTest) -> Self {
        Self {
            outcome: test.outcome.as_str(),
            detail: None,
            missing_keys: test.missing,
            latency_ms: test.latency_ms,
            environment_bytes: test.environment,
            tested_at: rfc3339(test.at),
        }
    }
}

impl From<VaultState> for VaultView {
    fn from(state: VaultState) -> Self {
        Self {
            enabled: state.enabled,
            url: state.url,
            token_hint: state.token_hint,
            last_test: state.last_test.map(Into::into),
        }
    }
}

/// Where a vault is, and whether keys are to be read from it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct PutVault {
    /// The function URL; may be left out when it was set before.
    #[schema(example = "https://abc123.lambda-url.us-east-1.on.aws/")]
    url: Option<String>,
    enabled: bool,
}

impl Shape for PutVault {
    const SHAPE: &'static str = "an object with \"enabled\" (true or false), and maybe \"url\" (text)";
}

/// Which URL to test.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct TestVault {
    /// Another URL than the one that was set.
    url: Option<String>,
}

impl Shape for TestVault {
    const SHAPE: &'static str = "an object with maybe \"url\" (text)";
}

/// A vault's new token: the only time that it is shown.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct NewVaultToken {
    /// To be set as `AUTH_TOKEN` in the function.
    #[schema(example = "kbv_…")]
    token: String,
}

/// The names under which the vault is to hold the organization's keys.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct VaultKeyList {
    keys: Vec<VaultKeyView>,
    /// Bytes of the function's environment that these names and the token take, without any value.
    environment_bytes: usize,
    /// The bytes that AWS Lambda allows, names and values together.
    environment_limit: usize,
}

/// One key in a vault.
#[derive(Serialize, ToSchema)]
#[schema(as = VaultKey)]
pub(in crate::http) struct VaultKeyView {
    /// The environment variable's name.
    #[schema(example = "ai_provider_openai_api_key")]
    key: String,
    #[schema(example = "openai")]
    connection: String,
    #[schema(example = "openai")]
    provider: String,
    #[schema(example = "apiKey")]
    field: String,
    /// Whether the connection can't be used without it.
    required: bool,
    #[schema(example = "OpenAI: API key")]
    description: String,
}

/// The source of the function, to be deployed as it is.
#[utoipa::path(get, path = "/v1/vault/template", tag = "vault", security(("token" = [])),
    responses(
        (status = 200, body = String, content_type = "text/javascript"),
        (status = 401, body = ProblemBody), (status = 429, body = ProblemBody), (status = 503, body = ProblemBody),
    ))]
pub(in crate::http) async fn get_template(_: Authenticated) -> impl IntoResponse {
    template()
}

/// The template, as a file to be saved.
pub(in crate::http) fn template() -> impl IntoResponse {
    let headers = [
        (header::CONTENT_TYPE, "text/javascript; charset=utf-8"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"secret-vault-lambda.mjs\""),
    ];
    (headers, TEMPLATE)
}

/// Show an organization's vault.
#[utoipa::path(get, path = "/v1/orgs/{org}/vault", tag = "vault", security(("token" = ["connections:read"])),
    params(("org" = String, Path)),
    responses(
        (status = 200, body = VaultView), (status = 400, body = ProblemBody), (status = 401, body = ProblemBody),
        (status = 403, body = ProblemBody), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody),
        (status = 429, body = ProblemBody), (status = 502, body = ProblemBody), (status = 503, body = ProblemBody),
    ))]
pub(in crate::http) async fn get_vault(
    PermittedOrg(permit): PermittedOrg<Inspect>,
    State(vaults): State<Vaults>,
) -> Result<axum::Json<VaultView>, Problem> {
    Ok(axum::Json(vaults.find(&permit).await?.into()))
}

/// Say where the vault is, and whether keys are read from it. It is tested before it is enabled.
#[utoipa::path(put, path = "/v1/orgs/{org}/vault", tag = "vault", security(("token" = ["vault:write"])),
    params(("org" = String, Path)), request_body = PutVault,
    responses(
        (status = 200, body = VaultView), (status = 400, body = ProblemBody), (status = 401, body = ProblemBody),
        (status = 403, body = ProblemBody), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody),
        (status = 413, body = ProblemBody), (status = 415, body = ProblemBody), (status = 429, body = ProblemBody),
        (status = 502, body = ProblemBody), (status = 503, body = ProblemBody),
    ))]
pub(in crate::http) async fn put_vault(
    PermittedOrg(permit): PermittedOrg<ManageVault>,
    State(vaults): State<Vaults>,
    request_id: RequestId,
    body: Json<PutVault>,
) -> Result<axum::Json<VaultView>, Problem> {
    let PutVault { url, enabled } = body.value;
    Ok(axum::Json(vaults.put(&permit, url.as_deref(), enabled, Some(request_id)).await?.into()))
}

/// Forget the vault: keys are read from the store again, and its URL and token are erased.
#[utoipa::path(delete, path = "/v1/orgs/{org}/vault", tag = "vault", security(("token" = ["vault:write"])),
    params(("org" = String, Path)),
    responses(
        (status = 204), (status = 400, body = ProblemBody), (status = 401, body = ProblemBody),
        (status = 403, body = ProblemBody), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody),
        (status = 429, body = ProblemBody), (status = 502, body = ProblemBody), (status = 503, body = ProblemBody),
    ))]
pub(in crate::http) async fn delete_vault(
    PermittedOrg(permit): PermittedOrg<ManageVault>,
    State(vaults): State<Vaults>,
    request_id: RequestId,
) -> Result<StatusCode, Problem> {
    vaults.forget(&permit, Some(request_id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Make a new token for the vault. The one before opens nothing any more, so the function needs it at once.
#[utoipa::path(post, path = "/v1/orgs/{org}/vault/token", tag = "vault", security(("token" = ["vault:write"])),
    params(("org" = String, Path)),
    responses(
        (status = 201, body = NewVaultToken), (status = 400, body = ProblemBody), (status = 401, body = ProblemBody),
        (status = 403, body = ProblemBody), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody),
        (status = 429, body = ProblemBody), (status = 502, body = ProblemBody), (status = 503, body = ProblemBody),
    ))]
pub(in crate::http) async fn create_vault_token(
    PermittedOrg(permit): PermittedOrg<ManageVault>,
    State(vaults): State<Vaults>,
    request_id: RequestId,
) -> Result<(StatusCode, axum::Json<NewVaultToken>), Problem> {
    let token = vaults.make_token(&permit, Some(request_id)).await?;
    Ok((StatusCode::CREATED, axum::Json(NewVaultToken { token: token.reveal().to_owned() })))
}

/// Try the vault, and tell which keys it lacks.
#[utoipa::path(post, path = "/v1/orgs/{org}/vault/test", tag = "vault", security(("token" = ["vault:write"])),
    params(("org" = String, Path)), request_body(content = Option<TestVault>),
    responses(
        (status = 200, body = VaultTestView), (status = 400, body = ProblemBody), (status = 401, body = ProblemBody),
        (status = 403, body = ProblemBody), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody),
        (status = 413, body = ProblemBody), (status = 415, body = ProblemBody), (status = 429, body = ProblemBody),
        (status = 502, body = ProblemBody), (status = 503, body = ProblemBody),
    ))]
pub(in crate::http) async fn test_vault(
    PermittedOrg(permit): PermittedOrg<ManageVault>,
    State(vaults): State<Vaults>,
    request_id: RequestId,
    MaybeJson(body): MaybeJson<TestVault>,
) -> Result<axum::Json<VaultTestView>, Problem> {
    let tested = vaults.test(&permit, body.url.as_deref(), Some(request_id)).await?;
    let detail = tested.fault.map(|fault| format!("{}: {}", fault.trouble().title(), fault.explained()));
    Ok(axum::Json(VaultTestView { detail, ..tested.test.into() }))
}

/// List the names under which the vault is to hold the keys of the organization's connections.
#[utoipa::path(get, path = "/v1/orgs/{org}/vault/keys", tag = "vault", security(("token" = ["connections:read"])),
    params(("org" = String, Path)),
    responses(
        (status = 200, body = VaultKeyList), (status = 400, body = ProblemBody), (status = 401, body = ProblemBody),
        (status = 403, body = ProblemBody), (status = 404, body = ProblemBody), (status = 429, body = ProblemBody),
        (status = 503, body = ProblemBody),
    ))]
pub(in crate::http) async fn list_vault_keys(
    PermittedOrg(permit): PermittedOrg<Inspect>,
    State(vaults): State<Vaults>,
) -> Result<axum::Json<VaultKeyList>, Problem> {
    let keys = vaults.keys(&permit).await?;
    let environment_bytes = environment_of(keys.iter().map(|(_, key)| key));
    let keys =
        keys.into_iter().map(|(connection, VaultKey { name, field, required, description })| VaultKeyView {
            key: name.to_string(),
            connection: connection.name.to_string(),
            provider: connection.provider.to_string(),
            field,
            required,
            description,
        });
    let environment_limit = LAMBDA_ENVIRONMENT;
    Ok(axum::Json(VaultKeyList { keys: keys.collect(), environment_bytes, environment_limit }))
}

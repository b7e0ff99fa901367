//! API tokens.

use std::{collections::BTreeSet, time::Duration};

use axum::{extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    broker::{
        error::Error,
        tokens::{NewToken, Tokens},
    },
    domain::{
        access::{Orgs, Reach, Scope},
        event::RequestId,
        id::OrgId,
        token::{TokenName, TokenRecord},
    },
    http::{
        error::{Problem, ProblemBody},
        extract::{PathId, PermittedTokens},
        json::{Json, Shape},
        time::rfc3339,
    },
};

/// A token to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct CreateToken {
    #[schema(example = "backend")]
    name: String,
    #[schema(example = json!(["credentials:read"]))]
    scopes: Vec<String>,
    /// Organization ids, or `["*"]` for all of them.
    #[schema(example = json!(["org_2abc"]))]
    orgs: Vec<String>,
    /// Seconds until it ends by itself; never, if left out.
    #[schema(example = 7_776_000)]
    expires_in: Option<u64>,
}

impl Shape for CreateToken {
    const SHAPE: &'static str = "an object with \"name\" (text), \"scopes\" and \"orgs\" (lists of text), and maybe \
         \"expires_in\" (seconds)";
}

impl TryFrom<CreateToken> for NewToken {
    type Error = Error;

    fn try_from(create: CreateToken) -> Result<Self, Error> {
        let malformed = |rule: String| Error::InvalidRequest(format!("{rule}."));
        let scopes: BTreeSet<Scope> = create
            .scopes
            .iter()
            .map(|scope| scope.parse())
            .collect::<Result<_, _>>()
            .map_err(|e| malformed(format!("{e}")))?;
        if scopes.is_empty() || create.orgs.is_empty() {
            return Err(malformed("scopes and orgs need at least one entry each".into()));
        }
        Ok(Self {
            name: TokenName::try_from(create.name).map_err(|e| malformed(e.to_string()))?,
            reach: Reach { scopes, orgs: orgs(&create.orgs).map_err(malformed)? },
            expires_in: create.expires_in.map(Duration::from_secs),
        })
    }
}

/// The most organizations that one token can name.
const MOST_ORGS: usize = 1_000;

fn orgs(listed: &[String]) -> Result<Orgs, String> {
    if listed == ["*"] {
        return Ok(Orgs::All);
    }
    if listed.len() > MOST_ORGS {
        return Err(format!(
            "orgs has more than {MOST_ORGS} entries; make several tokens, or one for [\"*\"]"
        ));
    }
    let orgs = listed.iter().map(|org| org.parse()).collect::<Result<BTreeSet<OrgId>, _>>();
    orgs.map(Orgs::Only).map_err(|rule| format!("in orgs, {rule}; or [\"*\"] alone, for all"))
}

/// A token's record.
#[derive(Serialize, ToSchema)]
#[schema(as = Token)]
pub(in crate::http) struct TokenView {
    id: String,
    name: String,
    scopes: Vec<&'static str>,
    /// `["*"]` for all.
    orgs: Vec<String>,
    #[schema(format = DateTime, example = "2026-11-21T21:17:00.000Z")]
    created_at: String,
    #[schema(format = DateTime, example = "2026-11-21T21:17:00.000Z")]
    expires_at: Option<String>,
}

impl From<TokenRecord> for TokenView {
    fn from(record: TokenRecord) -> Self {
        Self {
            id: record.id.to_string(),
            name: record.name.as_str().to_owned(),
            scopes: record.reach.scopes.iter().map(|scope| scope.as_str()).collect(),
            orgs: match record.reach.orgs {
                Orgs::All => vec!["*".into()],
                Orgs::Only(orgs) => orgs.iter().map(ToString::to_string).collect(),
            },
            created_at: rfc3339(record.created_at),
            expires_at: record.expires_at.map(rfc3339),
        }
    }
}

/// A new token: the only time that it is shown.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct NewTokenView {
    #[serde(flatten)]
    record: TokenView,
    #[schema(example = "kb_…")]
    token: String,
}

#[derive(Serialize, ToSchema)]
pub(in crate::http) struct TokenList {
    tokens: Vec<TokenView>,
}

/// Make a token that reaches no more than the caller's own. It is shown this once.
#[utoipa::path(post, path = "/v1/tokens", tag = "tokens", security(("token" = ["tokens:write"])), request_body = CreateToken, responses(
    (status = 201, body = NewTokenView), (status = 400, body = ProblemBody),
    (status = 401, body = ProblemBody), (status = 429, body = ProblemBody), (status = 403, body = ProblemBody),
    (status = 404, body = ProblemBody), (status = 413, body = ProblemBody),
    (status = 415, body = ProblemBody), (status = 503, body = ProblemBody),
))]
pub(in crate::http) async fn create_token(
    PermittedTokens(permit): PermittedTokens,
    State(tokens): State<Tokens>,
    request_id: RequestId,
    body: Json<CreateToken>,
) -> Result<(StatusCode, axum::Json<NewTokenView>), Problem> {
    let (token, record) = tokens.create(&permit, body.value.try_into()?, Some(request_id)).await?;
    let view = NewTokenView { record: record.into(), token: token.reveal().to_owned() };
    Ok((StatusCode::CREATED, axum::Json(view)))
}

/// List the tokens that reach no more than the caller's own, without those revoked.
#[utoipa::path(get, path = "/v1/tokens", tag = "tokens", security(("token" = ["tokens:write"])), responses(
    (status = 200, body = TokenList), (status = 401, body = ProblemBody), (status = 429, body = ProblemBody),
    (status = 403, body = ProblemBody), (status = 503, body = ProblemBody),
))]
pub(in crate::http) async fn list_tokens(
    PermittedTokens(permit): PermittedTokens,
    State(tokens): State<Tokens>,
) -> Result<axum::Json<TokenList>, Problem> {
    let tokens = tokens.list(&permit).await?.into_iter().map(TokenView::from).collect();
    Ok(axum::Json(TokenList { tokens }))
}

/// Revoke a token that reaches no more than the caller's own.
#[utoipa::path(delete, path = "/v1/tokens/{id}", tag = "tokens", security(("token" = ["tokens:write"])), params(("id" = String, Path, description = "The token's id, a UUID.")), responses(
    (status = 204), (status = 400, body = ProblemBody),
    (status = 401, body = ProblemBody), (status = 429, body = ProblemBody), (status = 403, body = ProblemBody),
    (status = 404, body = ProblemBody), (status = 503, body = ProblemBody),
))]
pub(in crate::http) async fn revoke_token(
    PermittedTokens(permit): PermittedTokens,
    State(tokens): State<Tokens>,
    request_id: RequestId,
    PathId(id): PathId<Uuid>,
) -> Result<StatusCode, Problem> {
    tokens.revoke(&permit, id, Some(request_id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

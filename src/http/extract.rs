//! What a request must bring: a token, ids, conditions. Whoever gets past an extractor may go on.
//!
//! The order is the same everywhere: token (401), ids (400), scope (403), organization (404), then query,
//! headers and body.

use std::{str::FromStr, sync::Arc};

use axum::{
    RequestPartsExt,
    extract::{FromRequestParts, RawPathParams},
    http::{HeaderMap, HeaderName, header, request::Parts},
};
use serde::de::DeserializeOwned;

use super::{error::Problem, state::AppState};
use crate::{
    broker::{error::Error, write::Terms},
    domain::{
        access::{Action, Caller, ManageTokens, Permit, Reach},
        event::RequestId,
        id::OrgId,
        idempotency::IdempotencyKey,
        precondition::Precondition,
    },
};

/// The caller behind the request's token.
pub(super) struct Authenticated(pub Arc<Caller>);

impl FromRequestParts<AppState> for Authenticated {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let token = bearer(&parts.headers).ok_or(Error::Unauthenticated("no bearer token"))?;
        Ok(Self(state.tokens.authenticate(token).await?))
    }
}

/// The token of a request that has one.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = only(headers, &header::AUTHORIZATION).ok()??.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// A header that may stand once: its text, if it is there.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Problem> {
    let mut values = headers.get_all(name).iter();
    let malformed =
        || Problem::invalid_request(format!("The header {name} must stand once, in visible ASCII."));
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| malformed()),
        (Some(_), Some(_)) => Err(malformed()),
    }
}

/// A permit to do `A` with the connection in the path.
pub(super) struct Permitted<A>(pub Permit<A>);

impl<A: Action> FromRequestParts<AppState> for Permitted<A> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let Authenticated(caller) = Authenticated::from_request_parts(parts, state).await?;
        let path = PathIds::of(parts).await?;
        Ok(Self(caller.permit(path.id("org")?, path.id("connection")?).map_err(Error::from)?))
    }
}

/// A permit to do `A` with the organization in the path.
pub(super) struct PermittedOrg<A>(pub Permit<A, OrgId>);

impl<A: Action> FromRequestParts<AppState> for PermittedOrg<A> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let Authenticated(caller) = Authenticated::from_request_parts(parts, state).await?;
        let path = PathIds::of(parts).await?;
        Ok(Self(caller.permit_org(path.id("org")?).map_err(Error::from)?))
    }
}

/// A permit to manage tokens.
pub(super) struct PermittedTokens(pub Permit<ManageTokens, Reach>);

impl FromRequestParts<AppState> for PermittedTokens {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let Authenticated(caller) = Authenticated::from_request_parts(parts, state).await?;
        Ok(Self(caller.permit_tokens().map_err(Error::from)?))
    }
}

/// The ids in the path, decoded once.
pub(super) struct PathIds(RawPathParams);

impl PathIds {
    async fn of(parts: &mut Parts) -> Result<Self, Problem> {
        let malformed = |_| Problem::invalid_request("The path must be UTF-8, percent-encoded once.");
        parts.extract::<RawPathParams>().await.map(Self).map_err(malformed)
    }

    /// The id of that name.
    fn id<T>(&self, name: &str) -> Result<T, Problem>
    where
        T: FromStr<Err: std::fmt::Display>,
    {
        let text = self.0.iter().find(|(key, _)| *key == name).map_or("", |(_, value)| value);
        text.parse().map_err(|rule| Problem::invalid_request(format!("In the path, {rule}.")))
    }
}

/// An id in the path of a route that has just one.
pub(super) struct PathId<T>(pub T);

impl<T> FromRequestParts<AppState> for PathId<T>
where
    T: FromStr + Send,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, Problem> {
        let path = PathIds::of(parts).await?;
        let text = path.0.iter().next().map_or("", |(_, value)| value);
        let malformed = |_| Problem::invalid_request("The id in the path must be a UUID.");
        text.parse().map(Self).map_err(malformed)
    }
}

/// A type that a route takes as its query.
pub(super) trait Parameters: DeserializeOwned {
    /// What may stand in it, for the error.
    const TAKES: &'static str;
}

/// The query, where every parameter is known and stands once.
pub(super) struct Query<T>(pub T);

impl<T: Parameters> FromRequestParts<AppState> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, Problem> {
        let query = axum::extract::Query::<T>::try_from_uri(&parts.uri);
        let malformed = |_| Problem::invalid_request(format!("The query may hold, each once: {}.", T::TAKES));
        query.map(|query| Self(query.0)).map_err(malformed)
    }
}

impl FromRequestParts<AppState> for RequestId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, Problem> {
        let id = parts.extensions.get::<Self>().cloned();
        id.ok_or_else(|| Problem::from(Error::Internal("the request has no id".into())))
    }
}

/// `If-Match` and `If-None-Match` of a write.
impl FromRequestParts<AppState> for Precondition {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, Problem> {
        let if_match = only(&parts.headers, &header::IF_MATCH)?;
        let if_none_match = only(&parts.headers, &header::IF_NONE_MATCH)?;
        match (if_match, if_none_match.map(str::trim)) {
            (None, None) => Ok(Self::None),
            (None, Some("*")) => Ok(Self::Absent),
            (None, Some(_)) => {
                Err(Problem::invalid_request("A write takes `If-None-Match: *` and no other value."))
            }
            (Some(_), Some(_)) => Err(Problem::invalid_request("Send If-Match or If-None-Match, not both.")),
            (Some(list), None) => match entity_tags(list)? {
                Tags::Any => Ok(Self::Present),
                // A weak tag never matches where bytes count (RFC 9110 §13.1.1).
                Tags::These(tags) => {
                    let strong = tags.iter().filter(|tag| !tag.weak);
                    Ok(Self::OneOf(strong.filter_map(|tag| tag.value.parse().ok()).collect()))
                }
            },
        }
    }
}

/// `If-None-Match` of a read: the versions that the caller has.
pub(super) struct Held(Option<Tags>);

impl Held {
    /// What the headers say of it.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        only(headers, &header::IF_NONE_MATCH)?.map(entity_tags).transpose().map(Self)
    }

    /// Whether the caller has any.
    pub(super) fn any(&self) -> bool {
        self.0.is_some()
    }

    /// Whether the caller has `version` already.
    pub(super) fn includes(&self, version: &str) -> bool {
        match &self.0 {
            None => false,
            Some(Tags::Any) => true,
            Some(Tags::These(tags)) => tags.iter().any(|tag| tag.value == version),
        }
    }
}

impl FromRequestParts<AppState> for Held {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, Problem> {
        Self::of(&parts.headers)
    }
}

enum Tags {
    Any,
    These(Vec<Tag>),
}

struct Tag {
    weak: bool,
    value: String,
}

/// A list of entity tags (RFC 9110 §8.8.3), or `*`.
fn entity_tags(list: &str) -> Result<Tags, Problem> {
    if list.trim() == "*" {
        return Ok(Tags::Any);
    }
    let tag = |text: &str| {
        let text = text.trim();
        let (weak, quoted) = text.strip_prefix("W/").map_or((false, text), |rest| (true, rest));
        let value = quoted.strip_prefix('"')?.strip_suffix('"')?;
        (!value.contains('"')).then(|| Tag { weak, value: value.to_owned() })
    };
    let tags = list.split(',').map(tag).collect::<Option<_>>().map(Tags::These);
    tags.ok_or_else(|| Problem::invalid_request("An entity tag stands in double quotes: `\"<version>\"`."))
}

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// All that a write's headers say of it.
pub(super) struct WriteHeaders {
    precondition: Precondition,
    idempotency: Option<String>,
    request_id: RequestId,
    operation: String,
}

impl FromRequestParts<AppState> for WriteHeaders {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        Ok(Self {
            precondition: Precondition::from_request_parts(parts, state).await?,
            idempotency: only(&parts.headers, &IDEMPOTENCY_KEY)?.map(str::to_owned),
            request_id: RequestId::from_request_parts(parts, state).await?,
            operation: format!("{} {}", parts.method, parts.uri),
        })
    }
}

impl WriteHeaders {
    /// The terms of a write whose caller holds `permit` and sent `body`.
    pub(super) fn terms<A>(self, permit: &Permit<A>, body: &[u8]) -> Result<Terms, Problem> {
        let key = |text: String| {
            let caller = permit.actor().id.as_str();
            IdempotencyKey::new(&text, caller, &self.operation, body)
                .map_err(|rule| Problem::invalid_request(format!("{rule}.")))
        };
        Ok(Terms {
            precondition: self.precondition,
            idempotency: self.idempotency.map(key).transpose()?,
            request_id: Some(self.request_id),
        })
    }
}

/// Whether a request says `Cache-Control: no-cache`.
pub(super) struct PastCache(pub bool);

impl PastCache {
    /// What the headers say of it.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let values = headers.get_all(header::CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
        let mut directives = values.flat_map(|value| value.split(','));
        Self(directives.any(|directive| directive.trim().eq_ignore_ascii_case("no-cache")))
    }
}

impl FromRequestParts<AppState> for PastCache {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, Problem> {
        Ok(Self::of(&parts.headers))
    }
}

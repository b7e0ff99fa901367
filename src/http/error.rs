//! Errors as a caller reads them: problem details (RFC 9457), and the one map from the broker's errors.
//!
//! There are two audiences. The caller reads status, code and `detail`, which says what to do next; the
//! log gets the cause. The request's id, which both have, is filled in by [`super::layers`].

use std::time::Duration;

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    broker::error::{Conflict, Error},
    domain::{access::Scope, provider::FieldError, vault::VaultFault},
};

/// A failure on its way to the caller.
#[derive(Debug, Clone)]
pub struct Problem(Box<Inner>);

#[derive(Debug, Clone)]
struct Inner {
    status: StatusCode,
    code: &'static str,
    title: &'static str,
    detail: String,
    fields: Vec<FieldError>,
    retry_after: Option<Duration>,
    /// What only the log says.
    cause: Option<String>,
}

/// The body of every error: `application/problem+json` (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// Where the code is explained.
    #[schema(example = "/docs#not_found")]
    r#type: String,
    /// The code in words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// Stable, for programs.
    #[schema(example = "not_found")]
    code: &'static str,
    /// What to do next, for people. May change.
    detail: String,
    /// Whether the same request may succeed later.
    retryable: bool,
    /// Names the request in the log.
    request_id: String,
    /// What is wrong with which field.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<ProblemField>,
}

/// What is wrong with one field.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProblemField {
    field: String,
    message: String,
}

macro_rules! problems {
    ($($(#[$doc:meta])* $make:ident: $status:ident, $code:literal, $title:literal;)+) => {
        impl Problem {
            $($(#[$doc])*
            pub(super) fn $make(detail: impl Into<String>) -> Self {
                Self(Box::new(Inner {
                    status: StatusCode::$status,
                    code: $code,
                    title: $title,
                    detail: detail.into(),
                    fields: Vec::new(),
                    retry_after: None,
                    cause: None,
                }))
            }
            )+
        }

        /// Every code with its status and title, for the documentation.
        pub const CODES: &[(&str, u16, &str)] =
            &[$(($code, StatusCode::$status.as_u16(), $title)),+];
    };
}

problems! {
    /// An id, a header, the query or the JSON is malformed.
    invalid_request: BAD_REQUEST, "invalid_request", "The request is malformed";
    /// No token, or none that is valid.
    unauthenticated: UNAUTHORIZED, "unauthenticated", "A valid token is needed";
    /// The token may not do this.
    missing_scope: FORBIDDEN, "missing_scope", "The token lacks a scope";
    /// Not there, or not for this caller.
    not_found: NOT_FOUND, "not_found", "There is no such thing for this token";
    /// The path leads nowhere.
    no_such_route: NOT_FOUND, "no_such_route", "There is no such path";
    /// The path does not take this method.
    method_not_allowed: METHOD_NOT_ALLOWED, "method_not_allowed", "The path does not take this method";
    /// A link of the portal is of no use any more.
    link_expired: GONE, "link_expired", "The link is spent or expired";
    /// A condition does not hold.
    precondition_failed: PRECONDITION_FAILED, "precondition_failed", "The condition does not hold";
    /// Something stands in the way.
    conflict: CONFLICT, "conflict", "Something stands in the way";
    /// AWS is deleting the secret.
    scheduled_for_deletion: CONFLICT, "scheduled_for_deletion", "AWS is deleting the secret";
    /// More than 64 KiB.
    too_large: PAYLOAD_TOO_LARGE, "too_large", "The body is too large";
    /// Not JSON.
    unsupported_media_type: UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", "The body must be JSON";
    /// The fields are not the provider's.
    invalid_credentials: UNPROCESSABLE_ENTITY, "invalid_credentials", "The credentials don't fit the provider";
    /// The provider refused the key.
    key_rejected: UNPROCESSABLE_ENTITY, "key_rejected", "The provider refuses the key";
    /// Too many requests.
    rate_limited: TOO_MANY_REQUESTS, "rate_limited", "Too many requests";
    /// The provider did not answer.
    provider_unreachable: BAD_GATEWAY, "provider_unreachable", "The provider does not answer";
    /// The organization's own vault did not answer.
    vault_unreachable: BAD_GATEWAY, "vault_unreachable", "The customer vault does not answer";
    /// It refused the token.
    vault_unauthorized: BAD_GATEWAY, "vault_unauthorized", "The customer vault refuses the token";
    /// It has no such key.
    vault_key_missing: BAD_GATEWAY, "vault_key_missing", "The customer vault lacks a key";
    /// It answered something else than a vault does.
    vault_bad_response: BAD_GATEWAY, "vault_bad_response", "The customer vault's answer is of no use";
    /// The store refuses.
    store_refused: BAD_GATEWAY, "store_refused", "The store refuses";
    /// The store or the database does not answer.
    store_unavailable: SERVICE_UNAVAILABLE, "store_unavailable", "The store does not answer";
    /// A defect.
    internal: INTERNAL_SERVER_ERROR, "internal", "Something went wrong here";
}

impl Problem {
    fn fields(mut self, fields: Vec<FieldError>) -> Self {
        self.0.fields = fields;
        self
    }

    fn retry_after(mut self, wait: Duration) -> Self {
        self.0.retry_after = Some(wait);
        self
    }

    fn because(mut self, cause: impl Into<String>) -> Self {
        self.0.cause = Some(cause.into());
        self
    }

    /// What only the log says.
    pub(super) fn cause(&self) -> Option<&str> {
        self.0.cause.as_deref()
    }

    /// The stable code.
    pub(super) fn code(&self) -> &'static str {
        self.0.code
    }

    /// The body, for the request of that id.
    pub(super) fn render(self, request_id: &str) -> Body {
        let field = |error: FieldError| ProblemField { field: error.field, message: error.message };
        let problem = *self.0;
        let body = ProblemBody {
            r#type: format!("/docs#{}", problem.code),
            title: problem.title,
            status: problem.status.as_u16(),
            code: problem.code,
            detail: problem.detail,
            retryable: problem.retry_after.is_some(),
            request_id: request_id.to_owned(),
            errors: problem.fields.into_iter().map(field).collect(),
        };
        Body::from(serde_json::to_vec(&body).expect("a problem is always written"))
    }
}

/// The body is left out: the outermost layer knows the request's id and renders it.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.0.status.into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.0.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(wait) = self.0.retry_after {
            headers.insert(header::RETRY_AFTER, retry_after(wait));
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// `Retry-After`, in whole seconds, upwards: a caller that waits so long waits long enough.
pub(super) fn retry_after(wait: Duration) -> HeaderValue {
    let seconds = wait.as_millis().div_ceil(1_000).max(1);
    HeaderValue::from(u32::try_from(seconds).unwrap_or(u32::MAX))
}

/// When a provider or a vault that did not answer is worth another try.
const UPSTREAM_AGAIN: Duration = Duration::from_secs(5);

/// The one map. No wildcard: a new failure has to be given its answer here.
impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Unauthenticated(why) => Self::unauthenticated(
                "Send a valid token as `Authorization: Bearer kb_…`. Missing, mistyped, revoked and expired tokens get this answer.",
            )
            .because(why),
            Error::MissingScope(scope) => Self::missing_scope(missing_scope(scope)),
            Error::NotFound => Self::not_found(
                "Nothing of that name is there for this token. Check the names and the token's organizations.",
            ),
            Error::InvalidRequest(detail) => Self::invalid_request(detail),
            Error::InvalidCredentials(fields) => Self::invalid_credentials(
                "Correct the fields named in `errors`; GET /v1/providers tells what each provider takes.",
            )
            .fields(fields),
            Error::LinkExpired => Self::link_expired(
                "A link opens once, and for a limited time. Go back to the app and ask for a new one.",
            ),
            Error::KeyRejected(detail) => Self::key_rejected(detail),
            Error::ProviderUnreachable(detail) => Self::provider_unreachable(detail).retry_after(UPSTREAM_AGAIN),
            Error::Vault(fault) => vault_problem(&fault),
            Error::PreconditionFailed => Self::precondition_failed(
                "The connection is not in the state that If-Match or If-None-Match demands. Read it again and decide anew.",
            ),
            Error::Conflict(conflict) => conflict_problem(conflict),
            Error::ScheduledForDeletion => Self::scheduled_for_deletion(
                "The secret is scheduled for deletion in AWS Secrets Manager. Restore it there, or wait until it is gone.",
            ),
            Error::TooLarge => Self::too_large("The credentials are larger than the 65,536 bytes that the store takes."),
            Error::RateLimited { retry_after } => {
                Self::rate_limited("Send fewer requests; try again after the time in Retry-After.").retry_after(retry_after)
            }
            Error::StoreRefused(cause) => Self::store_refused(
                "The store refuses keybroker, or holds something that is not credentials. An operator must act: the log names the cause under this request_id.",
            )
            .because(cause),
            Error::Unavailable { reason, retry_after, store: _ } => Self::store_unavailable(
                "The store or the database does not answer at present. Try again after the time in Retry-After.",
            )
            .retry_after(retry_after)
            .because(reason),
            Error::Internal(cause) => Self::internal(
                "Nothing more can be told here. The log names the cause under this request_id.",
            )
            .because(cause),
        }
    }
}

/// Cause and remedy are those of the portal's table.
fn vault_problem(fault: &VaultFault) -> Problem {
    let detail = format!("The organization's own vault gave no keys: {}", fault.explained());
    match fault {
        VaultFault::Unreachable(_) => Problem::vault_unreachable(detail).retry_after(UPSTREAM_AGAIN),
        VaultFault::Unauthorized(_) => Problem::vault_unauthorized(detail),
        VaultFault::KeyMissing(_) => Problem::vault_key_missing(detail),
        VaultFault::BadResponse(_) => Problem::vault_bad_response(detail),
    }
}

fn missing_scope(scope: Scope) -> String {
    format!("This needs a token with the scope {scope}. Ask whoever made the token for one.")
}

fn conflict_problem(conflict: Conflict) -> Problem {
    match conflict {
        Conflict::WriteUnderWay => {
            Problem::conflict("Another write to this connection is under way. Try again in a moment.")
                .retry_after(Duration::from_secs(1))
        }
        Conflict::OtherProvider => Problem::conflict(
            "The connection belongs to another provider. Use another name, or disconnect it first.",
        ),
        Conflict::NothingToRollBackTo => Problem::conflict(
            "There is no previous version to go back to: this is the first one, or the connection was disconnected.",
        ),
        Conflict::KeysInVault => Problem::conflict(
            "The organization keeps its keys in its own vault: set them there. Send the request without `credentials`, or disable the vault first.",
        ),
        Conflict::VaultChangeUnderWay => {
            Problem::conflict("Another change to this vault is under way. Try again in a moment.")
                .retry_after(Duration::from_secs(1))
        }
        Conflict::NoVaultToken => Problem::conflict(
            "The vault has no token yet. Generate one with POST /v1/orgs/{org}/vault/token and set it as AUTH_TOKEN in the function.",
        ),
        Conflict::NoVaultUrl => {
            Problem::conflict("The vault has no URL yet. Send the function URL as `url`.")
        }
        Conflict::IdempotencyKeyReused => Problem::conflict(
            "This Idempotency-Key came with another request before. Use a new key for a new request.",
        ),
    }
}

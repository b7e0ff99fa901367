//! Pages as answers, refusals among them.

use axum::{
    extract::{FromRequestParts, Path},
    http::{HeaderMap, StatusCode, header, request::Parts},
    response::{Html, IntoResponse, Response},
};

use super::PortalPages;
use crate::{
    broker::error::Error,
    domain::event::RequestId,
    http::{
        error,
        portal::{
            Page,
            frame::{Frame, Visitor},
            stop::{Stop, Why},
            text::Language,
        },
        state::AppState,
    },
};

/// What a page is made with, whoever asks for it.
#[derive(Debug, Clone)]
pub(super) struct Desk {
    pub(super) pages: PortalPages,
    pub(super) language: Language,
    request_id: String,
}

impl Desk {
    pub(super) fn of(pages: &PortalPages, parts: &Parts) -> Self {
        let id = parts.extensions.get::<RequestId>().map_or("", RequestId::as_str);
        Self { pages: pages.clone(), language: language(&parts.headers), request_id: id.to_owned() }
    }

    pub(super) fn frame<'a>(&'a self, visitor: Option<&'a Visitor>) -> Frame<'a> {
        Frame::new(self.pages.site(), self.language, visitor)
    }

    /// The path of a page below the public URL.
    pub(super) fn path(&self, path: &str) -> String {
        format!("{}{path}", self.pages.site().base)
    }

    /// A page that says why nothing goes on.
    pub(super) fn stop(&self, status: StatusCode, why: Why) -> Response {
        page(status, &Stop { frame: self.frame(None), why })
    }

    /// A page for a failure that no form can mend.
    pub(super) fn failure(&self, error: &Error) -> Response {
        let request_id = self.request_id.clone();
        let (status, why) = match error {
            Error::LinkExpired => (StatusCode::GONE, Why::SessionOver),
            Error::NotFound | Error::Unauthenticated(_) | Error::MissingScope(_) => {
                (StatusCode::NOT_FOUND, Why::NotFound)
            }
            Error::RateLimited { retry_after } => (StatusCode::TOO_MANY_REQUESTS, Why::TooMany(*retry_after)),
            Error::Unavailable { .. } => (StatusCode::SERVICE_UNAVAILABLE, Why::Unavailable { request_id }),
            Error::InvalidRequest(_)
            | Error::InvalidCredentials(_)
            | Error::KeyRejected(_)
            | Error::ProviderUnreachable(_)
            | Error::Vault(_)
            | Error::PreconditionFailed
            | Error::Conflict(_)
            | Error::ScheduledForDeletion
            | Error::TooLarge
            | Error::StoreRefused(_)
            | Error::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, Why::Failure { request_id }),
        };
        if status.is_server_error() {
            tracing::error!(request_id = self.request_id, %error, "a page failed");
        }
        let mut response = self.stop(status, why);
        if let Error::RateLimited { retry_after } | Error::Unavailable { retry_after, .. } = error {
            response.headers_mut().insert(header::RETRY_AFTER, error::retry_after(*retry_after));
        }
        response
    }
}

/// The one variable segment of a page's path.
pub(super) struct Segment(pub(super) String);

impl FromRequestParts<AppState> for Segment {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Response> {
        let segment = Path::<String>::from_request_parts(parts, state).await;
        let malformed = |_| Desk::of(&state.pages, parts).stop(StatusCode::NOT_FOUND, Why::NotFound);
        segment.map(|Path(text)| Self(text)).map_err(malformed)
    }
}

/// A page with that status.
pub(super) fn page(status: StatusCode, page: &impl Page) -> Response {
    (status, Html(page.html())).into_response()
}

/// After a POST: another page, by GET.
pub(super) fn see_other(path: &str) -> Response {
    (StatusCode::SEE_OTHER, [(header::LOCATION, path)]).into_response()
}

fn language(headers: &HeaderMap) -> Language {
    Language::of(headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()))
}

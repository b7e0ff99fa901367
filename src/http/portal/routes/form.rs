//! What a browser sends from a form.

use axum::{
    extract::{FromRequest, Request},
    http::{HeaderMap, HeaderName, StatusCode, header},
    response::Response,
};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::timeout;

use super::{answer::Desk, visit::Visit};
use crate::http::{
    json::{ARRIVAL, collect},
    portal::stop::Why,
    state::AppState,
};

/// A form's fields, in order. Any of them may be a key.
pub(super) struct Sent(Vec<(String, SecretString)>);

impl Sent {
    /// The text of a field that holds no secret; nothing if it is empty.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.first(name).filter(|text| !text.is_empty())
    }

    /// The text of a field that holds no secret, be it empty.
    #[expect(clippy::disallowed_methods, reason = "only of fields that the page shows anyway")]
    pub(super) fn first(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.expose_secret())
    }

    /// The texts of all fields of that name, which hold no secret.
    #[expect(clippy::disallowed_methods, reason = "only of fields that the page shows anyway")]
    pub(super) fn texts(&self, name: &str) -> impl Iterator<Item = &str> {
        let found = self.0.iter().filter(move |(known, _)| known == name);
        found.map(|(_, value)| value.expose_secret()).filter(|text| !text.is_empty())
    }

    /// The fields, names and values.
    pub(super) fn into_fields(self) -> Vec<(String, SecretString)> {
        self.0
    }
}

/// A form that was sent from a page of this very visit.
pub(super) struct Form {
    pub(super) visit: Visit,
    pub(super) sent: Sent,
}

impl FromRequest<AppState> for Form {
    type Rejection = Response;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let desk = Desk::of(&state.pages, &parts);
        let forbidden = || desk.stop(StatusCode::FORBIDDEN, Why::Forbidden);
        if !comes_from_here(&parts.headers, &state.pages.0.origin) {
            return Err(forbidden());
        }
        let visit = Visit::of(&mut parts, state).await?;
        let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let form = kind.is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
        let raw = timeout(ARRIVAL, collect(body)).await.map_err(|_| forbidden())?;
        let raw = raw.map_err(|_| desk.stop(StatusCode::PAYLOAD_TOO_LARGE, Why::Forbidden))?;
        if !form {
            return Err(forbidden());
        }
        let fields = url::form_urlencoded::parse(&raw);
        let sent = Sent(fields.map(|(name, value)| (name.into_owned(), value.into_owned().into())).collect());
        if sent.text("csrf").is_some_and(|token| visit.cookie.made(token)) {
            Ok(Self { visit, sent })
        } else {
            Err(forbidden())
        }
    }
}

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether a POST comes from a page of ours, as far as the browser says so.
///
/// The pages have the policy `no-referrer`, under which a browser sends `Origin: null` even to where the page
/// is from (Fetch §3.2). `Sec-Fetch-Site` tells the difference; a browser without it sends no other origin
/// than its own, or none, and the form token decides.
pub(super) fn comes_from_here(headers: &HeaderMap, own: &str) -> bool {
    let header = |name: &HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    match (header(&SEC_FETCH_SITE), header(&header::ORIGIN)) {
        (Some(site), _) if site != "same-origin" => false,
        (_, None | Some("null")) => true,
        (_, Some(origin)) => origin == own,
    }
}

//! Who visits: the cookie, and what it opens.

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    response::Response,
};

use super::{
    PortalPages,
    answer::{Desk, see_other},
};
use crate::{
    broker::{error::Error, sessions::VisitOpen},
    domain::{event::RequestId, session::SessionSecret},
    http::{
        portal::{frame::Visitor, stop::Why},
        state::AppState,
    },
};

/// A visit under way.
pub(super) struct Visit {
    pub(super) open: VisitOpen,
    pub(super) cookie: SessionSecret,
    /// What pages show of the visitor.
    pub(super) visitor: Visitor,
    pub(super) desk: Desk,
    pub(super) request_id: Option<RequestId>,
}

impl Visit {
    /// The visit whose cookie a request carries.
    pub(super) async fn of(parts: &mut Parts, state: &AppState) -> Result<Self, Response> {
        let desk = Desk::of(&state.pages, parts);
        let over = || desk.stop(StatusCode::UNAUTHORIZED, Why::SessionOver);
        let cookie = read_cookie(&parts.headers, &state.pages).ok_or_else(over)?;
        let open = match state.sessions.visit(&cookie).await {
            Ok(open) => open,
            Err(Error::LinkExpired) => return Err(over()),
            Err(error) => return Err(desk.failure(&error)),
        };
        let visitor = Visitor {
            actor: open.session.actor.name.clone(),
            csrf: cookie.form_token(),
            return_url: open.session.return_url.as_ref().map(|url| url.as_str().to_owned()),
        };
        let request_id = parts.extensions.get::<RequestId>().cloned();
        Ok(Self { open, cookie, visitor, desk, request_id })
    }

    /// After a POST: the connection's page, by GET.
    pub(super) fn to_connection(&self, name: &str) -> Response {
        see_other(&self.desk.path(&format!("/portal/connections/{name}")))
    }
}

impl FromRequestParts<AppState> for Visit {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Response> {
        Self::of(parts, state).await
    }
}

/// `__Host-` binds a cookie to this very host, but takes https.
fn cookie_name(pages: &PortalPages) -> &'static str {
    if pages.0.secure { "__Host-keybroker" } else { "keybroker" }
}

fn read_cookie(headers: &HeaderMap, pages: &PortalPages) -> Option<SessionSecret> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut cookies =
        lines.flat_map(|line| line.split(';')).filter_map(|cookie| cookie.trim().split_once('='));
    let (_, value) = cookies.find(|(name, _)| *name == cookie_name(pages))?;
    SessionSecret::parse(value).ok()
}

/// The header that gives a browser its cookie, which lasts as long as the browser does.
pub(super) fn set_cookie(pages: &PortalPages, secret: &SessionSecret) -> HeaderValue {
    cookie(pages, secret.reveal(), "")
}

/// The header that takes it back.
pub(super) fn clear_cookie(pages: &PortalPages) -> HeaderValue {
    cookie(pages, "", "; Max-Age=0")
}

fn cookie(pages: &PortalPages, value: &str, more: &str) -> HeaderValue {
    let secure = if pages.0.secure { "; Secure" } else { "" };
    let text = format!("{}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{more}", cookie_name(pages));
    let mut header = HeaderValue::from_str(&text).expect("a session's secret is letters and digits");
    header.set_sensitive(true);
    header
}

//! In and out: the link, and signing out.

use axum::{
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header, request::Parts},
    response::Response,
};

use super::{
    PortalPages,
    answer::{Desk, page, see_other},
    form::{Form, comes_from_here},
    visit::{clear_cookie, set_cookie},
};
use crate::{
    broker::{error::Error, sessions::Sessions},
    domain::event::RequestId,
    http::portal::{opening::Opening, stop::Why},
};

/// The invitation. Spends nothing, so that link previews may look at it.
pub(super) async fn show_link(
    State(sessions): State<Sessions>,
    State(pages): State<PortalPages>,
    Path(token): Path<String>,
    parts: Parts,
) -> Response {
    let desk = Desk::of(&pages, &parts);
    match sessions.look_at(&token).await {
        Ok(session) => page(StatusCode::OK, &Opening { frame: desk.frame(None), actor: session.actor.name }),
        Err(error) => gone(&desk, &error),
    }
}

/// Spends the link and begins the visit.
pub(super) async fn open_link(
    State(sessions): State<Sessions>,
    State(pages): State<PortalPages>,
    Path(token): Path<String>,
    headers: HeaderMap,
    parts: Parts,
) -> Response {
    let desk = Desk::of(&pages, &parts);
    // Else another site could have someone enter their keys into its own organization.
    if !comes_from_here(&headers, &pages.0.origin) {
        return desk.stop(StatusCode::FORBIDDEN, Why::Forbidden);
    }
    match sessions.open(&token, parts.extensions.get::<RequestId>().cloned()).await {
        Ok(cookie) => {
            let mut response = see_other(&desk.path("/portal"));
            response.headers_mut().insert(header::SET_COOKIE, set_cookie(&pages, &cookie));
            response
        }
        Err(error) => gone(&desk, &error),
    }
}

/// Ends the visit.
pub(super) async fn sign_out(
    State(sessions): State<Sessions>,
    State(pages): State<PortalPages>,
    form: Form,
) -> Response {
    if let Err(error) = sessions.sign_out(&form.visit.open.session).await {
        return form.visit.desk.failure(&error);
    }
    let mut response = form.visit.desk.stop(StatusCode::OK, Why::SignedOut);
    response.headers_mut().insert(header::SET_COOKIE, clear_cookie(&pages));
    response
}

fn gone(desk: &Desk, error: &Error) -> Response {
    match error {
        Error::LinkExpired => desk.stop(StatusCode::GONE, Why::LinkGone),
        error => desk.failure(error),
    }
}

//! In and out: the link, and signing out.

use axum::{
    extract::State,
    http::{StatusCode, header, request::Parts},
    response::Response,
};

use super::{
    PortalPages,
    answer::{Desk, Segment, page, see_other},
    form::{Form, comes_from_here},
    visit::{Visit, clear_cookie, set_cookie},
};
use crate::{
    broker::{error::Error, sessions::Sessions},
    domain::event::RequestId,
    http::{
        portal::{opening::Opening, stop::Why},
        state::AppState,
    },
};

/// The invitation. Spends nothing, so that link previews may look at it.
pub(super) async fn show_link(
    State(state): State<AppState>,
    Segment(token): Segment,
    mut parts: Parts,
) -> Response {
    let desk = Desk::of(&state.pages, &parts);
    let session = match state.sessions.look_at(&token).await {
        Ok(session) => session,
        Err(error) => return gone(&desk, &error),
    };
    let open = Visit::of(&mut parts, &state).await.ok().map(|visit| visit.open.session.actor);
    let instead_of = open.map(|actor| actor.name.unwrap_or(actor.id));
    page(StatusCode::OK, &Opening { frame: desk.frame(None), actor: session.actor.name, instead_of })
}

/// Spends the link and begins the visit.
pub(super) async fn open_link(
    State(state): State<AppState>,
    Segment(token): Segment,
    mut parts: Parts,
) -> Response {
    let desk = Desk::of(&state.pages, &parts);
    // Else another site could have someone enter their keys into its own organization.
    if !comes_from_here(&parts.headers, &state.pages.0.origin) {
        return desk.stop(StatusCode::FORBIDDEN, Why::Forbidden);
    }
    match state.sessions.open(&token, parts.extensions.get::<RequestId>().cloned()).await {
        Ok(cookie) => {
            let mut response = see_other(&desk.path("/portal"));
            response.headers_mut().insert(header::SET_COOKIE, set_cookie(&state.pages, &cookie));
            response
        }
        Err(error) => {
            // Pressed twice: whoever is in by this very link goes on.
            if let Ok(visit) = Visit::of(&mut parts, &state).await
                && let Ok(true) = state.sessions.came_by(&visit.open.session, &token).await
            {
                return see_other(&desk.path("/portal"));
            }
            gone(&desk, &error)
        }
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

//! Pages on which nothing goes on: what happened, and what to do.

use std::time::Duration;

use askama::Template;

use super::{
    frame::{Frame, Place},
    moment::minutes,
    text::fill,
};

/// The page.
#[derive(Template)]
#[template(path = "portal/stop.html")]
pub(in crate::http) struct Stop<'a> {
    /// With a visitor, where one is still known.
    pub(in crate::http) frame: Frame<'a>,
    /// What happened.
    pub(in crate::http) why: Why,
}

/// Why nothing goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::http) enum Why {
    /// The link is spent or expired: 410.
    LinkGone,
    /// No session, or one that has ended: 401.
    SessionOver,
    /// Signed out just now: 200.
    SignedOut,
    /// Too many requests; that is how long to wait: 429.
    TooMany(Duration),
    /// No such page, or none for this session: 404.
    NotFound,
    /// The origin or the CSRF token is wrong: 403.
    Forbidden,
    /// The store or the database does not answer: 503.
    Unavailable {
        /// Names the request in the log.
        request_id: String,
    },
    /// A defect: 500.
    Failure {
        /// Names the request in the log.
        request_id: String,
    },
}

impl Stop<'_> {
    /// None of those that the navigation leads to.
    const PLACE: Option<Place> = None;

    fn title(&self) -> &'static str {
        self.texts().0
    }

    fn body(&self) -> String {
        let text = self.texts().1;
        match self.why {
            Why::TooMany(wait) => fill(text, &[("minutes", &minutes(wait))]),
            _ => self.frame.say(text),
        }
    }

    fn request_id(&self) -> Option<&str> {
        match &self.why {
            Why::Unavailable { request_id } | Why::Failure { request_id } => Some(request_id),
            _ => None,
        }
    }

    fn texts(&self) -> (&'static str, &'static str) {
        let t = self.frame.t;
        match self.why {
            Why::LinkGone => (t.link_gone_title, t.link_gone_body),
            Why::SessionOver => (t.session_over_title, t.session_over_body),
            Why::SignedOut => (t.signed_out_title, t.signed_out_body),
            Why::TooMany(_) => (t.too_many_title, t.too_many_body),
            Why::NotFound => (t.not_found_title, t.not_found_body),
            Why::Forbidden => (t.forbidden_title, t.forbidden_body),
            Why::Unavailable { .. } => (t.unavailable_title, t.unavailable_body),
            Why::Failure { .. } => (t.failure_title, t.failure_body),
        }
    }
}

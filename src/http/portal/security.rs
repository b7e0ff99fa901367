//! `/portal/security`: where keys are, and who gets to them.

use askama::Template;

use super::frame::{Frame, Place};

/// The page.
#[derive(Template)]
#[template(path = "portal/security.html")]
pub(in crate::http) struct Security<'a> {
    /// With a visitor.
    pub(in crate::http) frame: Frame<'a>,
    /// Where keys are kept.
    pub(in crate::http) kept: Kept,
}

/// Where keys are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Kept {
    /// In AWS Secrets Manager.
    Aws,
    /// In the embedded store.
    Local,
}

impl Security<'_> {
    const PLACE: Option<Place> = Some(Place::Security);

    fn kept_words(&self) -> &'static str {
        match self.kept {
            Kept::Aws => self.frame.t.kept_aws,
            Kept::Local => self.frame.t.kept_local,
        }
    }
}

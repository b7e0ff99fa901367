//! `/portal/security`: where keys are, who gets to them, and the organization's own vault.

use askama::Template;

use super::{
    frame::{Frame, Place},
    text::fill,
    vault::{Step, Vault, console, trouble},
};
use crate::domain::vault::LAMBDA_ENVIRONMENT;

/// The page.
#[derive(Template)]
#[template(path = "portal/security.html")]
pub(in crate::http) struct Security<'a> {
    /// With a visitor.
    pub(in crate::http) frame: Frame<'a>,
    /// Where keys are kept.
    pub(in crate::http) kept: Kept,
    /// The organization's own vault.
    pub(in crate::http) vault: Part,
}

/// What is seen of the vault.
#[derive(Debug, Clone)]
pub(in crate::http) enum Part {
    /// All of it.
    Whole(Box<Vault>),
    /// Nothing: the link is for these providers, as people call them.
    OnlyFor(Vec<String>),
}

/// Where keys are kept while there is no vault, or it is not enabled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Kept {
    /// In AWS Secrets Manager.
    Aws,
    /// In the embedded store.
    Local,
}

impl Security<'_> {
    const PLACE: Option<Place> = Some(Place::Security);

    /// A failure comes first, so that it is also what a screen reader says first.
    fn title(&self) -> &'static str {
        let notice = if let Part::Whole(vault) = &self.vault { vault.notice } else { None };
        match notice.filter(|notice| notice.tone().class() == "bad") {
            Some(notice) => notice.title(&self.frame),
            None => self.frame.t.security,
        }
    }

    fn shows_token(&self) -> bool {
        matches!(&self.vault, Part::Whole(vault) if vault.new_token.is_some())
    }

    fn limited(&self, providers: &[String]) -> String {
        let names = providers.join(", ");
        fill(self.frame.t.vault_limited, &[("providers", &names), ("app", self.frame.app())])
    }

    fn kept_words(&self) -> &'static str {
        let t = self.frame.t;
        match (&self.vault, self.kept) {
            (Part::Whole(vault), _) if vault.enabled => t.kept_vault,
            (_, Kept::Aws) => t.kept_aws,
            (_, Kept::Local) => t.kept_local,
        }
    }
}

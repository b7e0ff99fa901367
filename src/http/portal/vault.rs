//! An organization's own vault on `/portal/security`: the steps in the order in which an admin takes them.
//!
//! Its forms go, by POST, to `/portal/security/vault/` and `url`, `token`, `test`, `enable`, `disable` or
//! `forget`. The answer to `token` is the one page that shows the token.

pub(super) mod console;
pub(in crate::http) mod key;
pub(in crate::http) mod notice;
pub(super) mod trouble;

use self::{key::KeyView, notice::VaultNotice, trouble::words};
use super::{frame::Frame, moment::Moment, text::fill};
use crate::domain::vault::{LAMBDA_ENVIRONMENT, TestOutcome, VaultTest, VaultToken};

/// The vault, where the visitor may see it.
#[derive(Debug, Clone, Default)]
pub(in crate::http) struct Vault {
    /// Whether keys are read from it.
    pub(in crate::http) enabled: bool,
    /// Where it is, once that was said.
    pub(in crate::http) url: Option<String>,
    /// The URL that was sent and refused.
    pub(in crate::http) refused_url: Option<String>,
    /// The last four characters of its token, once there is one.
    pub(in crate::http) token_hint: Option<String>,
    /// What came of the last test.
    pub(in crate::http) last_test: Option<VaultTest>,
    /// What it is to hold.
    pub(in crate::http) keys: Vec<KeyView>,
    /// How much of a function's environment that takes, in bytes.
    pub(in crate::http) environment: usize,
    /// Whether the values are counted in that.
    pub(in crate::http) with_values: bool,
    /// What came of what was just done.
    pub(in crate::http) notice: Option<VaultNotice>,
    /// What the function was seen to do, in the words of the API.
    pub(in crate::http) detail: Option<String>,
    /// The token that was just made: on this page and on none after it.
    pub(in crate::http) new_token: Option<VaultToken>,
}

/// The steps, by their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Download = 1,
    Create,
    Keys,
    Url,
    Token,
    Test,
    Enable,
}

impl Vault {
    pub(super) fn is_configured(&self) -> bool {
        self.url.is_some() || self.token_hint.is_some()
    }

    fn answers(&self) -> bool {
        self.last_test.as_ref().is_some_and(|test| test.outcome == TestOutcome::Ok)
    }

    fn has_keys(&self) -> bool {
        self.answers() && self.keys.iter().all(|key| key.found == Some(true) || !key.required)
    }

    /// Whether a step was taken, as far as can be known: a URL tells that there is a function.
    pub(super) fn is_done(&self, step: Step) -> bool {
        match step {
            Step::Download | Step::Create | Step::Url => self.url.is_some(),
            Step::Keys => self.url.is_some() && self.has_keys(),
            Step::Token => self.token_hint.is_some(),
            Step::Test => self.answers(),
            Step::Enable => self.enabled,
        }
    }

    /// The step to take now. Only a test tells of the keys, so it comes before them.
    fn next(&self) -> Option<Step> {
        let order = [Step::Download, Step::Token, Step::Test, Step::Keys, Step::Enable];
        order.into_iter().find(|step| !self.is_done(*step))
    }

    /// The look of a step, and what is said of it.
    pub(super) fn standing(&self, step: Step, frame: &Frame<'_>) -> (&'static str, &'static str) {
        if self.is_done(step) {
            ("good", frame.t.step_done)
        } else if self.next() == Some(step) {
            ("needs", frame.t.step_next)
        } else {
            ("off", "")
        }
    }

    /// What stands in the URL's input.
    pub(super) fn shown_url(&self) -> &str {
        self.refused_url.as_deref().or(self.url.as_deref()).unwrap_or_default()
    }

    pub(super) fn room(&self, frame: &Frame<'_>) -> String {
        let text = if self.with_values { frame.t.vault_room_values } else { frame.t.vault_room_names };
        let (limit, used) = (LAMBDA_ENVIRONMENT.to_string(), self.environment.to_string());
        fill(text, &[("limit", &limit), ("used", &used)])
    }

    pub(super) fn is_over(&self) -> bool {
        self.environment > LAMBDA_ENVIRONMENT
    }

    pub(super) fn hint(&self, frame: &Frame<'_>) -> Option<String> {
        Some(fill(frame.t.vault_token_hint, &[("hint", self.token_hint.as_deref()?)]))
    }

    pub(super) fn tested_at(&self) -> Option<Moment> {
        Some(self.last_test.as_ref()?.at.into())
    }

    /// What the last test found.
    pub(super) fn found(&self, frame: &Frame<'_>) -> Option<String> {
        let test = self.last_test.as_ref()?;
        Some(match test.outcome.trouble() {
            None => answered(test, frame),
            Some(trouble) => words(trouble, frame.t).title.to_owned(),
        })
    }
}

/// How long a function took that answered, and what it lacks.
fn answered(test: &VaultTest, frame: &Frame<'_>) -> String {
    let ms = test.latency_ms.to_string();
    if test.missing.is_empty() {
        return fill(frame.t.vault_answered, &[("ms", &ms)]);
    }
    fill(frame.t.vault_answered_lacking, &[("ms", &ms), ("names", &test.missing.join(", "))])
}

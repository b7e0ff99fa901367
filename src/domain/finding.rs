//! What an examination of a set-up finds.

use serde::Serialize;

/// One thing that was tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is about: `database`, `secretsmanager:GetSecretValue` …
    pub check: String,
    /// Whether it is as it should be.
    pub verdict: Verdict,
    /// What was tried.
    pub tried: String,
    /// What came back.
    pub found: String,
    /// What to do about it, if anything.
    pub remedy: Option<String>,
}

/// Whether a thing is as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It is.
    Good,
    /// It works, and could be better.
    Warning,
    /// It does not work.
    Bad,
}

impl Finding {
    /// All is well.
    pub fn good(check: impl Into<String>, tried: impl Into<String>, found: impl Into<String>) -> Self {
        Self {
            check: check.into(),
            verdict: Verdict::Good,
            tried: tried.into(),
            found: found.into(),
            remedy: None,
        }
    }

    /// It works, but.
    #[must_use]
    pub fn warning(self, remedy: impl Into<String>) -> Self {
        Self { verdict: Verdict::Warning, remedy: Some(remedy.into()), ..self }
    }

    /// It does not work.
    #[must_use]
    pub fn bad(self, remedy: impl Into<String>) -> Self {
        Self { verdict: Verdict::Bad, remedy: Some(remedy.into()), ..self }
    }
}

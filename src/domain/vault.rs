//! The customer vault: an organization's own function, which holds its keys instead of the store.
//!
//! keybroker asks it by name for what a connection needs ([`VaultKey`]), at the time it is needed, uses the
//! answer once and keeps nothing. What it needs for asking ([`VaultAccess`]) is itself a secret, and kept
//! in the store under the one reserved name `_vault`.

mod access;
mod answer;
mod fault;
mod keys;
mod url;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use self::{
    access::{VaultAccess, VaultToken},
    answer::{MalformedAnswer, VaultAnswer},
    fault::{Trouble, VaultFault},
    keys::{KeyName, VaultKey, environment_of},
    url::{HostPattern, InvalidHostPattern, InvalidVaultUrl, UrlRules, VaultUrl},
};
use super::{id::OrgId, secret::Version};

/// The function's source, for an organization to deploy.
pub const TEMPLATE: &str = include_str!("../../vault/secret-vault-lambda.mjs");

/// The template's version, which its first line ends with.
#[must_use]
pub fn template_version() -> &'static str {
    TEMPLATE.lines().next().and_then(|line| line.rsplit(' ').next()).unwrap_or_default()
}

/// The most names that one request asks for.
pub const MOST_KEYS: usize = 100;

/// The room that AWS Lambda gives a function's environment, names and values together, in bytes
/// (its quota).
pub const LAMBDA_ENVIRONMENT: usize = 4_096;

/// What the database knows of an organization's vault. Neither its URL nor its token is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultRecord {
    /// Whose it is.
    pub org: OrgId,
    /// Whether keys are read from it.
    pub enabled: bool,
    /// Which version of the secret `_vault` holds its URL and token.
    pub access: Version,
    /// What came of the last test of that URL and token.
    pub last_test: Option<VaultTest>,
}

/// What came of a test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VaultTest {
    /// In one word.
    pub outcome: TestOutcome,
    /// The names of the organization's connections that the function has no value for.
    pub missing: Vec<String>,
    /// How long the function took, in milliseconds.
    pub latency_ms: u64,
    /// How much of [`LAMBDA_ENVIRONMENT`] the organization's keys and the token take, in bytes.
    #[serde(default)]
    pub environment: usize,
    /// When.
    pub at: Timestamp,
}

impl VaultTest {
    /// Whether the function has a value of that name. Nothing, if the test can't tell: it failed, or the
    /// connection that the key is for was changed since.
    #[must_use]
    pub fn found(&self, name: &KeyName, changed_at: Timestamp) -> Option<bool> {
        let knows = self.outcome == TestOutcome::Ok && changed_at <= self.at;
        knows.then(|| !self.missing.iter().any(|missing| missing == name.as_str()))
    }
}

/// What a test can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TestOutcome {
    /// The function answers, whatever keys it may lack.
    Ok,
    /// It does not.
    Unreachable,
    /// It refuses the token.
    Unauthorized,
    /// It answers something else than a vault does.
    BadResponse,
}

impl TestOutcome {
    /// Which kind of trouble it shows, if any.
    #[must_use]
    pub const fn trouble(self) -> Option<Trouble> {
        match self {
            Self::Ok => None,
            Self::Unreachable => Some(Trouble::ConnectionFailed),
            Self::Unauthorized => Some(Trouble::Unauthorized),
            Self::BadResponse => Some(Trouble::BadResponse),
        }
    }

    /// The name that the API uses.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Unreachable => "unreachable",
            Self::Unauthorized => "unauthorized",
            Self::BadResponse => "bad_response",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_tells_its_version() {
        assert!(TEMPLATE.contains(&format!("export const VERSION = '{}';", template_version())));
    }

    #[test]
    fn a_test_tells_of_the_keys_that_there_were() {
        let at = Timestamp::UNIX_EPOCH;
        let (has, lacks) = ("wf_conn_a_token".parse().unwrap(), "wf_conn_b_token".parse().unwrap());
        let missing = vec!["wf_conn_b_token".to_owned()];
        let ok = VaultTest { outcome: TestOutcome::Ok, missing, latency_ms: 1, environment: 1, at };
        assert_eq!((ok.found(&has, at), ok.found(&lacks, at)), (Some(true), Some(false)));
        let later = at + std::time::Duration::from_secs(1);
        assert_eq!(ok.found(&has, later), None);
        let failed = VaultTest { outcome: TestOutcome::Unauthorized, ..ok };
        assert_eq!(failed.found(&has, at), None);
    }
}

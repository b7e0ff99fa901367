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

//! How providers are known and asked.

use std::{path::PathBuf, time::Duration};

use clap::{ArgAction, Args};

use super::{ConfigError, duration, yes_or_no};

/// How providers are known and asked.
#[derive(Debug, Clone, Args)]
pub struct ProviderFlags {
    /// Further entries of the catalogue, or overrides of built-in ones (TOML).
    #[arg(long, env = "KEYBROKER_PROVIDERS_FILE", value_name = "FILE")]
    providers_file: Option<PathBuf>,

    /// Let providers' and vaults' URLs resolve to private and loopback addresses, and be http there; for
    /// development.
    #[arg(
        long,
        env = "KEYBROKER_ALLOW_PRIVATE_ADDRESSES",
        default_value_t = false,
        default_missing_value = "true",
        num_args = 0..=1,
        require_equals = true,
        action = ArgAction::Set,
        value_parser = yes_or_no,
        value_name = "BOOL"
    )]
    allow_private_addresses: bool,

    /// How long a provider may take to say whether a key works.
    #[arg(long, env = "KEYBROKER_VERIFY_TIMEOUT", default_value = "10s", value_name = "TIME", value_parser = duration)]
    verify_timeout: Duration,

    /// How long after a key was tried it is tried again by itself; 0s: never.
    #[arg(long, env = "KEYBROKER_VERIFY_EVERY", default_value = "24h", value_name = "TIME", value_parser = duration)]
    verify_every: Duration,

    /// How long after a provider refused a stored key it is asked again, before the connection is changed.
    #[arg(long, env = "KEYBROKER_VERIFY_CONFIRM_AFTER", default_value = "3s", value_name = "TIME", value_parser = duration)]
    verify_confirm_after: Duration,
}

impl ProviderFlags {
    /// The settings.
    ///
    /// # Errors
    /// If a time is out of bounds.
    pub fn settings(&self) -> Result<ProviderSettings, ConfigError> {
        if self.verify_timeout.is_zero() || self.verify_timeout > LONGEST_TRY {
            return Err(ConfigError("KEYBROKER_VERIFY_TIMEOUT must be above 0s and at most 30s".into()));
        }
        if self.verify_confirm_after > LONGEST_TRY {
            return Err(ConfigError("KEYBROKER_VERIFY_CONFIRM_AFTER must be at most 30s".into()));
        }
        if !self.verify_every.is_zero() && self.verify_every < Duration::from_secs(1) {
            return Err(ConfigError("KEYBROKER_VERIFY_EVERY must be 0s or at least 1s".into()));
        }
        Ok(ProviderSettings {
            file: self.providers_file.clone().filter(|file| !file.as_os_str().is_empty()),
            allow_private_addresses: self.allow_private_addresses,
            timeout: self.verify_timeout,
            every: self.verify_every,
            confirm_after: self.verify_confirm_after,
        })
    }
}

/// The longest that one try of a key, and the wait before the second, may take: a caller waits for both.
const LONGEST_TRY: Duration = Duration::from_secs(30);

/// How providers are known and asked, checked.
#[derive(Debug, Clone)]
pub struct ProviderSettings {
    /// Further entries of the catalogue.
    pub file: Option<PathBuf>,
    /// Whether their URLs may resolve to private addresses.
    pub allow_private_addresses: bool,
    /// How long one may take to answer.
    pub timeout: Duration,
    /// How long after a try keys are tried again.
    pub every: Duration,
    /// How long after a refusal it is asked again.
    pub confirm_after: Duration,
}

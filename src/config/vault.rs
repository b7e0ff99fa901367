//! How organizations' own vaults are asked.

use std::{num::NonZeroU16, time::Duration};

use clap::Args;

use super::{ConfigError, duration};
use crate::domain::vault::HostPattern;

/// How organizations' own vaults are asked.
#[derive(Debug, Clone, Args)]
pub struct VaultFlags {
    /// Hosts that a customer vault may have, separated by commas: names, or `*.` and a name for all below it.
    #[arg(
        long = "vault-allowed-hosts",
        env = "KEYBROKER_VAULT_ALLOWED_HOSTS",
        default_value = "*.on.aws",
        value_name = "HOSTS"
    )]
    allowed_hosts: String,

    /// How long one reading of a customer vault may take; 30s at most.
    #[arg(long = "vault-timeout", env = "KEYBROKER_VAULT_TIMEOUT", default_value = "5s", value_name = "TIME", value_parser = duration)]
    timeout: Duration,

    /// How many readings of one organization's vault may be under way at a time, on this replica.
    #[arg(
        long = "vault-concurrency",
        env = "KEYBROKER_VAULT_CONCURRENCY",
        default_value = "32",
        value_name = "N"
    )]
    concurrency: NonZeroU16,
}

/// How organizations' own vaults are asked, checked.
#[derive(Debug, Clone)]
pub struct VaultConfig {
    /// Which hosts one may have.
    pub hosts: Vec<HostPattern>,
    /// How long one reading may take.
    pub timeout: Duration,
    /// How many of one organization may be under way.
    pub concurrency: usize,
}

/// A caller waits so long: longer makes no sense.
const LONGEST: Duration = Duration::from_secs(30);

impl VaultFlags {
    /// The settings.
    ///
    /// # Errors
    /// If a host is no pattern or the time is out of bounds.
    pub fn settings(&self) -> Result<VaultConfig, ConfigError> {
        let hosts = self.allowed_hosts.split(',').map(|host| host.trim().parse());
        let hosts = hosts.collect::<Result<Vec<HostPattern>, _>>();
        let hosts = hosts
            .map_err(|rule| ConfigError(format!("KEYBROKER_VAULT_ALLOWED_HOSTS can't be used: {rule}")))?;
        if self.timeout < Duration::from_millis(100) || self.timeout > LONGEST {
            return Err(ConfigError("KEYBROKER_VAULT_TIMEOUT must be 100ms to 30s".into()));
        }
        Ok(VaultConfig { hosts, timeout: self.timeout, concurrency: usize::from(self.concurrency.get()) })
    }
}

//! Settings: the one reader of the environment.
//!
//! Every setting is a flag of `serve` and an environment variable. What can't be told from a flag alone
//! (a store without its key file, say) is checked in [`ServeFlags::settings`], all at once.

mod portal;
mod providers;
mod replicas;
mod vault;

use std::{fmt, net::SocketAddr, num::NonZeroU32, path::PathBuf, str::FromStr, time::Duration};

use bytesize::ByteSize;
use clap::{Args, ValueEnum};
use jiff::{Span, SpanRelativeTo};

pub use self::{
    portal::{PortalFlags, PortalSettings},
    providers::{ProviderFlags, ProviderSettings},
    replicas::{ReplicaFlags, ReplicaSettings, WhenBlind},
    vault::{VaultConfig, VaultFlags},
};
use crate::domain::{secret::Prefix, token::PlainToken};

/// A setting that is missing or can't be used; says what to do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub String);

/// Which database.
#[derive(Debug, Clone, Args)]
pub struct DatabaseFlags {
    /// The database: `sqlite:PATH` or `postgres://USER:PASSWORD@HOST/NAME`.
    #[arg(long, env = "KEYBROKER_DATABASE_URL", hide_env_values = true, value_name = "URL")]
    database_url: Option<String>,

    /// The most connections to the database at a time.
    #[arg(long, env = "KEYBROKER_DATABASE_CONNECTIONS", default_value = "16", value_name = "N")]
    pub database_connections: NonZeroU32,
}

impl DatabaseFlags {
    /// The database's URL.
    ///
    /// # Errors
    /// If there is none.
    pub fn url(&self) -> Result<&str, ConfigError> {
        let url = self.database_url.as_deref().filter(|url| !url.is_empty());
        url.ok_or_else(|| {
            let remedy = "KEYBROKER_DATABASE_URL is not set: set it to sqlite:PATH or postgres://USER:PASSWORD@HOST/NAME";
            ConfigError(remedy.into())
        })
    }
}

/// How to log.
#[derive(Debug, Clone, Args)]
pub struct LogFlags {
    /// What to log: `error`, `warn`, `info`, `debug`, `trace`, or a filter for each module.
    #[arg(long, env = "KEYBROKER_LOG", default_value = "info", value_name = "FILTER")]
    pub log: String,

    /// How to log it.
    #[arg(long, env = "KEYBROKER_LOG_FORMAT", default_value = "auto", value_name = "FORMAT")]
    pub log_format: LogFormat,
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Pretty in a terminal, JSON elsewhere.
    Auto,
    /// One JSON object a line.
    Json,
    /// For people.
    Pretty,
}

/// Where managed credentials live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StoreKind {
    /// AWS Secrets Manager.
    Aws,
    /// The database, encrypted under a master key.
    Local,
}

/// The flags of `serve`.
#[derive(Debug, Clone, Args)]
pub struct ServeFlags {
    /// Address of the API and the portal.
    #[arg(long, env = "KEYBROKER_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDRESS", value_parser = address)]
    pub listen: SocketAddr,

    /// Address of /metrics.
    #[arg(long, env = "KEYBROKER_ADMIN_LISTEN", default_value = "127.0.0.1:9090", value_name = "ADDRESS", value_parser = address)]
    pub admin_listen: SocketAddr,

    /// The database.
    #[command(flatten)]
    pub database: DatabaseFlags,

    /// Where credentials live. Required.
    #[arg(long, env = "KEYBROKER_STORE", value_name = "STORE")]
    pub store: Option<StoreKind>,

    /// 32 random bytes in base64, which encrypt the local store; further lines are earlier keys.
    #[arg(long, env = "KEYBROKER_MASTER_KEY_FILE", value_name = "FILE")]
    pub master_key_file: Option<PathBuf>,

    /// First part of every secret's name.
    #[arg(long, env = "KEYBROKER_SECRET_PREFIX", default_value = "tenant", value_name = "PREFIX")]
    pub secret_prefix: Prefix,

    /// KMS key that encrypts new secrets; AWS's own (aws/secretsmanager) if left out.
    #[arg(long, env = "KEYBROKER_AWS_KMS_KEY_ID", value_name = "KEY")]
    pub aws_kms_key_id: Option<String>,

    /// Writes a second to AWS at most, which allows 50 an account and region.
    #[arg(long, env = "KEYBROKER_AWS_WRITES_PER_SECOND", default_value = "40", value_name = "N")]
    pub aws_writes_per_second: NonZeroU32,

    /// How long one operation on the store may take, with its retries.
    #[arg(long, env = "KEYBROKER_STORE_TIMEOUT", default_value = "5s", value_name = "TIME", value_parser = duration)]
    pub store_timeout: Duration,

    /// How many reads of keys are under way at the store at a time; further ones wait.
    #[arg(long, env = "KEYBROKER_STORE_CONCURRENCY", default_value = "64", value_name = "N")]
    pub store_concurrency: NonZeroU32,

    /// How long a write waits for another one to the same connection.
    #[arg(long, env = "KEYBROKER_WRITE_WAIT", default_value = "2s", value_name = "TIME", value_parser = duration)]
    pub write_wait: Duration,

    /// How long a credential, and a token found valid, may be served from memory; 0s turns the cache off.
    #[arg(long, env = "KEYBROKER_CACHE_TTL", default_value = "300s", value_name = "TIME", value_parser = duration)]
    pub cache_ttl: Duration,

    /// Past that, how long it may still be served while the store is failing.
    #[arg(long, env = "KEYBROKER_CACHE_STALE_IF_ERROR", default_value = "900s", value_name = "TIME", value_parser = duration)]
    pub cache_stale_if_error: Duration,

    /// Bound of the cache.
    #[arg(
        long,
        env = "KEYBROKER_CACHE_MAX_BYTES",
        default_value = "256MiB",
        value_name = "SIZE",
        value_parser = size
    )]
    pub cache_max_bytes: ByteSize,

    /// What a replica does while it can't hear of the others' changes.
    #[command(flatten)]
    pub replicas: ReplicaFlags,

    /// A token with every scope for every organization, made at start if absent.
    #[arg(long, env = "KEYBROKER_BOOTSTRAP_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    bootstrap_token: Option<String>,

    /// Requests a second that one token may make of one replica; no limit if left out.
    #[arg(long, env = "KEYBROKER_TOKEN_RATE", value_name = "N")]
    pub token_rate: Option<NonZeroU32>,

    /// How providers are known and asked.
    #[command(flatten)]
    pub providers: ProviderFlags,

    /// How organizations' own vaults are asked.
    #[command(flatten)]
    pub vault: VaultFlags,

    /// How long events are kept; 0s keeps them for ever, else it is a day at least.
    #[arg(long, env = "KEYBROKER_EVENTS_RETENTION", default_value = "0s", value_name = "TIME", value_parser = duration)]
    pub events_retention: Duration,

    /// How the portal is reached and what it looks like.
    #[command(flatten)]
    pub portal: PortalFlags,

    /// How long a shutdown waits for what is under way.
    #[arg(long, env = "KEYBROKER_SHUTDOWN_GRACE", default_value = "20s", value_name = "TIME", value_parser = duration)]
    pub shutdown_grace: Duration,

    /// How to log.
    #[command(flatten)]
    pub log: LogFlags,
}

/// Everything `serve` needs, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Address of the API.
    pub listen: SocketAddr,
    /// Address of /metrics.
    pub admin_listen: SocketAddr,
    /// The database.
    pub database_url: DatabaseUrl,
    /// The most connections to it.
    pub database_connections: u32,
    /// Where credentials live.
    pub store: StoreSettings,
    /// First part of every secret's name.
    pub prefix: Prefix,
    /// How long one operation on the store may take.
    pub store_timeout: Duration,
    /// How many reads of keys are under way at the store at a time.
    pub store_concurrency: NonZeroU32,
    /// How long a write waits for another.
    pub write_wait: Duration,
    /// How long a credential may be served from memory.
    pub cache_ttl: Duration,
    /// And past that while the store is failing.
    pub cache_stale_if_error: Duration,
    /// Bound of the cache, in bytes.
    pub cache_max_bytes: u64,
    /// What happens while changes made elsewhere can't be heard of.
    pub replicas: ReplicaSettings,
    /// The operator's own token.
    pub bootstrap_token: Option<PlainToken>,
    /// Requests a second for one token.
    pub token_rate: Option<NonZeroU32>,
    /// How providers are known and asked.
    pub providers: ProviderSettings,
    /// How organizations' own vaults are asked.
    pub vault: VaultConfig,
    /// How long events are kept, if not for ever.
    pub events_retention: Option<Duration>,
    /// How the portal is reached and what it looks like.
    pub portal: PortalSettings,
    /// How long a shutdown waits.
    pub shutdown_grace: Duration,
}

/// A database's URL, which may hold a password.
#[derive(Clone)]
pub struct DatabaseUrl(pub String);

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Which store, with what it alone needs.
#[derive(Debug, Clone)]
pub enum StoreSettings {
    /// AWS Secrets Manager. Region and credentials are the SDK's to find.
    Aws {
        /// KMS key for new secrets.
        kms_key_id: Option<String>,
        /// Writes a second.
        writes_per_second: NonZeroU32,
    },
    /// The database.
    Local {
        /// The file with the master key.
        master_key_file: PathBuf,
    },
}

impl ServeFlags {
    /// The settings, if they are whole.
    ///
    /// # Errors
    /// Everything that is missing or contradictory, at once.
    pub fn settings(&self) -> Result<Settings, ConfigError> {
        let mut faults = Vec::new();
        let mut note = |fault: ConfigError| faults.push(fault.0);
        let url = self.database.url().map(str::to_owned).map_err(&mut note).ok();
        let store = self.store().map_err(&mut note).ok();
        let bootstrap_token = self.bootstrap_token().map_err(&mut note).ok();
        let providers = self.providers.settings().map_err(&mut note).ok();
        let vault = self.vault.settings().map_err(&mut note).ok();
        let portal = self.portal.settings().map_err(&mut note).ok();
        let replicas = self.replicas.settings().map_err(&mut note).ok();
        if self.store_timeout < Duration::from_millis(100) {
            note(ConfigError("KEYBROKER_STORE_TIMEOUT must be at least 100ms".into()));
        }
        let events_retention = Some(self.events_retention).filter(|keep| !keep.is_zero());
        if events_retention.is_some_and(|keep| keep < Duration::from_hours(24)) {
            note(ConfigError("KEYBROKER_EVENTS_RETENTION must be at least 1d, or 0s for ever".into()));
        }
        match (url, store, bootstrap_token, providers, vault, portal, replicas) {
            (
                Some(url),
                Some(store),
                Some(bootstrap_token),
                Some(providers),
                Some(vault),
                Some(portal),
                Some(replicas),
            ) if faults.is_empty() => Ok(Settings {
                listen: self.listen,
                admin_listen: self.admin_listen,
                database_url: DatabaseUrl(url),
                database_connections: self.database.database_connections.get(),
                store,
                prefix: self.secret_prefix.clone(),
                store_timeout: self.store_timeout,
                store_concurrency: self.store_concurrency,
                write_wait: self.write_wait,
                cache_ttl: self.cache_ttl,
                cache_stale_if_error: self.cache_stale_if_error,
                cache_max_bytes: self.cache_max_bytes.as_u64(),
                replicas,
                bootstrap_token,
                token_rate: self.token_rate,
                events_retention,
                providers,
                vault,
                portal,
                shutdown_grace: self.shutdown_grace,
            }),
            _ => Err(ConfigError(faults.join("\n"))),
        }
    }

    fn store(&self) -> Result<StoreSettings, ConfigError> {
        match (self.store, &self.master_key_file) {
            (None, _) => Err(ConfigError("KEYBROKER_STORE is not set: set it to aws or local".into())),
            (Some(StoreKind::Local), None) => Err(ConfigError(
                "KEYBROKER_MASTER_KEY_FILE is not set, and the local store needs it: \
                 write 32 random bytes in base64 to a file of mode 600 (openssl rand -base64 32) and name it there"
                    .into(),
            )),
            (Some(StoreKind::Local), Some(file)) => Ok(StoreSettings::Local { master_key_file: file.clone() }),
            (Some(StoreKind::Aws), _) => Ok(StoreSettings::Aws {
                kms_key_id: self.aws_kms_key_id.clone().filter(|key| !key.is_empty()),
                writes_per_second: self.aws_writes_per_second,
            }),
        }
    }

    /// Read here and not by clap, whose error would repeat the token.
    fn bootstrap_token(&self) -> Result<Option<PlainToken>, ConfigError> {
        let token = self.bootstrap_token.as_deref().filter(|token| !token.is_empty());
        let unusable = |e| ConfigError(format!("KEYBROKER_BOOTSTRAP_TOKEN can't be used: {e}"));
        token.map(PlainToken::parse).transpose().map_err(unusable)
    }
}

/// The longest time that makes sense, and that can be added to any date without a fault.
const LONGEST: Duration = Duration::from_hours(3650 * 24);

/// A time such as `300s`, `15m`, `90d`. A day has 24 hours.
///
/// # Errors
/// If it is none, or a negative one.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "a time is a number with a unit: 0s, 300s, 15m, 24h, 90d".to_owned();
    let span = Span::from_str(text).map_err(|_| wrong())?;
    let exact = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| wrong())?;
    let exact = Duration::try_from(exact).map_err(|_| wrong())?;
    if exact <= LONGEST { Ok(exact) } else { Err("a time is ten years (3650d) at most".into()) }
}

/// `true` or `false`. An empty variable is one that is not set.
fn yes_or_no(text: &str) -> Result<bool, String> {
    match text {
        "true" | "1" => Ok(true),
        "false" | "0" | "" => Ok(false),
        _ => Err("it is true or false".to_owned()),
    }
}

/// A size such as `256MiB`.
fn size(text: &str) -> Result<ByteSize, String> {
    text.parse().map_err(|_| "a size is a number with a unit: 64MiB, 256MiB, 1GiB".to_owned())
}

/// Where to listen.
///
/// # Errors
/// If it is no IP address with a port.
pub fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| "an address is an IP with a port: 127.0.0.1:8080, 0.0.0.0:8080, [::]:8080".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        serve: ServeFlags,
    }

    fn settings(flags: &[&str]) -> Result<Settings, String> {
        let program = Program::try_parse_from([&["keybroker"], flags].concat()).map_err(|e| e.to_string())?;
        program.serve.settings().map_err(|e| e.to_string())
    }

    #[test]
    fn everything_missing_is_said_at_once() {
        let fault = settings(&["--bootstrap-token", "canary"]).unwrap_err();
        for part in ["KEYBROKER_DATABASE_URL", "KEYBROKER_STORE", "KEYBROKER_BOOTSTRAP_TOKEN"] {
            assert!(fault.contains(part), "{part} in {fault}");
        }
        assert!(!fault.contains("canary"), "{fault}");
    }

    #[test]
    fn the_local_store_needs_its_key() {
        let fault = settings(&["--database-url", "sqlite:x", "--store", "local"]).unwrap_err();
        assert!(fault.contains("KEYBROKER_MASTER_KEY_FILE"), "{fault}");
    }

    #[test]
    fn events_are_kept_for_a_day_at_least() {
        let kept = |time| {
            settings(&["--database-url", "sqlite:x", "--store", "aws", "--events-retention", time])
                .map(|settings| settings.events_retention)
        };
        assert_eq!(kept("0s"), Ok(None));
        assert_eq!(kept("365d"), Ok(Some(Duration::from_hours(365 * 24))));
        assert!(kept("23h").unwrap_err().contains("KEYBROKER_EVENTS_RETENTION"));
    }

    #[test]
    fn memory_is_trusted_for_a_while_or_always() {
        let bound = |flags: &[&str]| {
            settings(&[&["--database-url", "sqlite:x", "--store", "aws"], flags].concat())
                .map(|settings| settings.replicas.max_blindness)
        };
        assert_eq!(bound(&["--max-blindness", "500ms"]), Ok(Some(Duration::from_millis(500))));
        assert_eq!(bound(&["--when-blind", "serve"]), Ok(None));
        assert!(bound(&["--max-blindness", "0s"]).unwrap_err().contains("KEYBROKER_MAX_BLINDNESS"));
        assert!(bound(&["--when-blind", "guess"]).unwrap_err().contains("confirm, serve"));
    }

    #[test]
    fn the_defaults_are_those_that_are_documented() {
        let settings = settings(&["--database-url", "sqlite:x", "--store", "aws"]).unwrap();
        assert_eq!(settings.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(settings.admin_listen.to_string(), "127.0.0.1:9090");
        assert_eq!(settings.prefix, Prefix::default());
        assert_eq!(settings.cache_ttl, Duration::from_mins(5));
        assert_eq!(settings.cache_stale_if_error, Duration::from_mins(15));
        assert_eq!(settings.cache_max_bytes, 256 << 20);
        assert_eq!(settings.replicas.max_blindness, Some(Duration::from_secs(5)));
        assert_eq!(settings.events_retention, None);
        assert_eq!(settings.store_concurrency.get(), 64);
    }

    #[test]
    fn times() {
        assert_eq!(duration("90d"), Ok(Duration::from_hours(90 * 24)));
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        assert_eq!(duration("1h 30m"), Ok(Duration::from_mins(90)));
        for wrong in ["", "5", "-5s", "soon", "1 month", "3651d"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}

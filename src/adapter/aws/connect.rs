//! Finds region and credentials where the AWS SDK does, or says what to set.

use std::{num::NonZeroU32, time::Duration};

use aws_config::{
    AppName, BehaviorVersion, SdkConfig, stalled_stream_protection::StalledStreamProtectionConfig,
    timeout::TimeoutConfig,
};
use aws_sdk_secretsmanager::{Client, config::ProvideCredentials};

use super::{AwsStore, limiter::WriteLimiter};
use crate::domain::secret::Prefix;

/// How long a connection to AWS may take to be made.
const CONNECT_LIMIT: Duration = Duration::from_secs(1);

/// How long the credentials may take to be found at the start: an instance's metadata service that
/// isn't there is noticed only by waiting.
const CREDENTIALS_LIMIT: Duration = Duration::from_secs(10);

/// What of the AWS store is keybroker's to set. Region, credentials and endpoint are the SDK's:
/// `AWS_REGION`, `AWS_PROFILE`, `AWS_ENDPOINT_URL` and so on.
#[derive(Debug, Clone)]
pub struct AwsSettings {
    /// The first part of every secret's name.
    pub prefix: Prefix,
    /// The KMS key of new secrets: id, ARN or alias. Without one, AWS takes `aws/secretsmanager`.
    pub kms_key_id: Option<String>,
    /// How many writes this process makes in a second. AWS allows an account 50, not adjustable.
    pub writes_per_second: NonZeroU32,
    /// How long one call may take, its retries included. Storing a value takes two calls at most, and
    /// up to 2 s of waiting for their turn.
    pub timeout: Duration,
}

/// Why the AWS store can't be used. Names settings, never their values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AwsSetupError {
    /// Nothing says where the secrets are.
    #[error("no AWS region is set: set AWS_REGION, or AWS_PROFILE to a profile with a region")]
    NoRegion,
    /// The SDK would pass over an endpoint that it can't read, and secrets would go to AWS itself.
    #[error("AWS_ENDPOINT_URL can't be used: set it to a URL such as http://localhost:4566, or unset it")]
    BadEndpoint,
    /// Nothing gives credentials.
    #[error(
        "no AWS credentials could be loaded ({0}): set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or \
         AWS_PROFILE to a profile that works with the AWS command line, or give the machine a role"
    )]
    NoCredentials(String),
}

impl AwsStore {
    /// Loads the SDK's settings by its own default chain and asks once for credentials. Whether they
    /// allow anything is for [`crate::port::store::Store::check`].
    ///
    /// # Errors
    /// If there is no region, the endpoint is no URL, or no credentials are found within 10 s.
    pub async fn connect(settings: AwsSettings) -> Result<Self, AwsSetupError> {
        // Retries are the SDK's default, 3 attempts in standard mode, so that AWS_MAX_ATTEMPTS and
        // AWS_RETRY_MODE keep their meaning. Its protection against stalled streams, which ends a body that
        // has not moved for five seconds, is not needed: `operation_attempt_timeout` covers an attempt from
        // its first byte to the last of its answer, since no answer is a stream here. Without it a call takes
        // some 10 µs less.
        let config = aws_config::defaults(BehaviorVersion::latest())
            .app_name(app_name())
            .timeout_config(limits(settings.timeout))
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .load()
            .await;
        if config.region().is_none_or(|region| region.as_ref().is_empty()) {
            return Err(AwsSetupError::NoRegion);
        }
        if config.endpoint_url().is_none() && endpoint_is_set() {
            return Err(AwsSetupError::BadEndpoint);
        }
        find_credentials(&config).await?;
        Ok(Self {
            client: Client::new(&config),
            prefix: settings.prefix,
            kms_key_id: settings.kms_key_id,
            writes: WriteLimiter::new(settings.writes_per_second),
        })
    }
}

#[expect(clippy::disallowed_methods, reason = "the SDK read it, and does not say that it was of no use")]
fn endpoint_is_set() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    set("AWS_ENDPOINT_URL") && !set("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")
}

/// The name that `CloudTrail` shows in the user agent of every call.
fn app_name() -> AppName {
    let name = concat!("keybroker-", env!("CARGO_PKG_VERSION"));
    AppName::new(name).expect("letters, digits, dots and hyphens are an app name")
}

/// One attempt gets half of the whole: a slow answer is better than none, and after one that never came
/// there is time for another.
fn limits(whole: Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT_LIMIT)
        .operation_attempt_timeout(whole / 2)
        .operation_timeout(whole)
        .build()
}

/// The error is told without its causes: those of a credential process hold whatever it printed.
async fn find_credentials(config: &SdkConfig) -> Result<(), AwsSetupError> {
    let Some(provider) = config.credentials_provider() else {
        return Err(AwsSetupError::NoCredentials("there is nothing to ask".into()));
    };
    match tokio::time::timeout(CREDENTIALS_LIMIT, provider.provide_credentials()).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(AwsSetupError::NoCredentials(error.to_string())),
        Err(_) => {
            let limit = CREDENTIALS_LIMIT.as_secs();
            Err(AwsSetupError::NoCredentials(format!("no answer within {limit} s")))
        }
    }
}

//! AWS Secrets Manager as the store, with three actions: `GetSecretValue`, `CreateSecret`,
//! `PutSecretValue`.
//!
//! A value is put under the version's id as `ClientRequestToken`, which AWS makes the `VersionId`: the
//! same id and value again changes nothing, so retries and repeated calls are harmless. `UpdateSecret`,
//! the fourth action of the policy, is for moving existing secrets to another KMS key; with it a token
//! can't be repeated, so no value goes that way.
//!
//! The SDK keeps values in strings and buffers of its own, which can't be wiped; what this module
//! holds itself is.
//!
//! To make another call: its action in [`crate::domain::policy`], a method here that goes through
//! `call`, and the limiter's turn if it writes.

mod connect;
mod doctor;
mod error;
mod limiter;

use std::{future::Future, str};

use async_trait::async_trait;
use aws_sdk_secretsmanager::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    operation::get_secret_value::GetSecretValueOutput,
};
use tokio::time::Instant;
use zeroize::Zeroizing;

pub use self::connect::{AwsSettings, AwsSetupError};
use self::{
    error::{ALREADY_EXISTS, Failure, NOT_FOUND},
    limiter::{LONGEST_WAIT, WriteLimiter},
};
use super::meter;
use crate::{
    domain::{
        access::{MayRead, Permit, Write},
        policy::{CREATE_SECRET, GET_SECRET_VALUE, PUT_SECRET_VALUE},
        secret::{Credentials, LONGEST_VALUE, Prefix, Version},
    },
    port::store::{Expect, Store, StoreError, StoredSecret, Which},
};

/// The label that AWS keeps on the version a read without an id gets.
const CURRENT: &str = "AWSCURRENT";

/// What [`Store::check`] asks for. No connection can have this name: an organization's id does not
/// start with an underscore. It lies under the prefix, so the policy covers it.
const PROBE: &str = "_keybroker/ready";

/// Secrets in AWS Secrets Manager, in one region of one account, under one prefix.
#[derive(Debug)]
pub struct AwsStore {
    client: Client,
    prefix: Prefix,
    kms_key_id: Option<String>,
    writes: WriteLimiter,
}

/// A version to be made.
struct NewVersion<'a> {
    name: &'a str,
    id: &'a Version,
    value: &'a str,
    /// When the last call for it must have begun.
    latest: Instant,
}

#[async_trait]
impl Store for AwsStore {
    async fn get(&self, permit: &dyn MayRead, which: Which<'_>) -> Result<Option<StoredSecret>, StoreError> {
        let name = permit.secret().under(&self.prefix);
        // AWS says the same of a missing secret, a missing version and a secret without a value.
        match self.read(&name, which).await {
            Ok(found) => stored(&name, found).map(Some),
            Err(failure) if failure.is(NOT_FOUND) => Ok(None),
            Err(failure) => Err(failure.into()),
        }
    }

    async fn put(
        &self,
        permit: &Permit<Write>,
        version: &Version,
        value: &Credentials,
        expect: Expect,
    ) -> Result<(), StoreError> {
        let name = permit.on().under(&self.prefix);
        let json = value.to_json();
        if json.len() > LONGEST_VALUE {
            let length = json.len();
            return Err(StoreError::Unacceptable(format!("{length} bytes, of {LONGEST_VALUE} at most")));
        }
        let value = str::from_utf8(&json).expect("JSON is UTF-8");
        let new = NewVersion { name: &name, id: version, value, latest: Instant::now() + LONGEST_WAIT };
        let done = match expect {
            // Also right where an emulator calls a repeated create a conflict: putting the same value
            // under the same id once more changes nothing.
            Expect::Missing => match self.create(&new).await {
                Err(failure) if failure.is(ALREADY_EXISTS) => self.replace(&new).await,
                done => done,
            },
            Expect::Existing => match self.replace(&new).await {
                Err(failure) if failure.is(NOT_FOUND) => self.create(&new).await,
                done => done,
            },
        };
        done.map_err(StoreError::from)
    }

    async fn check(&self) -> Result<(), StoreError> {
        let name = format!("{}/{PROBE}", self.prefix);
        match self.read(&name, Which::Current).await {
            Ok(_) => Ok(()),
            Err(failure) if failure.is(NOT_FOUND) => Ok(()),
            Err(failure) => Err(failure.into()),
        }
    }
}

impl AwsStore {
    async fn read(&self, name: &str, which: Which<'_>) -> Result<GetSecretValueOutput, Failure> {
        let request = self.client.get_secret_value().secret_id(name);
        let request = match which {
            Which::Current => request.version_stage(CURRENT),
            Which::Version(version) => request.version_id(version.as_str()),
        };
        call(GET_SECRET_VALUE, name, request.send()).await
    }

    /// No tags, which would take a fifth permission, and no description, which `CloudTrail` records.
    async fn create(&self, new: &NewVersion<'_>) -> Result<(), Failure> {
        self.writes.turn(new.latest).await?;
        let request = self
            .client
            .create_secret()
            .name(new.name)
            .client_request_token(new.id.as_str())
            .secret_string(new.value)
            .set_kms_key_id(self.kms_key_id.clone());
        call(CREATE_SECRET, new.name, request.send()).await.map(drop)
    }

    /// AWS moves `AWSCURRENT` to the new version and `AWSPREVIOUS` to the one before.
    async fn replace(&self, new: &NewVersion<'_>) -> Result<(), Failure> {
        self.writes.turn(new.latest).await?;
        let request = self
            .client
            .put_secret_value()
            .secret_id(new.name)
            .client_request_token(new.id.as_str())
            .secret_string(new.value);
        call(PUT_SECRET_VALUE, new.name, request.send()).await.map(drop)
    }
}

/// Awaits one call, counts it, and reads its error.
async fn call<T, E>(
    action: &'static str,
    name: &str,
    answer: impl Future<Output = Result<T, SdkError<E>>>,
) -> Result<T, Failure>
where
    E: ProvideErrorMetadata,
{
    let began = Instant::now();
    let result = answer.await.map_err(|error| Failure::of(action, name, &error));
    meter::record(action, result.as_ref().map_or_else(Failure::outcome, |_| "ok"), began);
    result
}

fn stored(name: &str, found: GetSecretValueOutput) -> Result<StoredSecret, StoreError> {
    // Another program may have stored bytes instead of text; then the text is empty, which is no
    // credentials object, and the broker says so.
    let value = Zeroizing::new(found.secret_string.unwrap_or_default());
    let version = found.version_id.unwrap_or_default();
    match version.parse() {
        Ok(version) => Ok(StoredSecret { version, value }),
        Err(error) => Err(StoreError::Unavailable(format!("{GET_SECRET_VALUE} of {name}: {error}"))),
    }
}

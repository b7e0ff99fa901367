//! The embedded store: secrets in the same database as everything else, encrypted under a master key
//! that is not in it.
//!
//! For development, and for installations without AWS. As AWS does, it keeps a current and a previous
//! version of each secret; unlike AWS nothing older, so two writes put a value out of reach.

mod keyring;

use std::{future::Future, sync::Arc};

use async_trait::async_trait;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use sqlx::{Any, Executor, Row, any::AnyRow};
use tokio::time::Instant;
use zeroize::Zeroizing;

pub use self::keyring::{Keyring, KeyringError};
use self::keyring::{Place, Sealed};
use super::{meter, sql::Database};
use crate::{
    domain::{
        access::{MayRead, Permit, Write},
        clock::Clock,
        secret::{Credentials, LONGEST_VALUE, Prefix, Version},
    },
    port::{
        index::IndexError,
        store::{Expect, Store, StoreError, StoredSecret, Which},
    },
};

const CURRENT: &str =
    "SELECT version, key_id, sealed FROM local_secrets WHERE name = $1 AND stage = 'current'";
const VERSION: &str = "SELECT version, key_id, sealed FROM local_secrets WHERE name = $1 AND version = $2";
const NEXT_KEY: &str = "SELECT MIN(key_id) FROM local_secrets WHERE key_id > $1";

/// The queries that a read or a start waits for, by name, as in [`super::sql::hot_queries`].
pub const HOT_QUERIES: [(&str, &str); 3] = [
    ("the current secret", CURRENT),
    ("one version of a secret", VERSION),
    ("the next master key", NEXT_KEY),
];

/// Secrets in the database's table `local_secrets`.
pub struct LocalStore {
    database: Database,
    keyring: Keyring,
    prefix: Prefix,
    clock: Arc<dyn Clock>,
}

/// Why the embedded store can't be used.
#[derive(Debug, thiserror::Error)]
pub enum LocalSetupError {
    /// Secrets are encrypted under a key that isn't there any more.
    #[error(
        "the master key file does not hold the key {key_id} under which {secrets} secrets are encrypted; \
         put it back into the file, below the current one"
    )]
    KeyMissing {
        /// The key's id: the first 16 hexadecimal digits of a hash of it.
        key_id: String,
        /// How many secrets have a version under it.
        secrets: i64,
    },
    /// The database does not say.
    #[error(transparent)]
    Database(#[from] IndexError),
}

#[async_trait]
impl Store for LocalStore {
    async fn get(&self, permit: &dyn MayRead, which: Which<'_>) -> Result<Option<StoredSecret>, StoreError> {
        let name = permit.secret().under(&self.prefix);
        let word = |found: &Option<_>| if found.is_some() { "ok" } else { "not_found" };
        metered("get", word, self.read(&name, which)).await
    }

    /// Looks for itself what is there: nothing is saved by expecting it.
    async fn put(
        &self,
        permit: &Permit<Write>,
        version: &Version,
        value: &Credentials,
        _: Expect,
    ) -> Result<(), StoreError> {
        let name = permit.on().under(&self.prefix);
        let value = value.to_json();
        metered("put", |()| "ok", self.write(Place { name: &name, version }, &value)).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        let question = sqlx::query("SELECT name FROM local_secrets LIMIT 1");
        let answer = self.ask(question.fetch_optional(self.database.pool()));
        metered("check", |_| "ok", answer).await.map(drop)
    }
}

impl LocalStore {
    /// The store in `database`, if `keyring` has every key that it takes to open what is in it.
    ///
    /// # Errors
    /// If a key is missing, or the database does not answer.
    pub async fn open(
        database: Database,
        keyring: Keyring,
        prefix: Prefix,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, LocalSetupError> {
        let mut key_id = String::new();
        while let Some(next) = database.within(next_key(database.pool(), &key_id)).await? {
            if !keyring.holds(&next) {
                let secrets = database.within(count_under(database.pool(), &next)).await?;
                return Err(LocalSetupError::KeyMissing { key_id: next, secrets });
            }
            key_id = next;
        }
        Ok(Self { database, keyring, prefix, clock })
    }

    /// Writes a probe secret, the same one each time, and reads it back. No connection can have its name.
    ///
    /// # Errors
    /// If it can't be written or does not come back.
    pub async fn examine(&self, version: &Version) -> Result<(), StoreError> {
        let name = format!("{}/_doctor/probe", self.prefix);
        let value = format!(r#"{{"probe":"{version}"}}"#);
        self.write(Place { name: &name, version }, value.as_bytes()).await?;
        let found = self.read(&name, Which::Version(version)).await?;
        if found.is_some_and(|found| *found.value == value) {
            return Ok(());
        }
        Err(StoreError::Refused("what was written does not come back".into()))
    }

    async fn read(&self, name: &str, which: Which<'_>) -> Result<Option<StoredSecret>, StoreError> {
        let pool = self.database.pool();
        let row = match which {
            Which::Current => self.ask(find_current(pool, name)).await?,
            Which::Version(version) => self.ask(find_version(pool, Place { name, version })).await?,
        };
        let Some((version, sealed)) = row else { return Ok(None) };
        let version =
            version.parse().map_err(|e| StoreError::Unavailable(format!("a row of {name}: {e}")))?;
        let value = self.unseal(Place { name, version: &version }, &sealed)?;
        Ok(Some(StoredSecret { version, value }))
    }

    /// Two of these at once for one secret, and the unique index on its stages fails the second.
    async fn write(&self, place: Place<'_>, value: &[u8]) -> Result<(), StoreError> {
        // The limit of AWS, so that every secret can move there.
        if value.len() > LONGEST_VALUE {
            let length = value.len();
            return Err(StoreError::Unacceptable(format!("{length} bytes, of {LONGEST_VALUE} at most")));
        }
        let mut transaction = self.database.begin().await.map_err(|e| unavailable(&e))?;
        if let Some((_, sealed)) = self.ask(find_version(&mut *transaction, place)).await? {
            let there = self.unseal(place, &sealed)?;
            let same = verify_slices_are_equal(there.as_bytes(), value).is_ok();
            let taken = || StoreError::Unacceptable(format!("{place} is there with another value"));
            return if same { Ok(()) } else { Err(taken()) };
        }
        let sealed = self.keyring.seal(place, value);
        let now = self.clock.now().as_millisecond();
        self.ask(async {
            sqlx::query("DELETE FROM local_secrets WHERE name = $1 AND stage = 'previous'")
                .bind(place.name)
                .execute(&mut *transaction)
                .await?;
            sqlx::query("UPDATE local_secrets SET stage = 'previous' WHERE name = $1 AND stage = 'current'")
                .bind(place.name)
                .execute(&mut *transaction)
                .await?;
            sqlx::query(
                "INSERT INTO local_secrets (name, version, stage, key_id, sealed, created_at) \
                 VALUES ($1, $2, 'current', $3, $4, $5)",
            )
            .bind(place.name)
            .bind(place.version.as_str())
            .bind(&sealed.key_id)
            .bind(&sealed.text)
            .bind(now)
            .execute(&mut *transaction)
            .await?;
            transaction.commit().await
        })
        .await
    }

    fn unseal(&self, place: Place<'_>, sealed: &Sealed) -> Result<Zeroizing<String>, StoreError> {
        self.keyring.open(place, sealed).map_err(|e| StoreError::Refused(format!("{place}: {e}")))
    }

    async fn ask<T>(&self, question: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, StoreError> {
        self.database.within(question).await.map_err(|e| unavailable(&e))
    }
}

/// The next key under which secrets are encrypted. Asked key by key, it takes no look at the secrets.
async fn next_key(
    database: impl Executor<'_, Database = Any>,
    after: &str,
) -> Result<Option<String>, sqlx::Error> {
    sqlx::query(NEXT_KEY).bind(after).fetch_one(database).await?.try_get(0)
}

async fn count_under(database: impl Executor<'_, Database = Any>, key_id: &str) -> Result<i64, sqlx::Error> {
    let question = sqlx::query("SELECT COUNT(DISTINCT name) FROM local_secrets WHERE key_id = $1");
    question.bind(key_id).fetch_one(database).await?.try_get(0)
}

/// A version's id and its value, or nothing.
type Found = Result<Option<(String, Sealed)>, sqlx::Error>;

async fn find_current(database: impl Executor<'_, Database = Any>, name: &str) -> Found {
    let row = sqlx::query(CURRENT).bind(name).fetch_optional(database).await?;
    row.as_ref().map(read_row).transpose()
}

async fn find_version(database: impl Executor<'_, Database = Any>, place: Place<'_>) -> Found {
    let question = sqlx::query(VERSION).bind(place.name).bind(place.version.as_str());
    let row = question.fetch_optional(database).await?;
    row.as_ref().map(read_row).transpose()
}

fn read_row(row: &AnyRow) -> Result<(String, Sealed), sqlx::Error> {
    let sealed = Sealed { key_id: row.try_get(1)?, text: row.try_get(2)? };
    Ok((row.try_get(0)?, sealed))
}

fn unavailable(error: &IndexError) -> StoreError {
    StoreError::Unavailable(error.to_string())
}

/// Awaits one call and counts it.
async fn metered<T>(
    action: &'static str,
    word: fn(&T) -> &'static str,
    answer: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let began = Instant::now();
    let result = answer.await;
    meter::record(action, result.as_ref().map_or_else(meter::word, word), began);
    result
}

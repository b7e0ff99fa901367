//! Opens what the settings name: the database, the store, and the parts that commands need alone.

use std::{
    fs::{File, TryLockError},
    io,
    num::NonZeroU32,
    path::Path,
    sync::Arc,
    time::Duration,
};

use uuid::Uuid;

use super::StartError;
use crate::{
    adapter::{
        aws::{AwsSettings, AwsStore},
        local::{Keyring, LocalSetupError, LocalStore},
        sql::{Database, OpenError, Url},
    },
    broker::{
        audit::Auditor,
        sight::Sight,
        tokens::{TokenSettings, Tokens},
    },
    config::{Settings, StoreSettings},
    domain::{
        clock::{Clock, Random, SystemClock, SystemRandom, time_ordered_id},
        provider::{Catalogue, UnusableEntry},
    },
    port::{index::SystemIndex, store::Store},
};

impl From<OpenError> for StartError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Url => Self::Config(format!("KEYBROKER_DATABASE_URL: {error}")),
            OpenError::Connect(_) | OpenError::Migrate(_) => Self::Failed(error.to_string()),
        }
    }
}

/// Brings a database's schema up to date.
///
/// # Errors
/// If the database can't be opened or changed.
pub async fn migrate(database_url: &str) -> Result<(), StartError> {
    Database::open(database_url, 1, Uuid::nil()).await?.close().await;
    Ok(())
}

/// The tokens in a database, for a command that runs beside the service.
///
/// # Errors
/// If the database can't be opened.
pub async fn open_tokens(database_url: &str) -> Result<Tokens, StartError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let random = Arc::new(SystemRandom);
    let origin = time_ordered_id(&*clock, &*random);
    let database = Database::open(database_url, 1, origin).await?;
    let settings = TokenSettings { ttl: Duration::ZERO, rate: None };
    let sight = Sight::new(None, Arc::clone(&clock));
    Ok(Tokens::new(Arc::new(database), settings, sight, clock, random))
}

/// The audit log in a database, for a command that verifies it and changes nothing.
///
/// # Errors
/// If the database can't be opened, or its schema is older than this version.
pub async fn open_auditor(database_url: &str) -> Result<Auditor, StartError> {
    if Database::inspect(database_url).await?.pending > 0 {
        let remedy = "the database's schema is not up to date; `keybroker migrate` brings it there";
        return Err(StartError::Failed(remedy.into()));
    }
    Ok(Auditor::new(Arc::new(Database::open(database_url, 1, Uuid::nil()).await?)))
}

/// Makes a master key file for a local store.
///
/// # Errors
/// If there is one already, or it can't be written.
pub fn generate_master_key(file: &Path) -> Result<(), StartError> {
    Keyring::generate_file(file, &SystemRandom).map_err(|e| StartError::Failed(e.to_string()))
}

pub(super) async fn open_database(
    settings: &Settings,
    clock: &Arc<dyn Clock>,
    random: &Arc<dyn Random>,
) -> Result<(Database, Option<File>), StartError> {
    let url = &settings.database_url.0;
    let only_server = lock_sqlite(url)?;
    let origin = time_ordered_id(&**clock, &**random);
    let database = Database::open(url, settings.database_connections, origin).await?;
    if only_server.is_some() {
        // Whoever began the writes that stand is gone: nobody else can serve this file. What it had sent
        // to AWS may still be on its way.
        let stragglers = match settings.store {
            StoreSettings::Aws { .. } => settings.store_timeout,
            StoreSettings::Local { .. } => Duration::ZERO,
        };
        let ended = database.end_leases(clock.now() + stragglers).await;
        ended.map_err(|e| StartError::Failed(e.to_string()))?;
    }
    Ok((database, only_server))
}

/// SQLite takes one server: replicas would not hear of each other's locks in time.
fn lock_sqlite(url: &str) -> Result<Option<File>, StartError> {
    let Some(database) = Url::parse(url)?.sqlite_file() else { return Ok(None) };
    let path = database.with_added_extension("lock");
    let unusable = |e: io::Error| {
        let (path, remedy) = (path.display(), "its folder must exist and be writable");
        StartError::Failed(format!("{path} can't be opened: {e}; {remedy}"))
    };
    let lock = File::options().create(true).truncate(false).write(true).open(&path).map_err(unusable)?;
    match lock.try_lock() {
        Ok(()) => Ok(Some(lock)),
        Err(TryLockError::WouldBlock) => Err(StartError::Failed(
            "another keybroker serves this SQLite database; several replicas need PostgreSQL".into(),
        )),
        Err(TryLockError::Error(e)) => Err(unusable(e)),
    }
}

/// The catalogue, with the operator's own file.
pub(super) fn open_catalogue(file: Option<&Path>) -> Result<Catalogue, StartError> {
    let Some(path) = file else {
        return Catalogue::builtin().map_err(|e| StartError::Failed(e.to_string()));
    };
    let bytes = std::fs::read(path).map_err(|e| {
        StartError::Config(format!("KEYBROKER_PROVIDERS_FILE: {} can't be read: {e}", path.display()))
    })?;
    Catalogue::extended_by(&bytes).map_err(|UnusableEntry { line, reason }| {
        let line = line.map_or_else(String::new, |line| format!(":{line}"));
        StartError::Config(format!("KEYBROKER_PROVIDERS_FILE: {}{line}: {reason}", path.display()))
    })
}

pub(super) async fn open_store(
    settings: &Settings,
    database: &Database,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<dyn Store>, StartError> {
    match &settings.store {
        StoreSettings::Aws { kms_key_id, writes_per_second } => {
            Ok(Arc::new(connect_aws(settings, kms_key_id.clone(), *writes_per_second).await?))
        }
        StoreSettings::Local { master_key_file } => {
            Ok(Arc::new(open_local(settings, master_key_file, database, clock).await?))
        }
    }
}

/// The AWS store, if the SDK finds a region and credentials.
pub(super) async fn connect_aws(
    settings: &Settings,
    kms_key_id: Option<String>,
    writes_per_second: NonZeroU32,
) -> Result<AwsStore, StartError> {
    let (prefix, timeout) = (settings.prefix.clone(), settings.store_timeout);
    let aws = AwsSettings { prefix, kms_key_id, writes_per_second, timeout };
    AwsStore::connect(aws).await.map_err(|e| StartError::Config(e.to_string()))
}

/// The embedded store, if the master key opens what is in it.
pub(super) async fn open_local(
    settings: &Settings,
    master_key_file: &Path,
    database: &Database,
    clock: &Arc<dyn Clock>,
) -> Result<LocalStore, StartError> {
    let unusable = |e: String| StartError::Config(format!("KEYBROKER_MASTER_KEY_FILE: {e}"));
    let keyring = Keyring::read(master_key_file).map_err(|e| unusable(e.to_string()))?;
    let (database, prefix) = (database.clone(), settings.prefix.clone());
    LocalStore::open(database, keyring, prefix, Arc::clone(clock)).await.map_err(|e| match e {
        LocalSetupError::KeyMissing { .. } => unusable(e.to_string()),
        LocalSetupError::Database(_) => StartError::Failed(e.to_string()),
    })
}

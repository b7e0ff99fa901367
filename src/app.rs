//! The composition root: builds everything from settings, runs it, and stops it in order.

mod server;

use std::{
    fs::File,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use axum::{Router, routing::get};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use crate::{
    adapter::{
        aws::{AwsSettings, AwsStore},
        local::{Keyring, LocalStore},
        sql::{Database, OpenError},
    },
    broker::{
        cache::{CacheSettings, CredentialCache},
        changes::Follower,
        connections::Connections,
        credentials::CredentialReader,
        events::Events,
        health::Health,
        reconcile::Reconciler,
        tokens::{TokenSettings, Tokens},
        write::{WriteLimits, Writer},
    },
    config::{Settings, StoreSettings},
    domain::{
        clock::{Clock, Random, SystemClock, SystemRandom, time_ordered_id},
        provider::Catalogue,
    },
    http::router::{AppState, router},
    port::{index::SystemIndex, store::Store},
    telemetry,
};

pub use crate::http::router::openapi;

/// Why the service did not start; says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting is wrong.
    #[error("{0}")]
    Config(String),
    /// Something that the settings name does not work.
    #[error("{0}")]
    Failed(String),
}

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
    let (clock, random) = (Arc::new(SystemClock::default()), Arc::new(SystemRandom));
    let origin = time_ordered_id(&*clock, &*random);
    let database = Database::open(database_url, 1, origin).await?;
    let settings = TokenSettings { ttl: Duration::ZERO, rate: None };
    Ok(Tokens::new(Arc::new(database), settings, clock, random))
}

/// Makes a master key file for a local store.
///
/// # Errors
/// If there is one already, or it can't be written.
pub fn generate_master_key(file: &Path) -> Result<(), StartError> {
    Keyring::generate_file(file, &SystemRandom).map_err(|e| StartError::Failed(e.to_string()))
}

/// A running service.
pub struct App {
    address: SocketAddr,
    admin_address: SocketAddr,
    tokens: Tokens,
    database: Database,
    stop: CancellationToken,
    /// The servers. They end first, when no request is under way any more.
    servers: TaskTracker,
    /// Writes under way, which outlive their requests.
    writes: TaskTracker,
    /// Background tasks.
    tasks: TaskTracker,
    grace: Duration,
    /// Held while running: the only server on a SQLite file.
    _only_server: Option<File>,
}

impl App {
    /// Opens everything, checks it, and serves.
    ///
    /// # Errors
    /// If a setting is unusable or something does not answer. Nothing is left running then.
    pub async fn start(settings: Settings) -> Result<Self, StartError> {
        let metrics = telemetry::start_metrics();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let random: Arc<dyn Random> = Arc::new(SystemRandom);
        let catalogue = Catalogue::builtin().map_err(|e| StartError::Failed(e.to_string()))?;
        let (database, only_server) = open_database(&settings, &clock, &random).await?;
        let store = open_store(&settings, &database, &clock).await?;

        let index = Arc::new(database.clone());
        let system: Arc<dyn SystemIndex> = index.clone();
        let cache = CredentialCache::new(
            CacheSettings {
                ttl: settings.cache_ttl,
                stale_if_error: settings.cache_stale_if_error,
                max_bytes: settings.cache_max_bytes,
            },
            Arc::clone(&clock),
        );
        let token_settings = TokenSettings { ttl: settings.cache_ttl, rate: settings.token_rate };
        let tokens = Tokens::new(index.clone(), token_settings, Arc::clone(&clock), Arc::clone(&random));
        let writer = Arc::new(Writer {
            index: index.clone(),
            store: Arc::clone(&store),
            cache: cache.clone(),
            catalogue: Arc::new(catalogue),
            clock: Arc::clone(&clock),
            random: Arc::clone(&random),
            // A write reads before it writes: two operations on the store.
            limits: WriteLimits { time: settings.store_timeout * 2, wait: settings.write_wait },
            left_open: Arc::default(),
        });
        let failed = |e: crate::broker::error::Error| StartError::Failed(format!("at start: {e}"));
        let follower =
            Follower::new(Arc::clone(&system), cache.clone(), tokens.clone()).await.map_err(failed)?;
        if let Some(token) = &settings.bootstrap_token {
            tokens.ensure_bootstrap(token).await.map_err(failed)?;
        }

        let writes = TaskTracker::new();
        let state = AppState {
            connections: Connections::new(Arc::clone(&writer), writes.clone()),
            credentials: CredentialReader::new(index.clone(), Arc::clone(&store), cache),
            tokens: tokens.clone(),
            events: Events::new(index),
            health: Health::new(Arc::clone(&system), store, Arc::clone(&clock)),
            prefix: settings.prefix.clone(),
        };
        let listener = listen(settings.listen).await?;
        let admin_listener = listen(settings.admin_listen).await?;
        let address = local_address(&listener)?;
        let admin_address = local_address(&admin_listener)?;
        let admin = Router::new().route("/metrics", get(move || async move { metrics.render() }));

        let (stop, servers, tasks) = (CancellationToken::new(), TaskTracker::new(), TaskTracker::new());
        let api = router(state, clock, random);
        servers.spawn(server::serve(listener, api, stop.clone(), settings.shutdown_grace));
        servers.spawn(server::serve(admin_listener, admin, stop.clone(), settings.shutdown_grace));
        tasks.spawn(Reconciler::new(system, writer).run(stop.clone()));
        tasks.spawn(follower.run(stop.clone()));
        tracing::info!(%address, %admin_address, version = env!("CARGO_PKG_VERSION"), "listening");
        Ok(Self {
            address,
            admin_address,
            tokens,
            database,
            stop,
            servers,
            writes,
            tasks,
            grace: settings.shutdown_grace,
            _only_server: only_server,
        })
    }

    /// Where the API listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where /metrics listens.
    #[must_use]
    pub fn admin_address(&self) -> SocketAddr {
        self.admin_address
    }

    /// The tokens, for a command that makes one for the service it just started.
    #[must_use]
    pub fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// Stops taking requests, finishes those under way and the writes that outlive them, then the
    /// background tasks, and closes the database. Waits no longer than the grace time for each.
    pub async fn stop(self) {
        tracing::info!("stopping");
        self.stop.cancel();
        for tracker in [&self.servers, &self.writes, &self.tasks] {
            tracker.close();
            if tokio::time::timeout(self.grace, tracker.wait()).await.is_err() {
                tracing::warn!("something took longer than the grace time and was cut off");
            }
        }
        self.database.close().await;
        tracing::info!("stopped");
    }
}

async fn open_database(
    settings: &Settings,
    clock: &Arc<dyn Clock>,
    random: &Arc<dyn Random>,
) -> Result<(Database, Option<File>), StartError> {
    let url = &settings.database_url.0;
    let only_server = lock_sqlite(url)?;
    let origin = time_ordered_id(&**clock, &**random);
    let database = Database::open(url, settings.database_connections, origin).await?;
    if only_server.is_some() {
        // Whoever began the writes that stand is gone: nobody else can serve this file.
        database.end_leases().await.map_err(|e| StartError::Failed(e.to_string()))?;
    }
    Ok((database, only_server))
}

/// SQLite takes one server: replicas would not hear of each other's locks in time.
fn lock_sqlite(url: &str) -> Result<Option<File>, StartError> {
    let Some(path) = url.strip_prefix("sqlite:") else { return Ok(None) };
    let path = path.strip_prefix("//").unwrap_or(path);
    let path = PathBuf::from(format!("{}.lock", path.split('?').next().unwrap_or(path)));
    let unusable = |e: std::io::Error| {
        StartError::Failed(format!(
            "{} can't be opened: {e}; its folder must exist and be writable",
            path.display()
        ))
    };
    let lock = File::options().create(true).truncate(false).write(true).open(&path).map_err(unusable)?;
    match lock.try_lock() {
        Ok(()) => Ok(Some(lock)),
        Err(std::fs::TryLockError::WouldBlock) => Err(StartError::Failed(
            "another keybroker serves this SQLite database; several replicas need PostgreSQL".into(),
        )),
        Err(std::fs::TryLockError::Error(e)) => Err(unusable(e)),
    }
}

async fn open_store(
    settings: &Settings,
    database: &Database,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<dyn Store>, StartError> {
    let prefix = settings.prefix.clone();
    match &settings.store {
        StoreSettings::Aws { kms_key_id, writes_per_second } => {
            let aws = AwsSettings {
                prefix,
                kms_key_id: kms_key_id.clone(),
                writes_per_second: *writes_per_second,
                timeout: settings.store_timeout,
            };
            let store = AwsStore::connect(aws).await.map_err(|e| StartError::Config(e.to_string()))?;
            Ok(Arc::new(store))
        }
        StoreSettings::Local { master_key_file } => {
            let unusable = |e: String| StartError::Config(format!("KEYBROKER_MASTER_KEY_FILE: {e}"));
            let keyring = Keyring::read(master_key_file).map_err(|e| unusable(e.to_string()))?;
            let opened = LocalStore::open(database.clone(), keyring, prefix, Arc::clone(clock)).await;
            Ok(Arc::new(opened.map_err(|e| unusable(e.to_string()))?))
        }
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    let busy = |e| StartError::Failed(format!("can't listen on {address}: {e}; choose another address"));
    TcpListener::bind(address).await.map_err(busy)
}

fn local_address(listener: &TcpListener) -> Result<SocketAddr, StartError> {
    listener.local_addr().map_err(|e| StartError::Failed(e.to_string()))
}

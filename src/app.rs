//! The composition root: builds everything from settings, runs it, and stops it in order.

mod core;
pub mod doctor;
pub mod import;
mod open;
mod server;

use std::{fs::File, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, http::header, routing::get};
use hyper_util::service::TowerToHyperService;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::{
    net::TcpListener,
    time::{Instant, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    adapter::sql::Database,
    broker::{
        cache::{CacheSettings, Sweeper},
        changes::{self, Follower},
        events::Events,
        health::Health,
        lease::Lease,
        listen::{Listener, Wake},
        portal::Portal,
        reads::{ReadLog, ReadRecorder},
        reconcile::Reconciler,
        retention::Retention,
        schedule::Scheduler,
        seal::Sealer,
        sessions::{SessionSettings, Sessions},
        tokens::{TokenSettings, Tokens},
    },
    config::{Settings, StoreSettings},
    domain::clock::{Clock, PagedRandom, Random, SystemClock, SystemRandom},
    http::{
        fast::Fast,
        portal::{Looks, PortalPages},
        state::AppState,
    },
    port::{audit::AuditIndex, index::SystemIndex},
    telemetry,
};

pub use self::open::{generate_master_key, migrate, open_auditor, open_tokens};
use self::{
    core::{Core, Ground},
    open::{open_catalogue, open_database, open_store},
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

/// A running service.
pub struct App {
    address: SocketAddr,
    admin_address: SocketAddr,
    tokens: Tokens,
    sessions: Sessions,
    database: Database,
    stop: CancellationToken,
    /// When nobody reads keys any more.
    last_read: CancellationToken,
    /// The servers. They end first, when no request is under way any more.
    servers: TaskTracker,
    /// What outlives its request: writes, refreshes.
    under_way: TaskTracker,
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
        let (clock, random): (Arc<dyn Clock>, Arc<dyn Random>) =
            (Arc::new(SystemClock::default()), Arc::new(SystemRandom));
        let catalogue = Arc::new(open_catalogue(settings.providers.file.as_deref())?);
        let (database, only_server) = open_database(&settings, &clock, &random).await?;
        let store = open_store(&settings, &database, &clock).await?;
        let ground = Ground { database, store, catalogue, clock, random };
        let core = Core::new(&settings, &ground, cache_settings(&settings));
        let reads = ReadLog::new(Arc::clone(&ground.clock));
        let credentials = core.reader(&settings, &ground, reads.clone());
        let Ground { database, store, catalogue, clock, random } = ground;
        let index = Arc::new(database.clone());
        let system: Arc<dyn SystemIndex> = index.clone();
        let token_settings = TokenSettings { ttl: settings.cache_ttl, rate: settings.token_rate };
        let tokens = Tokens::new(
            index.clone(),
            token_settings,
            core.sight.clone(),
            Arc::clone(&clock),
            Arc::clone(&random),
        );
        let failed = |e: crate::broker::error::Error| StartError::Failed(format!("at start: {e}"));
        let wake = Wake::default();
        let follower = Follower::new(changes::Parts {
            system: Arc::clone(&system),
            cache: core.cache.clone(),
            tokens: tokens.clone(),
            sight: core.sight.clone(),
            wake: wake.clone(),
            clock: Arc::clone(&clock),
        });
        let follower = follower.await.map_err(failed)?;
        if let Some(token) = &settings.bootstrap_token {
            tokens.ensure_bootstrap(token).await.map_err(failed)?;
        }

        let listener = listen(settings.listen).await?;
        let address = local_address(&listener)?;
        let events = Events::new(index.clone());
        let sessions = Sessions::new(
            index.clone(),
            catalogue,
            session_settings(&settings, address),
            Arc::clone(&clock),
            random,
        );
        let pages = portal_pages(&settings, &sessions);
        let state = AppState {
            pages,
            connections: core.connections.clone(),
            verifier: core.verifier.clone(),
            credentials,
            vaults: core.vaults.clone(),
            sessions: sessions.clone(),
            portal: Portal::new(
                core.connections.clone(),
                core.verifier.clone(),
                events.clone(),
                sessions.clone(),
                core.vaults.clone(),
            ),
            tokens: tokens.clone(),
            events,
            health: Health::new(Arc::clone(&system), store, Arc::clone(&clock)),
            prefix: settings.prefix.clone(),
        };
        let admin_listener = listen(settings.admin_listen).await?;
        let app = Self {
            address,
            admin_address: local_address(&admin_listener)?,
            tokens,
            sessions,
            database,
            stop: core.stop.clone(),
            last_read: CancellationToken::new(),
            servers: TaskTracker::new(),
            under_way: core.under_way.clone(),
            tasks: TaskTracker::new(),
            grace: settings.shutdown_grace,
            _only_server: only_server,
        };
        let api = Fast::new(state, Arc::clone(&clock), Arc::new(PagedRandom));
        app.servers.spawn(server::serve(listener, api, app.stop.clone(), app.grace));
        let admin = TowerToHyperService::new(admin_router(metrics.clone()));
        app.servers.spawn(server::serve(admin_listener, admin, app.stop.clone(), app.grace));
        app.tasks.spawn(ReadRecorder::new(reads, Arc::new(app.database.clone())).run(app.last_read.clone()));
        app.tasks.spawn(follower.run(app.stop.clone()));
        app.tasks.spawn(Listener::new(Arc::new(app.database.clone()), wake).run(app.stop.clone()));
        app.tasks.spawn(core.sight.clone().report(app.stop.clone()));
        app.tasks.spawn(telemetry::keep_metrics(metrics, app.stop.clone()));
        app.look_after(&settings, core, clock);
        let (address, admin_address) = (app.address, app.admin_address);
        tracing::info!(%address, %admin_address, version = env!("CARGO_PKG_VERSION"), "listening");
        Ok(app)
    }

    /// Starts what keeps the database in order, which one replica at a time does.
    fn look_after(&self, settings: &Settings, core: Core, clock: Arc<dyn Clock>) {
        let index = Arc::new(self.database.clone());
        let (audit, system): (Arc<dyn AuditIndex>, Arc<dyn SystemIndex>) = (index.clone(), index.clone());
        let (lease, stop) = (Lease::new(index, Arc::clone(&clock)), || self.stop.clone());
        self.tasks.spawn(Sweeper::new(core.cache).run(stop()));
        let sealer = Sealer::new(Arc::clone(&audit), Arc::clone(&clock));
        self.tasks.spawn(lease.clone().run(sealer, stop()));
        if let Some(keep) = settings.events_retention {
            let retention = Retention::new(audit, Arc::clone(&clock), keep);
            self.tasks.spawn(lease.clone().run(retention, stop()));
        }
        self.tasks.spawn(lease.clone().run(Reconciler::new(Arc::clone(&system), core.writer), stop()));
        if !settings.providers.every.is_zero() {
            self.tasks.spawn(lease.run(Scheduler::new(system, core.verifier, clock), stop()));
        }
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

    /// The connect sessions, for the same.
    #[must_use]
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// Stops taking requests, finishes those under way and the writes that outlive them, then the
    /// background tasks, the log of reads among them, and closes the database. Waits no longer than the
    /// grace time for all of it, but a second more for the log.
    pub async fn stop(self) {
        tracing::info!("stopping");
        self.stop.cancel();
        let latest = Instant::now() + self.grace;
        finish(&self.servers, latest).await;
        finish(&self.under_way, latest).await;
        self.last_read.cancel();
        finish(&self.tasks, latest.max(Instant::now() + Duration::from_secs(1))).await;
        self.database.close().await;
        tracing::info!("stopped");
    }
}

async fn finish(tracker: &TaskTracker, latest: Instant) {
    tracker.close();
    if timeout_at(latest, tracker.wait()).await.is_err() {
        tracing::warn!("something took longer than the grace time and was cut off");
    }
}

fn cache_settings(settings: &Settings) -> CacheSettings {
    CacheSettings {
        ttl: settings.cache_ttl,
        stale_if_error: settings.cache_stale_if_error,
        max_bytes: settings.cache_max_bytes,
    }
}

/// Without a public URL of its own the portal is where the service listens.
fn session_settings(settings: &Settings, address: SocketAddr) -> SessionSettings {
    let portal = &settings.portal;
    let public_url = portal.public_url.as_ref().map(|url| url.as_str().to_owned());
    SessionSettings {
        public_url: public_url.unwrap_or_else(|| format!("http://{address}")),
        return_origins: portal.return_origins.clone(),
        idle: portal.idle,
        lifetime: portal.lifetime,
    }
}

fn portal_pages(settings: &Settings, sessions: &Sessions) -> PortalPages {
    let portal = &settings.portal;
    let looks = Looks {
        app_name: portal.name.clone(),
        logo_url: portal.logo_url.as_ref().map(|url| url.as_str().to_owned()),
        accent: portal.accent,
    };
    let in_aws = matches!(settings.store, StoreSettings::Aws { .. });
    PortalPages::new(&sessions.settings().public_url, looks, in_aws)
}

/// What only the operator's own network should reach.
fn admin_router(metrics: PrometheusHandle) -> Router {
    let content_type = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    Router::new().route("/metrics", get(move || async move { (content_type, metrics.render()) }))
}

async fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    let busy = |e| StartError::Failed(format!("can't listen on {address}: {e}; choose another address"));
    TcpListener::bind(address).await.map_err(busy)
}

fn local_address(listener: &TcpListener) -> Result<SocketAddr, StartError> {
    listener.local_addr().map_err(|e| StartError::Failed(e.to_string()))
}

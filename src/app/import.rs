//! What an import runs on, beside the service and without disturbing it: the same database and store, no
//! lock on either, and leases like any writer's.

use std::{sync::Arc, time::Duration};

use tokio_util::task::TaskTracker;

use super::{
    StartError,
    core::{Core, Ground},
    open::{open_catalogue, open_store},
};
use crate::{
    adapter::sql::{Database, Url},
    broker::{cache::CacheSettings, import::Importer, tokens::importing_operator},
    config::{ProviderSettings, Settings},
    domain::{
        clock::{Clock, Random, SystemClock, SystemRandom, time_ordered_id},
        provider::Catalogue,
    },
};

/// How long the store or the database may fail before an import ends.
const PATIENCE: Duration = Duration::from_mins(1);

/// How many rows are under way at a time. SQLite takes one write at a time, whoever makes it: more of them
/// would keep a server beside waiting, and would not be quicker.
const AT_ONCE: usize = 16;
const AT_ONCE_ON_SQLITE: usize = 4;

/// An importer, and what it stands on.
pub struct Import {
    /// Carries rows out.
    pub importer: Importer,
    /// How many rows may be under way at a time.
    pub at_once: usize,
    under_way: TaskTracker,
    database: Database,
}

/// The catalogue by which rows are checked.
///
/// # Errors
/// If the operator's own file can't be used.
pub fn catalogue(providers: &ProviderSettings) -> Result<Arc<Catalogue>, StartError> {
    open_catalogue(providers.file.as_deref()).map(Arc::new)
}

impl Import {
    /// Opens the database and the store.
    ///
    /// # Errors
    /// If a setting is unusable or something does not answer.
    pub async fn open(settings: &Settings, catalogue: Arc<Catalogue>) -> Result<Self, StartError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let random: Arc<dyn Random> = Arc::new(SystemRandom);
        let origin = time_ordered_id(&*clock, &*random);
        let url = &settings.database_url.0;
        let database = Database::open(url, settings.database_connections, origin).await?;
        let store = open_store(settings, &database, &clock).await?;
        let ground = Ground { database, store, catalogue, clock, random };
        let no_cache = CacheSettings { ttl: Duration::ZERO, stale_if_error: Duration::ZERO, max_bytes: 0 };
        let Core { connections, writer, under_way, .. } = Core::new(settings, &ground, no_cache);
        // A write that was cut off holds its connection for its whole lease, which follows from the limit.
        let patience = PATIENCE + writer.limits.time;
        let importer = Importer::new(connections, importing_operator(), settings.prefix.clone(), patience);
        let on_file = Url::parse(url)?.sqlite_file().is_some();
        let at_once = if on_file { AT_ONCE_ON_SQLITE } else { AT_ONCE };
        Ok(Self { importer, at_once, under_way, database: ground.database })
    }

    /// Finishes what is under way and closes the database.
    pub async fn close(self) {
        self.under_way.close();
        self.under_way.wait().await;
        self.database.close().await;
    }
}

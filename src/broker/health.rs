//! Whether this replica can do its work.

use std::{sync::Arc, time::Duration};

use tokio::sync::Mutex;

use crate::{
    domain::clock::Clock,
    port::{index::SystemIndex, store::Store},
};

/// How long the store's last answer counts, since asking AWS costs money.
const STORE_ANSWER_COUNTS: Duration = Duration::from_secs(10);

/// Asks the database and the store how they are.
#[derive(Clone)]
pub struct Health(Arc<Inner>);

struct Inner {
    system: Arc<dyn SystemIndex>,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    last: Mutex<Option<(Duration, bool)>>,
}

/// What is usable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Readiness {
    /// The database.
    pub database: bool,
    /// The store.
    pub store: bool,
}

impl Health {
    /// The health of these two.
    #[must_use]
    pub fn new(system: Arc<dyn SystemIndex>, store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Inner { system, store, clock, last: Mutex::default() }))
    }

    /// Asks both at once.
    pub async fn readiness(&self) -> Readiness {
        let (database, store) = tokio::join!(self.0.system.ping(), self.store());
        if let Err(error) = &database {
            tracing::warn!(%error, "not ready");
        }
        Readiness { database: database.is_ok(), store }
    }

    async fn store(&self) -> bool {
        // Held while the store is asked: whoever comes meanwhile waits for that answer.
        let mut last = self.0.last.lock().await;
        let now = self.0.clock.uptime();
        if let Some((_, usable)) = last.filter(|(at, _)| now < *at + STORE_ANSWER_COUNTS) {
            return usable;
        }
        let answer = self.0.store.check().await;
        if let Err(error) = &answer {
            tracing::warn!(%error, "not ready");
        }
        *last = Some((now, answer.is_ok()));
        answer.is_ok()
    }
}

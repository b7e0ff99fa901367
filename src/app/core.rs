//! What the service and the commands beside it share: the use cases that change connections, on an open
//! database and store.

use std::sync::Arc;

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    adapter::{providers::ProviderClient, sql::Database},
    broker::{
        cache::{CacheSettings, CredentialCache},
        connections::Connections,
        sight::Sight,
        verification::{self, VerificationSettings, Verifier},
        write::{WriteLimits, Writer},
    },
    config::Settings,
    domain::{
        clock::{Clock, Random},
        provider::Catalogue,
    },
    port::store::Store,
};

/// What everything else is put on.
pub(super) struct Ground {
    pub database: Database,
    pub store: Arc<dyn Store>,
    pub catalogue: Arc<Catalogue>,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
}

/// The use cases that change connections.
pub(super) struct Core {
    pub cache: CredentialCache,
    /// Whether what is in memory may be trusted.
    pub sight: Sight,
    pub writer: Arc<Writer>,
    pub verifier: Verifier,
    pub connections: Connections,
    /// Ends what waits.
    pub stop: CancellationToken,
    /// Writes under way, which outlive their requests.
    pub under_way: TaskTracker,
}

impl Core {
    /// Puts them together.
    pub(super) fn new(settings: &Settings, ground: &Ground, cache: CacheSettings) -> Self {
        let Ground { database, store, catalogue, clock, random } = ground;
        let sight = Sight::new(settings.replicas.max_blindness, Arc::clone(clock));
        let cache = CredentialCache::new(cache, sight.clone(), Arc::clone(clock));
        let index = Arc::new(database.clone());
        let (stop, under_way) = (CancellationToken::new(), TaskTracker::new());
        let providers = &settings.providers;
        let verifier = Verifier::new(verification::Parts {
            index: index.clone(),
            store: Arc::clone(store),
            cache: cache.clone(),
            catalogue: Arc::clone(catalogue),
            apis: Arc::new(ProviderClient::new(providers.timeout, providers.allow_private_addresses)),
            clock: Arc::clone(clock),
            random: Arc::clone(random),
            settings: VerificationSettings { every: providers.every, confirm_after: providers.confirm_after },
            under_way: under_way.clone(),
            stop: stop.clone(),
        });
        let writer = Arc::new(Writer {
            index,
            store: Arc::clone(store),
            cache: cache.clone(),
            catalogue: Arc::clone(catalogue),
            clock: Arc::clone(clock),
            random: Arc::clone(random),
            // A write reads before it writes: two operations on the store.
            limits: WriteLimits { time: settings.store_timeout * 2, wait: settings.write_wait },
            check_every: providers.every,
            left_open: Arc::default(),
        });
        let connections = Connections::new(Arc::clone(&writer), under_way.clone(), verifier.clone());
        Self { cache, sight, writer, verifier, connections, stop, under_way }
    }
}

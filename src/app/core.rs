//! What the service and the commands beside it share: the use cases that change connections, on an open
//! database and store.

use std::sync::Arc;

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    adapter::{lambda::VaultClient, providers::ProviderClient, sql::Database},
    broker::{
        cache::{CacheSettings, CredentialCache},
        connections::Connections,
        credentials::{self, CredentialReader},
        reads::ReadLog,
        sight::Sight,
        turns::{StoreReads, Turns},
        vault::{self, VaultReader, VaultSettings, Vaults},
        verification::{self, VerificationSettings, Verifier},
        write::{WriteLimits, Writer},
    },
    config::Settings,
    domain::{
        clock::{Clock, Random},
        provider::Catalogue,
        vault::UrlRules,
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
    vault_reader: VaultReader,
    pub vaults: Vaults,
    /// Ends what waits.
    pub stop: CancellationToken,
    /// What outlives its request: writes, refreshes.
    pub under_way: TaskTracker,
}

impl Core {
    /// Puts them together.
    pub(super) fn new(settings: &Settings, ground: &Ground, cache: CacheSettings) -> Self {
        let Ground { database, store, catalogue, clock, random } = ground;
        let sight = Sight::new(settings.replicas.max_blindness, Arc::clone(clock));
        let index = Arc::new(database.clone());
        let (stop, under_way) = (CancellationToken::new(), TaskTracker::new());
        let cache = CredentialCache::new(cache, sight.clone(), Arc::clone(clock), under_way.clone());
        let providers = &settings.providers;
        let vault_reader = vault_reader(settings, store);
        let verifier = Verifier::new(verification::Parts {
            index: index.clone(),
            store: Arc::clone(store),
            vault: vault_reader.clone(),
            cache: cache.clone(),
            catalogue: Arc::clone(catalogue),
            apis: Arc::new(ProviderClient::new(providers.timeout, providers.allow_private_addresses)),
            clock: Arc::clone(clock),
            random: Arc::clone(random),
            settings: VerificationSettings { every: providers.every, confirm_after: providers.confirm_after },
            under_way: under_way.clone(),
            stop: stop.clone(),
        });
        let vaults = Vaults::new(vault::Parts {
            vaults: index.clone(),
            connections: index.clone(),
            store: Arc::clone(store),
            reader: vault_reader.clone(),
            cache: cache.clone(),
            catalogue: Arc::clone(catalogue),
            clock: Arc::clone(clock),
            random: Arc::clone(random),
            store_timeout: settings.store_timeout,
            under_way: under_way.clone(),
        });
        let writer = Arc::new(Writer {
            index: index.clone(),
            vaults: index.clone(),
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
        Self { cache, sight, writer, verifier, connections, vault_reader, vaults, stop, under_way }
    }
}

impl Core {
    /// What reads keys, and counts that in `reads`.
    pub(super) fn reader(&self, settings: &Settings, ground: &Ground, reads: ReadLog) -> CredentialReader {
        let store_reads = StoreReads { at_once: settings.store_concurrency, wait: settings.store_timeout };
        CredentialReader::new(credentials::Parts {
            index: Arc::new(ground.database.clone()),
            store: Arc::clone(&ground.store),
            vault: self.vault_reader.clone(),
            catalogue: Arc::clone(&ground.catalogue),
            cache: self.cache.clone(),
            reads,
            turns: Turns::new(store_reads),
        })
    }
}

fn vault_reader(settings: &Settings, store: &Arc<dyn Store>) -> VaultReader {
    let allow_private = settings.providers.allow_private_addresses;
    let config = &settings.vault;
    let settings = VaultSettings {
        timeout: config.timeout,
        concurrency: config.concurrency,
        rules: UrlRules { hosts: config.hosts.clone(), allow_http: allow_private },
    };
    VaultReader::new(Arc::clone(store), Arc::new(VaultClient::new(allow_private)), settings)
}

//! The API, on a database and a store of its own.

use std::{num::NonZeroU32, path::Path, time::Duration};

use axum::body::{Body, to_bytes};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use super::super::*;
use crate::{
    adapter::{
        lambda::VaultClient,
        local::{Keyring, LocalStore},
        providers::ProviderClient,
        sql::Database,
    },
    broker::{
        cache::{CacheSettings, CredentialCache},
        connections::Connections,
        credentials,
        events::Events,
        health::Health,
        portal::Portal,
        reads::{ReadLog, ReadRecorder},
        sessions::{SessionSettings, Sessions},
        sight::Sight,
        tokens::TokenSettings,
        turns::{StoreReads, Turns},
        vault::{self, VaultReader, VaultSettings, Vaults},
        verification::{self, VerificationSettings, Verifier},
        write::{WriteLimits, Writer},
    },
    domain::{
        clock::{CountingRandom, ManualClock, SystemRandom},
        provider::Catalogue,
        secret::Prefix,
        token::PlainToken,
        vault::UrlRules,
    },
    http::portal::{Looks, PortalPages},
};

pub(super) const ROOT: &str = "kb_root-of-the-tests";

/// The API, on a database and a store of its own.
pub(super) struct Rig {
    pub fast: Fast,
    pub clock: Arc<ManualClock>,
    recorder: tokio::sync::Mutex<ReadRecorder>,
    _folder: tempfile::TempDir,
}

impl Rig {
    pub(super) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(Timestamp::UNIX_EPOCH + Duration::from_hours(480_000)));
        let (state, recorder) = state(folder.path(), clock.clone()).await;
        state.tokens.ensure_bootstrap(&PlainToken::parse(ROOT).unwrap()).await.unwrap();
        let fast = Fast::new(state, clock.clone(), Arc::new(CountingRandom::default()));
        Self { fast, clock, recorder: recorder.into(), _folder: folder }
    }

    /// Asks the router, as root.
    pub(super) async fn ask(&self, method: Method, path: &str, body: &Value) -> Value {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {ROOT}"))
            .header("content-type", "application/json")
            .body(Body::from(body.to_string()));
        let response = self.fast.router.clone().oneshot(request.unwrap()).await.unwrap();
        assert!(response.status().is_success(), "{response:?}");
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        serde_json::from_slice(&body).unwrap_or_default()
    }

    pub(super) async fn connect(&self, org: &str, connection: &str) -> String {
        let path = format!("/v1/orgs/{org}/connections/{connection}");
        let body =
            json!({"provider": "openai", "credentials": {"apiKey": format!("sk-\"{org}\"-{connection}")}});
        let answer = self.ask(Method::PUT, &format!("{path}?verify=false"), &body).await;
        answer["version"].as_str().unwrap().to_owned()
    }

    /// How many reads of keys the audit log tells of.
    pub(super) async fn reads_logged(&self) -> i64 {
        self.recorder.lock().await.run_once().await.unwrap();
        let mut logged = 0;
        for org in ["acme", "o.1@x+y=z"] {
            let path = format!("/v1/orgs/{org}/events?limit=200&type=credentials.read");
            let answer = self.ask(Method::GET, &path, &Value::Null).await;
            logged += answer["events"]
                .as_array()
                .unwrap()
                .iter()
                .map(|e| e["count"].as_i64().unwrap())
                .sum::<i64>();
        }
        logged
    }

    pub(super) async fn token(&self, scope: &str, org: &str) -> (String, String) {
        let body = json!({"name": "t", "scopes": [scope], "orgs": [org], "expires_in": 3_600});
        let answer = self.ask(Method::POST, "/v1/tokens", &body).await;
        let text = |name: &str| answer[name].as_str().unwrap().to_owned();
        (text("token"), text("id"))
    }
}

async fn open(
    folder: &Path,
    clock: &Arc<dyn Clock>,
    random: &dyn Random,
) -> (Arc<Database>, Arc<LocalStore>) {
    let url = format!("sqlite:{}", folder.join("keybroker.db").display());
    let database = Database::open(&url, 4, Uuid::nil()).await.unwrap();
    let key = folder.join("master.key");
    Keyring::generate_file(&key, random).unwrap();
    let (keyring, prefix) = (Keyring::read(&key).unwrap(), Prefix::default());
    let store = LocalStore::open(database.clone(), keyring, prefix, Arc::clone(clock)).await.unwrap();
    (Arc::new(database), Arc::new(store))
}

async fn state(folder: &Path, clock: Arc<ManualClock>) -> (AppState, ReadRecorder) {
    let (clock, random): (Arc<dyn Clock>, Arc<dyn Random>) = (clock, Arc::new(SystemRandom));
    let (index, store) = open(folder, &clock, &*random).await;
    let catalogue = Arc::new(Catalogue::builtin().unwrap());
    let (stop, under_way) = (CancellationToken::new(), TaskTracker::new());
    let (ttl, hour) = (Duration::from_mins(5), Duration::from_hours(1));
    let settings = CacheSettings { ttl, stale_if_error: ttl, max_bytes: 1 << 20 };
    let sight = Sight::new(None, Arc::clone(&clock));
    let cache = CredentialCache::new(settings, sight.clone(), Arc::clone(&clock), under_way.clone());
    let vault = vault_reader(store.clone());
    let vaults = Vaults::new(vault::Parts {
        vaults: index.clone(),
        connections: index.clone(),
        store: store.clone(),
        reader: vault.clone(),
        cache: cache.clone(),
        catalogue: Arc::clone(&catalogue),
        clock: Arc::clone(&clock),
        random: Arc::clone(&random),
        store_timeout: hour,
        under_way: under_way.clone(),
    });
    let verifier = Verifier::new(verification::Parts {
        index: index.clone(),
        store: store.clone(),
        vault: vault.clone(),
        cache: cache.clone(),
        catalogue: Arc::clone(&catalogue),
        apis: Arc::new(ProviderClient::new(hour, false)),
        clock: Arc::clone(&clock),
        random: Arc::clone(&random),
        settings: VerificationSettings { every: hour, confirm_after: hour },
        under_way: under_way.clone(),
        stop,
    });
    let writer = Arc::new(Writer {
        index: index.clone(),
        vaults: index.clone(),
        store: store.clone(),
        cache: cache.clone(),
        catalogue: Arc::clone(&catalogue),
        clock: Arc::clone(&clock),
        random: Arc::clone(&random),
        limits: WriteLimits { time: hour, wait: hour },
        check_every: hour,
        left_open: Arc::default(),
    });
    let connections = Connections::new(writer, under_way, verifier.clone());
    let events = Events::new(index.clone());
    let settings = session_settings();
    let sessions = Sessions::new(
        index.clone(),
        Arc::clone(&catalogue),
        settings,
        Arc::clone(&clock),
        Arc::clone(&random),
    );
    let reads = ReadLog::new(Arc::clone(&clock));
    let recorder = ReadRecorder::new(reads.clone(), index.clone());
    let looks = Looks { app_name: None, logo_url: None, accent: None };
    let store_reads = StoreReads { at_once: NonZeroU32::MIN, wait: hour };
    let state = AppState {
        portal: Portal::new(
            connections.clone(),
            verifier.clone(),
            events.clone(),
            sessions.clone(),
            vaults.clone(),
        ),
        pages: PortalPages::new("http://x", looks, false),
        credentials: CredentialReader::new(credentials::Parts {
            index: index.clone(),
            store: store.clone(),
            vault,
            catalogue,
            cache,
            reads,
            turns: Turns::new(store_reads),
        }),
        vaults,
        tokens: Tokens::new(
            index.clone(),
            TokenSettings { ttl, rate: None },
            sight,
            Arc::clone(&clock),
            random,
        ),
        health: Health::new(index, store, clock),
        connections,
        verifier,
        sessions,
        events,
        prefix: Prefix::default(),
    };
    (state, recorder)
}

fn vault_reader(store: Arc<LocalStore>) -> VaultReader {
    let rules = UrlRules { hosts: vec![], allow_http: false };
    let settings = VaultSettings { timeout: Duration::from_secs(5), concurrency: 1, rules };
    VaultReader::new(store, Arc::new(VaultClient::new(false)), settings)
}

fn session_settings() -> SessionSettings {
    let hour = Duration::from_hours(1);
    SessionSettings { public_url: "http://x".into(), return_origins: vec![], idle: hour, lifetime: hour }
}

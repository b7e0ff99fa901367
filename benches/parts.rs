//! The parts of a read, each by itself: `cargo bench`. What a whole read costs, `benches/run.py` measures.

use std::{hint::black_box, sync::Arc, time::Duration};

use criterion::Criterion;
use futures_util::FutureExt;
use keybroker::{
    broker::{
        cache::{CacheSettings, CredentialCache, Found, Freshness, Kept, Served},
        error::Error,
        reads::ReadLog,
        sight::Sight,
    },
    domain::{
        access::{Actor, ActorType, Caller, Orgs, Permit, Reach, Read, Scope},
        clock::{Clock, SystemClock, SystemRandom},
        connection::Source,
        id::{ConnectionName, OrgId},
        secret::{Credentials, SecretName, Version},
        token::{HashedToken, PlainToken},
    },
};
use tokio_util::task::TaskTracker;

/// How many connections are cached.
const CACHED: u32 = 100_000;

/// How many organizations a token reaches.
const ORGS: u32 = 10;

struct Parts {
    clock: Arc<dyn Clock>,
    caller: Caller,
    version: Version,
}

impl Parts {
    fn new() -> Self {
        let clock = Arc::new(SystemClock::default());
        let orgs = Orgs::Only((0..ORGS).map(org).collect());
        let actor = Actor { r#type: ActorType::Token, id: "0192f0c1-5a7e".into(), name: Some("app".into()) };
        let caller = Caller::new(actor, Reach { scopes: [Scope::CredentialsRead].into(), orgs });
        let version = Version::generate(&*clock, &SystemRandom);
        Self { clock, caller, version }
    }

    fn permit(&self) -> Permit<Read> {
        self.caller.permit(org(0), connection()).expect("the caller may")
    }

    fn served(&self) -> Served {
        let provider = "custom".parse().expect("a provider's name");
        Served::new(&provider, &credentials(), &self.version, Source::Managed)
    }
}

fn org(number: u32) -> OrgId {
    format!("org_{number}").parse().expect("an organization's id")
}

fn connection() -> ConnectionName {
    "connection-1".parse().expect("a connection's name")
}

/// 150 bytes.
fn credentials() -> Credentials {
    let json = format!(r#"{{"apiKey":"{}"}}"#, "k".repeat(137));
    Credentials::from_json(json.as_bytes()).expect("credentials")
}

fn tokens(criterion: &mut Criterion) {
    let token = PlainToken::generate(&SystemRandom);
    let text = token.reveal().to_owned();
    criterion
        .bench_function("token/check and hash", |b| b.iter(|| HashedToken::of_presented(black_box(&text))));
}

fn permit(criterion: &mut Criterion, parts: &Parts) {
    let (org, connection) = (org(ORGS / 2), connection());
    criterion.bench_function("permit", |b| {
        b.iter(|| parts.caller.permit::<Read>(black_box(&org).clone(), black_box(&connection).clone()));
    });
}

fn cache(criterion: &mut Criterion, parts: &Parts) {
    let day = Duration::from_hours(24);
    let settings = CacheSettings { ttl: day, stale_if_error: day, max_bytes: 1 << 30 };
    let cache = CredentialCache::new(
        settings,
        Sight::new(None, Arc::clone(&parts.clock)),
        Arc::clone(&parts.clock),
        TaskTracker::new(),
    );
    let name = |number| SecretName::new(org(number), connection());
    let put = |name: &SecretName| {
        let found = Found { kept: Kept::Keys(parts.served()), generation: 1 };
        let load = move |_| std::future::ready(Ok::<_, Error>(found.clone())).boxed();
        let read = cache.read(name, Freshness::Cached, load).now_or_never();
        drop(read.expect("nothing waits").expect("it is there"));
    };
    let names: Vec<_> = (0..CACHED).map(name).collect();
    for name in &names {
        put(name);
    }
    let read =
        |name: &SecretName| cache.hit(name, parts.clock.uptime()).expect("it is there").into_document();
    criterion.bench_function("cache/one key", |b| b.iter(|| read(black_box(&names[0]))));
    let mut next = 0;
    criterion.bench_function("cache/100,000 keys", |b| {
        b.iter(|| {
            next = (next + 7_919) % names.len();
            read(&names[next])
        });
    });
}

fn serialisation(criterion: &mut Criterion, parts: &Parts) {
    criterion.bench_function("answer/written out", |b| b.iter(|| black_box(parts).served()));
}

fn read_log(criterion: &mut Criterion, parts: &Parts) {
    let log = ReadLog::new(Arc::clone(&parts.clock));
    let (permit, served) = (parts.permit(), parts.served());
    criterion.bench_function("read log/count", |b| {
        b.iter(|| log.count(black_box(&permit), &served, || true));
    });
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let parts = Parts::new();
    tokens(&mut criterion);
    permit(&mut criterion, &parts);
    cache(&mut criterion, &parts);
    serialisation(&mut criterion, &parts);
    read_log(&mut criterion, &parts);
    criterion.final_summary();
}

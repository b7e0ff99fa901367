use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::Timestamp;

use super::*;
use crate::domain::{
    clock::ManualClock,
    connection::Source,
    secret::{Credentials, Version},
};

mod order;

struct Fixture {
    cache: CredentialCache,
    sight: Sight,
    clock: Arc<ManualClock>,
    loads: Arc<AtomicUsize>,
}

fn fixture(ttl: u64, stale: u64) -> Fixture {
    fixture_with(ttl, stale, None)
}

/// One that is blind so many seconds after it last saw.
fn fixture_with(ttl: u64, stale: u64, bound: Option<u64>) -> Fixture {
    let clock = Arc::new(ManualClock::at(Timestamp::UNIX_EPOCH));
    let sight = Sight::new(bound.map(Duration::from_secs), clock.clone());
    let settings = CacheSettings {
        ttl: Duration::from_secs(ttl),
        stale_if_error: Duration::from_secs(stale),
        max_bytes: 1 << 20,
    };
    let cache = CredentialCache::new(settings, sight.clone(), clock.clone(), TaskTracker::new());
    Fixture { cache, sight, clock, loads: Arc::default() }
}

fn name() -> SecretName {
    SecretName::new("acme".parse().unwrap(), "vapi".parse().unwrap())
}

/// What the store holds under the generation `n`.
fn found(n: usize) -> Found {
    let kept = Kept::Keys(keys(&n.to_string(), &format!("{n:032}")));
    Found { kept, generation: i64::try_from(n).unwrap() }
}

/// Which generation that was.
fn shown(kept: &Kept) -> usize {
    match kept {
        Kept::Keys(served) => served.version().parse().unwrap(),
        Kept::Vault(_) => panic!("only keys were loaded here"),
    }
}

fn keys(key: &str, version: &str) -> Served {
    let credentials = Credentials::from_json(format!(r#"{{"apiKey":"{key}"}}"#).as_bytes()).unwrap();
    Served::new(&"vapi".parse().unwrap(), &credentials, &version.parse().unwrap(), Source::Managed)
}

/// A load of the generation 1 that finds these.
fn loading(
    served: Served,
) -> impl Fn(Freshness) -> BoxFuture<'static, Result<Found, Error>> + Send + 'static {
    let found = Found { kept: Kept::Keys(served), generation: 1 };
    move |_| ready(Ok(found.clone())).boxed()
}

impl Fixture {
    async fn read_as(&self, freshness: Freshness, fail: Option<Error>) -> Result<usize, Error> {
        let loads = Arc::clone(&self.loads);
        let load = move |_| {
            let (loads, fail) = (Arc::clone(&loads), fail.clone());
            async move {
                let n = loads.fetch_add(1, Ordering::SeqCst) + 1;
                tokio::task::yield_now().await;
                fail.map_or_else(|| Ok(found(n)), Err)
            }
            .boxed()
        };
        Ok(shown(&self.cache.read(&name(), freshness, load).await?))
    }

    async fn read(&self) -> usize {
        self.read_as(Freshness::Cached, None).await.unwrap()
    }

    async fn failing_read(&self, error: Error) -> Result<usize, Error> {
        self.read_as(Freshness::Cached, Some(error)).await
    }

    fn loads(&self) -> usize {
        self.loads.load(Ordering::SeqCst)
    }

    /// Until the refreshes under way have ended.
    async fn settle(&self) {
        self.cache.0.tasks.close();
        self.cache.0.tasks.wait().await;
        self.cache.0.tasks.reopen();
    }

    fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

#[tokio::test]
async fn a_value_is_served_from_memory_for_its_ttl() {
    let f = fixture(300, 900);
    assert_eq!((f.read().await, f.read().await), (1, 1));
    f.pass(299);
    assert_eq!(f.read().await, 1);
    f.pass(1);
    assert_eq!(f.read().await, 2);
}

#[tokio::test]
async fn readers_at_once_share_one_load() {
    let f = fixture(300, 900);
    let readers = (0..500).map(|_| f.read());
    assert!(futures_util::future::join_all(readers).await.iter().all(|n| *n == 1));
    assert_eq!(f.loads(), 1);
}

#[tokio::test]
async fn past_the_ttl_a_failing_store_is_bridged_and_left_alone_for_a_while() {
    let f = fixture(300, 900);
    f.read().await;
    f.pass(301);
    assert_eq!(f.failing_read(Error::unavailable("down")).await.unwrap(), 1);
    assert_eq!(f.loads(), 2);
    f.pass(4);
    assert_eq!(f.failing_read(Error::unavailable("down")).await.unwrap(), 1);
    assert_eq!(f.loads(), 2, "the store rests");
    f.pass(2);
    assert_eq!(f.read().await, 3);
}

#[tokio::test]
async fn a_stale_value_stands_in_for_no_refusal_and_not_for_ever() {
    let f = fixture(300, 900);
    f.read().await;
    f.pass(301);
    for refusal in [Error::NotFound, Error::StoreRefused(String::new()), Error::ScheduledForDeletion] {
        assert!(f.failing_read(refusal).await.is_err());
    }
    f.pass(900);
    assert!(f.failing_read(Error::unavailable("down")).await.is_err());
}

#[tokio::test]
async fn a_failure_is_not_kept() {
    let f = fixture(300, 900);
    assert!(f.failing_read(Error::NotFound).await.is_err());
    assert_eq!(f.read().await, 2);
}

#[tokio::test]
async fn no_cache_goes_past_what_is_there_and_renews_it() {
    let f = fixture(300, 900);
    f.read().await;
    assert_eq!(f.read_as(Freshness::Now, None).await.unwrap(), 2);
    assert_eq!(f.read().await, 2);
    assert!(f.read_as(Freshness::Now, Some(Error::unavailable("down"))).await.is_err());
}

#[tokio::test]
async fn a_ttl_of_zero_turns_the_cache_off() {
    let f = fixture(0, 900);
    assert_eq!((f.read().await, f.read().await), (1, 2));
}

#[tokio::test]
async fn a_load_that_everybody_left_does_not_block_the_next_reader() {
    let f = fixture(300, 900);
    let name = name();
    let stuck = f.cache.read(&name, Freshness::Cached, |_| std::future::pending().boxed());
    assert!(tokio::time::timeout(Duration::from_millis(5), stuck).await.is_err());
    assert!(f.cache.0.loads().is_empty());
    assert_eq!(f.read().await, 1);
}

#[tokio::test]
async fn the_bound_is_in_bytes() {
    let f = fixture(300, 900);
    let version = "v".repeat(32);
    for i in 0..50 {
        let name = SecretName::new("acme".parse().unwrap(), format!("c{i}").parse().unwrap());
        let large = keys(&"k".repeat(60_000), &version);
        f.cache.read(&name, Freshness::Cached, loading(large)).await.unwrap();
    }
    assert!(f.cache.0.entries.weight() <= 1 << 20);
    assert!((10..20).contains(&f.cache.0.entries.len()), "{}", f.cache.0.entries.len());
}

#[tokio::test]
async fn a_usual_connection_weighs_less_than_900_bytes() {
    let f = fixture(300, 900);
    let name = SecretName::new("org_000000000000".parse().unwrap(), "vapi".parse().unwrap());
    // `{"apiKey":"…"}` of 150 bytes.
    let served = keys(&"k".repeat(137), "01920000-0000-7000-8000-000000000001");
    f.cache.read(&name, Freshness::Cached, loading(served)).await.unwrap();
    let weight = f.cache.0.entries.weight();
    assert!((650..900).contains(&weight), "{weight}");
}

#[tokio::test]
async fn a_value_in_use_is_refreshed_by_one_reader_before_its_time_is_over() {
    let f = fixture(300, 900);
    f.read().await;
    f.pass(269);
    assert_eq!((f.read().await, f.loads()), (1, 1), "not yet due");
    f.pass(1);
    assert!(f.cache.hit(&name(), f.clock.uptime()).is_none(), "one reader has to go the long way");
    for _ in 0..10 {
        assert_eq!(f.read().await, 1, "the old value, without waiting");
    }
    assert!(f.cache.hit(&name(), f.clock.uptime()).is_some(), "the others need not");
    f.settle().await;
    assert_eq!((f.read().await, f.loads()), (2, 2));
    f.pass(269);
    assert_eq!((f.read().await, f.loads()), (2, 2), "its time began anew");
}

#[tokio::test]
async fn a_value_that_nobody_reads_is_not_refreshed() {
    let f = fixture(300, 900);
    f.read().await;
    f.pass(280);
    f.settle().await;
    assert_eq!(f.loads(), 1);
    f.pass(21);
    assert_eq!((f.read().await, f.loads()), (2, 2));
}

#[tokio::test]
async fn a_refresh_that_fails_leaves_the_value_for_its_time_and_is_tried_again() {
    let f = fixture(300, 900);
    f.read().await;
    f.pass(270);
    for (loads, pass) in [(2, 4), (2, 1), (3, 25)] {
        let refused = Error::StoreRefused(String::new());
        assert_eq!(f.failing_read(refused).await.unwrap(), 1);
        f.settle().await;
        assert_eq!(f.loads(), loads);
        f.pass(pass);
    }
    assert!(f.failing_read(Error::StoreRefused(String::new())).await.is_err(), "its time is over");
}

#[tokio::test]
async fn a_refresh_under_way_leaves_nothing_behind_after_a_write() {
    let f = fixture(300, 900);
    f.read().await;
    f.pass(270);
    assert_eq!(f.read().await, 1);
    f.cache.forget(&name());
    f.settle().await;
    assert_eq!(f.loads(), 2, "it was under way");
    assert_eq!((f.read().await, f.loads()), (3, 3), "and what it found is not kept");
}

#[tokio::test]
async fn what_is_past_its_time_is_wiped_though_nobody_asks() {
    let f = fixture(300, 900);
    f.read().await;
    let sweeper = Sweeper::new(f.cache.clone());
    f.pass(1_199);
    sweeper.run_once().await;
    assert_eq!(f.cache.0.entries.len(), 1);
    f.pass(1);
    sweeper.run_once().await;
    assert!(f.cache.0.entries.is_empty());
}

#[tokio::test]
async fn an_organization_is_forgotten_whole_and_alone() {
    let f = fixture(300, 900);
    let names = |org: &str| {
        let name = |n| SecretName::new(org.parse().unwrap(), format!("c{n}").parse().unwrap());
        (1..4).map(name).collect::<Vec<_>>()
    };
    for name in names("acme").iter().chain(&names("other")) {
        let load = loading(keys("1", &"v".repeat(32)));
        f.cache.read(name, Freshness::Cached, load).await.unwrap();
    }
    f.cache.forget_org(&"acme".parse().unwrap());
    assert!(names("acme").iter().all(|name| f.cache.hit(name, f.clock.uptime()).is_none()));
    assert!(names("other").iter().all(|name| f.cache.hit(name, f.clock.uptime()).is_some()));
}

use std::sync::atomic::AtomicUsize;

use jiff::Timestamp;

use super::*;
use crate::domain::clock::ManualClock;

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
    let cache = CredentialCache::new(settings, sight.clone(), clock.clone());
    Fixture { cache, sight, clock, loads: Arc::default() }
}

fn name() -> SecretName {
    SecretName::new("acme".parse().unwrap(), "vapi".parse().unwrap())
}

/// What the store holds under the generation `n`.
fn served(n: usize) -> Served {
    Served {
        generation: i64::try_from(n).unwrap(),
        provider: "vapi".parse().unwrap(),
        credentials: Credentials::from_json(format!(r#"{{"apiKey":"{n}"}}"#).as_bytes()).unwrap(),
        version: format!("{n:032}").parse().unwrap(),
        source: Source::Managed,
    }
}

impl Fixture {
    async fn read_as(&self, freshness: Freshness, fail: Option<Error>) -> Result<usize, Error> {
        let loads = Arc::clone(&self.loads);
        let load = move || {
            let (loads, fail) = (Arc::clone(&loads), fail.clone());
            async move {
                let n = loads.fetch_add(1, Ordering::SeqCst) + 1;
                tokio::task::yield_now().await;
                fail.map_or_else(|| Ok(Arc::new(served(n))), Err)
            }
            .boxed()
        };
        let served = self.cache.read(&name(), freshness, load).await?;
        Ok(served.version.as_str().parse().unwrap())
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
    let stuck = f.cache.read(&name, Freshness::Cached, || std::future::pending().boxed());
    assert!(tokio::time::timeout(Duration::from_millis(5), stuck).await.is_err());
    assert!(f.cache.0.loads().is_empty());
    assert_eq!(f.read().await, 1);
}

#[tokio::test]
async fn the_bound_is_in_bytes() {
    let f = fixture(300, 900);
    let large = || {
        let text = format!(r#"{{"apiKey":"{}"}}"#, "k".repeat(60_000));
        let credentials = Credentials::from_json(text.as_bytes()).unwrap();
        Ok(Arc::new(Served { credentials, ..served(1) }))
    };
    for i in 0..50 {
        let name = SecretName::new("acme".parse().unwrap(), format!("c{i}").parse().unwrap());
        f.cache.read(&name, Freshness::Cached, move || async move { large() }.boxed()).await.unwrap();
    }
    f.cache.sweep();
    assert!(f.cache.0.entries.weighted_size() <= 1 << 20);
    assert!(f.cache.0.entries.entry_count() < 20);
}

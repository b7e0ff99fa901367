use std::sync::atomic::AtomicUsize;

use jiff::Timestamp;
use tokio::sync::oneshot;

use super::*;
use crate::domain::clock::ManualClock;

struct Fixture {
    cache: CredentialCache,
    clock: Arc<ManualClock>,
    loads: Arc<AtomicUsize>,
}

fn fixture(ttl: u64, stale: u64) -> Fixture {
    let clock = Arc::new(ManualClock::at(Timestamp::UNIX_EPOCH));
    let settings = CacheSettings {
        ttl: Duration::from_secs(ttl),
        stale_if_error: Duration::from_secs(stale),
        max_bytes: 1 << 20,
    };
    let cache = CredentialCache::new(settings, clock.clone());
    Fixture { cache, clock, loads: Arc::default() }
}

fn name() -> SecretName {
    SecretName::new("acme".parse().unwrap(), "vapi".parse().unwrap())
}

fn served(n: usize) -> Kept {
    Kept::Keys(Arc::new(keys(n)))
}

fn keys(n: usize) -> Served {
    Served {
        provider: "vapi".parse().unwrap(),
        credentials: Credentials::from_json(format!(r#"{{"apiKey":"{n}"}}"#).as_bytes()).unwrap(),
        version: format!("{n:032}").parse().unwrap(),
        source: Source::Managed,
    }
}

fn version(kept: &Kept) -> &Version {
    match kept {
        Kept::Keys(served) => &served.version,
        Kept::Vault(_) => panic!("only keys were loaded here"),
    }
}

impl Fixture {
    async fn read_as(&self, freshness: Freshness, fail: Option<Error>) -> Result<usize, Error> {
        let loads = Arc::clone(&self.loads);
        let load = move || {
            async move {
                let n = loads.fetch_add(1, Ordering::SeqCst) + 1;
                tokio::task::yield_now().await;
                fail.map_or_else(|| Ok(served(n)), Err)
            }
            .boxed()
        };
        let served = self.cache.read(&name(), freshness, load).await?;
        Ok(version(&served).as_str().parse().unwrap())
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
async fn what_was_loaded_before_a_write_is_not_seen_after_it() {
    let f = fixture(300, 900);
    let (go, wait) = oneshot::channel::<()>();
    let slow = {
        let cache = f.cache.clone();
        let load = || async { wait.await.map_or_else(|_| Err(Error::NotFound), |()| Ok(served(99))) }.boxed();
        async move { cache.read(&name(), Freshness::Cached, load).await.unwrap() }
    };
    let meanwhile = async {
        tokio::task::yield_now().await;
        f.cache.forget(&name());
        assert_eq!(f.read().await, 1, "a new load, not the one under way");
        go.send(()).unwrap();
    };
    let (slow, ()) = tokio::join!(slow, meanwhile);
    assert_eq!(version(&slow).as_str(), format!("{:032}", 99), "its own reader began before the write");
    assert_eq!(f.read().await, 1, "and leaves nothing behind");
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
        Ok(Kept::Keys(Arc::new(Served { credentials, ..keys(1) })))
    };
    for i in 0..50 {
        let name = SecretName::new("acme".parse().unwrap(), format!("c{i}").parse().unwrap());
        f.cache.read(&name, Freshness::Cached, || async move { large() }.boxed()).await.unwrap();
    }
    f.cache.sweep();
    assert!(f.cache.0.entries.weighted_size() <= 1 << 20);
    assert!(f.cache.0.entries.entry_count() < 20);
}

#[tokio::test]
async fn an_organization_is_forgotten_whole_and_alone() {
    let f = fixture(300, 900);
    let of = |org: &str, n: usize| {
        let name = SecretName::new(org.parse().unwrap(), format!("c{n}").parse().unwrap());
        let cache = f.cache.clone();
        async move { cache.read(&name, Freshness::Cached, || async move { Ok(served(n)) }.boxed()).await.unwrap() }
    };
    for n in 1..4 {
        of("acme", n).await;
        of("other", n).await;
    }
    f.cache.forget_org(&"acme".parse().unwrap());
    f.cache.sweep();
    let left: Vec<_> = f.cache.0.entries.iter().map(|(name, _)| name.org().to_string()).collect();
    assert_eq!(left, ["other"; 3]);
}

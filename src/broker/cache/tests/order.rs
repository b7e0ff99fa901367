//! No reader is shown an older value after a newer one, nor anything that is no longer known to be current.

use tokio::sync::Semaphore;

use super::*;

/// A load whose tries wait to be let go, and find these generations in turn.
struct Slow {
    finds: Vec<usize>,
    tries: AtomicUsize,
    go: Semaphore,
}

impl Slow {
    fn finds(finds: &[usize]) -> Arc<Self> {
        Arc::new(Self { finds: finds.to_vec(), tries: AtomicUsize::new(0), go: Semaphore::new(0) })
    }

    fn go(&self) {
        self.go.add_permits(1);
    }

    fn tries(&self) -> usize {
        self.tries.load(Ordering::SeqCst)
    }
}

impl Fixture {
    fn read_slow(
        &self,
        slow: &Arc<Slow>,
        freshness: Freshness,
    ) -> impl Future<Output = Result<usize, Error>> + use<> {
        let (cache, slow) = (self.cache.clone(), Arc::clone(slow));
        let load = move |_| {
            let slow = Arc::clone(&slow);
            async move {
                let finds = slow.finds[slow.tries.fetch_add(1, Ordering::SeqCst)];
                slow.go.acquire().await.unwrap().forget();
                Ok(found(finds))
            }
            .boxed()
        };
        async move { cache.read(&name(), freshness, load).await.map(|kept| shown(&kept)) }
    }

    async fn finds(&self, generation: usize, freshness: Freshness) -> usize {
        let slow = Slow::finds(&[generation]);
        slow.go();
        self.read_slow(&slow, freshness).await.unwrap()
    }

    fn remembers(&self) -> Option<usize> {
        self.cache.hit(&name(), self.clock.uptime()).map(|served| shown(&Kept::Keys(served)))
    }

    fn told(&self, generation: i64) {
        self.cache.told(&name(), generation);
    }
}

/// Which generation is in memory, if the database confirms that it is this one.
fn confirmed(f: &Fixture, generation: i64) -> Option<usize> {
    f.cache.confirmed(&name(), generation, None).map(|found| shown(&found.kept))
}

/// Runs a read until it waits for its load.
macro_rules! begun {
    ($read:expr) => {{
        let mut read = Box::pin($read);
        assert!((&mut read).now_or_never().is_none(), "it waits");
        read
    }};
}

#[tokio::test]
async fn a_load_from_before_a_change_is_done_again() {
    let f = fixture(300, 900);
    let slow = Slow::finds(&[1, 2]);
    let reader = begun!(f.read_slow(&slow, Freshness::Cached));
    f.told(2);
    let joined = begun!(f.read_slow(&slow, Freshness::Cached));
    slow.go();
    slow.go();
    assert_eq!((reader.await.unwrap(), joined.await.unwrap(), slow.tries()), (2, 2, 2));
    assert_eq!(f.remembers(), Some(2));
    assert!(f.cache.0.loads().is_empty(), "nothing is noted that matters to nobody");
}

#[tokio::test]
async fn a_change_drops_what_is_older_and_nothing_else() {
    let f = fixture(300, 900);
    assert_eq!(f.finds(3, Freshness::Cached).await, 3);
    f.told(2);
    f.told(3);
    assert_eq!(f.remembers(), Some(3), "told late, and told what is known");
    f.told(4);
    assert_eq!(f.remembers(), None);
    assert!(f.cache.0.loads().is_empty());
}

#[tokio::test]
async fn of_two_loads_the_older_find_is_shown_to_nobody_after_the_newer() {
    let f = fixture(300, 900);
    let slow = Slow::finds(&[1, 2]);
    let reader = begun!(f.read_slow(&slow, Freshness::Cached));
    assert_eq!(f.finds(2, Freshness::Now).await, 2);
    slow.go();
    slow.go();
    assert_eq!(reader.await.unwrap(), 2);
    assert_eq!((f.remembers(), slow.tries()), (Some(2), 2));
}

/// The load that began last asked the database first.
#[tokio::test]
async fn nor_if_it_began_later() {
    let f = fixture(300, 900);
    let (first, second) = (Slow::finds(&[2]), Slow::finds(&[1, 2]));
    let early = begun!(f.read_slow(&first, Freshness::Now));
    let late = begun!(f.read_slow(&second, Freshness::Now));
    first.go();
    assert_eq!(early.await.unwrap(), 2);
    let joined = begun!(f.read_slow(&second, Freshness::Cached));
    second.go();
    second.go();
    assert_eq!((late.await.unwrap(), joined.await.unwrap()), (2, 2));
    assert_eq!(f.remembers(), Some(2));
}

#[tokio::test]
async fn what_was_loaded_before_a_write_is_not_kept_after_it() {
    let f = fixture(300, 900);
    let slow = Slow::finds(&[1]);
    let reader = begun!(f.read_slow(&slow, Freshness::Cached));
    f.cache.forget(&name());
    slow.go();
    assert_eq!(reader.await.unwrap(), 1, "its own reader began before the write");
    assert_eq!(f.remembers(), None, "and leaves nothing behind");

    let slow = Slow::finds(&[1]);
    let detached = begun!(f.read_slow(&slow, Freshness::Cached));
    f.cache.forget_all();
    assert_eq!(f.finds(2, Freshness::Cached).await, 2, "a new load, not the one under way");
    drop(detached);
    assert_eq!(f.remembers(), Some(2));
    f.cache.forget_all();
    assert_eq!(f.remembers(), None);
}

/// A detached load is not kept, but what it showed puts an end to what is older.
#[tokio::test]
async fn a_newer_find_that_is_not_kept_drops_an_older_value() {
    let f = fixture(300, 900);
    let slow = Slow::finds(&[2]);
    let detached = begun!(f.read_slow(&slow, Freshness::Cached));
    f.cache.forget(&name());
    assert_eq!(f.finds(1, Freshness::Cached).await, 1);
    slow.go();
    assert_eq!(detached.await.unwrap(), 2);
    assert_eq!(f.remembers(), None);
}

#[tokio::test]
async fn a_stale_value_does_not_stand_in_after_a_newer_one_was_heard_of() {
    let f = fixture(300, 900);
    f.read().await;
    f.pass(301);
    let cache = f.cache.clone();
    let down = move |_| {
        cache.told(&name(), 2);
        async { Err(Error::unavailable("down")) }.boxed()
    };
    assert!(f.cache.read(&name(), Freshness::Cached, down).await.is_err());
}

#[tokio::test]
async fn a_database_that_insists_on_an_older_version_is_believed_in_the_end() {
    let f = fixture(300, 900);
    assert_eq!(f.finds(5, Freshness::Cached).await, 5);
    let restored = Slow::finds(&[1; TRIES]);
    restored.go.add_permits(TRIES);
    let error = f.read_slow(&restored, Freshness::Now).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { store: false, .. }), "{error:?}");
    assert_eq!(f.finds(1, Freshness::Cached).await, 1);
}

#[tokio::test]
async fn a_blind_replica_serves_nothing_that_is_not_confirmed() {
    let f = fixture_with(300, 900, Some(5));
    f.sight.saw(Duration::ZERO);
    assert_eq!(f.read().await, 1);
    f.pass(4);
    assert_eq!(f.remembers(), Some(1));
    f.pass(1);
    assert_eq!(f.remembers(), None);
    let down = Error::Unavailable { reason: String::new(), retry_after: Duration::ZERO, store: false };
    assert!(f.failing_read(down).await.is_err());
    // The database says that it is current, so it need not be loaded.
    assert_eq!((confirmed(&f, 1), confirmed(&f, 2)), (Some(1), None));
    f.sight.saw(f.clock.uptime());
    assert_eq!(f.remembers(), Some(1), "it sees again");
    f.pass(300);
    assert_eq!(confirmed(&f, 1), None, "past its time");
}

#[tokio::test]
async fn a_confirmed_value_is_no_younger_than_it_was() {
    let f = fixture_with(300, 900, Some(5));
    f.sight.saw(Duration::ZERO);
    f.read().await;
    f.pass(200);
    let cache = f.cache.clone();
    let confirm = move |_| {
        let confirmed = cache.confirmed(&name(), 1, None).ok_or(Error::NotFound);
        async { confirmed }.boxed()
    };
    assert_eq!(shown(&f.cache.read(&name(), Freshness::Cached, confirm).await.unwrap()), 1);
    f.pass(100);
    assert_eq!(confirmed(&f, 1), None);
}

#[tokio::test]
async fn a_blind_reader_does_not_join_a_load_that_asked_too_long_ago() {
    let f = fixture_with(300, 900, Some(5));
    let old = Slow::finds(&[1]);
    let first = begun!(f.read_slow(&old, Freshness::Cached));
    f.pass(4);
    let second = begun!(f.read_slow(&old, Freshness::Cached));
    f.pass(1);
    let third = f.finds(2, Freshness::Cached).await;
    assert_eq!((third, old.tries()), (2, 1));
    drop((first, second));
}

/// There is no fallback: keys of the store don't stand in for a vault that can't be asked.
#[tokio::test]
async fn what_was_kept_of_another_place_does_not_stand_in() {
    let f = fixture_with(300, 900, Some(5));
    f.sight.saw(Duration::ZERO);
    f.read().await;
    f.pass(6);
    let vault: Version = "1".repeat(32).parse().unwrap();
    let cache = f.cache.clone();
    let moved = move |_| {
        cache.placed(&name(), Some(&vault));
        async { Err(Error::unavailable("the store does not tell how the vault is asked")) }.boxed()
    };
    assert!(f.cache.read(&name(), Freshness::Cached, moved).await.is_err());
    assert!(f.cache.0.entries.is_empty());
}

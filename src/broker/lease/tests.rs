use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

use jiff::Timestamp;
use tokio::time::timeout;

use super::*;
use crate::{domain::clock::SystemClock, port::index::IndexError};

/// The leases of several replicas, each with its own way to them.
#[derive(Default)]
struct Table {
    holder: Mutex<Option<(usize, Timestamp)>>,
    /// The replica that can't reach it.
    cut: Mutex<Option<usize>>,
}

struct Way {
    table: Arc<Table>,
    replica: usize,
}

#[async_trait]
impl Leases for Way {
    async fn take_lease(&self, _: &str, now: Timestamp, until: Timestamp) -> Result<bool, IndexError> {
        if *self.table.cut.lock().unwrap() == Some(self.replica) {
            return Err(IndexError::Unavailable("cut".into()));
        }
        let mut holder = self.table.holder.lock().unwrap();
        let free = holder.is_none_or(|(holder, end)| holder == self.replica || end <= now);
        if free {
            *holder = Some((self.replica, until));
        }
        Ok(free)
    }

    async fn end_lease(&self, _: &str) -> Result<(), IndexError> {
        self.table.holder.lock().unwrap().take_if(|(holder, _)| *holder == self.replica);
        Ok(())
    }
}

/// Work that notes who does it, and that nobody else does meanwhile.
struct Work {
    replica: usize,
    at_it: Arc<AtomicUsize>,
    rounds: Arc<[AtomicUsize; 2]>,
}

/// Leaves, however the work ends.
struct AtIt<'a>(&'a AtomicUsize);

impl Drop for AtIt<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl Chore for Work {
    fn name(&self) -> &'static str {
        "work"
    }

    async fn run_once(&self) -> Result<Duration, Error> {
        assert_eq!(self.at_it.fetch_add(1, Ordering::SeqCst), 0, "two are at it");
        let _at_it = AtIt(&self.at_it);
        sleep(Duration::from_millis(5)).await;
        self.rounds[self.replica].fetch_add(1, Ordering::SeqCst);
        Ok(Duration::from_millis(5))
    }
}

struct Fixture {
    table: Arc<Table>,
    at_it: Arc<AtomicUsize>,
    rounds: Arc<[AtomicUsize; 2]>,
}

impl Fixture {
    fn new() -> Self {
        Self { table: Arc::default(), at_it: Arc::default(), rounds: Arc::default() }
    }

    /// What one replica does. Dropped, it is as if it had died.
    fn replica(&self, replica: usize, stop: CancellationToken) -> impl Future<Output = ()> {
        let times = Times {
            lasts: Duration::from_millis(500),
            renew: Duration::from_millis(50),
            look: Duration::from_millis(20),
        };
        let leases = Arc::new(Way { table: Arc::clone(&self.table), replica });
        let lease = Lease { leases, clock: Arc::new(SystemClock::default()), times };
        let (at_it, rounds) = (Arc::clone(&self.at_it), Arc::clone(&self.rounds));
        lease.run(Work { replica, at_it, rounds }, stop)
    }

    /// Waits until a replica did so many more rounds.
    async fn works(&self, replica: usize, more: usize) {
        let rounds = || self.rounds[replica].load(Ordering::SeqCst);
        let enough = rounds() + more;
        let worked = async {
            while rounds() < enough {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_mins(1), worked).await.expect("it works");
    }

    fn holder(&self) -> Option<usize> {
        self.table.holder.lock().unwrap().map(|(holder, _)| holder)
    }
}

#[tokio::test]
async fn one_works_and_another_takes_over_when_it_dies() {
    let f = Fixture::new();
    let dies = async {
        tokio::select! {
            () = f.replica(0, CancellationToken::new()) => {}
            () = f.works(0, 3) => {}
        }
    };
    dies.await;
    assert_eq!(f.holder(), Some(0), "it could not give it up");
    let stop = CancellationToken::new();
    let outlives = async {
        f.works(1, 3).await;
        assert_eq!(f.holder(), Some(1));
        stop.cancel();
    };
    tokio::join!(f.replica(1, stop.clone()), outlives);
    assert_eq!(f.holder(), None, "who is told to stop gives it up at once");
}

#[tokio::test]
async fn who_cannot_renew_it_stops_before_another_begins() {
    let f = Fixture::new();
    let (stop, both) = (CancellationToken::new(), CancellationToken::new());
    let course = async {
        // It works for longer than a lease lasts, and the other one never does.
        f.works(0, 1).await;
        sleep(Duration::from_millis(700)).await;
        f.works(0, 1).await;
        assert_eq!(f.rounds[1].load(Ordering::SeqCst), 0);
        *f.table.cut.lock().unwrap() = Some(0);
        f.works(1, 3).await;
        let before = f.rounds[0].load(Ordering::SeqCst);
        *f.table.cut.lock().unwrap() = None;
        f.works(1, 3).await;
        assert_eq!(f.rounds[0].load(Ordering::SeqCst), before, "it does not come back by itself");
        stop.cancel();
        f.works(0, 1).await;
        both.cancel();
    };
    let second = async {
        // Later, so that it is the second.
        f.works(0, 1).await;
        f.replica(1, stop.clone()).await;
    };
    tokio::join!(f.replica(0, both.clone()), second, course);
}

#[tokio::test]
async fn a_chore_that_fails_is_done_again() {
    struct Failing(AtomicUsize, CancellationToken);
    #[async_trait]
    impl Chore for Failing {
        fn name(&self) -> &'static str {
            "failing"
        }

        async fn run_once(&self) -> Result<Duration, Error> {
            if self.0.fetch_add(1, Ordering::SeqCst) > 0 {
                self.1.cancel();
            }
            Err(Error::NotFound)
        }

        /// Or the test would wait as long as the chore does.
        async fn woken(&self) {
            tokio::task::yield_now().await;
        }
    }
    let stop = CancellationToken::new();
    let way = Way { table: Arc::default(), replica: 0 };
    let lease = Lease::new(Arc::new(way), Arc::new(SystemClock::default()));
    timeout(Duration::from_mins(1), lease.run(Failing(AtomicUsize::new(0), stop.clone()), stop))
        .await
        .expect("it is done twice");
}

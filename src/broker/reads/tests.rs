use std::{
    collections::{BTreeMap, HashMap},
    sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering},
};

use jiff::Timestamp;

use super::*;
use crate::{
    domain::{
        access::{Actor, ActorType, Caller, Reach},
        clock::ManualClock,
        connection::Source,
        event::{
            chain::{ChainHash, Link},
            reads::minute,
        },
        secret::Credentials,
    },
    port::{
        audit::{Ends, OpenLine, Reads},
        index::{IndexError, Page},
    },
};

#[derive(Default)]
struct Told {
    /// The number of the last batch.
    batch: i64,
    /// By minute and version.
    counts: BTreeMap<(i64, String), i64>,
    /// What lines are, by shard and number.
    lines: HashMap<(usize, i64), (i64, String)>,
    /// How many lines were told by their numbers.
    again: usize,
}

/// Keeps counts as the log would.
#[derive(Default)]
struct Log {
    told: Mutex<Told>,
    down: AtomicBool,
    /// Takes what it is told, and then says that it failed.
    unsure: AtomicBool,
    /// Does not answer any more after so many batches, if not 0.
    answers: AtomicUsize,
    /// The first minute of which it knows lines.
    known_from: AtomicI64,
}

impl Log {
    /// The counts by version, earlier minutes first.
    fn counts(&self) -> Vec<(String, i64)> {
        let told = self.told.lock().unwrap();
        told.counts.iter().map(|((_, version), count)| (version[..1].to_owned(), *count)).collect()
    }
}

#[async_trait::async_trait]
impl AuditIndex for Log {
    async fn record_reads(&self, number: i64, reads: &[Reads<'_>], _: Timestamp) -> Result<i64, IndexError> {
        let down = || IndexError::Unavailable("down".into());
        if self.down.load(Ordering::SeqCst) {
            return Err(down());
        }
        match self.answers.load(Ordering::SeqCst) {
            0 => {}
            1 => std::future::pending().await,
            more => self.answers.store(more - 1, Ordering::SeqCst),
        }
        let mut told = self.told.lock().unwrap();
        if number > told.batch {
            told.batch = number;
            for line in reads {
                let (number, what) =
                    ((shard(line.org), line.line), (minute(line.at), line.version.to_owned()));
                *told.counts.entry(what.clone()).or_default() += line.count;
                told.again += usize::from(line.told);
                match told.lines.insert(number, what.clone()) {
                    Some(before) => assert_eq!((line.told, before), (true, what)),
                    None => assert!(!line.told, "{what:?} is not known"),
                }
            }
        }
        if self.unsure.load(Ordering::SeqCst) {
            Err(down())
        } else {
            Ok(self.known_from.load(Ordering::SeqCst))
        }
    }

    async fn seal_reads(&self, _: i64) -> Result<(), IndexError> {
        unreachable!()
    }
    async fn forget_writers(&self, _: Timestamp) -> Result<(), IndexError> {
        unreachable!()
    }
    async fn seal(&self, _: Timestamp, _: &OpenLine, _: u16) -> Result<Option<OpenLine>, IndexError> {
        unreachable!()
    }
    async fn next_org(&self, _: &str) -> Result<Option<String>, IndexError> {
        unreachable!()
    }
    async fn find_ends(&self, _: &str) -> Result<Option<Ends>, IndexError> {
        unreachable!()
    }
    async fn links_after(&self, _: &str, _: i64, _: u16) -> Result<Vec<Link>, IndexError> {
        unreachable!()
    }
    async fn link_up_to(&self, _: &str, _: i64) -> Result<Option<Link>, IndexError> {
        unreachable!()
    }
    async fn count_open(&self, _: &str) -> Result<i64, IndexError> {
        unreachable!()
    }
    async fn orgs_to_prune(&self, _: &str, _: Timestamp, _: u16) -> Result<Page<String, String>, IndexError> {
        unreachable!()
    }
    async fn prune(&self, _: &str, _: &Ends, _: i64, _: ChainHash) -> Result<bool, IndexError> {
        unreachable!()
    }
}

struct Rig {
    clock: Arc<ManualClock>,
    lines: Arc<Log>,
    log: ReadLog,
    recorder: tokio::sync::Mutex<ReadRecorder>,
    permit: Permit<Read>,
}

fn permit(org: &str) -> Permit<Read> {
    let actor = Actor { r#type: ActorType::Token, id: "t".into(), name: None };
    let caller = Caller::new(actor, Reach::everything());
    caller.permit(org.parse().unwrap(), "vapi".parse().unwrap()).unwrap()
}

/// A version of keys.
fn served(version: &str) -> Served {
    let (provider, version) = ("vapi".parse().unwrap(), version.parse().unwrap());
    Served::new(&provider, &Credentials::none(), &version, Source::Managed)
}

impl Rig {
    fn with_room(most: usize) -> Self {
        let clock = Arc::new(ManualClock::at("2026-11-22T10:00:30Z".parse().unwrap()));
        let log = ReadLog::with(most, Duration::from_millis(300), clock.clone());
        let lines = Arc::new(Log::default());
        let permit = permit("acme");
        let recorder = ReadRecorder::new(log.clone(), lines.clone()).into();
        Self { clock, lines, log, recorder, permit }
    }

    async fn write(&self) -> Result<(), Error> {
        self.recorder.lock().await.run_once().await
    }

    async fn read(&self, version: &str, times: usize) -> Result<(), Error> {
        let served = served(&version.repeat(32));
        for _ in 0..times {
            self.log.record(&self.permit, &served).await?;
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_line_counts_one_version_within_one_minute() {
    let rig = Rig::with_room(10);
    rig.read("a", 3).await.unwrap();
    rig.write().await.unwrap();
    rig.clock.advance(Duration::from_millis(500));
    rig.read("a", 2).await.unwrap();
    rig.clock.advance(Duration::from_millis(500));
    rig.read("b", 1).await.unwrap();
    rig.write().await.unwrap();
    rig.clock.advance(Duration::from_secs(30));
    rig.read("a", 4).await.unwrap();
    rig.write().await.unwrap();
    let expected = [("a", 5), ("b", 1), ("a", 4)].map(|(version, count)| (version.to_owned(), count));
    assert_eq!(rig.lines.counts(), expected);
}

#[tokio::test]
async fn lines_are_told_once_while_the_log_knows_them() {
    let rig = Rig::with_room(10);
    let again = || rig.lines.told.lock().unwrap().again;
    for expected in [0, 2, 4] {
        rig.read("a", 1).await.unwrap();
        rig.read("b", 2).await.unwrap();
        rig.write().await.unwrap();
        assert_eq!(again(), expected);
    }
    rig.lines.known_from.store(i64::MAX, Ordering::SeqCst);
    for _ in 0..2 {
        rig.read("a", 1).await.unwrap();
        rig.write().await.unwrap();
        assert_eq!(again(), 5, "it was told that it is known no longer, and told it in full the next time");
    }
    rig.lines.known_from.store(0, Ordering::SeqCst);
    rig.clock.advance(Duration::from_secs(30));
    rig.read("a", 1).await.unwrap();
    rig.write().await.unwrap();
    assert_eq!(again(), 5, "it is of another minute");
    assert_eq!(rig.lines.counts(), [("a", 5), ("b", 6), ("a", 1)].map(|(v, n)| (v.to_owned(), n)));
}

#[tokio::test]
async fn nothing_is_lost_or_counted_twice_by_a_failing_database() {
    let rig = Rig::with_room(10);
    rig.lines.down.store(true, Ordering::SeqCst);
    rig.read("a", 2).await.unwrap();
    rig.write().await.unwrap_err();
    rig.lines.down.store(false, Ordering::SeqCst);
    rig.lines.unsure.store(true, Ordering::SeqCst);
    rig.read("a", 1).await.unwrap();
    rig.write().await.unwrap_err();
    rig.read("a", 4).await.unwrap();
    rig.write().await.unwrap_err();
    // Told the same once more, whatever came since.
    assert_eq!(rig.lines.counts(), [("a".to_owned(), 2)]);
    rig.lines.unsure.store(false, Ordering::SeqCst);
    rig.write().await.unwrap();
    assert_eq!(rig.lines.counts(), [("a".to_owned(), 7)]);
    rig.write().await.unwrap();
    assert_eq!(rig.lines.counts(), [("a".to_owned(), 7)]);
}

#[tokio::test]
async fn without_room_readers_wait_and_are_refused() {
    let rig = Rig::with_room(2);
    rig.lines.down.store(true, Ordering::SeqCst);
    rig.read("a", 1).await.unwrap();
    rig.read("b", 1).await.unwrap();
    let refused = rig.read("c", 1).await.unwrap_err();
    assert!(matches!(refused, Error::Unavailable { store: false, .. }), "{refused}");
    rig.read("a", 1).await.unwrap();
    rig.write().await.unwrap_err();
    rig.read("c", 1).await.unwrap_err();

    rig.lines.down.store(false, Ordering::SeqCst);
    let written = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        rig.write().await.unwrap();
    };
    let (waited, ()) = tokio::join!(rig.read("c", 1), written);
    waited.unwrap();
    rig.write().await.unwrap();
    let counts: HashMap<_, _> = rig.lines.counts().into_iter().collect();
    assert_eq!(counts, HashMap::from([("a".into(), 2), ("b".into(), 1), ("c".into(), 1)]));
}

#[tokio::test]
async fn the_end_waits_until_all_is_written() {
    let Rig { lines, log, recorder, permit, .. } = Rig::with_room(10);
    log.record(&permit, &served(&"a".repeat(32))).await.unwrap();
    lines.down.store(true, Ordering::SeqCst);
    let stop = CancellationToken::new();
    stop.cancel();
    let mended = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        lines.down.store(false, Ordering::SeqCst);
    };
    tokio::join!(recorder.into_inner().run(stop), mended);
    assert_eq!(lines.counts(), [("a".to_owned(), 1)]);
}

#[tokio::test]
async fn room_is_made_after_each_batch() {
    let rig = Rig::with_room(2 * BATCH);
    let other = permit("globex");
    assert_ne!(shard("acme"), shard("globex"));
    for n in 0..BATCH {
        let served = served(&format!("{n:032}"));
        rig.log.record(&rig.permit, &served).await.unwrap();
        rig.log.record(&other, &served).await.unwrap();
    }
    rig.read("a", 1).await.unwrap_err();
    rig.lines.answers.store(2, Ordering::SeqCst);
    let stuck = timeout(Duration::from_millis(100), rig.write());
    let (stuck, counted) = tokio::join!(stuck, rig.read("a", 1));
    assert!(stuck.is_err(), "the second batch is under way");
    counted.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_at_once_are_counted_exactly() {
    let Rig { lines, log, recorder, permit, .. } = Rig::with_room(1_000);
    let mut recorder = recorder.into_inner();
    let versions: Vec<_> = (0..200).map(|n| served(&format!("{n:032}"))).collect();
    let readers = (0..8).map(|_| {
        let (log, permit, versions) = (log.clone(), permit.clone(), versions.clone());
        tokio::task::spawn_blocking(move || {
            versions.iter().cycle().take(5_000).filter(|version| log.count(&permit, version, || true)).count()
        })
    });
    let readers = futures_util::future::join_all(readers);
    tokio::pin!(readers);
    let counted = loop {
        tokio::select! {
            counted = &mut readers => break counted,
            written = recorder.run_once() => written.unwrap(),
        }
    };
    assert_eq!(counted.into_iter().map(Result::unwrap).sum::<usize>(), 8 * 5_000);
    recorder.run_once().await.unwrap();
    let counts: Vec<_> = lines.counts().into_iter().map(|(_, count)| count).collect();
    assert_eq!((counts.len(), counts.iter().sum()), (200, 8 * 5_000));
}

#[tokio::test]
async fn what_is_not_admitted_is_not_counted() {
    let rig = Rig::with_room(1);
    let version = served(&"a".repeat(32));
    assert!(!rig.log.count(&rig.permit, &version, || false));
    rig.write().await.unwrap();
    assert_eq!(rig.lines.counts(), []);
    assert!(rig.log.count(&rig.permit, &version, || true));
    let other = served(&"b".repeat(32));
    assert!(!rig.log.count(&rig.permit, &other, || unreachable!("there is no room")));
    rig.write().await.unwrap();
    assert_eq!(rig.lines.counts(), [("a".to_owned(), 1)]);
}

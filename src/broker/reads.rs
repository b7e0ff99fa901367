//! Reads of keys, on their way into the audit log.
//!
//! A read is counted in memory before its keys are given out, which takes no query. Twice a second the
//! counts are written: one line for what one token read of one connection's version within a minute. While
//! the database fails the counts stay here; once there is no room for more of them, readers wait, and are
//! refused rather than not logged. Writing says what a line's count is, not what to add, so a write whose
//! outcome is unknown is simply done again.
//!
//! A line is so written twice a second while it grows. Where more than a thousand do, that would keep the
//! database busy with counts that are out of date at once: they then take turns, and are brought up to date
//! when their minute is over at the latest. Lines of which the log does not tell at all never wait.
//!
//! The lines are in parts, each under a lock of its own, by what they count. Counting takes one look-up
//! under one of these, and so readers of different keys seldom wait for each other.

mod lines;
mod room;

use std::{
    collections::HashMap,
    hash::BuildHasher,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hashbrown::DefaultHashBuilder;
use metrics::{Counter, Gauge, counter, gauge};
use tokio::{sync::Notify, time::timeout};
use tokio_util::sync::CancellationToken;

use self::{
    lines::{Counted, Lines, OneRead, minute},
    room::Room,
};
use super::error::Error;
use crate::{
    domain::{
        access::{Permit, Read},
        clock::{Clock, Random, time_ordered_id},
        event::whole_millis,
        secret::Version,
    },
    port::audit::{AuditIndex, Closed},
};

/// How often counts are written.
const EVERY: Duration = Duration::from_millis(500);

/// The most lines that are held at a time: some tens of megabytes.
const MOST: usize = 262_144;

/// How many lines that grew are written at a time, beside those that are new or whose minute is over.
const TURNS: usize = 1_024;

/// In how many parts.
const PARTS: usize = 64;

/// How many lines are written at once.
const BATCH: usize = 2_000;

/// How long a reader waits for room.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where reads are counted. Clones share it.
#[derive(Clone)]
pub struct ReadLog(Arc<Inner>);

struct Inner {
    /// Every reader takes one of these locks: what is done under it must be short.
    parts: [Mutex<Lines>; PARTS],
    hasher: DefaultHashBuilder,
    room: Room,
    patience: Duration,
    /// Told when lines were written.
    made_room: Notify,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

impl ReadLog {
    /// An empty one.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        Self::with(MOST, PATIENCE, clock, random)
    }

    fn with(most: usize, patience: Duration, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        Self(Arc::new(Inner {
            parts: [(); PARTS].map(|()| Mutex::default()),
            hasher: DefaultHashBuilder::default(),
            room: Room::for_lines(most),
            patience,
            made_room: Notify::new(),
            clock,
            random,
        }))
    }

    /// Counts a read. To be called before the keys are given out.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if there was no room for it in time, because the database fails.
    pub async fn record(&self, permit: &Permit<Read>, version: &Version) -> Result<(), Error> {
        let read = self.0.one_read(permit, version);
        if self.0.count(&read, || true) {
            return Ok(());
        }
        let counted = async {
            loop {
                let made_room = self.0.made_room.notified();
                if self.0.count(&read, || true) {
                    return;
                }
                made_room.await;
            }
        };
        timeout(self.0.patience, counted).await.map_err(|_| Error::Unavailable {
            reason: "reads can't be logged: the database does not take them".into(),
            retry_after: PATIENCE,
            store: false,
        })
    }

    /// Counts a read, if there is room for it and `admit` agrees, which is asked last. To be called before
    /// the keys are given out.
    #[must_use]
    pub fn count(&self, permit: &Permit<Read>, version: &Version, admit: impl FnOnce() -> bool) -> bool {
        self.0.count(&self.0.one_read(permit, version), admit)
    }
}

impl Inner {
    fn one_read<'r>(&self, permit: &'r Permit<Read>, version: &'r Version) -> OneRead<'r> {
        let hash = self.hasher.hash_one((&permit.actor().id, permit.on(), version));
        OneRead { permit, version, at: whole_millis(self.clock.now()), hash }
    }

    fn part(&self, hash: u64) -> MutexGuard<'_, Lines> {
        // Bits that the part's own table makes little use of.
        lock(&self.parts[usize::from(hash.to_le_bytes()[4]) % PARTS])
    }

    fn parts(&self) -> impl Iterator<Item = MutexGuard<'_, Lines>> {
        self.parts.iter().map(lock)
    }

    /// Whether it was counted.
    fn count(&self, read: &OneRead<'_>, admit: impl FnOnce() -> bool) -> bool {
        self.part(read.hash).count(read, &self.room, admit)
    }

    /// Lines whose count the log does not tell yet, one batch at most: of each part as many as are `left`.
    fn take(&self, left: &mut [usize]) -> Vec<Counted> {
        let (mut batch, mut room) = (Vec::new(), BATCH);
        for (part, left) in self.parts.iter().zip(left).filter(|(_, left)| **left > 0) {
            let number = room.min(*left);
            // Drawn before the lock is taken, for those that are new.
            let ids: Vec<_> = (0..number).map(|_| time_ordered_id(&*self.clock, &*self.random)).collect();
            batch.extend(lock(part).take(ids));
            (*left, room) = (*left - number, room - number);
        }
        batch
    }

    fn put_back(&self, batch: Vec<Counted>) {
        for counted in batch {
            self.part(counted.hash()).put_back(counted);
        }
    }

    /// Notes what the log tells now, and makes room. Returns how many reads are new in the log.
    fn note(&self, batch: &[Counted], closed: &[Closed]) -> u64 {
        let closed: HashMap<_, _> = closed.iter().map(|closed| (closed.id, closed.count)).collect();
        let recorded: i64 =
            batch.iter().map(|counted| self.part(counted.hash()).note(counted, &closed)).sum();
        self.make_room();
        u64::try_from(recorded).unwrap_or(0)
    }

    /// Lets go of lines that are written: of whole minutes that are over, and, if there are nearly as many
    /// lines as there may be, of the oldest others.
    fn make_room(&self) {
        let now = minute(self.clock.now());
        for part in &self.parts {
            // Many at once, so not dropped under the lock.
            let gone = lock(part).let_go_before(now);
            self.room.give_back(gone.iter().map(lines::Minute::len).sum());
        }
        if let Some((goal, held)) = self.room.scarcity() {
            let gone = self.parts().map(|mut lines| lines.shrink(goal, held)).sum();
            self.room.give_back(gone);
        }
        self.made_room.notify_waiters();
    }
}

fn lock(part: &Mutex<Lines>) -> MutexGuard<'_, Lines> {
    // They are whole whenever the lock is let go, panic or not.
    part.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes the counts into the audit log.
pub struct ReadRecorder {
    log: ReadLog,
    index: Arc<dyn AuditIndex>,
    waiting: Gauge,
    recorded: Counter,
}

impl ReadRecorder {
    /// A recorder of what `log` counts.
    #[must_use]
    pub fn new(log: ReadLog, index: Arc<dyn AuditIndex>) -> Self {
        let waiting = gauge!("keybroker_reads_waiting");
        Self { log, index, waiting, recorded: counter!("keybroker_reads_recorded_total") }
    }

    /// Writes twice a second until told to stop, and then until all is written.
    pub async fn run(self, stop: CancellationToken) {
        let mut failing = false;
        loop {
            let stopping = stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_none();
            let result = if stopping { self.write_all().await } else { self.run_once().await };
            match (&result, failing) {
                (Err(error), false) => {
                    tracing::warn!(%error, "reads of keys can't be logged at present; they are kept");
                }
                (Ok(()), true) => tracing::info!("reads of keys are logged again"),
                _ => {}
            }
            failing = result.is_err();
            if stopping && !failing {
                return;
            }
            if stopping {
                tokio::time::sleep(EVERY).await;
            }
        }
    }

    /// Writes what was counted until now, within the turns that there are.
    ///
    /// # Errors
    /// If the database does not answer: the counts are kept.
    pub async fn run_once(&self) -> Result<(), Error> {
        // Only lines that are written can make room.
        let scarce = self.log.0.room.scarcity().is_some();
        self.write_some(if scarce { usize::MAX } else { TURNS / PARTS }).await
    }

    async fn write_all(&self) -> Result<(), Error> {
        self.write_some(usize::MAX).await
    }

    /// Writes what was counted until now, of each part at most so many lines that only grew.
    async fn write_some(&self, grown: usize) -> Result<(), Error> {
        let result = loop {
            match self.write(grown).await {
                // What those lines don't count now has lines of its own, to be written at once.
                Ok(closed) if closed > 0 => {}
                Ok(_) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        self.log.0.make_room();
        let unwritten = || self.log.0.parts().map(|lines| lines.unwritten()).sum();
        let waiting: usize = if result.is_ok() { 0 } else { unwritten() };
        self.waiting.set(u32::try_from(waiting).unwrap_or(u32::MAX));
        result
    }

    /// Returns how many lines were closed before they could be given their count.
    async fn write(&self, grown: usize) -> Result<usize, Error> {
        let log = &self.log.0;
        let now = minute(log.clock.now());
        // Not what comes meanwhile: that is for the next time.
        let mut left: Vec<_> = log.parts().map(|lines| lines.due(now, grown)).collect();
        let mut closed_lines = 0;
        while left.iter().any(|left| *left > 0) {
            let batch = log.take(&mut left);
            let reads: Vec<_> = batch.iter().map(Counted::reads).collect();
            match self.index.record_reads(&reads).await {
                Ok(closed) => {
                    self.recorded.increment(log.note(&batch, &closed));
                    closed_lines += closed.len();
                }
                Err(error) => {
                    log.put_back(batch);
                    return Err(error.into());
                }
            }
        }
        Ok(closed_lines)
    }
}

#[cfg(test)]
mod tests;

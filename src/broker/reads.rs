//! Reads of keys, on their way into the audit log.
//!
//! A read is counted in memory before its keys are given out, which takes no query. Twice a second the
//! counts are written: one line for what one token read of one connection's version within a minute. While
//! the database fails the counts stay here; once there is no room for more of them, readers wait, and are
//! refused rather than not logged. Writing says what a line's count is, not what to add, so a write whose
//! outcome is unknown is simply done again.

mod lines;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use metrics::{Counter, Gauge, counter, gauge};
use tokio::{sync::Notify, time::timeout};
use tokio_util::sync::CancellationToken;

use self::lines::{Counted, Key, Lines, minute};
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
const MOST: usize = 131_072;

/// How many lines are written at once.
const BATCH: usize = 500;

/// How long a reader waits for room.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where reads are counted. Clones share it.
#[derive(Clone)]
pub struct ReadLog(Arc<Inner>);

struct Inner {
    /// Every reader takes this lock: what is done under it must be short.
    lines: Mutex<Lines>,
    most: usize,
    patience: Duration,
    /// Told when lines were written.
    room: Notify,
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
        let (lines, room) = (Mutex::default(), Notify::new());
        Self(Arc::new(Inner { lines, most, patience, room, clock, random }))
    }

    /// Counts a read. To be called before the keys are given out.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if there was no room for it in time, because the database fails.
    pub async fn record(&self, permit: &Permit<Read>, version: &Version) -> Result<(), Error> {
        let at = whole_millis(self.0.clock.now());
        let key =
            Key { actor: Arc::clone(permit.actor()), secret: permit.on().clone(), version: version.clone() };
        if self.0.count(&key, at) {
            return Ok(());
        }
        let counted = async {
            loop {
                let room = self.0.room.notified();
                if self.0.count(&key, at) {
                    return;
                }
                room.await;
            }
        };
        timeout(self.0.patience, counted).await.map_err(|_| Error::Unavailable {
            reason: "reads can't be logged: the database does not take them".into(),
            retry_after: PATIENCE,
            store: false,
        })
    }
}

impl Inner {
    fn lines(&self) -> MutexGuard<'_, Lines> {
        // They are whole whenever the lock is let go, panic or not.
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there was room to count it.
    fn count(&self, key: &Key, at: Timestamp) -> bool {
        self.lines().count(key, at, self.most)
    }

    /// So many lines, at most, whose count the log does not tell yet.
    fn take(&self, limit: usize) -> Vec<Counted> {
        // Drawn before the lock is taken, for those that are new.
        let ids: Vec<_> = (0..limit).map(|_| time_ordered_id(&*self.clock, &*self.random)).collect();
        self.lines().take(ids)
    }

    /// Notes what the log tells now, and makes room. Returns how many reads are new in the log.
    fn note(&self, batch: &[Counted], closed: &[Closed]) -> u64 {
        let closed: HashMap<_, _> = closed.iter().map(|closed| (closed.id, closed.count)).collect();
        let recorded = self.lines().note(batch, &closed);
        self.make_room();
        u64::try_from(recorded).unwrap_or(0)
    }

    fn make_room(&self) {
        let now = minute(self.clock.now());
        let gone = self.lines().make_room(now, self.most);
        self.room.notify_waiters();
        drop(gone); // many at once, so not under the lock
    }
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
            let result = self.run_once().await;
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

    /// Writes what was counted until now.
    ///
    /// # Errors
    /// If the database does not answer: the counts are kept.
    pub async fn run_once(&self) -> Result<(), Error> {
        let result = loop {
            match self.write().await {
                // What those lines don't count now has lines of its own, to be written at once.
                Ok(closed) if closed > 0 => {}
                Ok(_) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        self.log.0.make_room();
        let waiting = if result.is_ok() { 0 } else { self.log.0.lines().unwritten() };
        self.waiting.set(u32::try_from(waiting).unwrap_or(u32::MAX));
        result
    }

    /// Returns how many lines were closed before they could be given their count.
    async fn write(&self) -> Result<usize, Error> {
        let log = &self.log.0;
        // Not what comes meanwhile: that is for the next time.
        let (mut left, mut closed_lines) = (log.lines().queued(), 0);
        while left > 0 {
            let size = left.min(BATCH);
            left -= size;
            let batch = log.take(size);
            let reads: Vec<_> = batch.iter().map(Counted::reads).collect();
            match self.index.record_reads(&reads).await {
                Ok(closed) => {
                    self.recorded.increment(log.note(&batch, &closed));
                    closed_lines += closed.len();
                }
                Err(error) => {
                    log.lines().put_back(batch);
                    return Err(error.into());
                }
            }
        }
        Ok(closed_lines)
    }
}

#[cfg(test)]
mod tests;

//! Reads of keys, on their way into the audit log.
//!
//! A read is counted in memory before its keys are given out, which takes no query. Twice a second the
//! counts are written: one line for what one token read of one connection's version within a minute. While
//! the database fails the counts stay here; once there is no room for more of them, readers wait, and are
//! refused rather than not logged. Writing says what a line's count is, not what to add, so a write whose
//! outcome is unknown is simply done again.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use metrics::{Counter, Gauge, counter, gauge};
use tokio::{sync::Notify, time::timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::error::Error;
use crate::{
    domain::{
        access::{Actor, Permit, Read},
        clock::{Clock, Random, time_ordered_id},
        event::whole_millis,
        secret::{SecretName, Version},
    },
    port::audit::{AuditIndex, Closed, Reads},
};

/// How often counts are written.
const EVERY: Duration = Duration::from_millis(500);

/// The most lines that are held at a time: a few megabytes.
const MOST: usize = 16_384;

/// How many lines are written at once.
const BATCH: usize = 500;

/// How long a reader waits for room.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where reads are counted. Clones share it.
#[derive(Clone)]
pub struct ReadLog(Arc<Inner>);

struct Inner {
    lines: Mutex<HashMap<Key, Line>>,
    most: usize,
    patience: Duration,
    /// Told when lines were written.
    room: Notify,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

/// What one line counts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    actor: Arc<Actor>,
    secret: SecretName,
    version: Version,
    /// Minutes since 1970.
    minute: i64,
}

struct Line {
    id: Uuid,
    at: Timestamp,
    count: i64,
    /// What of the count the log is known to tell.
    written: i64,
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
        let key = Key {
            actor: Arc::clone(permit.actor()),
            secret: permit.on().clone(),
            version: version.clone(),
            minute: minute(at),
        };
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
    fn lines(&self) -> MutexGuard<'_, HashMap<Key, Line>> {
        // The map is whole whenever the lock is let go, panic or not.
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there was room to count it.
    fn count(&self, key: &Key, at: Timestamp) -> bool {
        let mut lines = self.lines();
        if let Some(line) = lines.get_mut(key) {
            line.count += 1;
            return true;
        }
        if lines.len() >= self.most {
            return false;
        }
        lines.insert(key.clone(), Line { id: self.new_id(), at, count: 1, written: 0 });
        true
    }

    fn new_id(&self) -> Uuid {
        time_ordered_id(&*self.clock, &*self.random)
    }

    /// What the log does not tell yet.
    fn unwritten(&self) -> Vec<(Key, Reads)> {
        let lines = self.lines();
        let open = lines.iter().filter(|(_, line)| line.count > line.written);
        open.map(|(key, line)| {
            let reads = Reads {
                id: line.id,
                secret: key.secret.clone(),
                version: key.version.clone(),
                actor: Arc::clone(&key.actor),
                at: line.at,
                count: line.count,
            };
            (key.clone(), reads)
        })
        .collect()
    }

    /// Notes that the log tells these, but for those that were closed before: what they don't count goes
    /// into a line of its own. Returns how many reads are new in the log.
    fn note_written(&self, batch: &[(Key, Reads)], closed: &[Closed]) -> u64 {
        let (mut lines, mut recorded) = (self.lines(), 0);
        for (key, reads) in batch {
            let Some(line) = lines.get_mut(key) else { continue };
            match closed.iter().find(|closed| closed.id == reads.id) {
                None => {
                    recorded += reads.count - line.written;
                    line.written = reads.count;
                }
                Some(closed) => {
                    recorded += closed.count - line.written;
                    *line = Line {
                        id: self.new_id(),
                        at: line.at,
                        count: (line.count - closed.count).max(0),
                        written: 0,
                    };
                }
            }
        }
        u64::try_from(recorded).unwrap_or(0)
    }

    /// Lets go of lines that are written and won't grow, and, if room is short, of all that are written.
    fn make_room(&self) {
        let now = minute(self.clock.now());
        let mut lines = self.lines();
        lines.retain(|key, line| line.count > line.written || key.minute >= now);
        if lines.len() > self.most / 2 {
            lines.retain(|_, line| line.count > line.written);
        }
        drop(lines);
        self.room.notify_waiters();
    }
}

fn minute(time: Timestamp) -> i64 {
    time.as_second().div_euclid(60)
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
        let waiting = if result.is_ok() { 0 } else { self.log.0.unwritten().len() };
        self.waiting.set(u32::try_from(waiting).unwrap_or(u32::MAX));
        result
    }

    /// Returns how many lines were closed before they could be given their count.
    async fn write(&self) -> Result<usize, Error> {
        let mut closed_lines = 0;
        for batch in self.log.0.unwritten().chunks(BATCH) {
            let reads: Vec<_> = batch.iter().map(|(_, reads)| reads.clone()).collect();
            let closed = self.index.record_reads(&reads).await?;
            self.recorded.increment(self.log.0.note_written(batch, &closed));
            closed_lines += closed.len();
        }
        Ok(closed_lines)
    }
}

#[cfg(test)]
mod tests;

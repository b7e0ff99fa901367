//! Reads of keys, on their way into the audit log.
//!
//! A read is counted in memory before its keys are given out, which takes no query. Twice a second what was
//! counted goes into the log: what each token read of each connection's version within a minute. The log puts
//! together what comes of one minute. While the database fails the counts stay here; once there is no room
//! for more of them, readers wait, and are refused rather than not logged. Batches are numbered, so that one
//! whose outcome is unknown is simply written again.
//!
//! The counts are in parts by shards of organizations, each under a lock of its own. Counting takes one
//! look-up under one of these, and so readers of different organizations seldom wait for each other. Where
//! there is much to write, the parts are written in turn, spread over the half second, so that it never takes
//! long.
//!
//! A line that was written stays for the rest of its minute, so that only its number and its count are
//! written when it is read again. What is read of a part while it is written is counted apart, and then into
//! the part again.

mod lines;
mod room;

use std::{
    hash::BuildHasher,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hashbrown::DefaultHashBuilder;
use metrics::{Counter, Gauge, counter, gauge};
use tokio::{sync::Notify, time::timeout};
use tokio_util::sync::CancellationToken;

use self::{
    lines::{Lines, OneRead},
    room::Room,
};
use super::{cache::Served, error::Error};
use crate::{
    domain::{
        access::{Permit, Read},
        clock::Clock,
        event::{
            reads::{SHARDS, minute, shard},
            whole_millis,
        },
    },
    port::audit::AuditIndex,
};

/// How often counts are written.
const EVERY: Duration = Duration::from_millis(500);

/// The most lines that are held at a time: some tens of megabytes.
const MOST: usize = 262_144;

/// How many lines are written at once, or a part's more.
const BATCH: usize = 4_096;

/// How long a reader waits for room.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where reads are counted. Clones share it.
#[derive(Clone)]
pub struct ReadLog(Arc<Inner>);

struct Inner {
    /// Every reader takes one of these locks: what is done under it must be short.
    parts: [Mutex<Lines>; SHARDS],
    hasher: DefaultHashBuilder,
    room: Room,
    patience: Duration,
    /// Told when lines were written.
    made_room: Notify,
    clock: Arc<dyn Clock>,
}

impl ReadLog {
    /// An empty one.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self::with(MOST, PATIENCE, clock)
    }

    fn with(most: usize, patience: Duration, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Inner {
            parts: [(); SHARDS].map(|()| Mutex::default()),
            hasher: DefaultHashBuilder::default(),
            room: Room::for_lines(most),
            patience,
            made_room: Notify::new(),
            clock,
        }))
    }

    /// Counts a read. To be called before the keys are given out.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if there was no room for it in time, because the database fails.
    pub async fn record(&self, permit: &Permit<Read>, served: &Served) -> Result<(), Error> {
        if self.0.count(permit, served, || true) {
            return Ok(());
        }
        let counted = async {
            loop {
                let made_room = self.0.made_room.notified();
                if self.0.count(permit, served, || true) {
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
    pub fn count(&self, permit: &Permit<Read>, served: &Served, admit: impl FnOnce() -> bool) -> bool {
        self.0.count(permit, served, admit)
    }
}

impl Inner {
    /// Counts a read, if there is room for it and `admit` agrees.
    fn count(&self, permit: &Permit<Read>, served: &Served, admit: impl FnOnce() -> bool) -> bool {
        let (actor, secret) = (permit.actor(), permit.on());
        let (org, connection) = (secret.org().as_str(), secret.connection().as_str());
        let read = OneRead {
            hash: self.hasher.hash_one((Arc::as_ptr(actor), secret)),
            actor,
            serial: served.serial(),
            at: whole_millis(self.clock.now()),
            names: || [org, connection, served.version()],
        };
        lock(&self.parts[shard(org)]).count(&read, &self.room, admit)
    }

    /// Takes what a part has, to write it; `spare` counts meanwhile.
    fn take(&self, part: usize, spare: Lines) -> Lines {
        mem::replace(&mut *lock(&self.parts[part]), spare)
    }

    /// Gives back what was taken and written, and returns the spare one.
    fn put_back(&self, part: usize, lines: Lines) -> Lines {
        let mut part = lock(&self.parts[part]);
        let mut spare = mem::replace(&mut *part, lines);
        part.absorb(&mut spare, &self.room);
        spare
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
    /// Whose turn it is.
    next_part: usize,
    /// The number of the last batch.
    number: i64,
    /// What it took and of which parts, unless the log is known to tell it.
    batch: Vec<(usize, Lines)>,
    /// To count in while others are written: memory that is not asked of the system each time.
    spare: Vec<Lines>,
    waiting: Gauge,
    recorded: Counter,
}

impl ReadRecorder {
    /// A recorder of what `log` counts. There must be no other of the same process.
    #[must_use]
    pub fn new(log: ReadLog, index: Arc<dyn AuditIndex>) -> Self {
        let waiting = gauge!("keybroker_reads_waiting");
        let recorded = counter!("keybroker_reads_recorded_total");
        Self { log, index, next_part: 0, number: 0, batch: Vec::new(), spare: Vec::new(), waiting, recorded }
    }

    /// Writes each part twice a second until told to stop, and then until all is written.
    pub async fn run(mut self, stop: CancellationToken) {
        let (mut pause, mut failing) = (EVERY, false);
        loop {
            let stopping = stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none();
            let written =
                if stopping { self.run_once().await.map(|()| SHARDS) } else { self.write_some().await };
            self.report(written.is_err());
            match (&written, failing) {
                (Err(error), false) => {
                    tracing::warn!(%error, "reads of keys can't be logged at present; they are kept");
                }
                (Ok(_), true) => tracing::info!("reads of keys are logged again"),
                _ => {}
            }
            failing = written.is_err();
            if stopping && !failing {
                return;
            }
            if stopping {
                tokio::time::sleep(EVERY).await;
            }
            let parts = u32::try_from(written.unwrap_or(SHARDS)).unwrap_or(1);
            pause = EVERY * parts / u32::try_from(SHARDS).unwrap_or(parts);
        }
    }

    /// Writes what was counted until now.
    ///
    /// # Errors
    /// If the database does not answer: the counts are kept.
    pub async fn run_once(&mut self) -> Result<(), Error> {
        let mut parts = 0;
        // Each part once: what comes meanwhile is for the next time.
        while parts < SHARDS {
            parts += self.write_some().await?;
        }
        Ok(())
    }

    fn report(&self, failing: bool) {
        let waiting = if failing { self.waiting_lines() } else { 0 };
        self.waiting.set(u32::try_from(waiting).unwrap_or(u32::MAX));
    }

    fn waiting_lines(&self) -> usize {
        let taken = self.batch.iter().map(|(_, lines)| lines.waiting());
        taken.chain(self.log.0.parts.iter().map(|part| lock(part).waiting())).sum()
    }

    /// Writes the next parts, as many as make a batch. Returns how many those are.
    async fn write_some(&mut self) -> Result<usize, Error> {
        // What it could not write the last time, first.
        self.write().await?;
        let mut waiting = 0;
        while self.batch.len() < SHARDS && waiting < BATCH {
            let taken = self.log.0.take(self.next_part, self.spare.pop().unwrap_or_default());
            waiting += taken.waiting();
            self.batch.push((self.next_part, taken));
            self.next_part = (self.next_part + 1) % SHARDS;
        }
        self.number += 1;
        let parts = self.batch.len();
        self.write().await?;
        Ok(parts)
    }

    async fn write(&mut self) -> Result<(), Error> {
        let log = &*self.log.0;
        let now = log.clock.now();
        let mut known_from = minute(now);
        let reads: Vec<_> = self.batch.iter().flat_map(|(_, lines)| lines.reads()).collect();
        if !reads.is_empty() {
            let known = self.index.record_reads(self.number, &reads, now).await?;
            known_from = known_from.max(known);
            self.recorded.increment(reads.iter().map(|line| u64::try_from(line.count).unwrap_or(0)).sum());
        }
        for (part, mut lines) in self.batch.drain(..) {
            lines.written(known_from, &log.room);
            self.spare.push(log.put_back(part, lines));
        }
        log.made_room.notify_waiters();
        Ok(())
    }
}

#[cfg(test)]
mod tests;

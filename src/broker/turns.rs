//! Turns at the store: so many read it at a time, and the others wait, in the order in which they came.
//!
//! After a start, or when a store is slow, thousands of keys may be wanted at once that are not in memory.
//! Each is asked for once, whatever number of readers waits for it; this bounds how many are asked for
//! together.

use std::{num::NonZeroU32, time::Duration};

use metrics::{Gauge, gauge};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

use super::error::Error;

/// How the store is read.
#[derive(Debug, Clone, Copy)]
pub struct StoreReads {
    /// How many read at a time.
    pub at_once: NonZeroU32,
    /// How long one waits for its turn.
    pub wait: Duration,
}

/// The turns.
pub struct Turns {
    free: Semaphore,
    wait: Duration,
    waiting: Gauge,
}

impl Turns {
    /// Turns that nobody has yet.
    #[must_use]
    pub fn new(reads: StoreReads) -> Self {
        let at_once = usize::try_from(reads.at_once.get()).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        let waiting = gauge!("keybroker_store_reads_waiting");
        Self { free: Semaphore::new(at_once), wait: reads.wait, waiting }
    }

    /// Waits for a turn, which lasts until what is returned is dropped.
    ///
    /// # Errors
    /// If none came in time: an outage, so that a stale value may stand in.
    pub(super) async fn turn(&self) -> Result<SemaphorePermit<'_>, Error> {
        if let Ok(turn) = self.free.try_acquire() {
            return Ok(turn);
        }
        let _waiting = Waiting::begin(&self.waiting);
        match timeout(self.wait, self.free.acquire()).await {
            Ok(Ok(turn)) => Ok(turn),
            // It is never closed.
            Ok(Err(_)) | Err(_) => Err(Error::unavailable("too many other reads of the store came first")),
        }
    }
}

/// Somebody who waits, or did until nobody wanted the answer any more.
struct Waiting<'g>(&'g Gauge);

impl<'g> Waiting<'g> {
    fn begin(gauge: &'g Gauge) -> Self {
        gauge.increment(1);
        Self(gauge)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.decrement(1);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use futures_util::future::join_all;

    use super::*;

    fn turns(at_once: u32, wait: Duration) -> Turns {
        Turns::new(StoreReads { at_once: NonZeroU32::new(at_once).unwrap(), wait })
    }

    #[tokio::test]
    async fn all_get_their_turn_and_never_more_than_so_many_at_once() {
        let turns = turns(64, Duration::from_mins(10));
        let (now, most) = (Cell::new(0), Cell::new(0));
        let reads = (0..10_000).map(|_| async {
            let _turn = turns.turn().await.unwrap();
            now.set(now.get() + 1);
            most.set(most.get().max(now.get()));
            tokio::task::yield_now().await;
            now.set(now.get() - 1);
        });
        assert_eq!(join_all(reads).await.len(), 10_000);
        assert_eq!((now.get(), most.get()), (0, 64));
    }

    #[tokio::test]
    async fn who_waits_in_vain_is_told_of_an_outage() {
        let turns = turns(1, Duration::from_millis(20));
        let first = turns.turn().await.unwrap();
        assert!(turns.turn().await.unwrap_err().is_outage());
        drop(first);
        assert!(turns.turn().await.is_ok());
    }
}

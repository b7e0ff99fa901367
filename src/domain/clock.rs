//! Time and randomness, passed in so that a test can hold them.

use std::{
    cell::RefCell,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use jiff::Timestamp;
use uuid::Uuid;

/// Where time comes from.
pub trait Clock: Send + Sync {
    /// The wall clock, for what people and other programs read.
    fn now(&self) -> Timestamp;

    /// Time since this clock was made. Never goes back, so ages are measured with it.
    fn uptime(&self) -> Duration;
}

/// The machine's clock.
#[derive(Debug)]
pub struct SystemClock(Instant);

impl Default for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one reader of the machine's clock")]
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one reader of the machine's clock")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn uptime(&self) -> Duration {
        self.0.elapsed()
    }
}

/// A clock that moves only when told to.
#[derive(Debug)]
pub struct ManualClock {
    start: Timestamp,
    passed: Mutex<Duration>,
}

impl ManualClock {
    /// A clock that stands at `start`.
    #[must_use]
    pub fn at(start: Timestamp) -> Self {
        Self { start, passed: Mutex::new(Duration::ZERO) }
    }

    /// Moves both clocks forward.
    ///
    /// # Panics
    /// If another thread panicked while moving it.
    pub fn advance(&self, by: Duration) {
        *self.passed.lock().expect("no one panics while holding the clock") += by;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.start + self.uptime()
    }

    fn uptime(&self) -> Duration {
        *self.passed.lock().expect("no one panics while holding the clock")
    }
}

/// Where unpredictable bytes come from.
pub trait Random: Send + Sync {
    /// Fills `bytes` with bytes nobody can guess.
    fn fill(&self, bytes: &mut [u8]);
}

/// The operating system's generator, by way of the cryptography library.
#[derive(Debug, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) {
        aws_lc_rs::rand::fill(bytes).expect("the operating system's generator never fails");
    }
}

/// The same generator, asked for a page at a time: each call takes it some two microseconds, however few
/// bytes are wanted. For what is needed often and is no secret, such as the ids of requests.
#[derive(Debug, Default)]
pub struct PagedRandom;

/// What is left of a page: its end.
struct Page {
    bytes: [u8; 4_096],
    left: usize,
}

thread_local! {
    static PAGE: RefCell<Page> = const { RefCell::new(Page { bytes: [0; 4_096], left: 0 }) };
}

impl Random for PagedRandom {
    fn fill(&self, bytes: &mut [u8]) {
        PAGE.with_borrow_mut(|page| {
            for part in bytes.chunks_mut(page.bytes.len()) {
                if page.left < part.len() {
                    SystemRandom.fill(&mut page.bytes);
                    page.left = page.bytes.len();
                }
                let start = page.bytes.len() - page.left;
                part.copy_from_slice(&page.bytes[start..start + part.len()]);
                page.left -= part.len();
            }
        });
    }
}

/// Bytes that a test can predict: a counter.
#[derive(Debug, Default)]
pub struct CountingRandom(AtomicU64);

impl Random for CountingRandom {
    fn fill(&self, bytes: &mut [u8]) {
        for byte in bytes {
            let next = self.0.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
            *byte = next.to_be_bytes()[0];
        }
    }
}

/// A UUID of version 7: ordered by time, unpredictable otherwise.
pub fn time_ordered_id(clock: &dyn Clock, random: &dyn Random) -> Uuid {
    let mut tail = [0; 10];
    random.fill(&mut tail);
    let millis = u64::try_from(clock.now().as_millisecond()).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &tail).into_uuid()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_byte_of_a_page_is_given_twice() {
        let draw = |length: usize| {
            let mut bytes = vec![0; length];
            PagedRandom.fill(&mut bytes);
            bytes
        };
        let ids: HashSet<_> = (0..2_000).map(|_| draw(10)).collect();
        assert_eq!(ids.len(), 2_000);
        let long = draw(10_000);
        let parts: HashSet<_> = long.chunks_exact(16).collect();
        assert_eq!(parts.len(), 625);
    }
}

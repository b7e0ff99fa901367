//! How long ago this replica last knew what others changed, and whether memory may still be trusted.
//!
//! Memory is right as of the moment at which the database was last asked for changes. Past a bound this
//! replica is *blind*: what it remembers is served only after the database confirmed it, unless the operator
//! chose availability.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use metrics::gauge;
use tokio_util::sync::CancellationToken;

use crate::domain::clock::Clock;

/// How often it is told how blind this replica is.
const EVERY: Duration = Duration::from_secs(1);

/// What this replica sees of the others. Clones share it.
#[derive(Clone)]
pub struct Sight(Arc<Inner>);

struct Inner {
    /// Nanoseconds of uptime: all that was changed before is known.
    seen_at: AtomicU64,
    /// How many nanoseconds later memory is still trusted.
    bound: u64,
    clock: Arc<dyn Clock>,
}

impl Sight {
    /// One that trusts memory for `bound` after it last saw, or for ever if there is none.
    #[must_use]
    pub fn new(bound: Option<Duration>, clock: Arc<dyn Clock>) -> Self {
        let bound = bound.map_or(u64::MAX, nanos);
        Self(Arc::new(Inner { seen_at: AtomicU64::new(0), bound, clock }))
    }

    /// Notes that all is known that was changed before the uptime `asked_at`.
    pub(super) fn saw(&self, asked_at: Duration) {
        self.0.seen_at.fetch_max(nanos(asked_at), Ordering::Release);
    }

    /// Whether memory may be trusted at the uptime `now`.
    pub(super) fn is_clear(&self, now: Duration) -> bool {
        nanos(now).saturating_sub(self.0.seen_at.load(Ordering::Acquire)) < self.0.bound
    }

    /// Whether what the database was asked no earlier than the uptime `asked_at` may be trusted at `now`.
    pub(super) fn covers(&self, asked_at: Duration, now: Duration) -> bool {
        self.is_clear(now) || nanos(now.saturating_sub(asked_at)) < self.0.bound
    }

    /// How often to look, so that a missed look or two make nobody blind.
    pub(super) fn look_every(&self, at_most: Duration) -> Duration {
        at_most.min(Duration::from_nanos(self.0.bound / 4))
    }

    /// Tells how blind this replica is, in the metrics always and in the log when it changes.
    pub async fn report(self, stop: CancellationToken) {
        let (seconds, mut was_clear) = (gauge!("keybroker_blindness_seconds"), true);
        while stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
            let now = self.0.clock.uptime();
            let blind_for = now.saturating_sub(Duration::from_nanos(self.0.seen_at.load(Ordering::Acquire)));
            seconds.set(blind_for.as_secs_f64());
            let clear = self.is_clear(now);
            match (was_clear, clear) {
                (true, false) => tracing::error!(
                    "this replica is blind: nothing is served from memory that the database does not confirm"
                ),
                (false, true) => tracing::info!("this replica sees again, and serves from memory"),
                _ => {}
            }
            was_clear = clear;
        }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::domain::clock::ManualClock;

    const SECOND: Duration = Duration::from_secs(1);

    fn sight(bound: Option<Duration>) -> Sight {
        Sight::new(bound, Arc::new(ManualClock::at(Timestamp::UNIX_EPOCH)))
    }

    #[test]
    fn memory_is_trusted_up_to_the_bound() {
        let sight = sight(Some(5 * SECOND));
        sight.saw(10 * SECOND);
        assert!(sight.is_clear(14 * SECOND));
        assert!(!sight.is_clear(15 * SECOND));
        sight.saw(11 * SECOND);
        assert!(sight.is_clear(15 * SECOND));
        // An answer that was long on its way takes nothing back.
        sight.saw(2 * SECOND);
        assert!(sight.is_clear(15 * SECOND));
    }

    #[test]
    fn what_was_asked_since_is_trusted_for_as_long() {
        let sight = sight(Some(5 * SECOND));
        assert!(sight.covers(20 * SECOND, 24 * SECOND));
        assert!(!sight.covers(20 * SECOND, 25 * SECOND));
        sight.saw(23 * SECOND);
        assert!(sight.covers(20 * SECOND, 25 * SECOND));
    }

    #[test]
    fn without_a_bound_it_is_never_blind() {
        let sight = sight(None);
        assert!(sight.is_clear(Duration::from_hours(10_000)));
        assert_eq!(sight.look_every(SECOND), SECOND);
    }
}

//! Keeps writes below the quota of AWS, which refuses what is above it.

use std::{num::NonZeroU32, time::Duration};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter, clock::Clock as _};
use tokio::time::Instant;

use crate::port::store::StoreError;

/// How long a write waits for its turns, all of them together.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// Lets so many writes a second through, for this process.
#[derive(Debug)]
pub(super) struct WriteLimiter(DefaultDirectRateLimiter);

impl WriteLimiter {
    /// A burst may use up a quarter of a second's writes at once: at the default of 40 that makes 50 in
    /// the first second, which is the quota.
    pub(super) fn new(per_second: NonZeroU32) -> Self {
        let burst = NonZeroU32::new(per_second.get() / 4).unwrap_or(NonZeroU32::MIN);
        Self(RateLimiter::direct(Quota::per_second(per_second).allow_burst(burst)))
    }

    /// Waits until one more write may go, at most until `latest`.
    ///
    /// # Errors
    /// `RateLimited`, at once, when its turn comes only after `latest`.
    pub(super) async fn turn(&self, latest: Instant) -> Result<(), StoreError> {
        while let Err(not_until) = self.0.check() {
            let wait = not_until.wait_time_from(self.0.clock().now());
            if Instant::now() + wait > latest {
                return Err(StoreError::RateLimited { retry_after: wait });
            }
            // Others may wake at the same moment and be first; then there is another round.
            tokio::time::sleep(wait).await;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(per_second: u32) -> WriteLimiter {
        WriteLimiter::new(NonZeroU32::new(per_second).unwrap())
    }

    #[tokio::test]
    async fn a_burst_goes_at_once_and_the_rest_is_turned_away_in_time() {
        let limiter = limiter(8);
        let now = Instant::now();
        for _ in 0..2 {
            assert_eq!(limiter.turn(now).await, Ok(()));
        }
        let Err(StoreError::RateLimited { retry_after }) = limiter.turn(now).await else {
            panic!("the burst is used up")
        };
        assert!(retry_after <= Duration::from_millis(125), "{retry_after:?}");
    }

    #[tokio::test]
    async fn who_can_wait_gets_a_turn() {
        let limiter = limiter(50);
        for _ in 0..15 {
            assert_eq!(limiter.turn(Instant::now() + LONGEST_WAIT).await, Ok(()));
        }
    }

    #[tokio::test]
    async fn one_a_second_is_a_rate_too() {
        assert_eq!(limiter(1).turn(Instant::now()).await, Ok(()));
    }
}

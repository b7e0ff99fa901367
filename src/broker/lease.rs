//! What one replica at a time does, in the background.
//!
//! The replica that has a chore's lease does it again and again and renews the lease meanwhile. When it
//! can't, it stops before another may begin; when it dies, another takes over once the lease ran out. A chore
//! that is cut off must leave nothing half done.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use metrics::gauge;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::error::Error;
use crate::{domain::clock::Clock, port::leases::Leases};

/// How long a lease lasts, how often it is renewed, and how often the others look whether it ran out.
#[derive(Debug, Clone, Copy)]
struct Times {
    lasts: Duration,
    renew: Duration,
    look: Duration,
}

const TIMES: Times =
    Times { lasts: Duration::from_secs(10), renew: Duration::from_secs(3), look: Duration::from_secs(3) };

/// When a chore that failed is tried again.
const AGAIN: Duration = Duration::from_secs(5);

/// Something to be done again and again.
#[async_trait]
pub trait Chore: Send + Sync {
    /// What its lease is called.
    fn name(&self) -> &'static str;

    /// Does what there is to do now. Returns when to look again. May be cut off at any point.
    ///
    /// # Errors
    /// If it can't be done at present.
    async fn run_once(&self) -> Result<Duration, Error>;

    /// Waits for a reason to look sooner.
    async fn woken(&self) {
        std::future::pending::<()>().await;
    }

    /// Told when another replica may do it from now on.
    fn rest(&self) {}
}

/// The right to do chores, one replica at a time.
#[derive(Clone)]
pub struct Lease {
    leases: Arc<dyn Leases>,
    clock: Arc<dyn Clock>,
    times: Times,
}

impl Lease {
    /// Leases in `leases`.
    #[must_use]
    pub fn new(leases: Arc<dyn Leases>, clock: Arc<dyn Clock>) -> Self {
        Self { leases, clock, times: TIMES }
    }

    /// Does a chore whenever this replica has its lease, until told to stop. Another need not wait for the
    /// lease to run out then.
    pub async fn run(self, chore: impl Chore, stop: CancellationToken) {
        stop.run_until_cancelled(self.take_turns(&chore)).await;
        // If this fails, it runs out.
        let _ = self.leases.end_lease(chore.name()).await;
    }

    async fn take_turns(&self, chore: &impl Chore) {
        let (name, mut failing) = (chore.name(), false);
        let has = gauge!("keybroker_lease_held", "name" => name);
        has.set(0);
        loop {
            match self.take(name).await {
                Ok(Some(until)) => {
                    failing = false;
                    has.set(1);
                    tokio::select! {
                        () = again_and_again(chore) => {}
                        () = self.held(name, until) => tracing::warn!(name, "this replica lost the lease"),
                    }
                    has.set(0);
                    chore.rest();
                }
                Ok(None) => failing = false,
                Err(error) if !failing => {
                    tracing::warn!(name, %error, "nobody knows who has the lease");
                    failing = true;
                }
                Err(_) => {}
            }
            sleep(self.times.look).await;
        }
    }

    /// Takes or renews the lease. Returns the uptime at which it runs out, or nothing if another has it.
    async fn take(&self, name: &str) -> Result<Option<Duration>, Error> {
        let (now, uptime) = (self.clock.now(), self.clock.uptime());
        let taken = self.leases.take_lease(name, now, now + self.times.lasts).await?;
        Ok(taken.then_some(uptime + self.times.lasts))
    }

    /// Renews the lease for as long as that works.
    async fn held(&self, name: &str, mut until: Duration) {
        loop {
            let renewed = async {
                loop {
                    sleep(self.times.renew).await;
                    // A failure may pass before the lease is over.
                    if let Ok(taken) = self.take(name).await {
                        return taken;
                    }
                }
            };
            let left = until.saturating_sub(self.clock.uptime());
            match timeout(left, renewed).await {
                Ok(Some(later)) => until = later,
                Ok(None) | Err(_) => return,
            }
        }
    }
}

async fn again_and_again(chore: &impl Chore) {
    let mut failing = false;
    loop {
        let result = chore.run_once().await;
        match (&result, failing) {
            (Err(error), false) => {
                tracing::warn!(name = chore.name(), %error, "a chore can't be done at present");
            }
            (Ok(_), true) => tracing::info!(name = chore.name(), "the chore is done again"),
            _ => {}
        }
        failing = result.is_err();
        // Whether woken or not, it looks again.
        let _ = timeout(result.unwrap_or(AGAIN), chore.woken()).await;
    }
}

#[cfg(test)]
mod tests;

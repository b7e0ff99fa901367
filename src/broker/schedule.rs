//! Re-verification by itself: a key that dies is noticed before its organization's users do.
//!
//! One replica at a time does it, by a lease in the database that another takes over when it dies.

use std::{future::Future, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{error::Error, verification::Verifier};
use crate::{domain::clock::Clock, port::index::SystemIndex};

/// How often it looks, unless keys are to be tried more often.
const EVERY: Duration = Duration::from_secs(10);

/// How many connections it looks into before it asks for more.
const BATCH: u16 = 64;

/// How many at a time: if each takes the whole time limit, a day still has room for a hundred thousand.
const AT_ONCE: usize = 16;

/// How long the lease lasts when its holder dies.
const LEASE: Duration = Duration::from_mins(1);

/// When a connection's turn comes again if its keys could not be tried.
const AGAIN: Duration = Duration::from_mins(10);

const NAME: &str = "verification";

/// Tries keys that were not tried for a while.
pub struct Scheduler {
    system: Arc<dyn SystemIndex>,
    verifier: Verifier,
    clock: Arc<dyn Clock>,
}

impl Scheduler {
    /// A scheduler for `verifier`.
    #[must_use]
    pub fn new(system: Arc<dyn SystemIndex>, verifier: Verifier, clock: Arc<dyn Clock>) -> Self {
        Self { system, verifier, clock }
    }

    /// Runs until told to stop.
    pub async fn run(self, stop: CancellationToken) {
        let pause = EVERY.min(self.verifier.every());
        while stop.run_until_cancelled(sleep(pause)).await.is_some() {
            match stop.run_until_cancelled(self.run_once()).await {
                Some(Err(error)) => tracing::warn!(%error, "keys can't be tried by themselves at present"),
                Some(Ok(())) => {}
                None => break,
            }
        }
        // Another replica need not wait for it to run out. If this fails, it does.
        let _ = self.system.end_lease(NAME).await;
    }

    /// Renews the lease for as long as the work takes. If it can't be, another may take over what is left; what
    /// was claimed, nobody else tries.
    async fn holding_the_lease(&self, work: impl Future<Output = ()>) {
        let renew = async {
            loop {
                sleep(LEASE / 3).await;
                let now = self.clock.now();
                if let Err(error) = self.system.take_lease(NAME, now, now + LEASE).await {
                    tracing::warn!(%error, "the lease of the verification can't be renewed");
                }
            }
        };
        tokio::select! {
            () = work => {}
            () = renew => {}
        }
    }

    /// Tries all keys whose time has come, if this replica has the lease.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn run_once(&self) -> Result<(), Error> {
        loop {
            let now = self.clock.now();
            if !self.system.take_lease(NAME, now, now + LEASE).await? {
                return Ok(());
            }
            let due = self.system.claim_checks(now, now + AGAIN, BATCH).await?;
            if due.is_empty() {
                return Ok(());
            }
            let checks = stream::iter(due).for_each_concurrent(AT_ONCE, async |name| {
                let (org, connection) = (name.org().clone(), name.connection().clone());
                if let Err(error) = self.verifier.check_due(name).await {
                    tracing::warn!(%org, %connection, %error, "a key could not be tried");
                }
            });
            self.holding_the_lease(checks).await;
        }
    }
}

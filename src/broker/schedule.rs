//! Re-verification by itself: a key that dies is noticed before its organization's users do.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::{StreamExt, stream};

use super::{error::Error, lease::Chore, verification::Verifier};
use crate::{domain::clock::Clock, port::index::SystemIndex};

/// How often it looks, unless keys are to be tried more often.
const EVERY: Duration = Duration::from_secs(10);

/// How many connections it looks into before it asks for more.
const BATCH: u16 = 64;

/// How many at a time: if each takes the whole time limit, a day still has room for a hundred thousand.
const AT_ONCE: usize = 16;

/// When a connection's turn comes again if its keys could not be tried.
const AGAIN: Duration = Duration::from_mins(10);

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
}

/// All keys whose time has come. What is claimed, nobody else tries.
#[async_trait]
impl Chore for Scheduler {
    fn name(&self) -> &'static str {
        "verification"
    }

    async fn run_once(&self) -> Result<Duration, Error> {
        loop {
            let now = self.clock.now();
            let due = self.system.claim_checks(now, now + AGAIN, BATCH).await?;
            if due.is_empty() {
                return Ok(EVERY.min(self.verifier.every()));
            }
            let checks = stream::iter(due).for_each_concurrent(AT_ONCE, async |name| {
                let (org, connection) = (name.org().clone(), name.connection().clone());
                if let Err(error) = self.verifier.check_due(name).await {
                    tracing::warn!(%org, %connection, %error, "a key could not be tried");
                }
            });
            checks.await;
        }
    }
}

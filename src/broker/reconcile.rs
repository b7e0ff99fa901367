//! The reconciler: finishes or drops the writes that a crash left behind.

use std::{sync::Arc, time::Duration};

use metrics::{Gauge, gauge};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{error::Error, write::Writer};
use crate::port::index::{ANSWERS_KEPT, SESSIONS_KEPT, SystemIndex};

/// How often it looks when nothing tells it to look sooner.
const EVERY: Duration = Duration::from_mins(1);

/// How many writes it settles before it looks again.
const BATCH: u16 = 200;

/// Settles unfinished writes, and forgets idempotency keys and connect sessions past their time.
pub struct Reconciler {
    system: Arc<dyn SystemIndex>,
    writer: Arc<Writer>,
    pending: Gauge,
}

impl Reconciler {
    /// A reconciler of `writer`'s writes.
    #[must_use]
    pub fn new(system: Arc<dyn SystemIndex>, writer: Arc<Writer>) -> Self {
        Self { system, writer, pending: gauge!("keybroker_pending_writes") }
    }

    /// Runs at once and then every minute; sooner when a lease that it saw runs out, or a writer leaves
    /// something to it.
    pub async fn run(self, stop: CancellationToken) {
        while let Some(pause) = stop.run_until_cancelled(self.round()).await {
            // Whether woken or not, it looks again.
            let woken = timeout(pause, self.writer.left_open.notified());
            if stop.run_until_cancelled(woken).await.is_none() {
                break;
            }
        }
    }

    async fn round(&self) -> Duration {
        self.run_once().await.unwrap_or_else(|error| {
            tracing::warn!(%error, "the reconciler could not look for unfinished writes");
            Duration::from_secs(5)
        })
    }

    /// Settles what can be settled now. Returns when to look again.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn run_once(&self) -> Result<Duration, Error> {
        let now = self.writer.clock.now();
        self.system.forget_answers(now - ANSWERS_KEPT).await?;
        self.system.forget_sessions(now - SESSIONS_KEPT).await?;
        let writes = self.system.pending_writes(BATCH).await?;
        let (mut next, mut open) = (EVERY, 0_u32);
        for intent in &writes {
            if intent.lease_until > now {
                let left = intent.lease_until.duration_since(now).unsigned_abs();
                next = next.min(left + Duration::from_millis(50));
                open += 1;
            } else if let Err(error) = self.writer.settle(intent).await {
                tracing::warn!(org = %intent.org, connection = %intent.connection, %error,
                    "a write can't be settled yet");
                next = next.min(Duration::from_secs(15));
                open += 1;
            }
        }
        self.pending.set(open);
        Ok(next)
    }
}

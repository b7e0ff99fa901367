//! The reconciler: finishes or drops the writes that a crash left behind.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use metrics::{Gauge, gauge};

use super::{error::Error, lease::Chore, write::Writer};
use crate::port::index::{ANSWERS_KEPT, SESSIONS_KEPT, SystemIndex};

/// How often it looks when nothing tells it to look sooner. What another replica leaves to it does not.
const EVERY: Duration = Duration::from_secs(10);

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
}

/// At once, and then when a lease that it saw runs out, or a writer of this replica leaves something to it.
#[async_trait]
impl Chore for Reconciler {
    fn name(&self) -> &'static str {
        "reconciliation"
    }

    async fn run_once(&self) -> Result<Duration, Error> {
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
                open += 1;
            }
        }
        self.pending.set(open);
        Ok(next)
    }

    async fn woken(&self) {
        self.writer.left_open.notified().await;
    }

    /// Whoever looks next tells of it.
    fn rest(&self) {
        self.pending.set(0);
    }
}

//! Gives open lines of the audit log their place in their organization's chain.
//!
//! Reads are open while their minute runs, so that all that is counted in it comes together. One replica
//! seals them all when it is over, those of a replica that crashed too, and lines that an older version of
//! keybroker left open. What can't be sealed is passed over, so that it holds up no other line.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;

use super::{error::Error, lease::Chore};
use crate::{
    domain::{clock::Clock, event::reads::minute},
    port::audit::{AuditIndex, OpenLine},
};

/// How often it looks.
const EVERY: Duration = Duration::from_secs(5);

/// How long after a minute its reads may still come. What comes later gets a line of its own.
const STRAGGLERS: Duration = Duration::from_secs(5);

const BATCH: u16 = 500;

/// For how long it is known which batch a process recorded last, which it may try to record again.
const WRITERS: Duration = Duration::from_hours(24);

/// Seals open lines.
pub struct Sealer {
    index: Arc<dyn AuditIndex>,
    clock: Arc<dyn Clock>,
}

impl Sealer {
    /// A sealer of the log in `index`.
    #[must_use]
    pub fn new(index: Arc<dyn AuditIndex>, clock: Arc<dyn Clock>) -> Self {
        Self { index, clock }
    }
}

/// At once, and then every few seconds.
#[async_trait]
impl Chore for Sealer {
    fn name(&self) -> &'static str {
        "sealing"
    }

    async fn run_once(&self) -> Result<Duration, Error> {
        let now = self.clock.now();
        self.index.forget_writers(now - WRITERS).await?;
        let time = now - STRAGGLERS;
        let mut sealed = OpenLine::default();
        while let Some(last) = self.index.seal(start_of_minute(time), &sealed, BATCH).await? {
            sealed = last;
        }
        self.index.seal_reads(minute(time)).await?;
        Ok(EVERY)
    }
}

fn start_of_minute(time: Timestamp) -> Timestamp {
    Timestamp::from_second(minute(time) * 60).unwrap_or(time)
}

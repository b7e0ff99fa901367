//! Gives open lines of the audit log their place in their organization's chain.
//!
//! Lines of reads are open while their minute runs, so that they can be counted up. One replica seals them all
//! when it is over, those of a replica that crashed too, and what an older version of keybroker appended.
//! What can't be sealed is passed over, so that it holds up no other line.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;

use super::{error::Error, lease::Chore};
use crate::{
    domain::clock::Clock,
    port::audit::{AuditIndex, OpenLine},
};

/// How often it looks.
const EVERY: Duration = Duration::from_secs(5);

/// How long after a minute its lines may still grow. What comes later gets a line of its own.
const STRAGGLERS: Duration = Duration::from_secs(5);

const BATCH: u16 = 500;

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
        let before = start_of_minute(self.clock.now() - STRAGGLERS);
        let mut sealed = OpenLine::default();
        while let Some(last) = self.index.seal(before, &sealed, BATCH).await? {
            sealed = last;
        }
        Ok(EVERY)
    }
}

fn start_of_minute(time: Timestamp) -> Timestamp {
    let second = time.as_second().div_euclid(60) * 60;
    Timestamp::from_second(second).unwrap_or(time)
}

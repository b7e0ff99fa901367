//! Removes events past their time from the audit log.
//!
//! Only from the beginning of each chain, and only what fits: the hash of the newest removed event is kept,
//! so that the rest can still be verified. Where something does not fit, nothing is removed, since what is
//! there is evidence.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;

use super::{error::Error, lease::Chore};
use crate::{
    domain::{clock::Clock, event::chain::Walk},
    port::{audit::AuditIndex, index::IndexError},
};

/// How often it looks.
const EVERY: Duration = Duration::from_hours(1);

/// How many links are removed at once, each of which may hold some hundred events.
const BATCH: u16 = 200;

/// How many organizations are looked at at once, so that no question takes long however many there are.
const ORGS: u16 = 500;

/// Removes events past their time.
pub struct Retention {
    index: Arc<dyn AuditIndex>,
    clock: Arc<dyn Clock>,
    keep: Duration,
}

impl Retention {
    /// Keeps events in `index` for so long.
    #[must_use]
    pub fn new(index: Arc<dyn AuditIndex>, clock: Arc<dyn Clock>, keep: Duration) -> Self {
        Self { index, clock, keep }
    }

    /// One log that can't be read holds up no other.
    async fn prune_if_readable(&self, org: &str, before: Timestamp) -> Result<(), IndexError> {
        match self.prune(org, before).await {
            Err(IndexError::Broken(cause)) => {
                tracing::error!(org, cause, "old events are not removed: the audit log can't be read");
                Ok(())
            }
            result => result,
        }
    }

    async fn prune(&self, org: &str, before: Timestamp) -> Result<(), IndexError> {
        let mut removed = 0;
        while let Some(ends) = self.index.find_ends(org).await? {
            let mut walk = Walk::after(ends.pruned, ends.pruned_hash);
            for link in self.index.links_after(org, ends.pruned, BATCH).await? {
                if link.records.iter().flatten().any(|record| record.at >= before) {
                    break;
                }
                if let Some(fault) = walk.step(&link) {
                    tracing::error!(org, %fault, "old events are not removed: the audit log was tampered with");
                    return Ok(());
                }
            }
            if walk.sequence == ends.pruned {
                break;
            }
            // If another process was quicker, this one looks again.
            if self.index.prune(org, &ends, walk.sequence, walk.hash).await? {
                removed += walk.sequence - ends.pruned;
            }
        }
        if removed > 0 {
            tracing::info!(org, removed, "events past their time were removed");
        }
        Ok(())
    }
}

/// At once, and then every hour.
#[async_trait]
impl Chore for Retention {
    fn name(&self) -> &'static str {
        "retention"
    }

    async fn run_once(&self) -> Result<Duration, Error> {
        let before = self.clock.now() - self.keep;
        // Of no organization: what concerns all of them.
        self.prune_if_readable("", before).await?;
        let mut after = Some(String::new());
        while let Some(from) = after {
            let (orgs, next) = self.index.orgs_to_prune(&from, before, ORGS).await?;
            for org in &orgs {
                self.prune_if_readable(org, before).await?;
            }
            after = next;
        }
        Ok(EVERY)
    }
}

//! Verifies the audit log: walks each chain from its beginning to its end and tells what does not fit.
//!
//! Nothing is held back meanwhile: events may be appended, and old ones removed. So a chain is walked to the
//! end that it had at first, and what is missing is looked for once more before it is called so.

use std::sync::Arc;

use super::error::Error;
use crate::{
    domain::event::chain::{ChainHash, Fault, Walk},
    port::{
        audit::{AuditIndex, Ends},
        index::IndexError,
    },
};

/// How many links are looked at at a time, each of which may hold some hundred events.
const PAGE: u16 = 200;

/// What a chain is that no event was ever added to.
const EMPTY: Ends =
    Ends { newest: 0, newest_hash: ChainHash::START, pruned: 0, pruned_hash: ChainHash::START };

/// Verifies the audit log in an index.
pub struct Auditor(Arc<dyn AuditIndex>);

/// What was found of one organization's chain.
#[derive(Debug, Clone, Copy)]
pub struct Verified {
    /// How many events were looked at.
    pub events: u64,
    /// How many wait for their place.
    pub open: i64,
    /// The number of the newest event.
    pub newest: i64,
    /// Its hash.
    pub hash: ChainHash,
}

impl Auditor {
    /// An auditor of the log in `index`.
    #[must_use]
    pub fn new(index: Arc<dyn AuditIndex>) -> Self {
        Self(index)
    }

    /// The next organization, after `after`, of which the log holds anything. The empty one, which is for
    /// what concerns all of them, comes before all others.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn next_org(&self, after: &str) -> Result<Option<String>, Error> {
        Ok(self.0.next_org(after).await?)
    }

    /// Verifies one organization's chain and tells each fault as it is found.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn verify(&self, org: &str, tell: &mut (dyn FnMut(Fault) + Send)) -> Result<Verified, Error> {
        let open = self.0.count_open(org).await?;
        let Some(mut ends) = self.ends(org).await? else {
            tell(Fault::Ends);
            return Ok(Verified { events: 0, open, newest: 0, hash: ChainHash::START });
        };
        if let Some(stray) = self.0.link_up_to(org, ends.pruned).await? {
            tell(Fault::Outside(stray.sequence, stray.id));
        }
        let mut walk = Walk::after(ends.pruned, ends.pruned_hash);
        let mut events = 0;
        while walk.sequence < ends.newest {
            let links = self.0.links_after(org, walk.sequence, PAGE).await?;
            if links.first().is_none_or(|link| link.first() != walk.sequence + 1)
                && let Some(now) = self.ends(org).await?
                && now.pruned > walk.sequence
            {
                // Removed for their age meanwhile.
                (walk, ends) = (Walk::after(now.pruned, now.pruned_hash), now);
                continue;
            }
            let before = events;
            for link in links.iter().filter(|link| link.sequence <= ends.newest) {
                events += link.events() as u64;
                if let Some(fault) = walk.step(link) {
                    tell(fault);
                }
            }
            if events == before {
                break;
            }
        }
        if let Some(fault) = walk.end(ends.newest, ends.newest_hash) {
            tell(fault);
        }
        if let Some(next) = self.0.links_after(org, ends.newest, 1).await?.first()
            && self.ends(org).await?.is_none_or(|now| now.newest < next.sequence)
        {
            tell(Fault::Outside(next.first(), next.id.clone()));
        }
        Ok(Verified { events, open, newest: ends.newest, hash: ends.newest_hash })
    }

    /// Where a chain begins and ends; nothing if that can't be read.
    async fn ends(&self, org: &str) -> Result<Option<Ends>, Error> {
        match self.0.find_ends(org).await {
            Ok(ends) => Ok(Some(ends.unwrap_or(EMPTY))),
            Err(IndexError::Broken(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests;

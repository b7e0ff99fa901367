//! What keeps the audit log: the reads that are counted into it, its chains, and what is removed in time.
//!
//! Chains are named by the organization's text as the log holds it, empty for what concerns all of them:
//! whoever verifies a log must not stumble over what was done to it.

use async_trait::async_trait;
use jiff::Timestamp;

use super::index::{IndexError, Page};
use crate::domain::{
    access::Actor,
    event::chain::{ChainHash, Link},
};

/// What one actor read of one version of one connection within a minute, or a part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reads<'a> {
    /// The number of this line. The process gives no other line of the organization's shard the same.
    pub line: i64,
    /// Whether the log knows what line that is.
    pub told: bool,
    /// Whose connection.
    pub org: &'a str,
    /// Which.
    pub connection: &'a str,
    /// Which version of it.
    pub version: &'a str,
    /// By whom.
    pub actor: &'a Actor,
    /// When first, in whole milliseconds.
    pub at: Timestamp,
    /// How often; if the log knows the line, since it was told last.
    pub count: i64,
}

/// Where an open line is, in the order of sealing: organization by organization. The default comes before
/// all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OpenLine {
    /// Its organization.
    pub org: String,
    /// Its number.
    pub number: i64,
}

/// Where a chain begins and ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    /// The number of its newest event; 0 before the first one.
    pub newest: i64,
    /// The hash of that.
    pub newest_hash: ChainHash,
    /// The number of the newest event that was removed for its age; 0 before the first one.
    pub pruned: i64,
    /// The hash of that.
    pub pruned_hash: ChainHash,
}

/// The keeping of the audit log.
#[async_trait]
pub trait AuditIndex: Send + Sync {
    /// Counts these reads, as batch `number` of this process: one that was recorded before is not counted
    /// again. To be called with greater numbers each time, or again with the last.
    ///
    /// Returns the first minute of which the log knows all these lines from now on: those, and no others, are
    /// `told` when they are read again.
    async fn record_reads(&self, number: i64, reads: &[Reads<'_>], now: Timestamp)
    -> Result<i64, IndexError>;

    /// Gives all reads of minutes before this one their place in their chains. What can't be sealed is logged
    /// and left as it is.
    async fn seal_reads(&self, before: i64) -> Result<(), IndexError>;

    /// Forgets which batches were recorded by processes that have recorded none since `before`.
    async fn forget_writers(&self, before: Timestamp) -> Result<(), IndexError>;

    /// Gives open lines, which older versions of keybroker appended, their place in their chains: at most
    /// `limit` of them, from after `after`, and those of reads only if they are from before `reads_before`.
    /// What can't be sealed is logged and left out. Returns where to go on; nothing if these were the last.
    async fn seal(
        &self,
        reads_before: Timestamp,
        after: &OpenLine,
        limit: u16,
    ) -> Result<Option<OpenLine>, IndexError>;

    /// The next organization, after `after`, of which the log holds anything.
    async fn next_org(&self, after: &str) -> Result<Option<String>, IndexError>;

    /// Where an organization's chain begins and ends; nothing if it has none.
    async fn find_ends(&self, org: &str) -> Result<Option<Ends>, IndexError>;

    /// The events of a chain after number `after`, oldest first: at most `limit` links.
    async fn links_after(&self, org: &str, after: i64, limit: u16) -> Result<Vec<Link>, IndexError>;

    /// The oldest event in its place up to number `end`, if there is one.
    async fn link_up_to(&self, org: &str, end: i64) -> Result<Option<Link>, IndexError>;

    /// How many events of an organization wait for their place.
    async fn count_open(&self, org: &str) -> Result<i64, IndexError>;

    /// Looks at so many organizations after `after`: those of them whose oldest event is from before
    /// `before`, and after which to go on.
    async fn orgs_to_prune(
        &self,
        after: &str,
        before: Timestamp,
        limit: u16,
    ) -> Result<Page<String, String>, IndexError>;

    /// Removes the events after `ends.pruned` up to number `up_to`, which carries `hash`, and notes that
    /// the chain begins there. False, and nothing done, if it no longer begins where `ends` says.
    async fn prune(&self, org: &str, ends: &Ends, up_to: i64, hash: ChainHash) -> Result<bool, IndexError>;
}

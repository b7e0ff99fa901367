//! What one replica at a time does: leases, which another takes over when their holder dies.

use async_trait::async_trait;
use jiff::Timestamp;

use super::index::IndexError;

/// The leases, by name.
#[async_trait]
pub trait Leases: Send + Sync {
    /// Takes or renews the lease of that name for this process, unless another has it at `now`.
    async fn take_lease(&self, name: &str, now: Timestamp, until: Timestamp) -> Result<bool, IndexError>;

    /// Gives up the lease of that name, if this process has it.
    async fn end_lease(&self, name: &str) -> Result<(), IndexError>;
}

//! How a replica is told that the event log grew, where the database tells.

use async_trait::async_trait;

use super::index::IndexError;

/// A database that may tell of changes.
#[async_trait]
pub trait News: Send + Sync {
    /// Begins to listen, on a connection of its own. Nothing where the database does not tell.
    async fn listen(&self) -> Result<Option<Box<dyn Listening>>, IndexError>;
}

/// A connection that hears of changes from the moment it was made.
#[async_trait]
pub trait Listening: Send {
    /// Waits until someone changes something.
    ///
    /// # Errors
    /// If the connection is lost: nobody tells what happened since.
    async fn hear(&mut self) -> Result<(), IndexError>;
}

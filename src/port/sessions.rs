//! What is kept of connect sessions.

use async_trait::async_trait;
use jiff::Timestamp;
use uuid::Uuid;

use super::index::IndexError;
use crate::domain::{
    event::Event,
    session::{ConnectSession, Notice},
    token::HashedToken,
};

/// The connect sessions. A session is found by what its holder has and by nothing else; whose it is, it
/// says itself.
#[async_trait]
pub trait SessionIndex: Send + Sync {
    /// Adds a session, with its event.
    async fn add_session(
        &self,
        session: &ConnectSession,
        link: &HashedToken,
        event: &Event,
    ) -> Result<(), IndexError>;

    /// The session with this link, opened or not.
    async fn find_link(&self, link: &HashedToken) -> Result<Option<ConnectSession>, IndexError>;

    /// Spends a link for a visit with this cookie, with its event. False, and nothing done, if the link was
    /// spent before or its time is over.
    async fn open_link(
        &self,
        link: &HashedToken,
        cookie: &HashedToken,
        now: Timestamp,
        until: Timestamp,
        event: &Event,
    ) -> Result<bool, IndexError>;

    /// The session whose visit has this cookie, over or not.
    async fn find_visit(&self, cookie: &HashedToken) -> Result<Option<ConnectSession>, IndexError>;

    /// Notes that the visitor was seen.
    async fn see_visitor(&self, id: Uuid, at: Timestamp) -> Result<(), IndexError>;

    /// Counts one more tried key; false, and not counted, if there were `most` already.
    async fn count_attempt(&self, id: Uuid, most: i64) -> Result<bool, IndexError>;

    /// Keeps what the next page is to tell, or nothing.
    async fn keep_notice(&self, id: Uuid, notice: Option<&Notice>) -> Result<(), IndexError>;

    /// Ends a visit.
    async fn end_visit(&self, id: Uuid) -> Result<(), IndexError>;
}

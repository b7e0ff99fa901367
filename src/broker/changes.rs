//! How a replica hears what others changed: it follows the event log.
//!
//! Events are numbered in the order of their commits and without gaps, so asking for what is above the
//! last number seen misses nothing, whatever was down in between. Other processes are other replicas,
//! and the command line. Where the database tells of changes ([`super::listen`]), it is asked at once; for
//! those that nobody told of, and to know that there are none, it is asked anyway.

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{cache::CredentialCache, error::Error, listen::Wake, sight::Sight, tokens::Tokens};
use crate::{
    domain::{clock::Clock, event::EventType},
    port::index::{Change, SystemIndex},
};

/// How often it asks where nobody tells: a change made elsewhere is seen within this and the time of one
/// query.
const EVERY: Duration = Duration::from_millis(500);

/// How often it asks where it is told.
const EVERY_WHEN_TOLD: Duration = Duration::from_secs(1);

const BATCH: u16 = 1_000;

/// Follows the event log and forgets what others changed.
pub struct Follower {
    parts: Parts,
    seen: i64,
}

/// What a follower works with.
pub struct Parts {
    /// Where the log is.
    pub system: Arc<dyn SystemIndex>,
    /// What forgets keys.
    pub cache: CredentialCache,
    /// What forgets tokens.
    pub tokens: Tokens,
    /// What is told how far it sees.
    pub sight: Sight,
    /// What wakes it.
    pub wake: Wake,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

impl Follower {
    /// A follower of everything from now on. To be made before anything is read into memory.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn new(parts: Parts) -> Result<Self, Error> {
        let asked_at = parts.clock.uptime();
        let seen = parts.system.newest_event().await?;
        parts.sight.saw(asked_at);
        Ok(Self { parts, seen })
    }

    /// Asks whenever it is woken, and from time to time, until told to stop.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut deaf = false;
        while stop.run_until_cancelled(self.pause()).await.is_some() {
            let result = self.run_once().await;
            match (&result, deaf) {
                (Err(error), false) => {
                    tracing::warn!(%error, "changes made elsewhere can't be seen at present");
                }
                (Ok(()), true) => tracing::info!("changes made elsewhere are seen again"),
                _ => {}
            }
            deaf = result.is_err();
        }
    }

    async fn pause(&self) {
        let every = if self.parts.wake.is_hearing() { EVERY_WHEN_TOLD } else { EVERY };
        // Whether woken or not, it asks.
        let _ = timeout(self.parts.sight.look_every(every), self.parts.wake.woken()).await;
    }

    /// Forgets what was changed since the last time.
    ///
    /// # Errors
    /// If the database does not answer: nothing is lost, the next time sees it.
    pub async fn run_once(&mut self) -> Result<(), Error> {
        loop {
            let asked_at = self.parts.clock.uptime();
            let changes = self.parts.system.changes_after(self.seen, BATCH).await?;
            for change in &changes {
                if change.number != self.seen + 1 {
                    // Some were removed for their age before this replica could hear of them.
                    self.parts.cache.forget_all();
                    self.parts.tokens.forget_all();
                }
                self.forget(change);
                self.seen = change.number;
            }
            if changes.len() < usize::from(BATCH) {
                self.parts.sight.saw(asked_at);
                return Ok(());
            }
        }
    }

    fn forget(&self, change: &Change) {
        if change.r#type == Some(EventType::CredentialsRead) {
            return; // Told, but nothing changed.
        }
        let moves = matches!(
            change.r#type,
            // What only a newer version of keybroker understands may be one too.
            None | Some(EventType::VaultEnabled | EventType::VaultDisabled | EventType::VaultTokenCreated)
        );
        match &change.org {
            Some(org) if moves => self.parts.cache.forget_org(org),
            None if moves => self.parts.cache.forget_all(),
            _ => {}
        }
        if let Some(name) = &change.secret {
            // Also of our own, whose outcome may not have reached the one who asked for it.
            if let Some(generation) = change.generation {
                self.parts.cache.told(name, generation);
            }
            if !change.own {
                self.parts.cache.forget(name);
            }
        }
        // Also after one of our own, and after what only a newer version of keybroker understands.
        if matches!(change.r#type, None | Some(EventType::TokenRevoked)) {
            self.parts.tokens.forget_all();
        }
    }
}

//! How a replica hears what others changed: it follows the event log.
//!
//! Events are numbered in the order of their commits and without gaps, so asking for what is above the
//! last number seen misses nothing, whatever was down in between. Other processes are other replicas,
//! and the command line.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use super::{cache::CredentialCache, error::Error, tokens::Tokens};
use crate::{
    domain::event::EventType,
    port::index::{Change, SystemIndex},
};

/// How often it asks: a change made elsewhere is seen within this and the time of one query.
const EVERY: Duration = Duration::from_millis(500);

const BATCH: u16 = 1_000;

/// Follows the event log and forgets what others changed.
pub struct Follower {
    system: Arc<dyn SystemIndex>,
    cache: CredentialCache,
    tokens: Tokens,
    seen: i64,
}

impl Follower {
    /// A follower of everything from now on. To be made before anything is read into memory.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn new(
        system: Arc<dyn SystemIndex>,
        cache: CredentialCache,
        tokens: Tokens,
    ) -> Result<Self, Error> {
        let seen = system.newest_event().await?;
        Ok(Self { system, cache, tokens, seen })
    }

    /// Asks twice a second until told to stop.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut blind = false;
        while stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
            let result = self.run_once().await;
            match (&result, blind) {
                (Err(error), false) => {
                    tracing::warn!(%error, "changes made elsewhere can't be seen at present");
                }
                (Ok(()), true) => tracing::info!("changes made elsewhere are seen again"),
                _ => {}
            }
            blind = result.is_err();
        }
    }

    /// Forgets what others changed since the last time.
    ///
    /// # Errors
    /// If the database does not answer: nothing is lost, the next time sees it.
    pub async fn run_once(&mut self) -> Result<(), Error> {
        loop {
            let changes = self.system.changes_after(self.seen, BATCH).await?;
            for change in &changes {
                self.forget(change);
                self.seen = change.number;
            }
            if changes.len() < usize::from(BATCH) {
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
            Some(EventType::VaultEnabled | EventType::VaultDisabled | EventType::VaultTokenCreated)
        );
        if let Some(org) = change.org.as_ref().filter(|_| moves) {
            self.cache.forget_org(org);
        }
        if let Some(name) = change.secret.as_ref().filter(|_| !change.own) {
            self.cache.forget(name);
        }
        // Also after one of our own, whose outcome may not have reached the one who asked for it; and
        // after what only a newer version of keybroker understands.
        if matches!(change.r#type, None | Some(EventType::TokenRevoked)) {
            self.tokens.forget_all();
        }
    }
}

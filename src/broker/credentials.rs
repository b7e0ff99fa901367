//! Reading keys: the hot path.

use std::{sync::Arc, time::Duration};

use futures_util::FutureExt;

use super::{
    cache::{CredentialCache, Freshness, Served},
    error::Error,
    reads::ReadLog,
};
use crate::{
    domain::{
        access::{Permit, Read},
        clock::Clock,
        connection::Connection,
        secret::Version,
    },
    port::{
        index::ConnectionIndex,
        store::{Store, StoredSecret, Which},
    },
};

/// How long after a write AWS may answer with what was there before. It promises no time; a second is
/// usual.
const CONSISTENT_WITHIN: Duration = Duration::from_mins(1);

/// Reads credentials, from memory where it may.
#[derive(Clone)]
pub struct CredentialReader {
    index: Arc<dyn ConnectionIndex>,
    store: Arc<dyn Store>,
    cache: CredentialCache,
    reads: ReadLog,
    clock: Arc<dyn Clock>,
}

/// What a reader is answered.
#[derive(Debug)]
pub enum Reading {
    /// The keys. The audit log is told of it.
    Keys(Arc<Served>),
    /// None: the caller holds this version of them.
    Held(Version),
}

impl CredentialReader {
    /// A reader of `store`, by way of `cache`, that tells `reads` what it gives out.
    #[must_use]
    pub fn new(
        index: Arc<dyn ConnectionIndex>,
        store: Arc<dyn Store>,
        cache: CredentialCache,
        reads: ReadLog,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { index, store, cache, reads, clock }
    }

    /// The current credentials, unless the caller holds their version.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such connection or it is disconnected; else what the store or
    /// the database failed with, be it that the read can't be logged.
    pub async fn read(
        &self,
        permit: &Permit<Read>,
        freshness: Freshness,
        held: impl Fn(&Version) -> bool + Send,
    ) -> Result<Reading, Error> {
        let load = || {
            let (reader, permit) = (self.clone(), permit.clone());
            async move { reader.load(&permit).await }.boxed()
        };
        let served = self.cache.read(permit.on(), freshness, load).await?;
        self.give(permit, served, held).await
    }

    /// The credentials before the current ones, unless the caller holds their version. Never cached.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there are none; else as [`CredentialReader::read`].
    pub async fn read_previous(
        &self,
        permit: &Permit<Read>,
        held: impl Fn(&Version) -> bool + Send,
    ) -> Result<Reading, Error> {
        let name = permit.on();
        let connection = self.index.find_connection(name.org(), name.connection()).await?;
        let connection = connection.ok_or(Error::NotFound)?;
        let previous = connection.previous.ok_or(Error::NotFound)?;
        let secret = self.store.get(permit, Which::Version(&previous)).await?.ok_or(Error::NotFound)?;
        let served = Served {
            provider: connection.provider,
            credentials: secret.credentials()?,
            version: secret.version,
            source: connection.source,
        };
        self.give(permit, Arc::new(served), held).await
    }

    /// The one way out: no keys are given that the log is not told of.
    async fn give(
        &self,
        permit: &Permit<Read>,
        served: Arc<Served>,
        held: impl Fn(&Version) -> bool + Send,
    ) -> Result<Reading, Error> {
        if held(&served.version) {
            return Ok(Reading::Held(served.version.clone()));
        }
        self.reads.record(permit, &served.version).await?;
        Ok(Reading::Keys(served))
    }

    /// Whether AWS may still answer with what was there before the last write. Later, such an answer is an
    /// operator's doing.
    fn may_lag(&self, connection: &Connection) -> bool {
        self.clock.now().duration_since(connection.updated_at).unsigned_abs() < CONSISTENT_WITHIN
    }

    async fn load(&self, permit: &Permit<Read>) -> Result<Served, Error> {
        let name = permit.on();
        let connection = self
            .index
            .find_connection(name.org(), name.connection())
            .await?
            .filter(|connection| !connection.is_disconnected())
            .ok_or(Error::NotFound)?;
        let mut secret = self.store.get(permit, Which::Current).await?;
        if self.may_lag(&connection) && is_from_before(secret.as_ref(), &connection) {
            let known = self.store.get(permit, Which::Version(&connection.version)).await?;
            secret = known.or(secret);
        }
        let Some(secret) = secret else {
            tracing::warn!(org = %name.org(), connection = %name.connection(), "the store has lost a secret that the index knows");
            return Err(Error::NotFound);
        };
        let credentials = secret.credentials()?;
        if credentials.is_empty() {
            // Erased, by a disconnect that is under way or by another program.
            return Err(Error::NotFound);
        }
        Ok(Served {
            provider: connection.provider,
            credentials,
            version: secret.version,
            source: connection.source,
        })
    }
}

/// Whether an answer of AWS is from before the connection's last write. Any other version was written by
/// another program, and is the truth.
fn is_from_before(secret: Option<&StoredSecret>, connection: &Connection) -> bool {
    secret.is_none_or(|secret| {
        let empty = secret.credentials().is_ok_and(|credentials| credentials.is_empty());
        Some(&secret.version) == connection.previous.as_ref() || empty
    })
}

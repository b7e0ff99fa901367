//! Reading keys: the hot path.

use std::sync::Arc;

use futures_util::FutureExt;

use super::{
    cache::{CredentialCache, Freshness, Served},
    current::current_keys,
    error::Error,
    reads::ReadLog,
};
use crate::{
    domain::{
        access::{Permit, Read},
        clock::Clock,
        secret::Version,
    },
    port::{
        index::ConnectionIndex,
        store::{Store, Which},
    },
};

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
        let (provider, keys) = (&connection.provider, secret.credentials()?);
        let served = Served::new(provider, &keys, secret.version, connection.source);
        self.give(permit, Arc::new(served), held).await
    }

    /// The one way out: no keys are given that the log is not told of.
    async fn give(
        &self,
        permit: &Permit<Read>,
        served: Arc<Served>,
        held: impl Fn(&Version) -> bool + Send,
    ) -> Result<Reading, Error> {
        if held(served.version()) {
            return Ok(Reading::Held(served.version().clone()));
        }
        self.reads.record(permit, served.version()).await?;
        Ok(Reading::Keys(served))
    }

    async fn load(&self, permit: &Permit<Read>) -> Result<Served, Error> {
        let name = permit.on();
        let connection = self
            .index
            .find_connection(name.org(), name.connection())
            .await?
            .filter(|connection| !connection.is_disconnected())
            .ok_or(Error::NotFound)?;
        let (version, keys) = current_keys(&*self.store, &*self.clock, permit, &connection).await?;
        Ok(Served::new(&connection.provider, &keys, version, connection.source))
    }
}

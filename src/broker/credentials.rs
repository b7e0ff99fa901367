//! Reading keys: the hot path.

use std::sync::Arc;

use futures_util::FutureExt;

use super::{
    cache::{CredentialCache, Freshness, Served},
    current::current_keys,
    error::Error,
    reads::ReadLog,
    turns::{StoreReads, Turns},
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
    turns: Arc<Turns>,
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
    /// A reader of `store`, at most so often at once, by way of `cache`, that tells `reads` what it gives
    /// out.
    #[must_use]
    pub fn new(
        index: Arc<dyn ConnectionIndex>,
        store: Arc<dyn Store>,
        cache: CredentialCache,
        reads: ReadLog,
        store_reads: StoreReads,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { index, store, cache, reads, turns: Arc::new(Turns::new(store_reads)), clock }
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

    /// What [`CredentialReader::read`] would answer, if that is in memory, there is nobody to ask or to wait
    /// for, and `admit` agrees, which is asked last. Otherwise nothing, and nothing is done or counted.
    #[must_use]
    pub fn recall(
        &self,
        permit: &Permit<Read>,
        held: impl FnOnce(&Version) -> bool,
        admit: impl FnOnce() -> bool,
    ) -> Option<Reading> {
        let served = self.cache.hit(permit.on())?;
        let (admitted, reading) = if held(served.version()) {
            (admit(), Reading::Held(served.version().clone()))
        } else {
            (self.reads.count(permit, served.version(), admit), Reading::Keys(served))
        };
        if !admitted {
            return None;
        }
        self.cache.count_hit();
        Some(reading)
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
        let turn = self.turns.turn().await?;
        let secret = self.store.get(permit, Which::Version(&previous)).await?.ok_or(Error::NotFound)?;
        drop(turn);
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
        let _turn = self.turns.turn().await?;
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

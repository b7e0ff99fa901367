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
        connection::Connection,
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
    ) -> Self {
        Self { index, store, cache, reads }
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
        let hit = if freshness == Freshness::Cached { self.cache.hit(permit.on()) } else { None };
        let served = match hit {
            Some(served) => served,
            None => self.ask(permit, freshness).await?,
        };
        self.give(permit, served, held).await
    }

    async fn ask(&self, permit: &Permit<Read>, freshness: Freshness) -> Result<Arc<Served>, Error> {
        let shared = Arc::new((self.clone(), permit.clone()));
        let load = move || {
            let shared = Arc::clone(&shared);
            async move { shared.0.load(&shared.1, freshness).await }.boxed()
        };
        self.cache.read(permit.on(), freshness, load).await
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
            generation: connection.generation - 1,
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

    /// What the database says is current, out of memory if that is still it, else out of the store.
    async fn load(&self, permit: &Permit<Read>, freshness: Freshness) -> Result<Arc<Served>, Error> {
        let mut connection = self.connection(permit).await?;
        if freshness == Freshness::Cached
            && let Some(served) = self.cache.confirmed(permit.on(), connection.generation)
        {
            return Ok(served);
        }
        loop {
            let current = current_keys(&*self.store, &*self.index, permit, &connection).await;
            let surprising = match &current {
                Ok((version, _)) => *version != connection.version,
                Err(error) => error.is_absence(),
            };
            if surprising {
                // Another program did it; or the connection was written since we looked.
                let now = self.connection(permit).await?;
                if now.generation != connection.generation {
                    connection = now;
                    continue;
                }
            }
            let (version, credentials) = current?;
            let Connection { provider, generation, source, .. } = connection;
            return Ok(Arc::new(Served { provider, credentials, version, generation, source }));
        }
    }

    /// The connection as the database has it, of which the cache hears too.
    async fn connection(&self, permit: &Permit<Read>) -> Result<Connection, Error> {
        let name = permit.on();
        let found =
            self.index.find_connection(name.org(), name.connection()).await?.ok_or(Error::NotFound)?;
        self.cache.told(name, found.generation);
        if found.is_disconnected() { Err(Error::NotFound) } else { Ok(found) }
    }
}

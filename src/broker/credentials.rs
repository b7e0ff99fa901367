//! Reading keys: the hot path.

use std::{sync::Arc, time::Duration};

use futures_util::FutureExt;

use super::{
    cache::{CredentialCache, Found, Freshness, Kept, Served},
    current::current_keys,
    error::Error,
    reads::ReadLog,
    turns::Turns,
    vault::VaultReader,
};
use crate::{
    domain::{
        access::{Permit, Read},
        connection::{Connection, Place, Source},
        provider::Catalogue,
    },
    port::{
        index::ConnectionIndex,
        store::{Store, Which},
    },
};

/// Reads credentials, from memory where it may.
#[derive(Clone)]
pub struct CredentialReader(Arc<Parts>);

/// What reading works with.
pub struct Parts {
    /// Where connections are.
    pub index: Arc<dyn ConnectionIndex>,
    /// Where managed keys are.
    pub store: Arc<dyn Store>,
    /// The way to the others.
    pub vault: VaultReader,
    /// Which providers' keys may be there.
    pub catalogue: Arc<Catalogue>,
    /// What is in memory.
    pub cache: CredentialCache,
    /// What is told of every read.
    pub reads: ReadLog,
    /// How many keys are asked of the store at a time.
    pub turns: Turns,
}

/// What a reader is answered.
#[derive(Debug)]
pub enum Reading {
    /// The keys. The audit log is told of it.
    Keys(Served),
    /// None: the caller holds this version of them.
    Held(String),
}

impl CredentialReader {
    /// A reader of these parts.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
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
        held: impl Fn(&str) -> bool + Send,
    ) -> Result<Reading, Error> {
        let shared = Arc::new((self.clone(), permit.clone()));
        let load = move |freshness| {
            let shared = Arc::clone(&shared);
            async move { shared.0.load(&shared.1, freshness).await }.boxed()
        };
        let served = match self.0.cache.read(permit.on(), freshness, load).await? {
            Kept::Keys(served) => served,
            Kept::Vault(route) => {
                let (version, keys) = self.0.vault.read(&route).await?;
                Served::new(route.provider(), &keys, &version, Source::CustomerVault)
            }
        };
        self.give(permit, served, held).await
    }

    /// What [`CredentialReader::read`] would answer, if that is in memory, there is nobody to ask or to wait
    /// for at the uptime `now`, and `admit` agrees, which is asked last. Otherwise nothing, and nothing is
    /// done or counted.
    #[must_use]
    pub fn recall(
        &self,
        permit: &Permit<Read>,
        now: Duration,
        held: impl FnOnce(&Served) -> bool,
        admit: impl FnOnce() -> bool,
    ) -> Option<Reading> {
        let served = self.0.cache.hit(permit.on(), now)?;
        let (admitted, reading) = if held(&served) {
            (admit(), Reading::Held(served.version().to_owned()))
        } else {
            (self.0.reads.count(permit, &served, admit), Reading::Keys(served))
        };
        if !admitted {
            return None;
        }
        self.0.cache.count_hit();
        Some(reading)
    }

    /// The credentials before the current ones, unless the caller holds their version. Never cached.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there are none; else as [`CredentialReader::read`].
    pub async fn read_previous(
        &self,
        permit: &Permit<Read>,
        held: impl Fn(&str) -> bool + Send,
    ) -> Result<Reading, Error> {
        let parts = &self.0;
        let connection = self.connection(permit).await?;
        if connection.place(parts.catalogue.get(&connection.provider)) != Place::Store {
            return Err(Error::NotFound);
        }
        let previous = connection.previous.ok_or(Error::NotFound)?;
        let turn = parts.turns.turn().await?;
        let secret = parts.store.get(permit, Which::Version(&previous)).await?.ok_or(Error::NotFound)?;
        drop(turn);
        let (provider, keys) = (&connection.provider, secret.credentials()?);
        let served = Served::new(provider, &keys, &secret.version, Source::Managed);
        self.give(permit, served, held).await
    }

    /// The one way out: no keys are given that the log is not told of.
    async fn give(
        &self,
        permit: &Permit<Read>,
        served: Served,
        held: impl Fn(&str) -> bool + Send,
    ) -> Result<Reading, Error> {
        if held(served.version()) {
            return Ok(Reading::Held(served.version().to_owned()));
        }
        self.0.reads.record(permit, &served).await?;
        Ok(Reading::Keys(served))
    }

    /// What the database says is current: out of memory if that is still it, else out of the store; or the
    /// way to the vault that has it.
    async fn load(&self, permit: &Permit<Read>, freshness: Freshness) -> Result<Found, Error> {
        let (parts, name) = (&self.0, permit.on());
        loop {
            let connection = self.connection(permit).await?;
            let provider = parts.catalogue.get(&connection.provider);
            let access = match connection.place(provider) {
                Place::Store => None,
                Place::Vault(access) => Some(access),
                Place::Nowhere => return Err(Error::NotFound),
            };
            parts.cache.placed(name, access);
            if freshness == Freshness::Cached
                && let Some(found) = parts.cache.confirmed(name, connection.generation, access)
            {
                return Ok(found);
            }
            let _turn = parts.turns.turn().await?;
            let kept = match (access, provider) {
                (None, _) => self.load_managed(permit, &connection).await?,
                (Some(access), Some(provider)) => {
                    let route = parts.vault.route(permit, &connection, provider, access).await?;
                    Some(Kept::Vault(Arc::new(route)))
                }
                // Of a provider that is not in the catalogue any more, the keys' names are not known.
                (Some(_), None) => return Err(Error::NotFound),
            };
            if let Some(kept) = kept {
                return Ok(Found { kept, generation: connection.generation });
            }
        }
    }

    /// The keys that the store holds; nothing, if the connection was changed since we looked.
    async fn load_managed(
        &self,
        permit: &Permit<Read>,
        connection: &Connection,
    ) -> Result<Option<Kept>, Error> {
        let parts = &self.0;
        let current = current_keys(&*parts.store, &*parts.index, permit, connection).await;
        let surprising = match &current {
            Ok((version, _)) => *version != connection.version,
            Err(error) => error.is_absence(),
        };
        if surprising {
            // Another program did it; or the connection was changed since we looked.
            let now = self.connection(permit).await?;
            if now.generation != connection.generation || now.vault != connection.vault {
                return Ok(None);
            }
        }
        let (version, keys) = current?;
        let served = Served::new(&connection.provider, &keys, &version, Source::Managed);
        Ok(Some(Kept::Keys(served)))
    }

    /// The connection as the database has it, of which the cache hears too.
    async fn connection(&self, permit: &Permit<Read>) -> Result<Connection, Error> {
        let name = permit.on();
        let found = self.0.index.find_connection(name.org(), name.connection()).await?;
        let found = found.ok_or(Error::NotFound)?;
        self.0.cache.told(name, found.generation);
        Ok(found)
    }
}

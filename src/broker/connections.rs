//! Connections: put, roll back, disconnect, find, list.

use std::sync::Arc;

use tokio_util::task::TaskTracker;

use super::{
    error::{Conflict, Error},
    under_way::to_its_end,
    verification::{Ask, Verdict, Verifier},
    write::{Terms, Work, Writer},
};
use crate::{
    domain::{
        access::{Inspect, Permit, Visitor, Write},
        connection::{Connection, Source},
        id::{ConnectionName, OrgId, ProviderName},
        precondition::Precondition,
        provider::{Catalogue, FieldError, Outcome, Provider, SentField},
        secret::{Credentials, SecretName},
    },
    port::index::{Answer, LabelChange, Page, Plan},
};

/// The connections' use cases.
#[derive(Clone)]
pub struct Connections {
    writer: Arc<Writer>,
    /// Writes run as tasks of their own: a caller that hangs up does not stop one half-way, and a
    /// shutdown waits for them.
    under_way: TaskTracker,
    verifier: Verifier,
}

/// What a caller wants a connection to be.
pub struct Wanted {
    /// The provider; may be left out where it is clear.
    pub provider: Option<ProviderName>,
    /// The fields as they came; none at all for a connection whose keys are in the organization's vault.
    pub credentials: Option<Vec<(String, SentField)>>,
    /// The label.
    pub label: LabelChange,
    /// Whether the provider is asked first, where there is a way.
    pub verify: bool,
}

impl Connections {
    /// Connections whose writes `writer` carries out, and whose keys `verifier` tries.
    #[must_use]
    pub fn new(writer: Arc<Writer>, under_way: TaskTracker, verifier: Verifier) -> Self {
        Self { writer, under_way, verifier }
    }

    /// The catalogue.
    #[must_use]
    pub fn catalogue(&self) -> &Catalogue {
        &self.writer.catalogue
    }

    /// One connection's state.
    ///
    /// # Errors
    /// [`Error::NotFound`], or what the database failed with.
    pub async fn find(&self, permit: &Permit<Inspect>) -> Result<Connection, Error> {
        self.known(permit.on()).await?.map(|connection| self.seen(connection)).ok_or(Error::NotFound)
    }

    /// A connection as a visitor of the portal may see it; nothing, if there is none of that name.
    ///
    /// # Errors
    /// [`Error::NotFound`] if it is of a provider that the visit is not for, or what the database failed
    /// with.
    pub async fn find_for(
        &self,
        visitor: &Visitor,
        name: &ConnectionName,
    ) -> Result<Option<Connection>, Error> {
        let name = SecretName::new(visitor.org().clone(), name.clone());
        let Some(connection) = self.known(&name).await? else { return Ok(None) };
        visitor.permit::<Inspect>(name.connection().clone(), &connection.provider)?;
        Ok(Some(self.seen(connection)))
    }

    /// A page of an organization's connections, in the order of their names.
    ///
    /// # Errors
    /// What the database failed with.
    pub async fn list(
        &self,
        permit: &Permit<Inspect, OrgId>,
        after: Option<&ConnectionName>,
        limit: u16,
    ) -> Result<Page<Connection, ConnectionName>, Error> {
        let (page, next) = self.writer.index.list_connections(permit.on(), after, limit).await?;
        for connection in &page {
            self.writer.cache.told(&connection.secret_name(), connection.generation);
        }
        Ok((page.into_iter().map(|connection| self.seen(connection)).collect(), next))
    }

    /// Creates or replaces. The same keys again make no new version.
    ///
    /// # Errors
    /// If the fields are not the provider's, the provider refuses them or does not say, a condition fails,
    /// another write is under way, or the store or the database does not do its part.
    pub async fn put(&self, permit: Permit<Write>, wanted: Wanted, terms: Terms) -> Result<Answer, Error> {
        Ok(self.put_asking(permit, wanted, terms, Ask::Alone).await?.0)
    }

    /// As [`Connections::put`], and tells what the provider said, what the key opens included.
    ///
    /// # Errors
    /// As [`Connections::put`].
    pub async fn put_told(
        &self,
        permit: Permit<Write>,
        wanted: Wanted,
        terms: Terms,
    ) -> Result<(Answer, Option<Verdict>), Error> {
        self.put_asking(permit, wanted, terms, Ask::WithFacts).await
    }

    async fn put_asking(
        &self,
        permit: Permit<Write>,
        wanted: Wanted,
        terms: Terms,
        ask: Ask,
    ) -> Result<(Answer, Option<Verdict>), Error> {
        if let Some(answer) = self.writer.answered(permit.on(), &terms).await? {
            return Ok((Answer { connection: self.seen(answer.connection), ..answer }, None));
        }
        let provider = self.provider(permit.on(), wanted.provider).await?;
        let entry = self.writer.catalogue.get(&provider).ok_or_else(Error::unknown_provider)?;
        let Some(fields) = wanted.credentials else {
            return Ok((self.register(permit, entry, wanted.label, terms).await?, None));
        };
        if self.writer.keeps_own(permit.on().org(), &provider).await? {
            return Err(Error::Conflict(Conflict::KeysInVault));
        }
        let credentials = entry.check(fields).map_err(Error::InvalidCredentials)?;
        let verdict = if wanted.verify && entry.verification().is_some() {
            self.not_in_vain(permit.on(), &provider, &terms).await?;
            Some(self.tried(entry, &credentials, ask).await?)
        } else {
            None
        };
        let verified_at = verdict.as_ref().map(|verdict| verdict.checked_at);
        let plan = Plan::Put { provider, label: wanted.label, verified_at };
        let answer = self.write(permit, plan, Work::Put(credentials), terms).await?;
        Ok((answer, verdict))
    }

    /// Makes a connection without keys, for an organization that has a vault for them.
    async fn register(
        &self,
        permit: Permit<Write>,
        provider: &Provider,
        label: LabelChange,
        terms: Terms,
    ) -> Result<Answer, Error> {
        let vault = self.writer.vaults.find_vault(permit.on().org()).await?;
        let Some(vault) = vault.filter(|_| !provider.oauth) else {
            let message = "is required, unless the organization keeps its keys in its own vault";
            return Err(Error::InvalidCredentials(vec![FieldError::new("credentials", message)]));
        };
        let access = vault.enabled.then_some(vault.access);
        let (writer, provider) = (Arc::clone(&self.writer), provider.name.clone());
        self.to_its_end(async move { writer.register(&permit, provider, label, access, &terms).await }).await
    }

    /// A connection as its organization sees it.
    fn seen(&self, connection: Connection) -> Connection {
        let provider = self.writer.catalogue.get(&connection.provider);
        connection.seen(provider)
    }

    /// Refuses early what would be refused later anyway, so that no key is tried in vain.
    async fn not_in_vain(
        &self,
        name: &SecretName,
        provider: &ProviderName,
        terms: &Terms,
    ) -> Result<(), Error> {
        let Some(known) = self.known(name).await? else { return Ok(()) };
        if terms.precondition == Precondition::Absent {
            return Err(Error::PreconditionFailed);
        }
        if !known.is_disconnected() && known.provider != *provider {
            return Err(Error::Conflict(Conflict::OtherProvider));
        }
        Ok(())
    }

    /// What the provider said of keys that it took.
    async fn tried(
        &self,
        provider: &Provider,
        credentials: &Credentials,
        ask: Ask,
    ) -> Result<Verdict, Error> {
        let verdict = self.verifier.ask(provider, credentials, ask).await;
        match verdict.outcome {
            Outcome::Valid | Outcome::Unsupported => Ok(verdict),
            Outcome::Invalid => {
                let remedy = match &provider.docs_url {
                    Some(url) => format!("Copy it again, whole, from {url}."),
                    None => "Copy it again, whole.".to_owned(),
                };
                Err(Error::KeyRejected(format!("{} Nothing was stored. {remedy}", verdict.detail)))
            }
            Outcome::Unreachable => Err(Error::ProviderUnreachable(format!(
                "{} Nothing was stored. Try again later, or send verify=false to store the key untried.",
                verdict.detail
            ))),
        }
    }

    /// Registers what another program wrote into the store at the connection's name, as it is there.
    /// Adopting the same version again changes nothing but the label.
    ///
    /// # Errors
    /// [`Error::NotFound`] if nothing is there; else as [`Connections::put`].
    pub async fn adopt(
        &self,
        permit: Permit<Write>,
        provider: ProviderName,
        label: LabelChange,
        terms: Terms,
    ) -> Result<Answer, Error> {
        let writer = Arc::clone(&self.writer);
        self.to_its_end(async move { writer.adopt(&permit, provider, label, &terms).await }).await
    }

    /// Makes the previous keys current again, as a new version.
    ///
    /// # Errors
    /// As [`Connections::put`], and a conflict if there is nothing to go back to.
    pub async fn roll_back(&self, permit: Permit<Write>, terms: Terms) -> Result<Answer, Error> {
        let known = self.known(permit.on()).await?;
        if known.is_some_and(|known| self.seen(known).source == Source::CustomerVault) {
            return Err(Error::Conflict(Conflict::KeysInVault));
        }
        self.write(permit, Plan::RollBack, Work::RollBack, terms).await
    }

    /// Erases the keys. Disconnecting again changes nothing.
    ///
    /// # Errors
    /// As [`Connections::put`].
    pub async fn disconnect(&self, permit: Permit<Write>, terms: Terms) -> Result<Answer, Error> {
        let plan = Plan::Disconnect { erase: self.writer.new_version() };
        self.write(permit, plan, Work::Disconnect, terms).await
    }

    async fn write(
        &self,
        permit: Permit<Write>,
        plan: Plan,
        work: Work,
        terms: Terms,
    ) -> Result<Answer, Error> {
        let writer = Arc::clone(&self.writer);
        self.to_its_end(async move { writer.carry_out(&permit, plan, work, &terms).await }).await
    }

    async fn to_its_end(
        &self,
        write: impl Future<Output = Result<Answer, Error>> + Send + 'static,
    ) -> Result<Answer, Error> {
        let answer = to_its_end(&self.under_way, "a write", write).await?;
        Ok(Answer { connection: self.seen(answer.connection), ..answer })
    }

    /// The provider meant: the one named, else the connection's own, else the one of the same name.
    async fn provider(&self, name: &SecretName, named: Option<ProviderName>) -> Result<ProviderName, Error> {
        if let Some(provider) = named {
            return Ok(provider);
        }
        if let Some(connection) = self.known(name).await? {
            return Ok(connection.provider);
        }
        let same = name.connection().as_str().parse().ok();
        same.filter(|provider| self.writer.catalogue.get(provider).is_some()).ok_or_else(|| {
            let message = "is required, since the connection is new and not named after a provider";
            Error::InvalidCredentials(vec![FieldError::new("provider", message)])
        })
    }

    /// What the database says of a connection. The cache hears of it, so that nobody who was shown this is
    /// then given older keys.
    async fn known(&self, name: &SecretName) -> Result<Option<Connection>, Error> {
        let found = self.writer.index.find_connection(name.org(), name.connection()).await?;
        if let Some(connection) = &found {
            self.writer.cache.told(name, connection.generation);
        }
        Ok(found)
    }
}

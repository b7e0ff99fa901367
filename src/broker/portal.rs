//! What a visitor of the portal sees and does: the connections' use cases, kept to the session's providers.

mod vault;

use std::collections::BTreeMap;

use jiff::Timestamp;

use self::vault::notice;
pub use self::vault::{InVault, ListedKey, VaultOverview};
use super::{
    connections::{Connections, Wanted},
    error::Error,
    events::Events,
    sessions::{Sessions, VisitOpen},
    vault::Vaults,
    verification::{Verdict, Verifier},
    write::{LabelChange, Outcome, Terms},
};
use crate::domain::{
    access::{Permit, Visitor, Write},
    connection::Connection,
    event::{EventFilter, EventType, Listed, RequestId},
    id::{ConnectionName, ProviderName},
    precondition::Precondition,
    provider::{Outcome as Tried, Provider, SentField},
    session::{Done, Notice},
};

/// The most connections that the portal shows.
const MOST_SHOWN: u16 = 1_000;

/// The portal's use cases.
#[derive(Clone)]
pub struct Portal {
    connections: Connections,
    verifier: Verifier,
    events: Events,
    sessions: Sessions,
    vaults: Vaults,
}

/// A provider, and the organization's connection to it, if there is one.
#[derive(Debug, Clone)]
pub struct Integration {
    /// The provider; nothing, if the catalogue does not have it any more.
    pub provider: Option<Provider>,
    /// The connection.
    pub connection: Option<Connection>,
    /// Its keys in the organization's own vault, if that is where they are, or would be.
    pub vault: Option<InVault>,
}

/// What a visitor put into a form.
pub struct Filled {
    /// The fields that were filled in.
    pub fields: Vec<(String, SentField)>,
    /// What the account is to be called.
    pub label: LabelChange,
    /// What the page showed, which this is to change.
    pub precondition: Precondition,
}

impl Portal {
    /// The portal of these use cases.
    #[must_use]
    pub fn new(
        connections: Connections,
        verifier: Verifier,
        events: Events,
        sessions: Sessions,
        vaults: Vaults,
    ) -> Self {
        Self { connections, verifier, events, sessions, vaults }
    }

    /// The sessions.
    #[must_use]
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// What people call a provider.
    #[must_use]
    pub fn provider_name(&self, name: &ProviderName) -> String {
        let known = self.connections.catalogue().get(name);
        known.map_or_else(|| name.to_string(), |provider| provider.display_name.clone())
    }

    /// Every connection that the visitor may see, by name, and then every provider that has none yet.
    ///
    /// # Errors
    /// What the database failed with.
    pub async fn integrations(&self, visitor: &Visitor) -> Result<Vec<Integration>, Error> {
        let catalogue = self.connections.catalogue();
        let connections = self.seen(visitor).await?;
        let connected = |provider: &Provider| connections.iter().any(|c| c.provider == provider.name);
        let taken =
            |provider: &Provider| connections.iter().any(|c| c.name.as_str() == provider.name.as_str());
        let free = catalogue.iter().filter(|provider| {
            // One without fields of its own is only for those who were sent for it.
            let wanted = !provider.fields.is_empty() || visitor.providers().is_some();
            visitor.may_use(&provider.name) && wanted && !connected(provider) && !taken(provider)
        });
        let vault = self.enabled_vault(visitor).await?;
        let vault = vault.as_ref();
        let mut keys = match vault {
            Some(_) => self.keys_by_connection(visitor).await?,
            None => BTreeMap::new(),
        };
        let free = free.map(|provider| Integration::of(Some(provider.clone()), None, vault, Vec::new()));
        let free: Vec<_> = free.collect();
        let known = connections.into_iter().map(|connection| {
            let provider = catalogue.get(&connection.provider).cloned();
            let keys = keys.remove(&connection.name).unwrap_or_default();
            Integration::of(provider, Some(connection), vault, keys)
        });
        Ok(known.chain(free).collect())
    }

    /// One connection, or the provider of that name if there is no such connection yet.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is neither, or not for this visitor; else what the database failed with.
    pub async fn integration(&self, visitor: &Visitor, name: &ConnectionName) -> Result<Integration, Error> {
        let catalogue = self.connections.catalogue();
        let connection = self.connections.find_for(visitor, name).await?;
        let vault = self.enabled_vault(visitor).await?;
        if let Some(connection) = connection {
            let provider = catalogue.get(&connection.provider).cloned();
            let keys = match vault {
                Some(_) => self.keys_of(visitor, &connection).await?,
                None => Vec::new(),
            };
            return Ok(Integration::of(provider, Some(connection), vault.as_ref(), keys));
        }
        let provider: Option<ProviderName> = name.as_str().parse().ok();
        let provider = provider.and_then(|name| catalogue.get(&name));
        let provider = provider.filter(|provider| visitor.may_use(&provider.name)).ok_or(Error::NotFound)?;
        Ok(Integration::of(Some(provider.clone()), None, vault.as_ref(), Vec::new()))
    }

    /// Tries the keys in a form and stores them if the provider takes them. Where the organization's own
    /// vault has them, the connection is made without.
    ///
    /// # Errors
    /// As [`Connections::put`]; [`Error::RateLimited`] if too many were tried in this session.
    pub async fn connect(
        &self,
        visit: &VisitOpen,
        name: &ConnectionName,
        filled: Filled,
        request_id: Option<RequestId>,
    ) -> Result<(), Error> {
        let (permit, provider, in_vault) = self.permit(&visit.visitor, name).await?;
        self.sessions.count_attempt(&visit.session).await?;
        // A form from before the vault was enabled has keys, and is refused.
        let without = in_vault && filled.fields.iter().all(|(_, value)| value.is_empty());
        let wanted = Wanted {
            provider: Some(provider),
            credentials: (!without).then_some(filled.fields),
            label: filled.label,
            verify: true,
        };
        let (answer, verdict) =
            self.connections.put_told(permit, wanted, terms(filled.precondition, request_id)).await?;
        let done = match answer.outcome {
            _ if without => Done::Connected,
            Outcome::Created => Done::Connected,
            Outcome::Unchanged => Done::Unchanged,
            Outcome::Updated | Outcome::RolledBack | Outcome::Disconnected => Done::Replaced,
        };
        let opens = verdict.map(|verdict| verdict.opens).unwrap_or_default();
        self.leave(visit, Notice { opens, ..notice(name.as_str(), done) }).await;
        Ok(())
    }

    /// Tries the stored keys.
    ///
    /// # Errors
    /// As [`Verifier::verify`].
    pub async fn test(
        &self,
        visit: &VisitOpen,
        name: &ConnectionName,
        request_id: Option<RequestId>,
    ) -> Result<(), Error> {
        let (permit, ..) = self.permit(&visit.visitor, name).await?;
        self.sessions.count_attempt(&visit.session).await?;
        let Verdict { outcome, opens, .. } = self.verifier.verify(&permit, request_id).await?;
        let done = match outcome {
            Tried::Valid => Done::Valid,
            Tried::Invalid => Done::Invalid,
            Tried::Unreachable => Done::Unreachable,
            Tried::Unsupported => Done::Unsupported,
        };
        self.leave(visit, Notice { opens, ..notice(name.as_str(), done) }).await;
        Ok(())
    }

    /// Makes the previous keys current again.
    ///
    /// # Errors
    /// As [`Connections::roll_back`].
    pub async fn roll_back(
        &self,
        visit: &VisitOpen,
        name: &ConnectionName,
        precondition: Precondition,
        request_id: Option<RequestId>,
    ) -> Result<(), Error> {
        let (permit, ..) = self.permit(&visit.visitor, name).await?;
        self.connections.roll_back(permit, terms(precondition, request_id)).await?;
        self.told(visit, name.as_str(), Done::RolledBack).await;
        Ok(())
    }

    /// Erases the keys.
    ///
    /// # Errors
    /// As [`Connections::disconnect`].
    pub async fn disconnect(
        &self,
        visit: &VisitOpen,
        name: &ConnectionName,
        precondition: Precondition,
        request_id: Option<RequestId>,
    ) -> Result<(), Error> {
        let (permit, ..) = self.permit(&visit.visitor, name).await?;
        self.connections.disconnect(permit, terms(precondition, request_id)).await?;
        self.told(visit, name.as_str(), Done::Disconnected).await;
        Ok(())
    }

    /// Who last put a connection's keys there, and when, as far as the log still tells.
    ///
    /// # Errors
    /// What the database failed with.
    pub async fn connected_by(
        &self,
        visitor: &Visitor,
        name: &ConnectionName,
    ) -> Result<Option<(String, Timestamp)>, Error> {
        for r#type in [EventType::ConnectionUpdated, EventType::ConnectionCreated] {
            let filter = EventFilter {
                r#type: Some(r#type),
                connection: Some(name.clone()),
                ..EventFilter::default()
            };
            let (events, _) = self.events.list(&visitor.permit_org(), &filter, None, 1).await?;
            if let Some(event) = events.into_iter().next() {
                let actor = event.record.actor;
                return Ok(Some((actor.name.unwrap_or(actor.id), event.record.at)));
            }
        }
        Ok(None)
    }

    /// A page of what happened, newest first: with a session for some providers, to their connections only,
    /// which are among `integrations`.
    ///
    /// # Errors
    /// What the database failed with.
    pub async fn activity(
        &self,
        visitor: &Visitor,
        integrations: &[Integration],
        before: Option<uuid::Uuid>,
        limit: u16,
    ) -> Result<(Vec<Listed>, Option<uuid::Uuid>), Error> {
        let filter = EventFilter::default();
        let (mut events, next) = self.events.list(&visitor.permit_org(), &filter, before, limit).await?;
        if visitor.providers().is_some() {
            let seen = |name: &str| {
                let mut connections = integrations.iter().filter_map(|seen| seen.connection.as_ref());
                connections.any(|connection| connection.name.as_str() == name)
            };
            events.retain(|event| event.record.connection.as_deref().is_some_and(seen));
        }
        Ok((events, next))
    }

    async fn seen(&self, visitor: &Visitor) -> Result<Vec<Connection>, Error> {
        let (mut all, _) = self.connections.list(&visitor.permit_org(), None, MOST_SHOWN).await?;
        all.retain(|connection| visitor.may_use(&connection.provider));
        Ok(all)
    }

    /// A permit to change a connection, which provider's it is, and whether its keys are in the vault.
    async fn permit(
        &self,
        visitor: &Visitor,
        name: &ConnectionName,
    ) -> Result<(Permit<Write>, ProviderName, bool), Error> {
        let Integration { provider, vault, .. } = self.integration(visitor, name).await?;
        // A provider that is not in the catalogue any more has no page.
        let provider = provider.ok_or(Error::NotFound)?.name;
        Ok((visitor.permit(name.clone(), &provider)?, provider, vault.is_some()))
    }

    async fn told(&self, visit: &VisitOpen, about: &str, done: Done) {
        self.leave(visit, notice(about, done)).await;
    }

    async fn leave(&self, visit: &VisitOpen, notice: Notice) {
        // It is done: that the next page can't tell is no reason to say otherwise.
        if let Err(error) = self.sessions.leave_notice(&visit.session, &notice).await {
            tracing::warn!(session = %visit.session.id, %error, "what was done can't be told on the next page");
        }
    }
}

fn terms(precondition: Precondition, request_id: Option<RequestId>) -> Terms {
    Terms { precondition, request_id, ..Terms::default() }
}

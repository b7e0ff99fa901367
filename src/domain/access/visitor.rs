//! Who visits the portal.

use std::{collections::BTreeSet, marker::PhantomData, sync::Arc};

use super::{Actor, Denied, Permit, PortalAction};
use crate::domain::{
    id::{ConnectionName, OrgId, ProviderName},
    secret::SecretName,
};

/// A visitor of the portal, whose connect session was opened.
///
/// It can do what the portal is for, in its own organization and with its own providers:
///
/// ```
/// # use keybroker::domain::{access::*, id::*};
/// # fn example(visitor: &Visitor, vapi: ConnectionName, provider: &ProviderName) -> Result<(), Denied> {
/// let permit: Permit<Write> = visitor.permit(vapi, provider)?;
/// # Ok(()) }
/// ```
/// ```compile_fail,E0277
/// # use keybroker::domain::{access::*, id::*};
/// # fn example(visitor: &Visitor, vapi: ConnectionName, provider: &ProviderName) -> Result<(), Denied> {
/// let permit: Permit<Read> = visitor.permit(vapi, provider)?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Visitor {
    org: OrgId,
    actor: Arc<Actor>,
    providers: Option<BTreeSet<ProviderName>>,
}

impl Visitor {
    /// The visitor behind a session that was found open; of all providers, if none are named.
    #[must_use]
    pub fn new(org: OrgId, actor: Actor, providers: Option<BTreeSet<ProviderName>>) -> Self {
        Self { org, actor: Arc::new(actor), providers }
    }

    /// The organization whose portal it is.
    #[must_use]
    pub fn org(&self) -> &OrgId {
        &self.org
    }

    /// Who it is.
    #[must_use]
    pub fn actor(&self) -> &Arc<Actor> {
        &self.actor
    }

    /// Whether the session is for this provider.
    #[must_use]
    pub fn may_use(&self, provider: &ProviderName) -> bool {
        self.providers.as_ref().is_none_or(|providers| providers.contains(provider))
    }

    /// The providers that the session is for, if it is not for all.
    #[must_use]
    pub fn providers(&self) -> Option<&BTreeSet<ProviderName>> {
        self.providers.as_ref()
    }

    /// A permit to do `A` with a connection of that provider.
    ///
    /// # Errors
    /// If the session is for other providers.
    pub fn permit<A: PortalAction>(
        &self,
        connection: ConnectionName,
        provider: &ProviderName,
    ) -> Result<Permit<A>, Denied> {
        if !self.may_use(provider) {
            return Err(Denied::OtherProvider);
        }
        Ok(self.make(SecretName::new(self.org.clone(), connection)))
    }

    /// A permit to do `A` with the organization as a whole. What it opens of other providers' connections
    /// is for the broker to leave out.
    #[must_use]
    pub fn permit_org<A: PortalAction>(&self) -> Permit<A, OrgId> {
        self.make(self.org.clone())
    }

    fn make<A, On>(&self, on: On) -> Permit<A, On> {
        Permit { on, actor: Arc::clone(&self.actor), action: PhantomData }
    }
}

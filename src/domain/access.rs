//! Who may do what: the only place a [`Permit`] is made.
//!
//! Every store call takes a permit for one secret, so forgetting to check is a compile error. A
//! permit comes from [`Caller::permit`] or from a named [`SystemTask`], and from nowhere else:
//!
//! ```
//! # use keybroker::domain::{access::*, id::*};
//! # fn example(caller: &Caller, org: OrgId, vapi: ConnectionName) -> Result<(), Denied> {
//! let permit: Permit<Read> = caller.permit(org, vapi)?;
//! # Ok(()) }
//! ```
//! ```compile_fail,E0451
//! # use keybroker::domain::{access::*, secret::SecretName};
//! # fn example(caller: &Caller, name: SecretName) {
//! let permit: Permit<Read> = Permit { on: name, actor: caller.actor().clone(), action: std::marker::PhantomData };
//! # }
//! ```
//!
//! A permit to see a connection's state is none to read its keys:
//!
//! ```
//! # use keybroker::{domain::access::*, port::store::*};
//! # async fn example(store: &dyn Store, permit: Permit<Read>) {
//! store.get(&permit, Which::Current).await;
//! # }
//! ```
//! ```compile_fail,E0277
//! # use keybroker::{domain::access::*, port::store::*};
//! # async fn example(store: &dyn Store, permit: Permit<Inspect>) {
//! store.get(&permit, Which::Current).await;
//! # }
//! ```
//!
//! and a permit to read is none to write:
//!
//! ```
//! # use keybroker::{domain::{access::*, secret::*}, port::store::*};
//! # async fn example(store: &dyn Store, permit: Permit<Write>, version: Version, keys: Credentials) {
//! store.put(&permit, &version, &keys, Expect::Missing).await;
//! # }
//! ```
//! ```compile_fail,E0308
//! # use keybroker::{domain::{access::*, secret::*}, port::store::*};
//! # async fn example(store: &dyn Store, permit: Permit<Read>, version: Version, keys: Credentials) {
//! store.put(&permit, &version, &keys, Expect::Missing).await;
//! # }
//! ```
//!
//! To add an action: a unit struct, its [`Action`] with the scope it asks for, and, if the store
//! may be read with it, [`MayRead`].

mod scope;
mod visitor;

use std::{collections::BTreeSet, fmt, marker::PhantomData, sync::Arc};

use hashbrown::HashSet;
use serde::{Deserialize, Serialize};

pub use self::{
    scope::{Scope, UnknownScope},
    visitor::Visitor,
};
use super::{
    id::{ConnectionName, OrgId},
    secret::SecretName,
};

/// The organizations a token reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Orgs {
    /// Every organization, those to come included.
    All,
    /// These and no others.
    Only(BTreeSet<OrgId>),
}

impl Orgs {
    /// Whether all of `other` are among them.
    #[must_use]
    pub fn cover(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::All, _) => true,
            (Self::Only(_), Self::All) => false,
            (Self::Only(mine), Self::Only(theirs)) => theirs.is_subset(mine),
        }
    }
}

/// What a token reaches: scopes in organizations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// What may be done.
    pub scopes: BTreeSet<Scope>,
    /// And where.
    pub orgs: Orgs,
}

impl Reach {
    /// Everything, everywhere.
    #[must_use]
    pub fn everything() -> Self {
        Self { scopes: Scope::ALL.into(), orgs: Orgs::All }
    }

    /// Whether this reaches all that `other` does.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        other.scopes.is_subset(&self.scopes) && self.orgs.cover(&other.orgs)
    }
}

/// Who did something, as the audit log tells it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Actor {
    /// What kind of actor it is.
    pub r#type: ActorType,
    /// The token's id, or the task's or command's name.
    pub id: String,
    /// The token's name, for people.
    pub name: Option<String>,
}

/// The kinds of actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ActorType {
    /// A bearer of an API token.
    Token,
    /// A person in the portal, as the app named them.
    User,
    /// The service itself: a start, a background task.
    System,
    /// A person at the command line, with access to the database.
    Operator,
}

impl ActorType {
    /// Its name in the log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::User => "user",
            Self::System => "system",
            Self::Operator => "operator",
        }
    }
}

/// An authenticated caller and what its token allows.
#[derive(Debug, Clone)]
pub struct Caller {
    actor: Arc<Actor>,
    reach: Reach,
    allowed: Allowed,
}

/// A reach as each request asks for it. A set that is in order compares names that lie here and there, one
/// after the other; this looks at one of them, for an organization that is among thousands as for one of a
/// few.
#[derive(Debug, Clone)]
struct Allowed {
    scopes: [bool; Scope::ALL.len()],
    /// None, if all.
    orgs: Option<HashSet<OrgId>>,
}

impl Allowed {
    fn by(reach: &Reach) -> Self {
        let orgs = match &reach.orgs {
            Orgs::All => None,
            Orgs::Only(orgs) => Some(orgs.iter().cloned().collect()),
        };
        let mut scopes = [false; Scope::ALL.len()];
        for scope in &reach.scopes {
            scopes[*scope as usize] = true;
        }
        Self { scopes, orgs }
    }

    fn scope(&self, scope: Scope) -> bool {
        self.scopes[scope as usize]
    }

    fn org(&self, org: &OrgId) -> bool {
        self.orgs.as_ref().is_none_or(|orgs| orgs.contains(org))
    }
}

impl Caller {
    /// The caller behind a token that was found valid.
    #[must_use]
    pub fn new(actor: Actor, reach: Reach) -> Self {
        let allowed = Allowed::by(&reach);
        Self { actor: Arc::new(actor), reach, allowed }
    }

    /// Who it is.
    #[must_use]
    pub fn actor(&self) -> &Arc<Actor> {
        &self.actor
    }

    /// What its token reaches.
    #[must_use]
    pub fn reach(&self) -> &Reach {
        &self.reach
    }

    /// A permit to do `A` with one connection.
    ///
    /// # Errors
    /// If the token lacks the scope, or is for other organizations.
    pub fn permit<A: Action>(&self, org: OrgId, connection: ConnectionName) -> Result<Permit<A>, Denied> {
        self.allow::<A>(&org)?;
        Ok(self.make(SecretName::new(org, connection)))
    }

    /// A permit to do `A` with an organization as a whole.
    ///
    /// # Errors
    /// If the token lacks the scope, or is for other organizations.
    pub fn permit_org<A: Action>(&self, org: OrgId) -> Result<Permit<A, OrgId>, Denied> {
        self.allow::<A>(&org)?;
        Ok(self.make(org))
    }

    /// A permit to manage tokens, as far as this caller's own token reaches.
    ///
    /// # Errors
    /// If the token lacks the scope.
    pub fn permit_tokens(&self) -> Result<Permit<ManageTokens, Reach>, Denied> {
        self.allow_scope(ManageTokens::SCOPE)?;
        Ok(self.make(self.reach.clone()))
    }

    /// The scope first: its absence is told, and tells nothing of what exists.
    fn allow<A: Action>(&self, org: &OrgId) -> Result<(), Denied> {
        self.allow_scope(A::SCOPE)?;
        if self.allowed.org(org) { Ok(()) } else { Err(Denied::OtherOrg) }
    }

    fn allow_scope(&self, scope: Scope) -> Result<(), Denied> {
        if self.allowed.scope(scope) { Ok(()) } else { Err(Denied::MissingScope(scope)) }
    }

    fn make<A, On>(&self, on: On) -> Permit<A, On> {
        Permit { on, actor: Arc::clone(&self.actor), action: PhantomData }
    }
}

/// Why there is no permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The token may not do this anywhere.
    #[error("the token lacks the scope {0}")]
    MissingScope(Scope),
    /// The token is for other organizations. A caller is told the same as of a missing connection.
    #[error("the token is for other organizations")]
    OtherOrg,
    /// The portal's session is for other providers. A visitor is told the same as of a missing connection.
    #[error("the session is for other providers")]
    OtherProvider,
}

/// The background tasks that touch secrets on nobody's request: each gets the one permit that it needs.
#[derive(Debug)]
pub enum SystemTask {}

impl SystemTask {
    /// For the reconciler, which finishes or drops the writes that a crash left behind: a permit to settle
    /// the fate of one secret's unfinished write.
    #[must_use]
    pub fn reconciler(on: SecretName) -> Permit<Write> {
        Self::permit("reconciler", on)
    }

    /// For the verifier, which tries keys with their providers: a permit to read one secret.
    #[must_use]
    pub fn verifier(on: SecretName) -> Permit<Read> {
        Self::permit("verifier", on)
    }

    fn permit<A>(id: &str, on: SecretName) -> Permit<A> {
        let actor = Actor { r#type: ActorType::System, id: id.into(), name: None };
        Permit { on, actor: Arc::new(actor), action: PhantomData }
    }
}

/// Leave to do `A` on one thing: a connection's secret unless said otherwise.
pub struct Permit<A, On = SecretName> {
    on: On,
    actor: Arc<Actor>,
    action: PhantomData<A>,
}

impl<A, On> Permit<A, On> {
    /// What the permit is for.
    pub fn on(&self) -> &On {
        &self.on
    }

    /// Who holds it.
    pub fn actor(&self) -> &Arc<Actor> {
        &self.actor
    }
}

impl<A, On: Clone> Clone for Permit<A, On> {
    fn clone(&self) -> Self {
        Self { on: self.on.clone(), actor: Arc::clone(&self.actor), action: PhantomData }
    }
}

impl<A, On: fmt::Debug> fmt::Debug for Permit<A, On> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("on", &self.on).field("actor", &self.actor).finish()
    }
}

mod sealed {
    pub trait Sealed {}
}

/// Something a token's scope allows.
pub trait Action: sealed::Sealed + Send + Sync + 'static {
    /// The scope it takes.
    const SCOPE: Scope;
}

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident => $scope:ident,)+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy)]
        pub struct $name;

        impl sealed::Sealed for $name {}

        impl Action for $name {
            const SCOPE: Scope = Scope::$scope;
        }
    )+};
}

actions! {
    /// To read the keys.
    Read => CredentialsRead,
    /// To create, replace, roll back or disconnect.
    Write => ConnectionsWrite,
    /// To see a connection's state, never its keys.
    Inspect => ConnectionsRead,
    /// To read the audit log.
    Audit => EventsRead,
    /// To invite someone into the portal.
    Invite => SessionsWrite,
    /// To make, list and revoke tokens.
    ManageTokens => TokensWrite,
    /// To say where the organization's own vault is, and whether its keys are read from it.
    ManageVault => VaultWrite,
}

/// To ask an organization's vault: it opens the vault's URL and token, and no connection's keys. No token
/// allows it by itself; it comes with a permit for something that needs the vault.
#[derive(Debug, Clone, Copy)]
pub struct UseVault;

/// What a visitor of the portal may do. Never [`Read`]: no page shows a key.
pub trait PortalAction: Action {}

impl PortalAction for Write {}
impl PortalAction for Inspect {}
impl PortalAction for Audit {}
impl PortalAction for ManageVault {}

/// A permit with which the store may be read.
///
/// Writing includes it: the broker compares a value with the one it replaces, and puts the previous
/// one back. What it reads so never reaches the caller.
pub trait MayRead: sealed::Sealed + Send + Sync {
    /// The secret that may be read.
    fn secret(&self) -> &SecretName;

    /// The permit to ask the same organization's vault, for when the keys are there.
    fn vault(&self) -> Permit<UseVault>;
}

impl<A, On> sealed::Sealed for Permit<A, On> {}

macro_rules! may_read {
    ($($action:ident),+) => {$(
        impl MayRead for Permit<$action> {
            fn secret(&self) -> &SecretName {
                &self.on
            }

            fn vault(&self) -> Permit<UseVault> {
                self.on_vault(self.on.org())
            }
        }
    )+};
}

may_read!(Read, Write, UseVault);

impl<A, On> Permit<A, On> {
    fn on_vault<B>(&self, org: &OrgId) -> Permit<B> {
        let on = SecretName::vault(org.clone());
        Permit { on, actor: Arc::clone(&self.actor), action: PhantomData }
    }
}

impl Permit<Inspect, OrgId> {
    /// The permit to see where the organization's vault is.
    #[must_use]
    pub fn vault(&self) -> Permit<UseVault> {
        self.on_vault(&self.on)
    }
}

impl Permit<ManageVault, OrgId> {
    /// The permit to keep where the organization's vault is.
    #[must_use]
    pub fn vault_secret(&self) -> Permit<Write> {
        self.on_vault(&self.on)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(scopes: &[Scope], orgs: &[&str]) -> Caller {
        let actor = Actor { r#type: ActorType::Token, id: "1".into(), name: None };
        let orgs = Orgs::Only(orgs.iter().map(|org| org.parse().unwrap()).collect());
        Caller::new(actor, Reach { scopes: scopes.iter().copied().collect(), orgs })
    }

    #[test]
    fn a_permit_takes_the_scope_and_the_org() {
        let caller = caller(&[Scope::CredentialsRead], &["acme"]);
        let ask = |org: &str| (org.parse().unwrap(), "vapi".parse().unwrap());
        let (org, vapi) = ask("acme");
        assert_eq!(caller.permit::<Read>(org, vapi).unwrap().on().org().as_str(), "acme");
        let (org, vapi) = ask("other");
        assert_eq!(caller.permit::<Read>(org, vapi).unwrap_err(), Denied::OtherOrg);
        for org in ["acme", "other"] {
            let (org, vapi) = ask(org);
            let denied = caller.permit::<Write>(org, vapi).unwrap_err();
            assert_eq!(denied, Denied::MissingScope(Scope::ConnectionsWrite));
        }
    }

    #[test]
    fn a_reach_covers_no_more_than_itself() {
        let of = |scopes: &[Scope], orgs: &[&str]| caller(scopes, orgs).reach;
        let mine = of(&[Scope::EventsRead, Scope::TokensWrite], &["a", "b"]);
        assert!(mine.covers(&of(&[Scope::EventsRead], &["b"])));
        assert!(!mine.covers(&of(&[Scope::ProxyUse], &["b"])));
        assert!(!mine.covers(&of(&[Scope::EventsRead], &["b", "c"])));
        assert!(!mine.covers(&Reach { orgs: Orgs::All, ..mine.clone() }));
        assert!(Reach::everything().covers(&mine));
    }
}

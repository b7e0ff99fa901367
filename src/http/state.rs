//! What the handlers are given.

use axum::extract::FromRef;

use crate::{
    broker::{
        connections::Connections, credentials::CredentialReader, events::Events, health::Health,
        portal::Portal, sessions::Sessions, tokens::Tokens, vault::Vaults, verification::Verifier,
    },
    domain::secret::Prefix,
    http::portal::PortalPages,
};

/// What handlers work with; each takes the part it needs.
#[derive(Clone, FromRef)]
pub struct AppState {
    /// Connections.
    pub connections: Connections,
    /// Whether their keys work.
    pub verifier: Verifier,
    /// Their keys.
    pub credentials: CredentialReader,
    /// Where organizations keep their keys themselves.
    pub vaults: Vaults,
    /// Connect sessions.
    pub sessions: Sessions,
    /// The portal.
    pub portal: Portal,
    /// What its pages look like.
    pub pages: PortalPages,
    /// API tokens.
    pub tokens: Tokens,
    /// The audit log.
    pub events: Events,
    /// Liveness and readiness.
    pub health: Health,
    /// The first part of every secret's name.
    pub prefix: Prefix,
}

//! What a token may be used for.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// What a token may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
pub enum Scope {
    /// See connections, their state and their non-secret fields.
    ConnectionsRead,
    /// Create, replace, roll back and disconnect connections.
    ConnectionsWrite,
    /// Read the keys themselves.
    CredentialsRead,
    /// Call a provider with a connection's key, without seeing the key.
    ProxyUse,
    /// Make connect sessions.
    SessionsWrite,
    /// Configure an organization's own vault.
    VaultWrite,
    /// Read the audit log.
    EventsRead,
    /// Make, list and revoke tokens.
    TokensWrite,
}

impl Scope {
    /// Every scope, in the order of the documentation.
    pub const ALL: [Self; 8] = [
        Self::ConnectionsRead,
        Self::ConnectionsWrite,
        Self::CredentialsRead,
        Self::ProxyUse,
        Self::SessionsWrite,
        Self::VaultWrite,
        Self::EventsRead,
        Self::TokensWrite,
    ];

    /// The scope's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ConnectionsRead => "connections:read",
            Self::ConnectionsWrite => "connections:write",
            Self::CredentialsRead => "credentials:read",
            Self::ProxyUse => "proxy:use",
            Self::SessionsWrite => "sessions:write",
            Self::VaultWrite => "vault:write",
            Self::EventsRead => "events:read",
            Self::TokensWrite => "tokens:write",
        }
    }
}

/// Not a scope's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "no such scope; there are connections:read, connections:write, credentials:read, proxy:use, \
     sessions:write, vault:write, events:read and tokens:write"
)]
pub struct UnknownScope;

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text).ok_or(UnknownScope)
    }
}

impl TryFrom<String> for Scope {
    type Error = UnknownScope;

    fn try_from(text: String) -> Result<Self, UnknownScope> {
        text.parse()
    }
}

impl From<Scope> for &'static str {
    fn from(scope: Scope) -> Self {
        scope.as_str()
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_read_as_they_are_written() {
        for scope in Scope::ALL {
            assert_eq!(scope.as_str().parse(), Ok(scope));
        }
        assert_eq!("connections".parse::<Scope>(), Err(UnknownScope));
    }
}

//! What is kept of a connection.

use std::sync::Arc;

use super::Served;
use crate::{broker::vault::Route, domain::secret::Version};

/// What is kept of a connection. Clones share it.
#[derive(Clone)]
pub enum Kept {
    /// Its keys.
    Keys(Served),
    /// How to ask its organization's own vault for them, each time. Holds none of them.
    Vault(Arc<Route>),
}

/// What a load found.
#[derive(Clone)]
pub struct Found {
    /// What may be kept.
    pub kept: Kept,
    /// The connection's generation that it belongs to, which orders what is found.
    pub generation: i64,
}

/// What a route takes, in bytes, with two long names and some keys' names.
const ROUTE: usize = 2_048;

impl Kept {
    /// With which version of its settings the vault is asked; nothing, if the keys are the store's.
    pub(super) fn access(&self) -> Option<&Version> {
        match self {
            Self::Keys(_) => None,
            Self::Vault(route) => Some(route.access()),
        }
    }

    /// How much memory it takes, in bytes.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Keys(served) => served.size(),
            Self::Vault(_) => ROUTE,
        }
    }

    /// Whether both are the very same, and not only alike.
    pub(super) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Keys(a), Self::Keys(b)) => a.is(b),
            (Self::Vault(a), Self::Vault(b)) => Arc::ptr_eq(a, b),
            (Self::Keys(_), Self::Vault(_)) | (Self::Vault(_), Self::Keys(_)) => false,
        }
    }
}

//! What is kept of a connection.

use std::sync::Arc;

use super::Served;
use crate::broker::vault::Route;

/// What is kept of a connection. Clones share it.
#[derive(Clone)]
pub enum Kept {
    /// Its keys.
    Keys(Arc<Served>),
    /// How to ask its organization's own vault for them, each time. Holds none of them.
    Vault(Arc<Route>),
}

/// What a route takes, in bytes, with two long names and some keys' names.
const ROUTE: usize = 2_048;

impl Kept {
    /// How much memory it takes, in bytes.
    pub(super) fn length(&self) -> usize {
        match self {
            Self::Keys(served) => served.length(),
            Self::Vault(_) => ROUTE,
        }
    }
}

//! How a vault stands, as far as the database knows: for pages that are looked at more often than it is
//! asked.

use super::Vaults;
use crate::{
    broker::error::Error,
    domain::{
        access::{Inspect, Permit},
        id::OrgId,
        vault::{VaultKey, VaultRecord},
    },
};

impl Vaults {
    /// What the database knows of an organization's vault; nothing, if it was never configured.
    ///
    /// # Errors
    /// What the database failed with.
    pub async fn record(&self, permit: &Permit<Inspect, OrgId>) -> Result<Option<VaultRecord>, Error> {
        Ok(self.0.vaults.find_vault(permit.on()).await?)
    }

    /// The names under which the vault is to hold one connection's keys; none of a connection that is not
    /// there, or whose keys stay in the store.
    ///
    /// # Errors
    /// What the database failed with.
    pub async fn keys_for(&self, permit: &Permit<Inspect>) -> Result<Vec<VaultKey>, Error> {
        let name = permit.on();
        let found = self.0.connections.find_connection(name.org(), name.connection()).await?;
        Ok(found.map(|connection| self.keys_of_connection(&connection)).unwrap_or_default())
    }
}

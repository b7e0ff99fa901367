//! Whether keys may rest in the store at all.

use super::Writer;
use crate::{
    broker::error::Error,
    domain::{
        connection::Connection,
        id::{OrgId, ProviderName},
    },
    port::index::{Intent, Plan},
};

impl Writer {
    /// Whether keys of `provider` may not rest in the store, since the organization keeps its own.
    pub(in crate::broker) async fn keeps_own(
        &self,
        org: &OrgId,
        provider: &ProviderName,
    ) -> Result<bool, Error> {
        Ok(self.may_move(provider) && self.vaults.find_vault(org).await?.is_some_and(|vault| vault.enabled))
    }

    fn may_move(&self, provider: &ProviderName) -> bool {
        self.catalogue.get(provider).is_none_or(|provider| !provider.oauth)
    }

    /// The same, once the connection is locked: the vault may have been enabled since the caller was let in.
    pub(super) async fn keeps_own_by_now(
        &self,
        intent: &Intent,
        before: Option<&Connection>,
    ) -> Result<bool, Error> {
        let provider = match (&intent.plan, before) {
            (Plan::Put { provider, .. }, None) => return self.keeps_own(&intent.org, provider).await,
            (_, None) => return Ok(false),
            (Plan::Put { provider, .. }, Some(_)) => provider,
            (_, Some(before)) => &before.provider,
        };
        // The connection's row tells of the vault too.
        Ok(self.may_move(provider) && before.is_some_and(|before| before.vault.is_some()))
    }
}

//! Registration: a connection whose keys are in its organization's own vault. The store is neither read nor
//! written.

use std::ops::ControlFlow;

use super::{Failure, Terms, Writer, entry::connected};
use crate::{
    broker::error::Error,
    domain::{
        access::{Permit, Write},
        id::ProviderName,
        secret::{Credentials, Version},
    },
    port::index::{Answer, Intent, LabelChange, Plan},
};

impl Writer {
    /// Makes a connection of `provider` without keys, which are in the vault that `access` tells how to ask,
    /// if it is enabled. One that has keys keeps them, for when the vault is disabled.
    pub(in crate::broker) async fn register(
        &self,
        permit: &Permit<Write>,
        provider: ProviderName,
        label: LabelChange,
        access: Option<Version>,
        terms: &Terms,
    ) -> Result<Answer, Error> {
        let plan = Plan::Register { provider: provider.clone(), label };
        let (intent, _) = self.begin(permit, plan, terms).await?;
        let result = self.enter(permit, &intent, &provider, access, terms).await;
        self.conclude(&intent, result).await
    }

    async fn enter(
        &self,
        permit: &Permit<Write>,
        intent: &Intent,
        provider: &ProviderName,
        access: Option<Version>,
        terms: &Terms,
    ) -> Result<Answer, Failure> {
        let before = match self.open_entry(permit, intent, provider, terms).await? {
            ControlFlow::Break(answer) => return Ok(answer),
            ControlFlow::Continue(before) => before,
        };
        let same = connected(before.as_ref()).is_some();
        let mut answer = self.answer(intent, before, &Credentials::none(), same);
        answer.connection.vault = access;
        self.close_entry(intent, answer).await
    }
}

//! Registration: a connection whose keys are in its organization's own vault. The store is neither read nor
//! written.

use super::{Failure, Terms, Writer};
use crate::{
    broker::error::{Conflict, Error},
    domain::{
        access::{Permit, Write},
        id::ProviderName,
        secret::{Credentials, Version},
    },
    port::index::{Answer, Intent, LabelChange, Outcome, Plan},
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
        let (intent, _) = self.begin(permit, Plan::Register { provider, label }, terms).await?;
        let result = self.enter(permit, &intent, access, terms).await;
        self.conclude(&intent, result).await
    }

    async fn enter(
        &self,
        permit: &Permit<Write>,
        intent: &Intent,
        access: Option<Version>,
        terms: &Terms,
    ) -> Result<Answer, Failure> {
        if let Some(answer) = self.answered_meanwhile(permit, intent, terms).await? {
            return Ok(answer);
        }
        let before = self.index.find_connection(&intent.org, &intent.connection).await?;
        if !terms.precondition.holds(before.as_ref().map(|before| &before.version)) {
            return Err(Error::PreconditionFailed.into());
        }
        let registered = before.as_ref().filter(|before| !before.is_disconnected());
        let Plan::Register { provider, .. } = &intent.plan else {
            return Err(Error::Internal("a registration of another plan".into()).into());
        };
        if registered.is_some_and(|before| before.provider != *provider) {
            return Err(Error::Conflict(Conflict::OtherProvider).into());
        }
        let same = registered.is_some();
        let mut answer = self.answer(intent, before, &Credentials::none(), same);
        answer.connection.vault = access;
        if answer.outcome == Outcome::Unchanged {
            // Registering again changes nothing, and is no event.
            self.index.drop_write(&intent.org, intent).await?;
            return Ok(answer);
        }
        let events = self.events(intent, &answer, false);
        self.record(intent, answer, &events).await
    }
}

//! Adoption: a connection for what another program wrote into the store. The store is read and not
//! written, and its own version becomes the connection's.

use tokio::time::{Instant, timeout_at};

use super::{Failure, Terms, Writer, too_late};
use crate::{
    broker::error::{Conflict, Error},
    domain::{
        access::{Permit, Write},
        id::ProviderName,
        provider::{FieldError, Provider},
        secret::{Credentials, NotCredentials, Version},
        strict::fields_of,
    },
    port::{
        index::{Answer, Intent, LabelChange, Outcome, Plan},
        store::Which,
    },
};

impl Writer {
    /// Registers what the store holds under the permit's name as a connection of `provider`.
    pub(in crate::broker) async fn adopt(
        &self,
        permit: &Permit<Write>,
        provider: ProviderName,
        label: LabelChange,
        terms: &Terms,
    ) -> Result<Answer, Error> {
        let entry = self.catalogue.get(&provider).ok_or_else(Error::unknown_provider)?;
        let (intent, deadline) = self.begin(permit, Plan::Adopt { provider, label }, terms).await?;
        let result = self.take_over(permit, &intent, entry, terms, deadline).await;
        self.conclude(&intent, result).await
    }

    async fn take_over(
        &self,
        permit: &Permit<Write>,
        intent: &Intent,
        provider: &Provider,
        terms: &Terms,
        deadline: Instant,
    ) -> Result<Answer, Failure> {
        if let Some(answer) = self.answered_meanwhile(permit, intent, terms).await? {
            return Ok(answer);
        }
        let before = self.index.find_connection(&intent.org, &intent.connection).await?;
        if !terms.precondition.holds(before.as_ref().map(|before| &before.version)) {
            return Err(Error::PreconditionFailed.into());
        }
        let registered = before.as_ref().filter(|before| !before.is_disconnected());
        if registered.is_some_and(|before| before.provider != provider.name) {
            return Err(Error::Conflict(Conflict::OtherProvider).into());
        }
        let found = timeout_at(deadline, self.found(permit, provider)).await;
        let (version, credentials) = found.map_err(|_| too_late())??;
        let same = registered.is_some_and(|before| before.version == version);
        let adopted = Intent { version, ..intent.clone() };
        let answer = self.answer(&adopted, before, &credentials, same);
        if answer.outcome == Outcome::Unchanged {
            // Adopting again changes nothing, and is no event.
            self.index.drop_write(&intent.org, intent).await?;
            return Ok(answer);
        }
        let events = self.events(intent, &answer, false);
        self.record(intent, answer, &events).await
    }

    /// What the store holds, if it is the provider's.
    async fn found(
        &self,
        permit: &Permit<Write>,
        provider: &Provider,
    ) -> Result<(Version, Credentials), Error> {
        let found = self.store.get(permit, Which::Current).await?.ok_or(Error::NotFound)?;
        let wrong = |e: NotCredentials| {
            Error::InvalidCredentials(vec![FieldError::new("credentials", format!("{e}"))])
        };
        let stored = found.credentials().map_err(wrong)?;
        // What a disconnect leaves.
        if stored.is_empty() {
            return Err(Error::NotFound);
        }
        provider.check(fields_of(&stored)).map_err(Error::InvalidCredentials)?;
        Ok((found.version, stored))
    }
}

//! Adoption: a connection for what another program wrote into the store. The store is read and not
//! written, and its own version becomes the connection's.

use std::ops::ControlFlow;

use tokio::time::{Instant, timeout_at};

use super::{Failure, Terms, Writer, entry::connected, too_late};
use crate::{
    broker::error::Error,
    domain::{
        access::{Permit, Write},
        id::ProviderName,
        provider::{FieldError, Provider},
        secret::{Credentials, NotCredentials, Version},
        strict::fields_of,
    },
    port::{
        index::{Answer, Intent, LabelChange, Plan},
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
        let before = match self.open_entry(permit, intent, &provider.name, terms).await? {
            ControlFlow::Break(answer) => return Ok(answer),
            ControlFlow::Continue(before) => before,
        };
        let found = timeout_at(deadline, self.found(permit, provider)).await;
        let (version, credentials) = found.map_err(|_| too_late())??;
        let same = connected(before.as_ref()).is_some_and(|before| before.version == version);
        let adopted = Intent { version, ..intent.clone() };
        let answer = self.answer(&adopted, before, &credentials, same);
        self.close_entry(intent, answer).await
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

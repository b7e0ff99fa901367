//! What an adoption and a registration have in common: a connection is entered into the index, and the store
//! is not written.

use std::ops::ControlFlow;

use super::{Failure, Terms, Writer};
use crate::{
    broker::error::{Conflict, Error},
    domain::{
        access::{Permit, Write},
        connection::Connection,
        id::ProviderName,
    },
    port::index::{Answer, Intent, Outcome},
};

impl Writer {
    /// The connection as it is, if it may be entered as one of `provider`; or the answer that the same
    /// request got before.
    pub(super) async fn open_entry(
        &self,
        permit: &Permit<Write>,
        intent: &Intent,
        provider: &ProviderName,
        terms: &Terms,
    ) -> Result<ControlFlow<Answer, Option<Connection>>, Failure> {
        if let Some(answer) = self.answered_meanwhile(permit, intent, terms).await? {
            return Ok(ControlFlow::Break(answer));
        }
        let before = self.index.find_connection(&intent.org, &intent.connection).await?;
        if !terms.precondition.holds(before.as_ref().map(|before| &before.version)) {
            return Err(Error::PreconditionFailed.into());
        }
        if connected(before.as_ref()).is_some_and(|before| before.provider != *provider) {
            return Err(Error::Conflict(Conflict::OtherProvider).into());
        }
        Ok(ControlFlow::Continue(before))
    }

    /// Keeps what was entered. The same again changes nothing, and is no event.
    pub(super) async fn close_entry(&self, intent: &Intent, answer: Answer) -> Result<Answer, Failure> {
        if answer.outcome == Outcome::Unchanged {
            self.index.drop_write(&intent.org, intent).await?;
            return Ok(answer);
        }
        let events = self.events(intent, &answer, false);
        self.record(intent, answer, &events).await
    }
}

/// The connection, unless it was disconnected.
pub(super) fn connected(before: Option<&Connection>) -> Option<&Connection> {
    before.filter(|before| !before.is_disconnected())
}

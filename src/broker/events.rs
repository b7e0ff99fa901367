//! Reading the audit log.

use std::sync::Arc;

use futures_util::{Stream, stream::try_unfold};
use uuid::Uuid;

use super::error::Error;
use crate::{
    domain::{
        access::{Audit, Permit},
        event::{EventFilter, Listed},
        id::OrgId,
    },
    port::index::{ConnectionIndex, IndexError, Page},
};

/// How many events an export holds in memory at a time.
const EXPORT_PAGE: u16 = 500;

/// The audit log of each organization.
#[derive(Clone)]
pub struct Events(Arc<dyn ConnectionIndex>);

impl Events {
    /// The log in `index`.
    #[must_use]
    pub fn new(index: Arc<dyn ConnectionIndex>) -> Self {
        Self(index)
    }

    /// A page of an organization's events, newest first, from before the event `before`.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] if the organization has no such event any more, or never had; and what the
    /// database failed with.
    pub async fn list(
        &self,
        permit: &Permit<Audit, OrgId>,
        filter: &EventFilter,
        before: Option<Uuid>,
        limit: u16,
    ) -> Result<Page<Listed, Uuid>, Error> {
        self.0.list_events(permit.on(), filter, before, limit).await.map_err(|error| match error {
            // The same for another organization's event, of which it tells nothing.
            IndexError::NotFound => Error::InvalidRequest(
                "The event that the cursor stands for is not in the log, or no longer. Start again with the first page."
                    .into(),
            ),
            error => error.into(),
        })
    }

    /// All of an organization's events that pass the filter, newest first, page by page. Ends with the
    /// database's failure, if it fails.
    ///
    /// Each page begins after a position, so that an event that is removed in time takes nothing with it.
    pub fn export(
        self,
        permit: Permit<Audit, OrgId>,
        filter: EventFilter,
    ) -> impl Stream<Item = Result<Vec<Listed>, Error>> + Send {
        try_unfold((self, permit, Some(filter)), |(events, permit, filter)| async move {
            let Some(mut filter) = filter else { return Ok(None) };
            let (page, more) = events.list(&permit, &filter, None, EXPORT_PAGE).await?;
            filter.after = page.last().map(|last| last.position.clone());
            Ok(Some((page, (events, permit, more.map(|_| filter)))))
        })
    }
}

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
    port::index::{ConnectionIndex, Page},
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
    /// What the database failed with.
    pub async fn list(
        &self,
        permit: &Permit<Audit, OrgId>,
        filter: &EventFilter,
        before: Option<Uuid>,
        limit: u16,
    ) -> Result<Page<Listed, Uuid>, Error> {
        Ok(self.0.list_events(permit.on(), filter, before, limit).await?)
    }

    /// All of an organization's events that pass the filter, newest first, page by page. Ends with the
    /// database's failure, if it fails.
    pub fn export(
        self,
        permit: Permit<Audit, OrgId>,
        filter: EventFilter,
    ) -> impl Stream<Item = Result<Vec<Listed>, Error>> + Send {
        let all = (self, permit, filter);
        try_unfold((all, Some(None)), |(all, next)| async move {
            let Some(before) = next else { return Ok(None) };
            let (events, permit, filter) = &all;
            let (page, next) = events.list(permit, filter, before, EXPORT_PAGE).await?;
            Ok(Some((page, (all, next.map(Some)))))
        })
    }
}

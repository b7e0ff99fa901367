//! Reading the audit log.

use std::sync::Arc;

use uuid::Uuid;

use super::error::Error;
use crate::{
    domain::{
        access::{Audit, Permit},
        event::{Event, EventType},
        id::OrgId,
    },
    port::index::{ConnectionIndex, Page},
};

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
        r#type: Option<EventType>,
        before: Option<Uuid>,
        limit: u16,
    ) -> Result<Page<Event, Uuid>, Error> {
        Ok(self.0.list_events(permit.on(), r#type, before, limit).await?)
    }
}

//! What a write makes of its connection, and what the log is told of it.

use std::{sync::Arc, time::Duration};

use super::{super::verification::next_try, Writer};
use crate::{
    domain::{
        connection::{Connection, Source, Status, shown_fields},
        event::{Event, EventType},
        secret::Credentials,
    },
    port::index::{Answer, Intent, LabelChange, Outcome, Plan},
};

/// When keys that were not tried are, if not sooner.
const UNTRIED: Duration = Duration::from_hours(1);

impl Writer {
    /// What a write that is done made of the connection.
    pub(super) fn answer(
        &self,
        intent: &Intent,
        before: Option<Connection>,
        credentials: &Credentials,
        unchanged: bool,
    ) -> Answer {
        let now = self.clock.now();
        let label = |old: Option<_>| match &intent.plan {
            Plan::Put { label, .. } | Plan::Adopt { label, .. } | Plan::Register { label, .. } => match label
            {
                LabelChange::Set(new) => new.clone(),
                LabelChange::Keep => old,
            },
            Plan::RollBack | Plan::Disconnect { .. } => old,
        };
        let verified_at = match &intent.plan {
            Plan::Put { verified_at, .. } => *verified_at,
            Plan::Adopt { .. } | Plan::Register { .. } | Plan::RollBack | Plan::Disconnect { .. } => None,
        };
        let check_after = Some(match verified_at {
            Some(_) => next_try(now, self.check_every, &*self.random),
            // Keys that nobody tried are tried soon.
            None => next_try(now, self.check_every.min(UNTRIED), &*self.random),
        });
        if unchanged && let Some(before) = before {
            let new_label = label(before.label.clone());
            let relabelled = new_label != before.label;
            let outcome = match intent.plan {
                Plan::Disconnect { .. } => Outcome::Disconnected,
                _ if relabelled => Outcome::Updated,
                Plan::Put { .. } | Plan::Adopt { .. } | Plan::Register { .. } | Plan::RollBack => {
                    Outcome::Unchanged
                }
            };
            let status = if verified_at.is_some() { Status::Active } else { before.status };
            let updated_at = if relabelled || status != before.status { now } else { before.updated_at };
            let tried = verified_at.is_some();
            let connection = Connection {
                label: new_label,
                status,
                verified_at: verified_at.or(before.verified_at),
                check_after: if tried { check_after } else { before.check_after },
                updated_at,
                ..before
            };
            return Answer { outcome, connection };
        }
        let (outcome, version, status) = match &intent.plan {
            Plan::Put { .. } | Plan::Adopt { .. } | Plan::Register { .. } => {
                let outcome = if before.is_none() { Outcome::Created } else { Outcome::Updated };
                (outcome, &intent.version, Status::Active)
            }
            Plan::RollBack => (Outcome::RolledBack, &intent.version, Status::Active),
            Plan::Disconnect { erase } => (Outcome::Disconnected, erase, Status::Disconnected),
        };
        let provider = match (&intent.plan, &before) {
            (
                Plan::Put { provider, .. } | Plan::Adopt { provider, .. } | Plan::Register { provider, .. },
                _,
            ) => provider.clone(),
            (_, Some(before)) => before.provider.clone(),
            (_, None) => {
                unreachable!("only a put, an adoption and a registration begin without a connection")
            }
        };
        let previous = before
            .as_ref()
            // What the store had before an adoption is not known.
            .filter(|_| status == Status::Active && !matches!(intent.plan, Plan::Adopt { .. }))
            .filter(|before| !before.is_disconnected() && before.source == Source::Managed)
            .map(|before| before.version.clone());
        let in_vault = matches!(intent.plan, Plan::Register { .. });
        let connection = Connection {
            org: intent.org.clone(),
            name: intent.connection.clone(),
            fields: shown_fields(self.catalogue.get(&provider), credentials),
            provider,
            label: label(before.as_ref().and_then(|before| before.label.clone())),
            status,
            source: if in_vault { Source::CustomerVault } else { Source::Managed },
            vault: before.as_ref().and_then(|before| before.vault.clone()),
            version: version.clone(),
            generation: before.as_ref().map_or(0, |before| before.generation) + 1,
            previous,
            verified_at,
            check_after,
            created_at: before.as_ref().map_or(now, |before| before.created_at),
            updated_at: now,
        };
        Answer { outcome, connection }
    }

    /// What the log is told of it; `revived` says that keys found wrong before were found to work.
    pub(super) fn events(&self, intent: &Intent, answer: &Answer, revived: bool) -> Vec<Event> {
        let done = match answer.outcome {
            Outcome::Created => EventType::ConnectionCreated,
            Outcome::Updated => EventType::ConnectionUpdated,
            Outcome::Unchanged => EventType::ConnectionUnchanged,
            Outcome::RolledBack => EventType::ConnectionRolledBack,
            Outcome::Disconnected => EventType::ConnectionDisconnected,
        };
        let verified = revived.then_some(EventType::ConnectionVerified);
        std::iter::once(done).chain(verified).map(|r#type| self.event(intent, answer, r#type)).collect()
    }

    fn event(&self, intent: &Intent, answer: &Answer, r#type: EventType) -> Event {
        let (org, actor) = (Some(intent.org.clone()), Arc::new(intent.actor.clone()));
        Event {
            connection: Some(intent.connection.clone()),
            version: Some(answer.connection.version.clone()),
            request_id: intent.request_id.as_deref().and_then(|id| id.parse().ok()),
            ..Event::new(&*self.clock, &*self.random, org, r#type, actor)
        }
    }
}

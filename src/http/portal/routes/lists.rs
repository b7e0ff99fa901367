//! The pages that list: integrations and activity.

use std::collections::BTreeMap;

use axum::{
    extract::State,
    http::{StatusCode, request::Parts},
    response::Response,
};
use serde::Deserialize;
use uuid::Uuid;

use super::{
    PortalPages,
    answer::{Desk, page, see_other},
    visit::Visit,
};
use crate::{
    broker::{
        error::Error,
        portal::{Integration, Portal},
    },
    domain::{event::Listed, session::ConnectSession},
    http::{
        extract::{Parameters, Query},
        portal::{
            activity::{Activity, Line, Who},
            integrations::{Card, Integrations},
            provider::{ProviderView, State as CardState},
            stop::Why,
        },
        v1::{read_cursor, write_cursor},
    },
};

/// Every integration; with a session for one provider straight to its form.
pub(super) async fn show_integrations(State(portal): State<Portal>, visit: Visit) -> Response {
    let integrations = match portal.integrations(&visit.open.visitor).await {
        Ok(integrations) => integrations,
        Err(error) => return visit.desk.failure(&error),
    };
    if is_for_one(&visit.open.session)
        && let [only] = integrations.as_slice()
        && let Some(name) = name(only)
    {
        return visit.to_connection(&name);
    }
    let cards = integrations.iter().filter_map(card).collect();
    page(StatusCode::OK, &Integrations { frame: visit.desk.frame(Some(&visit.visitor)), notice: None, cards })
}

fn is_for_one(session: &ConnectSession) -> bool {
    session.providers.as_ref().is_some_and(|providers| providers.len() == 1)
}

fn name(integration: &Integration) -> Option<String> {
    match (&integration.connection, &integration.provider) {
        (Some(connection), _) => Some(connection.name.to_string()),
        (None, Some(provider)) => Some(provider.name.to_string()),
        (None, None) => None,
    }
}

fn card(integration: &Integration) -> Option<Card> {
    let connection = integration.connection.as_ref();
    Some(Card {
        connection: name(integration)?,
        provider: ProviderView::from(integration.provider.as_ref()?),
        label: connection.and_then(|connection| Some(connection.label.as_ref()?.as_str().to_owned())),
        state: CardState::of(integration),
        verified_at: connection.and_then(|connection| connection.verified_at).map(Into::into),
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ActivityQuery {
    cursor: Option<String>,
}

impl Parameters for ActivityQuery {
    const TAKES: &'static str = "cursor";
}

/// How many events a page shows.
const LINES: u16 = 50;

/// What happened.
pub(super) async fn show_activity(
    State(portal): State<Portal>,
    visit: Visit,
    query: Result<Query<ActivityQuery>, crate::http::error::Problem>,
) -> Response {
    // A cursor that was tampered with starts again.
    let cursor = query.ok().and_then(|Query(query)| query.cursor);
    let before: Option<Uuid> = read_cursor(cursor.as_deref()).ok().flatten();
    let integrations = match portal.integrations(&visit.open.visitor).await {
        Ok(integrations) => integrations,
        Err(error) => return visit.desk.failure(&error),
    };
    let (events, next) = match portal.activity(&visit.open.visitor, &integrations, before, LINES).await {
        Ok(found) => found,
        // So does one whose event is gone by now.
        Err(Error::InvalidRequest(_)) => return see_other(&visit.desk.path("/portal/activity")),
        Err(error) => return visit.desk.failure(&error),
    };
    let known = called(&integrations);
    let activity = Activity {
        frame: visit.desk.frame(Some(&visit.visitor)),
        lines: events.into_iter().map(|event| line(event, &known)).collect(),
        next: next.map(|id| write_cursor(&id.to_string())),
        latest: before.is_none(),
    };
    page(StatusCode::OK, &activity)
}

/// What people call the connections: the provider's name, and what tells one from its others.
fn called(integrations: &[Integration]) -> BTreeMap<String, String> {
    let cards = integrations.iter().filter_map(card);
    cards.map(|card| (card.connection.clone(), card.called())).collect()
}

fn line(event: Listed, known: &BTreeMap<String, String>) -> Line {
    let record = event.record;
    let actor = record.actor.name.unwrap_or(record.actor.id);
    Line {
        at: record.at.into(),
        actor: match record.actor.r#type.as_str() {
            "user" => Who::Person(actor),
            "token" => Who::Token(actor),
            "operator" => Who::Operator,
            _ => Who::Service,
        },
        what: record.r#type,
        connection: record.connection.map(|name| known.get(&name).cloned().unwrap_or(name)),
        count: record.count.and_then(|count| u64::try_from(count).ok()).unwrap_or(1),
    }
}

/// An address that only takes a form, from the address bar.
pub(super) async fn go_to_start(State(pages): State<PortalPages>) -> Response {
    see_other(&format!("{}/portal", pages.site().base))
}

/// No such page.
pub(super) async fn no_such_page(State(pages): State<PortalPages>, parts: Parts) -> Response {
    Desk::of(&pages, &parts).stop(StatusCode::NOT_FOUND, Why::NotFound)
}

//! The audit log.

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{page_size, read_cursor, write_cursor};
use crate::{
    broker::events::Events,
    domain::{
        access::{Actor, ActorType, Audit},
        event::Event,
    },
    http::{
        error::{Problem, ProblemBody},
        extract::{Parameters, PermittedOrg, Query},
        time::rfc3339,
    },
};

#[derive(Serialize, ToSchema)]
pub(in crate::http) struct EventList {
    /// Newest first.
    events: Vec<EventView>,
    /// For the next page, of older ones; null on the last one.
    next_cursor: Option<String>,
}

/// One line of the audit log.
#[derive(Serialize, ToSchema)]
#[schema(as = Event)]
pub(in crate::http) struct EventView {
    id: String,
    #[schema(example = "connection.created")]
    r#type: &'static str,
    #[schema(format = DateTime, example = "2026-11-21T21:17:00.000Z")]
    at: String,
    actor: ActorView,
    #[schema(example = "vapi")]
    connection: Option<String>,
    /// The version that it left current.
    version: Option<String>,
    /// The id of the token that it is about.
    token: Option<String>,
    request_id: Option<String>,
}

/// Who did it.
#[derive(Serialize, ToSchema)]
#[schema(as = Actor)]
pub(in crate::http) struct ActorView {
    /// `token`, `system` or `operator`.
    #[schema(example = "token")]
    r#type: &'static str,
    id: String,
    name: Option<String>,
}

impl From<&Actor> for ActorView {
    fn from(actor: &Actor) -> Self {
        let r#type = match actor.r#type {
            ActorType::Token => "token",
            ActorType::System => "system",
            ActorType::Operator => "operator",
        };
        Self { r#type, id: actor.id.clone(), name: actor.name.clone() }
    }
}

impl From<Event> for EventView {
    fn from(event: Event) -> Self {
        Self {
            id: event.id.to_string(),
            r#type: event.r#type.as_str(),
            at: rfc3339(event.at),
            actor: ActorView::from(&*event.actor),
            connection: event.connection.map(|name| name.to_string()),
            version: event.version.map(|version| version.to_string()),
            token: event.token.map(|id| id.to_string()),
            request_id: event.request_id.map(|id| id.as_str().to_owned()),
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct EventQuery {
    /// How many at most, 1 to 200; 50 if left out.
    limit: Option<u16>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
    /// Only events of this type.
    r#type: Option<String>,
}

impl Parameters for EventQuery {
    const TAKES: &'static str = "limit (1 to 200), cursor and type";
}

/// List what happened to an organization's connections and tokens, newest first.
#[utoipa::path(get, path = "/v1/orgs/{org}/events", tag = "events", security(("token" = ["events:read"])),
    params(("org" = String, Path), EventQuery),
    responses(
        (status = 200, body = EventList), (status = 400, body = ProblemBody),
        (status = 401, body = ProblemBody), (status = 429, body = ProblemBody), (status = 403, body = ProblemBody),
        (status = 404, body = ProblemBody), (status = 503, body = ProblemBody),
    ))]
pub(in crate::http) async fn list_events(
    PermittedOrg(permit): PermittedOrg<Audit>,
    State(events): State<Events>,
    Query(query): Query<EventQuery>,
) -> Result<Json<EventList>, Problem> {
    let unknown = |_| Problem::invalid_request("type must be an event type, as connection.created.");
    let r#type = query.r#type.map(|name| name.parse()).transpose().map_err(unknown)?;
    let before = read_cursor(query.cursor.as_deref())?;
    let (page, next) = events.list(&permit, r#type, before, page_size(query.limit)?).await?;
    Ok(Json(EventList {
        events: page.into_iter().map(EventView::from).collect(),
        next_cursor: next.map(|id: Uuid| write_cursor(&id.to_string())),
    }))
}

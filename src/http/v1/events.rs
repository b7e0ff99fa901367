//! The audit log.

use axum::{
    Json,
    body::Body,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{page_size, read_cursor, write_cursor};
use crate::{
    broker::events::Events,
    domain::{
        access::{Audit, Permit},
        event::{EventFilter, Listed, RecordedActor, RequestId},
        id::OrgId,
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
    r#type: String,
    /// Of reads: when the first of them was.
    #[schema(format = DateTime, example = "2026-11-21T21:17:00.000Z")]
    at: String,
    actor: ActorView,
    #[schema(example = "vapi")]
    connection: Option<String>,
    /// The version that it left current, or gave out.
    version: Option<String>,
    /// The id of the token that it is about.
    token: Option<String>,
    request_id: Option<String>,
    /// Of `credentials.read`: how many reads of that version by that token within a minute; may grow
    /// until the event has its sequence.
    count: Option<i64>,
    /// Its number in the organization's chain of events, from 1; null for a minute or so after a read.
    sequence: Option<i64>,
    /// SHA-256 over the event and the hash of the one before it, in hexadecimal digits; null likewise.
    hash: Option<String>,
}

/// Who did it.
#[derive(Serialize, ToSchema)]
#[schema(as = Actor)]
pub(in crate::http) struct ActorView {
    /// `token`, `user`, `system` or `operator`.
    #[schema(example = "token")]
    r#type: String,
    id: String,
    name: Option<String>,
}

impl From<RecordedActor> for ActorView {
    fn from(actor: RecordedActor) -> Self {
        Self { r#type: actor.r#type, id: actor.id, name: actor.name }
    }
}

impl From<Listed> for EventView {
    fn from(Listed { record, place, position: _ }: Listed) -> Self {
        let (sequence, hash) = place.unzip();
        Self {
            id: record.id,
            r#type: record.r#type,
            at: rfc3339(record.at),
            actor: ActorView::from(record.actor),
            connection: record.connection,
            version: record.version,
            token: record.token,
            request_id: record.request_id,
            count: record.count,
            sequence,
            hash: hash.map(|hash| hash.to_string()),
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct EventQuery {
    /// How many at most, 1 to 200; 50 if left out.
    limit: Option<u16>,
    /// The `next_cursor` of the page before. If its event was removed for its age meanwhile, this is an
    /// invalid request: start again.
    cursor: Option<String>,
    /// Only events of this type.
    r#type: Option<String>,
    /// Only events of this connection.
    connection: Option<String>,
    /// Only events whose actor has this id.
    actor: Option<String>,
    /// Only events from then on.
    #[param(format = DateTime, example = "2026-11-21T21:17:00Z")]
    since: Option<String>,
    /// Only events from before then.
    #[param(format = DateTime, example = "2026-11-22T00:00:00Z")]
    until: Option<String>,
    /// `jsonl`: all of them at once, one JSON object a line, without `limit` and `cursor`.
    #[param(inline)]
    format: Option<Format>,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::http) enum Format {
    Jsonl,
}

impl Parameters for EventQuery {
    const TAKES: &'static str =
        "limit (1 to 200), cursor, type, connection, actor, since, until and format=jsonl";
}

impl EventQuery {
    fn filter(&self) -> Result<EventFilter, Problem> {
        let no_type = |_| Problem::invalid_request("type must be an event type, as connection.created.");
        let no_name = |rule| Problem::invalid_request(format!("In the query, {rule}."));
        Ok(EventFilter {
            r#type: self.r#type.as_deref().map(str::parse).transpose().map_err(no_type)?,
            connection: self.connection.as_deref().map(str::parse).transpose().map_err(no_name)?,
            actor: actor(self.actor.as_deref())?,
            since: time("since", self.since.as_deref())?,
            until: time("until", self.until.as_deref())?,
            after: None,
        })
    }
}

fn actor(id: Option<&str>) -> Result<Option<String>, Problem> {
    let plausible = |id: &str| (1..=128).contains(&id.len()) && !id.chars().any(char::is_control);
    if id.is_some_and(|id| !plausible(id)) {
        return Err(Problem::invalid_request("actor must be the id of an event's actor."));
    }
    Ok(id.map(str::to_owned))
}

fn time(name: &str, text: Option<&str>) -> Result<Option<Timestamp>, Problem> {
    let rule = "must be a time as RFC 3339 writes it: 2026-11-21T21:17:00Z";
    let malformed = |_| Problem::invalid_request(format!("{name} {rule}."));
    text.map(str::parse).transpose().map_err(malformed)
}

/// List what happened to an organization's connections and tokens, newest first.
#[utoipa::path(get, path = "/v1/orgs/{org}/events", tag = "events", security(("token" = ["events:read"])),
    params(("org" = String, Path), EventQuery),
    responses(
        (status = 200, content(
            (EventList = "application/json"),
            (EventView = "application/x-ndjson"),
        )),
        (status = 400, body = ProblemBody),
        (status = 401, body = ProblemBody), (status = 429, body = ProblemBody), (status = 403, body = ProblemBody),
        (status = 404, body = ProblemBody), (status = 503, body = ProblemBody),
    ))]
pub(in crate::http) async fn list_events(
    PermittedOrg(permit): PermittedOrg<Audit>,
    State(events): State<Events>,
    request_id: RequestId,
    Query(query): Query<EventQuery>,
) -> Result<Response, Problem> {
    let filter = query.filter()?;
    if let Some(Format::Jsonl) = query.format {
        if query.limit.is_some() || query.cursor.is_some() {
            return Err(Problem::invalid_request("format=jsonl takes no limit and no cursor."));
        }
        return Ok(export(events, permit, filter, request_id).await?.into_response());
    }
    let before = read_cursor(query.cursor.as_deref())?;
    let (page, next) = events.list(&permit, &filter, before, page_size(query.limit)?).await?;
    let list = EventList {
        events: page.into_iter().map(EventView::from).collect(),
        next_cursor: next.map(|id: Uuid| write_cursor(&id.to_string())),
    };
    Ok(Json(list).into_response())
}

/// Line by line, as the caller reads them. A failure half-way breaks the connection off, so that nobody
/// takes a part for the whole.
async fn export(
    events: Events,
    permit: Permit<Audit, OrgId>,
    filter: EventFilter,
    request_id: RequestId,
) -> Result<impl IntoResponse, Problem> {
    let mut pages = Box::pin(events.export(permit, filter));
    // A failure before the first line is still an answer.
    let first = pages.try_next().await?.unwrap_or_default();
    let pages = stream::iter([Ok(first)]).chain(pages).map_ok(lines).inspect_err(move |error| {
        tracing::error!(%error, request_id = request_id.as_str(), "an export of events was broken off");
    });
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(pages)))
}

fn lines(page: Vec<Listed>) -> Bytes {
    let mut text = Vec::new();
    for event in page {
        serde_json::to_writer(&mut text, &EventView::from(event)).expect("an event is always written");
        text.push(b'\n');
    }
    text.into()
}

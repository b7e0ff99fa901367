//! Connect sessions: links with which an organization's admin opens the portal.

use std::{collections::BTreeSet, time::Duration};

use axum::{extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    broker::{
        error::Error,
        sessions::{NewSession, Sessions},
    },
    domain::{access::Invite, event::RequestId, id::ProviderName, text::is_line},
    http::{
        error::{Problem, ProblemBody},
        extract::PermittedOrg,
        json::{Json, Shape},
        time::rfc3339,
    },
};

/// A connect session to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct CreateSession {
    /// Who is invited.
    actor: Option<SessionActor>,
    /// For which providers; all of them, if left out.
    #[schema(example = json!(["vapi"]))]
    providers: Option<Vec<String>>,
    /// Where the visitor may return to; its origin must be one of `KEYBROKER_RETURN_URLS`.
    #[schema(example = "https://app.example/settings")]
    return_url: Option<String>,
    /// Seconds until the link ends by itself, 60 to 3600; 1800 if left out.
    #[schema(example = 1_800)]
    expires_in: Option<u64>,
}

/// Who is invited, as the app knows them.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct SessionActor {
    /// The app's id of the user.
    #[schema(example = "user_1")]
    id: String,
    #[schema(example = "Ada")]
    name: Option<String>,
}

impl Shape for CreateSession {
    const SHAPE: &'static str = "an object with maybe \"actor\" (an object with \"id\" and maybe \"name\", text), \"providers\" (a list of text), \
         \"return_url\" (text) and \"expires_in\" (seconds)";
}

impl TryFrom<CreateSession> for NewSession {
    type Error = Error;

    fn try_from(create: CreateSession) -> Result<Self, Error> {
        let malformed = |rule: String| Error::InvalidRequest(format!("{rule}."));
        let actor = create.actor.map(|actor| {
            let fits = |text: &str| is_line(text, 200);
            let whole = fits(&actor.id) && actor.name.as_deref().is_none_or(fits);
            let rule = "actor.id and actor.name are 1 to 200 characters, without control characters";
            if whole { Ok((actor.id, actor.name)) } else { Err(malformed(rule.into())) }
        });
        let providers = create.providers.map(|providers| {
            let names =
                providers.iter().map(|name| name.parse()).collect::<Result<BTreeSet<ProviderName>, _>>();
            names.map_err(|rule| malformed(format!("in providers, {rule}")))
        });
        Ok(Self {
            actor: actor.transpose()?,
            providers: providers.transpose()?,
            return_url: create.return_url,
            expires_in: create.expires_in.map(Duration::from_secs),
        })
    }
}

/// A new connect session: the only time that its link is shown.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct NewSessionView {
    id: String,
    /// Where the admin's browser is to go. It opens once.
    #[schema(example = "https://keys.example/connect/…")]
    url: String,
    #[schema(format = DateTime, example = "2026-11-21T21:17:00.000Z")]
    expires_at: String,
}

/// Make a link with which an organization's admin connects, tests, replaces and disconnects integrations.
#[utoipa::path(post, path = "/v1/orgs/{org}/connect-sessions", tag = "sessions", security(("token" = ["sessions:write"])),
    params(("org" = String, Path)), request_body = CreateSession,
    responses(
        (status = 201, body = NewSessionView), (status = 400, body = ProblemBody),
        (status = 401, body = ProblemBody), (status = 429, body = ProblemBody), (status = 403, body = ProblemBody),
        (status = 404, body = ProblemBody), (status = 413, body = ProblemBody),
        (status = 415, body = ProblemBody), (status = 503, body = ProblemBody),
    ))]
pub(in crate::http) async fn create_session(
    PermittedOrg(permit): PermittedOrg<Invite>,
    State(sessions): State<Sessions>,
    request_id: RequestId,
    body: Json<CreateSession>,
) -> Result<(StatusCode, axum::Json<NewSessionView>), Problem> {
    let (session, url) = sessions.create(&permit, body.value.try_into()?, Some(request_id)).await?;
    let view = NewSessionView { id: session.id.to_string(), url, expires_at: rfc3339(session.link_until) };
    Ok((StatusCode::CREATED, axum::Json(view)))
}

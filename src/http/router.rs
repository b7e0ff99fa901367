//! The routes.

use std::sync::Arc;

use axum::{
    Router,
    extract::OriginalUri,
    http::{StatusCode, Uri},
};
use utoipa::{
    Modify, OpenApi,
    openapi::{
        RefOr,
        security::{Http, HttpAuthScheme, SecurityScheme},
    },
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{docs, error::Problem, health, layers, portal, state::AppState, v1};
use crate::domain::clock::{Clock, Random};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "keybroker",
        description = "Keeps every organization's third-party API keys apart, in AWS Secrets Manager.\n\n\
            Send a token as `Authorization: Bearer kb_…`. Every error is `application/problem+json` (RFC 9457) \
            with a stable `code`, and a `detail` that says what to do next.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    security(("token" = [])),
    modifiers(&TokenScheme),
    components(schemas(super::error::ProblemBody)),
    tags(
        (name = "connections", description = "An organization's sets of keys, one for each provider account."),
        (name = "credentials", description = "The keys themselves."),
        (name = "sessions", description = "Links to the portal, where an organization's admin connects integrations."),
        (name = "vault", description = "An organization's own AWS Lambda, which holds its keys instead of the store."),
        (name = "tokens", description = "API tokens. None makes, sees or revokes one that reaches more than itself."),
        (name = "events", description = "The audit log."),
        (name = "service", description = "The service itself."),
    ),
)]
struct ApiDoc;

struct TokenScheme;

impl Modify for TokenScheme {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    }
}

fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::with_openapi(ApiDoc::openapi())
        .routes(routes!(v1::providers::list_providers))
        .routes(routes!(v1::connections::list_connections))
        .routes(routes!(
            v1::connections::get_connection,
            v1::connections::put_connection,
            v1::connections::delete_connection
        ))
        .routes(routes!(v1::connections::rollback_connection))
        .routes(routes!(v1::verification::verify_connection))
        .routes(routes!(v1::verification::report_connection))
        .routes(routes!(v1::credentials::read_credentials))
        .routes(routes!(v1::vault::get_template))
        .routes(routes!(v1::vault::get_vault, v1::vault::put_vault, v1::vault::delete_vault))
        .routes(routes!(v1::vault::create_vault_token))
        .routes(routes!(v1::vault::test_vault))
        .routes(routes!(v1::vault::list_vault_keys))
        .routes(routes!(v1::events::list_events))
        .routes(routes!(v1::sessions::create_session))
        .routes(routes!(v1::tokens::list_tokens, v1::tokens::create_token))
        .routes(routes!(v1::tokens::revoke_token))
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
}

/// The OpenAPI document.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    described(routes().into_openapi())
}

/// Gives every response the description that the format demands: its status in words.
fn described(mut openapi: utoipa::openapi::OpenApi) -> utoipa::openapi::OpenApi {
    for item in openapi.paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete];
        for operation in operations.into_iter().flatten() {
            for (status, response) in &mut operation.responses.responses {
                if let RefOr::T(response) = response
                    && response.description.is_empty()
                {
                    let status = status.parse().ok().and_then(|code| StatusCode::from_u16(code).ok());
                    let words = status.and_then(|status| status.canonical_reason()).unwrap_or("Answer");
                    words.clone_into(&mut response.description);
                }
            }
        }
    }
    openapi
}

/// The API and its documentation.
pub fn router(state: AppState, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Router {
    let (api, openapi) = routes().split_for_parts();
    let openapi = described(openapi);
    let portal = portal::routes(&state.pages);
    let router = api
        .merge(portal)
        .with_state(state)
        .merge(docs::routes(&openapi))
        .fallback(no_such_route)
        .method_not_allowed_fallback(method_not_allowed);
    layers::wrap(router, layers::Ids { clock, random })
}

async fn no_such_route(OriginalUri(uri): OriginalUri) -> Problem {
    if is_malformed(&uri) {
        return Problem::invalid_request(
            "The path has an empty or a dot segment, or is not percent-encoded UTF-8. Encode each id once.",
        );
    }
    Problem::no_such_route("GET /openapi.json lists the paths; /docs shows them to people.")
}

/// Whether a path of the API is not unknown but misspelt: no id is empty, `.` or `..`.
fn is_malformed(uri: &Uri) -> bool {
    let decoded = uri.path().replace("%2e", ".").replace("%2E", ".");
    let Some(rest) = decoded.strip_prefix("/v1/") else { return false };
    let ids = rest.starts_with("orgs/");
    rest.split('/').any(|segment| matches!(segment, "." | "..") || (ids && segment.is_empty()))
}

async fn method_not_allowed() -> Problem {
    Problem::method_not_allowed("The header Allow lists the methods that this path takes.")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// Calls `found` with every value of the document, and the key it stands under.
    fn walk(value: &Value, found: &mut dyn FnMut(&str, &Value)) {
        match value {
            Value::Object(fields) => fields.iter().for_each(|(key, inner)| {
                found(key, inner);
                walk(inner, found);
            }),
            Value::Array(items) => items.iter().for_each(|inner| walk(inner, found)),
            _ => {}
        }
    }

    #[test]
    fn the_document_is_whole() {
        let document = serde_json::to_value(openapi()).unwrap();
        let (mut references, mut responses) = (0, 0);
        walk(&document, &mut |key, value| match (key, value) {
            ("$ref", Value::String(reference)) => {
                references += 1;
                let target = document.pointer(reference.trim_start_matches('#'));
                assert!(target.is_some(), "{reference} leads nowhere");
            }
            ("responses", Value::Object(answers)) => {
                for (status, answer) in answers {
                    responses += 1;
                    assert!(
                        !answer["description"].as_str().unwrap_or_default().is_empty(),
                        "{status}: {answer}"
                    );
                }
            }
            _ => {}
        });
        assert!(references > 50 && responses > 80, "{references} {responses}");
    }
}

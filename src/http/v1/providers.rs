//! The catalogue.

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    broker::connections::Connections,
    domain::provider::{Field, Provider},
    http::{
        error::{Problem, ProblemBody},
        extract::Authenticated,
    },
};

#[derive(Serialize, ToSchema)]
pub(in crate::http) struct ProviderList {
    providers: Vec<ProviderView>,
}

/// A third party whose keys can be kept.
#[derive(Serialize, ToSchema)]
#[schema(as = Provider)]
pub(in crate::http) struct ProviderView {
    #[schema(example = "vapi")]
    name: String,
    #[schema(example = "Vapi")]
    display_name: String,
    /// `ai_provider`, `workflow_connection`, `bot_channel` or `voice`.
    #[schema(example = "voice")]
    category: &'static str,
    /// Where a person finds the key.
    docs_url: Option<String>,
    fields: Vec<FieldView>,
    /// Whether other fields may be sent too, all of them secret.
    free_fields: bool,
    /// Whether a key can be tried with the provider.
    verifies: bool,
    /// Whether requests can be sent through keybroker.
    proxies: bool,
}

/// One field of a provider's credentials.
#[derive(Serialize, ToSchema)]
#[schema(as = ProviderField)]
pub(in crate::http) struct FieldView {
    #[schema(example = "privateApiKey")]
    name: String,
    label: String,
    description: Option<String>,
    /// Whether its value is never shown again.
    secret: bool,
    required: bool,
    /// What the whole value must match.
    pattern: Option<String>,
    example: Option<String>,
}

impl From<&Provider> for ProviderView {
    fn from(provider: &Provider) -> Self {
        Self {
            name: provider.name.to_string(),
            display_name: provider.display_name.clone(),
            category: provider.category.as_str(),
            docs_url: provider.docs_url.clone(),
            fields: provider.fields.iter().map(FieldView::from).collect(),
            free_fields: provider.free_fields,
            verifies: provider.verification().is_some(),
            proxies: false,
        }
    }
}

impl From<&Field> for FieldView {
    fn from(field: &Field) -> Self {
        Self {
            name: field.name.clone(),
            label: field.label.clone(),
            description: field.description.clone(),
            secret: field.secret,
            required: field.required,
            pattern: field.pattern().map(str::to_owned),
            example: field.example.clone(),
        }
    }
}

/// List the providers and the fields that each one's credentials have.
#[utoipa::path(get, path = "/v1/providers", tag = "service", responses(
    (status = 200, body = ProviderList),
    (status = 401, body = ProblemBody), (status = 429, body = ProblemBody),
))]
pub(in crate::http) async fn list_providers(
    _: Authenticated,
    State(connections): State<Connections>,
) -> Result<Json<ProviderList>, Problem> {
    let providers = connections.catalogue().iter().map(ProviderView::from).collect();
    Ok(Json(ProviderList { providers }))
}

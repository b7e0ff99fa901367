//! The catalogue: which providers there are, which fields each one's credentials have, and how its API is
//! asked whether they work.
//!
//! To add a provider: a file `builtin/<name>.toml` like its neighbours, and its name in `builtin.rs`.
//! `docs/providers.md` tells every key.

mod api;
mod builtin;
mod catalogue;
mod entry;
mod field;
mod template;
mod verification;

use serde::Deserialize;

pub use self::{
    api::{Api, ApiRequest, Auth, BaseUrl, HeaderName, InvalidBaseUrl, InvalidHeaderName},
    catalogue::{Catalogue, UnusableEntry},
    field::{Field, FieldError, FieldFault, SentField},
    template::{InvalidTemplate, Template},
    verification::{ApiAnswer, Condition, Fact, Method, Outcome, Verification},
};
use super::{id::ProviderName, secret::Credentials};

/// One provider.
#[derive(Debug, Clone)]
pub struct Provider {
    /// Its name in the API.
    pub name: ProviderName,
    /// Its name for people.
    pub display_name: String,
    /// What kind of service it is.
    pub category: Category,
    /// Where a person finds the key.
    pub docs_url: Option<String>,
    /// The fields of its credentials, in order.
    pub fields: Vec<Field>,
    /// Whether any other fields may be there too, all of them secret.
    pub free_fields: bool,
    /// Whether its keys come from an OAuth flow, and so stay in the store whatever vault there is.
    pub oauth: bool,
    /// Where its API is, if it has one.
    pub api: Option<Api>,
}

/// What kind of service a provider is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// Language models and the like.
    AiProvider,
    /// What workflows connect to.
    WorkflowConnection,
    /// Where bots talk to people.
    BotChannel,
    /// Telephony and speech.
    Voice,
}

impl Category {
    /// The category's name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AiProvider => "ai_provider",
            Self::WorkflowConnection => "workflow_connection",
            Self::BotChannel => "bot_channel",
            Self::Voice => "voice",
        }
    }
}

impl Provider {
    /// Whether the catalogue calls this field no secret.
    #[must_use]
    pub fn is_public(&self, field: &str) -> bool {
        self.fields.iter().any(|known| known.name == field && !known.secret)
    }

    /// How a key is tried, if there is a way.
    #[must_use]
    pub fn verification(&self) -> Option<(&Api, &Verification)> {
        let api = self.api.as_ref()?;
        Some((api, api.verification.as_ref()?))
    }

    /// Checks what a caller sent and puts it into the catalogue's order.
    ///
    /// # Errors
    /// Everything that is wrong, at once.
    pub fn check(&self, mut sent: Vec<(String, SentField)>) -> Result<Credentials, Vec<FieldError>> {
        let mut errors = Vec::new();
        let mut fields = Vec::with_capacity(sent.len());
        for field in &self.fields {
            let at = sent.iter().position(|(name, _)| *name == field.name);
            match at.map(|at| sent.remove(at).1) {
                None if field.required => {
                    errors.push(FieldError::new(&field.name, "is required").of(FieldFault::Missing));
                }
                None => {}
                Some(value) => match field.check(value) {
                    Ok(value) => fields.push((field.name.clone(), value)),
                    Err(error) => errors.push(error),
                },
            }
        }
        if self.free_fields {
            field::check_free(sent, &mut fields, &mut errors);
        } else {
            errors.extend(sent.iter().map(|(name, _)| self.unknown(name)));
        }
        if errors.is_empty() { Ok(Credentials::from_distinct(fields)) } else { Err(errors) }
    }

    /// A field that the provider does not have. Its name is repeated only if it can't be a key that
    /// slipped into the wrong place: keys have digits, or are long.
    fn unknown(&self, name: &str) -> FieldError {
        let known = self.fields.iter().map(|field| field.name.as_str()).collect::<Vec<_>>().join(", ");
        let harmless = name.len() <= 32 && name.bytes().all(|b| b.is_ascii_alphabetic() || b == b'_');
        if harmless {
            FieldError::new(name, format!("is unknown; {} takes {known}", self.name))
        } else {
            let message =
                format!("has an unknown field, whose name is not repeated here; {} takes {known}", self.name);
            FieldError::new("credentials", message)
        }
    }
}

#[cfg(test)]
mod tests;

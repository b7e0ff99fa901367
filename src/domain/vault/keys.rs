//! Under which names a vault holds a connection's keys.

use std::{collections::BTreeSet, fmt, str::FromStr, sync::Arc};

use super::VaultToken;
use crate::domain::{
    connection::Connection,
    provider::{Category, Provider},
};

/// A name in the function's environment: letters, digits and underscores, beginning with a letter, as AWS
/// Lambda demands.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KeyName(Arc<str>);

/// Not a key's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key's name is letters, digits and underscores, beginning with a letter")]
pub struct InvalidKeyName;

impl KeyName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `text` with everything that the environment does not take as an underscore.
    fn fitting(text: &str) -> Self {
        let fit = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
        Self(text.chars().map(fit).collect::<String>().into())
    }
}

impl FromStr for KeyName {
    type Err = InvalidKeyName;

    fn from_str(text: &str) -> Result<Self, InvalidKeyName> {
        let begins = text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic());
        let fits = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if begins && fits { Ok(Self(text.into())) } else { Err(InvalidKeyName) }
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One field of a connection, as the vault holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultKey {
    /// Its name there.
    pub name: KeyName,
    /// The field's name in the credentials.
    pub field: String,
    /// Whether the connection can't be used without it.
    pub required: bool,
    /// What it is, for people.
    pub description: String,
}

/// The field that stands for the keys of a provider which names none.
const ONE_FIELD: &str = "token";

impl VaultKey {
    /// The keys of a connection, in the order of the provider's fields.
    ///
    /// Of a provider with free fields those that the connection was made with; one called `token`, if it was
    /// made without any.
    #[must_use]
    pub fn of(connection: &Connection, provider: &Provider) -> Vec<Self> {
        let known = provider.fields.iter().map(|field| {
            (field.name.as_str(), field.required, format!("{}: {}", provider.display_name, field.label))
        });
        let named = |name: &str| provider.fields.iter().any(|field| field.name == name);
        let free = connection.fields.iter().filter(|field| provider.free_fields && !named(&field.name));
        let free = free
            .map(|field| (field.name.as_str(), true, format!("{}: {}", provider.display_name, field.name)));
        let mut fields: Vec<_> = known.chain(free).collect();
        if fields.is_empty() {
            fields.push((ONE_FIELD, true, format!("{}: the key", provider.display_name)));
        }
        let alone = fields.len() == 1;
        let key = |(field, required, description): (&str, bool, String)| Self {
            name: name(connection, provider, field, alone),
            field: field.to_owned(),
            required,
            description,
        };
        fields.into_iter().map(key).collect()
    }
}

/// AI providers have one account each, so theirs are called by the provider, the others' by the connection.
fn name(connection: &Connection, provider: &Provider, field: &str, alone: bool) -> KeyName {
    let start = match provider.category {
        Category::AiProvider => format!("ai_provider_{}_api_key", provider.name),
        Category::WorkflowConnection | Category::Voice => format!("wf_conn_{}_token", connection.name),
        Category::BotChannel => match slack_field(provider, field) {
            Some(slack) => return KeyName::fitting(&format!("bot_channel_{}_{slack}", connection.name)),
            None => format!("bot_channel_{}_token", connection.name),
        },
    };
    KeyName::fitting(&if alone { start } else { format!("{start}_{field}") })
}

/// Slack's two keys have names of their own.
fn slack_field(provider: &Provider, field: &str) -> Option<&'static str> {
    match (provider.name.as_str(), field) {
        ("slack", "botToken") => Some("slack_bot_token"),
        ("slack", "signingSecret") => Some("slack_signing_secret"),
        _ => None,
    }
}

/// How much of [`super::LAMBDA_ENVIRONMENT`] these names and the token take, in bytes: what keybroker can
/// know without asking the function.
#[must_use]
pub fn environment_of<'a>(keys: impl IntoIterator<Item = &'a VaultKey>) -> usize {
    let names: BTreeSet<_> = keys.into_iter().map(|key| key.name.as_str()).collect();
    "AUTH_TOKEN".len() + VaultToken::LENGTH + names.iter().map(|name| name.len()).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        connection::{Shown, ShownField},
        provider::Catalogue,
    };

    fn names(provider: &str, connection: &str, shown: &[&str]) -> Vec<String> {
        let catalogue = Catalogue::builtin().unwrap();
        let provider = catalogue.get(&provider.parse().unwrap()).unwrap();
        let mut of = Connection::sample(connection.parse().unwrap(), provider.name.clone());
        let field = |name: &&str| ShownField { name: (*name).into(), shown: Shown::Hint(None) };
        of.fields = shown.iter().map(field).collect();
        VaultKey::of(&of, provider).iter().map(|key| key.name.to_string()).collect()
    }

    #[test]
    fn names_follow_the_category() {
        assert_eq!(names("openai", "openai-eu", &["apiKey"]), ["ai_provider_openai_api_key"]);
        assert_eq!(names("sendgrid", "mail-1", &[]), ["wf_conn_mail_1_token"]);
        assert_eq!(names("telegram", "telegram-support", &[]), ["bot_channel_telegram_support_token"]);
        assert_eq!(
            names("slack", "slack", &[]),
            ["bot_channel_slack_slack_bot_token", "bot_channel_slack_slack_signing_secret"]
        );
        assert_eq!(
            names("vapi", "vapi", &[]),
            ["wf_conn_vapi_token_publicApiKey", "wf_conn_vapi_token_privateApiKey"]
        );
    }

    #[test]
    fn free_fields_are_those_the_connection_was_made_with() {
        assert_eq!(names("custom", "erp", &[]), ["wf_conn_erp_token"]);
        assert_eq!(names("custom", "erp", &["api.key"]), ["wf_conn_erp_token"]);
        assert_eq!(
            names("custom", "erp", &["user", "api.key"]),
            ["wf_conn_erp_token_user", "wf_conn_erp_token_api_key"]
        );
    }

    #[test]
    fn every_name_of_every_provider_is_one_that_lambda_takes() {
        for provider in Catalogue::builtin().unwrap().iter() {
            for name in names(provider.name.as_str(), "1-a_B", &[]) {
                assert!(name.parse::<KeyName>().is_ok(), "{name}");
            }
        }
    }
}

//! The catalogue: which providers there are and which fields each one's credentials have.
//!
//! To add a provider: a file `builtin/<name>.toml` like its neighbours, and its name in `builtin.rs`.

mod builtin;

use std::collections::BTreeMap;

use regex::Regex;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::{id::ProviderName, secret::Credentials};

/// The longest value of a field that the catalogue names, in bytes.
const LONGEST_FIELD: usize = 4_096;

/// The most fields that a provider with free fields may have.
const MOST_FREE_FIELDS: usize = 50;

/// Every provider, by name.
#[derive(Debug, Clone)]
pub struct Catalogue(BTreeMap<ProviderName, Provider>);

/// An entry that can't be used, and why.
#[derive(Debug, thiserror::Error)]
#[error("provider {name}: {reason}")]
pub struct UnusableEntry {
    name: String,
    reason: String,
}

impl Catalogue {
    /// The providers that keybroker knows by itself.
    ///
    /// # Errors
    /// If an entry is unusable: its file says something that its type does not allow.
    pub fn builtin() -> Result<Self, UnusableEntry> {
        let entry = |(name, text): &(&str, &str)| {
            let unusable = |reason: String| UnusableEntry { name: (*name).to_owned(), reason };
            let entry: Entry = toml::from_str(text).map_err(|e| unusable(e.to_string()))?;
            let name: ProviderName = name.parse().map_err(|e| unusable(format!("{e}")))?;
            let provider = Provider::from_entry(name.clone(), entry).map_err(unusable)?;
            Ok((name, provider))
        };
        builtin::ENTRIES.iter().map(entry).collect::<Result<_, _>>().map(Self)
    }

    /// The provider of that name.
    #[must_use]
    pub fn get(&self, name: &ProviderName) -> Option<&Provider> {
        self.0.get(name)
    }

    /// Every provider, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Provider> {
        self.0.values()
    }
}

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

/// One field of a provider's credentials.
#[derive(Debug, Clone)]
pub struct Field {
    /// Its name in the credentials object: the provider's own.
    pub name: String,
    /// Its name for people.
    pub label: String,
    /// What it is and where it is found.
    pub description: Option<String>,
    /// Whether it must never be shown.
    pub secret: bool,
    /// Whether it must be there.
    pub required: bool,
    /// What its whole value must match.
    pub pattern: Option<Regex>,
    /// What a value looks like.
    pub example: Option<String>,
}

/// What is wrong with one field. Never repeats a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// The field's name, or `credentials` where there is none to name.
    pub field: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl FieldError {
    /// What is wrong with `field`.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

/// One field as a caller sent it.
pub enum SentField {
    /// Text, as it should be.
    Text(SecretString),
    /// Something else, which was not kept.
    NotText,
}

impl Provider {
    fn from_entry(name: ProviderName, entry: Entry) -> Result<Self, String> {
        let fields = entry.fields.into_iter().map(Field::from_entry).collect::<Result<Vec<_>, _>>()?;
        if fields.is_empty() && !entry.free_fields {
            return Err("it has no fields".into());
        }
        Ok(Self {
            name,
            display_name: entry.display_name,
            category: entry.category,
            docs_url: entry.docs_url,
            fields,
            free_fields: entry.free_fields,
        })
    }

    /// Whether the catalogue calls this field no secret.
    #[must_use]
    pub fn is_public(&self, field: &str) -> bool {
        self.fields.iter().any(|known| known.name == field && !known.secret)
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
                None if field.required => errors.push(FieldError::new(&field.name, "is required")),
                None => {}
                Some(value) => match field.check(value) {
                    Ok(value) => fields.push((field.name.clone(), value)),
                    Err(message) => errors.push(FieldError::new(&field.name, message)),
                },
            }
        }
        if self.free_fields {
            check_free(sent, &mut fields, &mut errors);
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

/// Checks fields that the catalogue does not name.
fn check_free(
    sent: Vec<(String, SentField)>,
    fields: &mut Vec<(String, SecretString)>,
    errors: &mut Vec<FieldError>,
) {
    if fields.len() + sent.len() > MOST_FREE_FIELDS {
        errors.push(FieldError::new("credentials", format!("has more than {MOST_FREE_FIELDS} fields")));
        return;
    }
    if fields.len() + sent.len() == 0 {
        errors.push(FieldError::new("credentials", "needs at least one field"));
    }
    for (name, value) in sent {
        if !is_field_name(&name) {
            let rule = "has a field whose name is not 1 to 64 of A-Z a-z 0-9 _ . -";
            errors.push(FieldError::new("credentials", rule));
            continue;
        }
        match value {
            SentField::NotText => errors.push(FieldError::new(name, NOT_TEXT)),
            SentField::Text(value) if is_empty(&value) => errors.push(FieldError::new(name, EMPTY)),
            SentField::Text(value) => fields.push((name, value)),
        }
    }
}

const NOT_TEXT: &str = "must be text";
const EMPTY: &str = "is empty";

#[expect(clippy::disallowed_methods, reason = "only whether it is empty")]
fn is_empty(value: &SecretString) -> bool {
    value.expose_secret().is_empty()
}

fn is_field_name(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}

impl Field {
    fn from_entry(entry: FieldEntry) -> Result<Self, String> {
        if !is_field_name(&entry.name) {
            return Err(format!("field {:?}: its name must be 1 to 64 of A-Z a-z 0-9 _ . -", entry.name));
        }
        let pattern = entry
            .pattern
            .map(|pattern| Regex::new(&format!("^(?:{pattern})$")))
            .transpose()
            .map_err(|e| format!("field {}: its pattern is no regular expression: {e}", entry.name))?;
        Ok(Self {
            name: entry.name,
            label: entry.label,
            description: entry.description,
            secret: entry.secret,
            required: entry.required,
            pattern,
            example: entry.example,
        })
    }

    /// The pattern as the catalogue writes it, without the anchors.
    #[must_use]
    pub fn pattern(&self) -> Option<&str> {
        self.pattern.as_ref()?.as_str().strip_prefix("^(?:")?.strip_suffix(")$")
    }

    #[expect(clippy::disallowed_methods, reason = "checked here, and no message repeats it")]
    fn check(&self, value: SentField) -> Result<SecretString, String> {
        let SentField::Text(value) = value else { return Err(NOT_TEXT.into()) };
        let text = value.expose_secret();
        if text.is_empty() {
            return Err(EMPTY.into());
        }
        if text.len() > LONGEST_FIELD {
            return Err(format!("is longer than {LONGEST_FIELD} bytes"));
        }
        if self.pattern.as_ref().is_some_and(|pattern| !pattern.is_match(text)) {
            return Err(match &self.example {
                Some(example) => format!("does not look like one; an example: {example}"),
                None => "does not look like one: copy it again, without spaces or line ends".into(),
            });
        }
        Ok(value)
    }
}

/// A provider as its file has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    display_name: String,
    category: Category,
    docs_url: Option<String>,
    #[serde(default)]
    free_fields: bool,
    #[serde(default)]
    fields: Vec<FieldEntry>,
}

/// A field as its file has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FieldEntry {
    name: String,
    label: String,
    description: Option<String>,
    #[serde(default = "yes")]
    secret: bool,
    #[serde(default = "yes")]
    required: bool,
    pattern: Option<String>,
    example: Option<String>,
}

const fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests;

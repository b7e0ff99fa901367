//! The fields of a provider's credentials, and what a caller sent for them.

use regex::Regex;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

/// The longest value of a field that the catalogue names, in bytes.
const LONGEST_FIELD: usize = 4_096;

/// The most fields that a provider with free fields may have.
const MOST_FREE_FIELDS: usize = 50;

/// One field of a provider's credentials.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// Its name in the credentials object: the provider's own.
    #[serde(deserialize_with = "field_name")]
    pub name: String,
    /// Its name for people.
    pub label: String,
    /// What it is and where it is found.
    pub description: Option<String>,
    /// Whether it must never be shown.
    #[serde(default = "yes")]
    pub secret: bool,
    /// Whether it must be there.
    #[serde(default = "yes")]
    pub required: bool,
    /// What its whole value must match.
    pub(super) pattern: Option<Pattern>,
    /// What a value looks like.
    pub example: Option<String>,
}

const fn yes() -> bool {
    true
}

fn field_name<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    let rule = || serde::de::Error::custom("a field's name is 1 to 64 of A-Z a-z 0-9 _ . -");
    if is_field_name(&name) { Ok(name) } else { Err(rule()) }
}

fn is_field_name(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}

/// A regular expression that a whole value must match.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Pattern {
    text: String,
    whole: Regex,
}

impl TryFrom<String> for Pattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let compile = |text: &str| {
            Regex::new(text).map_err(|error| {
                // The other lines draw the place, which takes a screen.
                let error = error.to_string();
                let reason = error.lines().last().unwrap_or_default().trim_start_matches("error: ");
                format!("a pattern is a regular expression: {reason}")
            })
        };
        // By itself first: an unbalanced parenthesis could balance the ones added.
        compile(&text)?;
        let whole = compile(&format!("^(?:{text})$"))?;
        Ok(Self { text, whole })
    }
}

/// What is wrong with one field. Never repeats a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// The field's name, or `credentials` where there is none to name.
    pub field: String,
    /// What is wrong and what would be right.
    pub message: String,
    /// What is wrong, for those who say it in their own words.
    pub fault: FieldFault,
}

/// The ways in which a field can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldFault {
    /// It is not there, or empty.
    Missing,
    /// It is longer than any key.
    TooLong,
    /// It does not have the right form, or should not be there.
    Form,
}

impl FieldError {
    /// What is wrong with the form of `field`.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into(), fault: FieldFault::Form }
    }

    /// As [`FieldError::new`], with another fault.
    #[must_use]
    pub fn of(self, fault: FieldFault) -> Self {
        Self { fault, ..self }
    }
}

/// One field as a caller sent it.
pub enum SentField {
    /// Text, as it should be.
    Text(SecretString),
    /// Something else, which was not kept.
    NotText,
}

impl SentField {
    /// Whether it is text, and none.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "only whether it is empty")]
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Text(value) if value.expose_secret().is_empty())
    }
}

const NOT_TEXT: &str = "must be text";
const EMPTY: &str = "is empty";

impl Field {
    /// The pattern as the catalogue writes it.
    #[must_use]
    pub fn pattern(&self) -> Option<&str> {
        self.pattern.as_ref().map(|pattern| pattern.text.as_str())
    }

    #[expect(clippy::disallowed_methods, reason = "checked here, and no message repeats it")]
    pub(super) fn check(&self, value: SentField) -> Result<SecretString, FieldError> {
        let wrong = |message: String| FieldError::new(&self.name, message);
        let SentField::Text(value) = value else { return Err(wrong(NOT_TEXT.into())) };
        let text = value.expose_secret();
        if text.is_empty() {
            return Err(wrong(EMPTY.into()).of(FieldFault::Missing));
        }
        if text.len() > LONGEST_FIELD {
            return Err(wrong(format!("is longer than {LONGEST_FIELD} bytes")).of(FieldFault::TooLong));
        }
        if self.pattern.as_ref().is_some_and(|pattern| !pattern.whole.is_match(text)) {
            return Err(wrong(match &self.example {
                Some(example) => format!("does not look like one; an example: {example}"),
                None => "does not look like one: copy it again, without spaces or line ends".into(),
            }));
        }
        Ok(value)
    }
}

/// Checks fields that the catalogue does not name.
pub(super) fn check_free(
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
            empty if empty.is_empty() => {
                errors.push(FieldError::new(name, EMPTY).of(FieldFault::Missing));
            }
            SentField::NotText => errors.push(FieldError::new(name, NOT_TEXT)),
            SentField::Text(value) => fields.push((name, value)),
        }
    }
}

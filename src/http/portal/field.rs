//! The fields of a connection's form, and what may be shown of the stored ones.

use super::text::{Texts, fill};
use crate::domain::{connection::Shown, provider::Field};

/// What the name of a credentials field has before it in a form.
pub(in crate::http) const FIELD_PREFIX: &str = "field.";

/// The names under which a provider with free fields gets name and value of each row, in pairs. A row of
/// which both are empty is no row.
pub(in crate::http) const FREE_NAME: &str = "free_name";
/// See [`FREE_NAME`].
pub(in crate::http) const FREE_VALUE: &str = "free_value";

/// The catalogue's pattern of keys about whose look nothing is known.
const ANY_KEY: &str = "[!-~]+";

/// How many rows for free fields there are at least.
pub(super) const FREE_ROWS: usize = 4;

/// One field of the form.
#[derive(Debug, Clone)]
pub(in crate::http) struct FieldView {
    /// Its name in the credentials; its input is called that with [`FIELD_PREFIX`] before it.
    pub(in crate::http) name: String,
    /// Its name for people.
    pub(in crate::http) label: String,
    /// What it is and where it is found.
    pub(in crate::http) description: Option<String>,
    /// What a value looks like.
    pub(in crate::http) example: Option<String>,
    /// What a whole value must match.
    pub(in crate::http) pattern: Option<String>,
    /// Whether it is never shown.
    pub(in crate::http) secret: bool,
    /// Whether it must be there.
    pub(in crate::http) required: bool,
    /// What stands in it. A secret's is never written into the page, whatever is here.
    pub(in crate::http) value: Option<String>,
    /// What is wrong with what was sent.
    pub(in crate::http) fault: Option<Fault>,
}

/// What is wrong with what was sent for a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Fault {
    /// Nothing was.
    Missing,
    /// It is longer than any key.
    TooLong,
    /// It is not what the provider's keys look like.
    Format,
    /// A free field without a name, or with one that can't be.
    Unnamed,
}

impl From<&Field> for FieldView {
    fn from(field: &Field) -> Self {
        Self {
            name: field.name.clone(),
            label: field.label.clone(),
            description: field.description.clone(),
            example: field.example.clone(),
            pattern: field.pattern().map(str::to_owned),
            secret: field.secret,
            required: field.required,
            value: None,
            fault: None,
        }
    }
}

impl FieldView {
    pub(super) fn input_name(&self) -> String {
        format!("{FIELD_PREFIX}{}", self.name)
    }

    pub(super) fn shown_value(&self) -> &str {
        if self.secret { "" } else { self.value.as_deref().unwrap_or_default() }
    }

    /// What script says when the pattern does not match.
    pub(super) fn format_words(&self, t: &Texts) -> String {
        match &self.example {
            // Only a space, a line end or a letter of no key can be wrong with these: an example tells less.
            _ if self.pattern.as_deref() == Some(ANY_KEY) => t.field_wrong.to_owned(),
            Some(example) => fill(t.field_wrong_example, &[("example", example)]),
            None => t.field_wrong.to_owned(),
        }
    }

    pub(super) fn fault_words(&self, t: &Texts) -> String {
        match self.fault {
            None => String::new(),
            Some(Fault::Format) => self.format_words(t),
            Some(fault) => fault.words(t).to_owned(),
        }
    }
}

impl Fault {
    pub(super) const fn words(self, t: &Texts) -> &'static str {
        match self {
            Self::Missing => t.field_missing,
            Self::TooLong => t.field_too_long,
            Self::Format => t.field_wrong,
            Self::Unnamed => t.field_unnamed,
        }
    }
}

/// A row of a provider with free fields: its name. The value is a secret, and not written into the page.
#[derive(Debug, Clone, Default)]
pub(in crate::http) struct FreeRow {
    /// The field's name.
    pub(in crate::http) name: String,
    /// What is wrong with what was sent.
    pub(in crate::http) fault: Option<Fault>,
}

/// What may be shown of a stored field.
#[derive(Debug, Clone)]
pub(in crate::http) struct StoredField {
    /// Its name for people.
    pub(in crate::http) label: String,
    /// As much as may be seen.
    pub(in crate::http) shown: Shown,
}

impl StoredField {
    /// What stands on the page, and whether it is text of the field itself.
    pub(super) fn words<'a>(&'a self, t: &'a Texts) -> (&'a str, bool) {
        match &self.shown {
            Shown::Value(value) | Shown::Hint(Some(value)) => (value, true),
            Shown::Hint(None) => (t.key_hidden, false),
        }
    }
}

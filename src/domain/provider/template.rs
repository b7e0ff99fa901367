//! Text with places for fields of the credentials: `Bearer {apiKey}`.

use std::fmt::Write;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::domain::secret::Credentials;

/// Text in which `{name}` stands for the credentials' field of that name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Field(String),
}

/// Not a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("each {{ must have its }} and a field's name between them")]
pub struct InvalidTemplate;

impl TryFrom<String> for Template {
    type Error = InvalidTemplate;

    fn try_from(text: String) -> Result<Self, InvalidTemplate> {
        let mut parts = Vec::new();
        let mut rest = text.as_str();
        while let Some((before, after)) = rest.split_once('{') {
            let (field, after) = after.split_once('}').ok_or(InvalidTemplate)?;
            if field.is_empty() || field.contains('{') || before.contains('}') {
                return Err(InvalidTemplate);
            }
            parts.push(Part::Text(before.to_owned()));
            parts.push(Part::Field(field.to_owned()));
            rest = after;
        }
        if rest.contains('}') {
            return Err(InvalidTemplate);
        }
        parts.push(Part::Text(rest.to_owned()));
        Ok(Self(parts))
    }
}

impl Template {
    /// Whether it begins with a slash, whatever is put into it, and has no fragment, which is not sent.
    #[must_use]
    pub fn is_path(&self) -> bool {
        let text = |part: &Part| matches!(part, Part::Text(text) if text.contains('#'));
        matches!(self.0.first(), Some(Part::Text(text)) if text.starts_with('/')) && !self.0.iter().any(text)
    }

    /// The fields that it has places for.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Field(name) => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }

    /// The text with the fields put in; nothing if one is missing.
    #[must_use]
    pub fn fill(&self, credentials: &Credentials) -> Option<SecretString> {
        self.fill_by(credentials, String::push_str)
    }

    /// As [`Template::fill`], each field percent-encoded so that it stays in its place in a path or query.
    /// Nothing too if one is a dot segment, which no encoding keeps in its place.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "only whether it is dots")]
    pub fn fill_encoded(&self, credentials: &Credentials) -> Option<SecretString> {
        let dots =
            |name| credentials.get(name).is_some_and(|value| matches!(value.expose_secret(), "." | ".."));
        if self.fields().any(dots) { None } else { self.fill_by(credentials, percent_encode) }
    }

    #[expect(clippy::disallowed_methods, reason = "put where the provider wants it, in memory that is wiped")]
    fn fill_by(&self, credentials: &Credentials, put: fn(&mut String, &str)) -> Option<SecretString> {
        let value = |name: &str| credentials.get(name).map(ExposeSecret::expose_secret);
        let mut length = 0;
        for part in &self.0 {
            length += match part {
                Part::Text(text) => text.len(),
                // Encoded, a byte takes three.
                Part::Field(name) => 3 * value(name)?.len(),
            };
        }
        // Never grows: growing would leave an unwiped copy behind.
        let mut filled = Zeroizing::new(String::with_capacity(length));
        for part in &self.0 {
            match part {
                Part::Text(text) => filled.push_str(text),
                Part::Field(name) => put(&mut filled, value(name)?),
            }
        }
        Some(filled.as_str().into())
    }
}

/// Encodes all but the unreserved characters (RFC 3986 §2.3) and the colon, which Telegram's tokens have and
/// a path may hold.
fn percent_encode(text: &mut String, value: &str) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte) {
            text.push(char::from(byte));
        } else {
            write!(text, "%{byte:02X}").expect("text is always written to memory");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(value: &str) -> Credentials {
        Credentials::from_json(serde_json::json!({ "key": value }).to_string().as_bytes()).unwrap()
    }

    #[expect(clippy::disallowed_methods, reason = "made up for the test")]
    fn filled(template: &str, value: &str) -> (String, String) {
        let template = Template::try_from(template.to_owned()).unwrap();
        let credentials = credentials(value);
        let plain = |text: Option<SecretString>| text.unwrap().expose_secret().to_owned();
        (plain(template.fill(&credentials)), plain(template.fill_encoded(&credentials)))
    }

    #[test]
    fn fields_are_put_in() {
        let same = |text: &str| (text.to_owned(), text.to_owned());
        assert_eq!(filled("Bearer {key}", "a-1"), same("Bearer a-1"));
        assert_eq!(filled("/bot{key}/getMe", "12:ab"), same("/bot12:ab/getMe"));
        assert_eq!(filled("none", "a"), same("none"));
    }

    #[test]
    fn a_value_can_not_leave_its_place() {
        assert_eq!(filled("/x/{key}/y", "../a?b#c %").1, "/x/..%2Fa%3Fb%23c%20%25/y");
        let template = Template::try_from("/x/{key}/y".to_owned()).unwrap();
        assert!(template.fill_encoded(&credentials("..")).is_none());
    }

    #[test]
    fn a_missing_field_leaves_nothing() {
        let template = Template::try_from("{other}".to_owned()).unwrap();
        assert!(template.fill(&Credentials::none()).is_none());
    }

    #[test]
    fn braces_come_in_pairs() {
        for wrong in ["{", "}", "{}", "{a", "a}", "{a{b}}", "}{a}"] {
            assert!(Template::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
    }
}

//! How a provider is asked whether a key works, and what its answer means.

use std::fmt;

use serde::Deserialize;
use serde_json::Value;
use zeroize::Zeroize;

use super::template::Template;
use crate::domain::text::is_line;

/// How to try a key.
#[derive(Debug, Clone)]
pub struct Verification {
    /// The method.
    pub method: Method,
    /// The path and query below the base URL.
    pub path: Template,
    /// The statuses that mean: the key works.
    pub valid: Vec<u16>,
    /// The statuses that mean: the key is wrong.
    pub invalid: Vec<u16>,
    /// What in the body means that the key is wrong, whatever the status.
    pub invalid_when: Option<Condition>,
    /// What in the body means that the key works, whatever the status.
    pub valid_when: Option<Condition>,
    /// What in the body means that the provider has trouble of its own. Looked at first.
    pub unreachable_when: Option<Condition>,
    /// What a working key is told to open.
    pub opens: Vec<Fact>,
}

/// The methods that a verification may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// GET
    Get,
    /// POST, without a body.
    Post,
}

/// A place in a JSON body and what may stand there.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    pointer: Pointer,
    /// One value, or a list of which any will do.
    equals: Value,
}

impl Condition {
    fn holds(&self, body: &Value) -> bool {
        let Some(found) = body.pointer(&self.pointer.0) else { return false };
        match &self.equals {
            Value::Array(any) => any.contains(found),
            one => one == found,
        }
    }
}

/// A JSON pointer (RFC 6901).
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
struct Pointer(String);

impl TryFrom<String> for Pointer {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        let well_formed = text.is_empty() || text.starts_with('/');
        if well_formed { Ok(Self(text)) } else { Err("a JSON pointer is empty or starts with /") }
    }
}

/// Something that a working key opens, so that a person sees that it is the right account.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "FactEntry")]
pub struct Fact {
    /// What it is called.
    pub label: String,
    /// Where to ask for it; the verification's own answer, if nothing.
    pub path: Option<Template>,
    source: Source,
}

#[derive(Debug, Clone)]
enum Source {
    Header(String),
    Text(Pointer),
    Count { list: Pointer, limit: Option<usize> },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FactEntry {
    label: String,
    path: Option<Template>,
    header: Option<String>,
    text: Option<Pointer>,
    count: Option<Pointer>,
    limit: Option<usize>,
}

impl TryFrom<FactEntry> for Fact {
    type Error = &'static str;

    fn try_from(entry: FactEntry) -> Result<Self, &'static str> {
        let source = match (entry.header, entry.text, entry.count) {
            (Some(name), None, None) => Source::Header(name.to_ascii_lowercase()),
            (None, Some(pointer), None) => Source::Text(pointer),
            (None, None, Some(list)) => Source::Count { list, limit: entry.limit },
            _ => return Err("what a key opens is told by one of header, text and count"),
        };
        Ok(Self { label: entry.label, path: entry.path, source })
    }
}

/// The longest text that is taken from a provider to be shown, in characters.
const LONGEST_FACT: usize = 100;

impl Fact {
    /// What the answer says, if it says anything that can be shown in a line.
    #[must_use]
    pub fn read(&self, answer: &ApiAnswer) -> Option<String> {
        let text = match &self.source {
            Source::Header(name) => answer.header(name)?.to_owned(),
            Source::Text(pointer) => match answer.body.as_ref()?.pointer(&pointer.0)? {
                Value::String(text) => text.clone(),
                Value::Number(number) => number.to_string(),
                _ => return None,
            },
            Source::Count { list, limit } => {
                match (answer.body.as_ref()?.pointer(&list.0)?.as_array()?.len(), limit) {
                    (count, Some(limit)) if count >= *limit => format!("{limit} or more"),
                    (count, _) => count.to_string(),
                }
            }
        };
        is_line(&text, LONGEST_FACT).then_some(text)
    }
}

/// A provider's answer.
pub struct ApiAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The headers that are text, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, if it is JSON of a reasonable size.
    pub body: Option<Value>,
}

/// A body may repeat a key, or hold another: it is not shown, and wiped.
impl fmt::Debug for ApiAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiAnswer").field("status", &self.status).finish_non_exhaustive()
    }
}

impl Drop for ApiAnswer {
    fn drop(&mut self) {
        self.body.iter_mut().for_each(wipe);
    }
}

fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(values) => values.iter_mut().for_each(wipe),
        Value::Object(fields) => fields.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

impl ApiAnswer {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// What came of trying a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The provider takes it.
    Valid,
    /// The provider says that it is wrong.
    Invalid,
    /// The provider did not say.
    Unreachable,
    /// There is no way to try it.
    Unsupported,
}

impl Outcome {
    /// The outcome's name in the API and in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Invalid => "invalid",
            Self::Unreachable => "unreachable",
            Self::Unsupported => "unsupported",
        }
    }
}

impl Verification {
    /// Every path that is asked.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Template> {
        std::iter::once(&self.path).chain(self.opens.iter().filter_map(|fact| fact.path.as_ref()))
    }

    /// Whether an answer's body matters to its meaning.
    #[must_use]
    pub fn reads_body(&self) -> bool {
        self.invalid_when.is_some() || self.valid_when.is_some() || self.unreachable_when.is_some()
    }

    /// What an answer means, and in a few words why.
    #[must_use]
    pub fn judge(&self, answer: &ApiAnswer) -> (Outcome, String) {
        let status = answer.status;
        let says = |condition: &Option<Condition>| {
            let body = answer.body.as_ref();
            condition.as_ref().zip(body).is_some_and(|(condition, body)| condition.holds(body))
        };
        let unreachable = |why: String| (Outcome::Unreachable, why);
        match status {
            429 => unreachable("it takes no more requests at present (status 429)".into()),
            500..=599 => unreachable(format!("it has trouble of its own (status {status})")),
            _ if says(&self.unreachable_when) => unreachable("it says that it has trouble of its own".into()),
            _ if says(&self.invalid_when) => {
                (Outcome::Invalid, format!("it says that the key is wrong (status {status})"))
            }
            _ if says(&self.valid_when) => (Outcome::Valid, format!("status {status}")),
            _ if self.invalid.contains(&status) => (Outcome::Invalid, format!("status {status}")),
            _ if self.valid.contains(&status) => {
                if self.invalid_when.is_some() && answer.body.is_none() {
                    return unreachable(format!("its answer can't be read (status {status})"));
                }
                (Outcome::Valid, format!("status {status}"))
            }
            300..=399 => unreachable(format!("it redirects (status {status}), which is not followed")),
            _ => unreachable(format!("its answer says nothing about the key (status {status})")),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn verification(extra: &str) -> Verification {
        let text = format!(
            "[providers.acme]\ndisplay_name = 'Acme'\ncategory = 'voice'\nbase_url = 'https://acme.example'\n\
             fields = [{{ name = 'key', label = 'Key' }}]\n\
             verify = {{ path = '/me', valid = [200], invalid = [401], {extra} }}"
        );
        let catalogue = super::super::Catalogue::extended(&text).unwrap();
        catalogue.get(&"acme".parse().unwrap()).unwrap().verification().unwrap().1.clone()
    }

    fn outcome(verification: &Verification, status: u16, body: Option<Value>) -> Outcome {
        verification.judge(&ApiAnswer { status, headers: Vec::new(), body }).0
    }

    #[test]
    fn statuses_are_told_apart() {
        let plain = verification("");
        for (status, expected) in [
            (200, Outcome::Valid),
            (401, Outcome::Invalid),
            (403, Outcome::Unreachable),
            (302, Outcome::Unreachable),
            (404, Outcome::Unreachable),
            (429, Outcome::Unreachable),
            (503, Outcome::Unreachable),
        ] {
            assert_eq!(outcome(&plain, status, None), expected, "{status}");
        }
    }

    #[test]
    fn an_error_inside_a_200_is_understood() {
        let slack = verification(
            "invalid_when = { pointer = '/ok', equals = false }, \
             unreachable_when = { pointer = '/error', equals = ['ratelimited', 'fatal_error'] }",
        );
        let body = |error: &str| Some(json!({"ok": false, "error": error}));
        assert_eq!(outcome(&slack, 200, Some(json!({"ok": true}))), Outcome::Valid);
        assert_eq!(outcome(&slack, 200, body("invalid_auth")), Outcome::Invalid);
        assert_eq!(outcome(&slack, 200, body("ratelimited")), Outcome::Unreachable);
        assert_eq!(outcome(&slack, 200, None), Outcome::Unreachable);
        assert_eq!(outcome(&slack, 500, body("invalid_auth")), Outcome::Unreachable);
    }

    fn fact(entry: Value) -> Fact {
        serde_json::from_value(entry).unwrap()
    }

    #[test]
    fn facts_are_read() {
        let body =
            Some(json!({"team": "Acme", "n": 7, "list": [1, 2, 3], "odd": "a\nb", "long": "x".repeat(101)}));
        let headers = vec![("openai-organization".to_owned(), "acme".to_owned())];
        let answer = ApiAnswer { status: 200, headers, body };
        let read = |entry: Value| fact(entry).read(&answer);
        assert_eq!(read(json!({"label": "x", "text": "/team"})).as_deref(), Some("Acme"));
        assert_eq!(read(json!({"label": "x", "text": "/n"})).as_deref(), Some("7"));
        assert_eq!(read(json!({"label": "x", "count": "/list"})).as_deref(), Some("3"));
        assert_eq!(read(json!({"label": "x", "count": "/list", "limit": 3})).as_deref(), Some("3 or more"));
        let organization = read(json!({"label": "x", "header": "OpenAI-Organization"}));
        assert_eq!(organization.as_deref(), Some("acme"));
        for unshowable in ["/odd", "/long", "/list", "/none"] {
            assert_eq!(read(json!({"label": "x", "text": unshowable})), None, "{unshowable}");
        }
    }
}

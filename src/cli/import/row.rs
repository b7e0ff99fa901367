//! One line of the file as a row.

use serde::{Deserialize, Deserializer};
use serde_json::{Value, error::Category};

use super::lines::LONGEST;
use crate::{
    broker::{
        import::{CheckedRow, Row, in_words},
        write::LabelChange,
    },
    domain::{
        connection::Label,
        id::{ConnectionName, OrgId},
        provider::Catalogue,
        strict::{DEEPEST, NotStrict, SentCredentials, check_object},
    },
};

/// Why a row is refused, and whose it is as far as that can be read. Repeats no value.
#[derive(Debug, Default)]
pub(super) struct Refusal {
    pub org: Option<OrgId>,
    pub connection: Option<ConnectionName>,
    pub reason: String,
}

/// A row as the file has it, whatever stands in its fields.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SentRow {
    #[serde(default, deserialize_with = "present")]
    org: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    connection: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    provider: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    credentials: Option<SentCredentials>,
    #[serde(default, deserialize_with = "present")]
    label: Option<Value>,
}

/// Tells null from absent.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// Reads a line and checks it by the catalogue.
pub(super) fn read(text: Option<&[u8]>, catalogue: &Catalogue) -> Result<CheckedRow, Refusal> {
    let text = text.ok_or_else(|| malformed(format!("the line is longer than {LONGEST} bytes")))?;
    let sent = parse(text).map_err(malformed)?;
    let mut faults = Vec::new();
    let org: Option<OrgId> = name("org", sent.org, &mut faults);
    let connection: Option<ConnectionName> = name("connection", sent.connection, &mut faults);
    let provider = name("provider", sent.provider, &mut faults);
    let label = match sent.label {
        None => Some(LabelChange::Keep),
        Some(Value::Null) => Some(LabelChange::Set(None)),
        Some(Value::String(text)) => match Label::try_from(text) {
            Ok(label) => Some(LabelChange::Set(Some(label))),
            Err(rule) => fault(&mut faults, format!("{rule}")),
        },
        Some(_) => fault(&mut faults, "label must be text".into()),
    };
    let credentials = match sent.credentials {
        None => Some(None),
        Some(SentCredentials::Fields(fields)) => Some(Some(fields)),
        Some(SentCredentials::NotAnObject) => {
            let rule =
                "credentials must be an object of text fields, or left out to adopt what the store holds";
            fault(&mut faults, rule.into())
        }
    };
    let refusal = |reason| Refusal { org: org.clone(), connection: connection.clone(), reason };
    match (org.clone(), connection.clone(), provider, label, credentials) {
        (Some(org), Some(connection), Some(provider), Some(label), Some(credentials)) => {
            let row = Row { org, connection, provider, credentials, label };
            row.check(catalogue).map_err(|errors| refusal(in_words(&errors)))
        }
        _ => Err(refusal(faults.join("; "))),
    }
}

fn malformed(reason: String) -> Refusal {
    Refusal { reason, ..Refusal::default() }
}

fn parse(text: &[u8]) -> Result<SentRow, String> {
    check_object(text).map_err(|e| match e {
        NotStrict::NotAnObject => "the line is not a JSON object".to_owned(),
        NotStrict::Malformed { column, .. } => {
            format!("not JSON without duplicate keys and nested at most {DEEPEST} deep: see column {column}")
        }
    })?;
    serde_json::from_slice(text).map_err(|e| match e.classify() {
        Category::Data => {
            "the row has a field other than org, connection, provider, credentials and label".to_owned()
        }
        Category::Io | Category::Syntax | Category::Eof => format!("not JSON: see column {}", e.column()),
    })
}

fn name<T>(field: &str, value: Option<Value>, faults: &mut Vec<String>) -> Option<T>
where
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    match value {
        None => fault(faults, format!("{field} is missing")),
        Some(Value::String(text)) => match text.parse() {
            Ok(name) => Some(name),
            Err(rule) => fault(faults, format!("{rule}")),
        },
        Some(_) => fault(faults, format!("{field} must be text")),
    }
}

/// Notes a fault, in place of the value that there is not.
fn fault<T>(faults: &mut Vec<String>, text: String) -> Option<T> {
    faults.push(text);
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> Refusal {
        let read = read(Some(text.as_bytes()), &Catalogue::builtin().unwrap());
        read.err().unwrap_or_else(|| panic!("it was taken: {text}"))
    }

    #[test]
    fn rows_of_both_kinds_are_taken() {
        for row in [
            r#"{"org":"a","connection":"b","provider":"openai","credentials":{"apiKey":"sk-1"}}"#,
            r#"{"org":"a","connection":"b","provider":"openai","label":"Main"}"#,
            r#"{"org":"a","connection":"b","provider":"custom","credentials":{"x":"1"},"label":null}"#,
        ] {
            let read = read(Some(row.as_bytes()), &Catalogue::builtin().unwrap());
            assert_eq!(read.ok().unwrap().name().org().as_str(), "a", "{row}");
        }
    }

    #[test]
    fn a_refusal_names_what_is_wrong_and_repeats_no_value() {
        let keys = r#""org":"a","connection":"b","provider":"openai""#;
        for (row, says) in [
            ("canary".to_owned(), "not a JSON object"),
            ("[\"canary\"]".to_owned(), "not a JSON object"),
            (r#"{"org":"canary""#.to_owned(), "column"),
            (r#"{"org":"canary","org":"canary"}"#.to_owned(), "duplicate keys"),
            (format!(r#"{{{keys},"canary":1}}"#), "a field other than"),
            (format!(r#"{{{keys},"credentials":null}}"#), "must be an object"),
            (format!(r#"{{{keys},"credentials":"canary"}}"#), "must be an object"),
            (format!(r#"{{{keys},"credentials":{{"apiKey":["canary"]}}}}"#), "apiKey must be text"),
            (format!(r#"{{{keys},"credentials":{{"canary1":"x"}}}}"#), "apiKey is required"),
            (format!(r#"{{{keys},"credentials":{{}}}}"#), "apiKey is required"),
            (format!(r#"{{{keys},"label":["canary"]}}"#), "label must be text"),
            (format!(r#"{{{keys},"label":""}}"#), "a label is"),
            (
                r#"{"org":"canary!","connection":"b","provider":"openai"}"#.to_owned(),
                "the organization id must be",
            ),
            (
                r#"{"org":1,"connection":null}"#.to_owned(),
                "org must be text; connection must be text; provider is missing",
            ),
            (
                r#"{"org":"a","connection":"b","provider":"canary"}"#.to_owned(),
                "provider is not in the catalogue",
            ),
        ] {
            let refusal = refused(&row);
            assert!(refusal.reason.contains(says), "{row}: {}", refusal.reason);
            assert!(!format!("{refusal:?}").contains("canary"), "{refusal:?}");
        }
        let refusal = refused(r#"{"org":"acme","connection":"vapi","provider":7}"#);
        assert_eq!(refusal.org.unwrap().as_str(), "acme");
        assert_eq!(refusal.connection.unwrap().as_str(), "vapi");
    }
}

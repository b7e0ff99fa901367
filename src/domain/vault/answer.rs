//! What a vault answers: `{"values":{"name":"value"},"missing":["name"]}`.

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::VaultKey;
use crate::domain::{secret::Credentials, strict::check_object};

/// An answer, read. Holds keys, which are wiped with it.
#[derive(Debug, Deserialize)]
pub struct VaultAnswer {
    values: Credentials,
    #[serde(default)]
    missing: Vec<String>,
}

/// Not what a vault answers. Repeats nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the answer is not {{\"values\":{{…}},\"missing\":[…]}}")]
pub struct MalformedAnswer;

impl VaultAnswer {
    /// Reads an answer.
    ///
    /// # Errors
    /// If it has another form.
    pub fn read(text: &[u8]) -> Result<Self, MalformedAnswer> {
        check_object(text).map_err(|_| MalformedAnswer)?;
        serde_json::from_slice(text).map_err(|_| MalformedAnswer)
    }

    /// The credentials that `keys` make up, of what was answered; what was not asked for is left out.
    ///
    /// # Errors
    /// The names of required keys that have no value.
    pub fn credentials(&self, keys: &[VaultKey]) -> Result<Credentials, Vec<String>> {
        let lacks = |key: &&VaultKey| key.required && self.value(key).is_none();
        let missing: Vec<_> = keys.iter().filter(lacks).map(|key| key.name.to_string()).collect();
        if !missing.is_empty() {
            return Err(missing);
        }
        let field = |key: &VaultKey| Some((key.field.clone(), self.value(key)?.clone()));
        Ok(Credentials::from_distinct(keys.iter().filter_map(field).collect()))
    }

    /// The names among `keys` that have no value, each once.
    #[must_use]
    pub fn missing(&self, keys: &[VaultKey]) -> Vec<String> {
        let mut names: Vec<_> =
            keys.iter().filter(|key| self.value(key).is_none()).map(|key| key.name.to_string()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// How many bytes the values of `keys` have.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "only the lengths")]
    pub fn size(&self, keys: &[VaultKey]) -> usize {
        keys.iter().filter_map(|key| self.value(key)).map(|value| value.expose_secret().len()).sum()
    }

    /// A value that is empty, or that the function calls missing, is none.
    #[expect(clippy::disallowed_methods, reason = "only whether it is empty")]
    fn value(&self, key: &VaultKey) -> Option<&SecretString> {
        let name = key.name.as_str();
        let value = self.values.get(name).filter(|value| !value.expose_secret().is_empty())?;
        (!self.missing.iter().any(|missing| missing == name)).then_some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str, field: &str, required: bool) -> VaultKey {
        VaultKey { name: name.parse().unwrap(), field: field.into(), required, description: String::new() }
    }

    #[test]
    fn only_what_was_asked_for_is_taken() {
        let keys =
            [key("wf_conn_mail_token_host", "host", true), key("wf_conn_mail_token_port", "port", false)];
        let answer = VaultAnswer::read(
            br#"{"values":{"wf_conn_mail_token_host":"mail.example","AUTH_TOKEN":"canary"},"missing":["wf_conn_mail_token_port"]}"#,
        )
        .unwrap();
        let credentials = answer.credentials(&keys).unwrap();
        assert_eq!(&**credentials.to_json(), br#"{"host":"mail.example"}"#);
        assert_eq!(answer.missing(&keys), ["wf_conn_mail_token_port"]);
    }

    #[test]
    fn an_empty_value_is_missing() {
        let keys = [key("wf_conn_a_token", "apiKey", true)];
        for text in [
            r#"{"values":{"wf_conn_a_token":""}}"#,
            r#"{"values":{}}"#,
            r#"{"values":{"WF_CONN_A_TOKEN":"1"},"missing":[]}"#,
            r#"{"values":{"wf_conn_a_token":"1"},"missing":["wf_conn_a_token"]}"#,
        ] {
            let missing = VaultAnswer::read(text.as_bytes()).unwrap().credentials(&keys).unwrap_err();
            assert_eq!(missing, ["wf_conn_a_token"], "{text}");
        }
    }

    #[test]
    fn another_form_is_refused() {
        for text in [
            "",
            "null",
            "[]",
            "\"values\"",
            "{}",
            r#"{"values":null}"#,
            r#"{"values":[]}"#,
            r#"{"values":{"a":1}}"#,
            r#"{"values":{"a":null}}"#,
            r#"{"values":{},"missing":{}}"#,
            r#"{"values":{"a":"1","a":"2"}}"#,
            r#"{"values":{}} {}"#,
        ] {
            assert!(VaultAnswer::read(text.as_bytes()).is_err(), "{text}");
        }
    }
}

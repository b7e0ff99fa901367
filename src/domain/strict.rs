//! JSON from outside, strictly read: an object, without duplicate keys, not nested deep.
//!
//! Duplicate keys are refused at every level, since two readers of such a text can see two different
//! things. No message repeats what was sent: it may hold a key.

use std::{collections::HashSet, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use super::{provider::SentField, secret::Credentials};

/// The deepest nesting that is read; nothing sent needs more than two.
pub const DEEPEST: u8 = 8;

/// Why a text is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotStrict {
    /// It is something else than an object.
    NotAnObject,
    /// It is no JSON, says something twice, or nests too deep.
    Malformed {
        /// In which line of it, from 1.
        line: usize,
        /// And where in that line.
        column: usize,
    },
}

/// Checks a text before it is read into a type.
///
/// # Errors
/// If it is no object of distinct keys.
pub fn check_object(text: &[u8]) -> Result<(), NotStrict> {
    // serde would take a list for an object too, its entries in the order of the type's fields.
    if !text.trim_ascii_start().starts_with(b"{") {
        return Err(NotStrict::NotAnObject);
    }
    let mut json = serde_json::Deserializer::from_slice(text);
    let checked = Strict { depth: 0 }.deserialize(&mut json).and_then(|()| json.end());
    checked.map_err(|e| NotStrict::Malformed { line: e.line(), column: e.column() })
}

/// Walks over any JSON and refuses duplicate keys and deep nesting.
#[derive(Clone, Copy)]
struct Strict {
    depth: u8,
}

impl Strict {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth < DEEPEST {
            Ok(Self { depth: self.depth + 1 })
        } else {
            Err(E::custom("nested too deep"))
        }
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

macro_rules! accept {
    ($($visit:ident: $type:ty),+) => {
        $(fn $visit<E: serde::de::Error>(self, _: $type) -> Result<(), E> { Ok(()) })+
    };
}

impl<'de> Visitor<'de> for Strict {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    accept!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        while seq.next_element_seed(inner)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        let mut seen = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            if !seen.insert(key) {
                return Err(A::Error::custom("a key stands twice"));
            }
            map.next_value_seed(inner)?;
        }
        Ok(())
    }
}

/// The `credentials` that someone sent: whatever stands there, so that each field's fault can be named.
pub enum SentCredentials {
    /// An object's fields.
    Fields(Vec<(String, SentField)>),
    /// Something else.
    NotAnObject,
}

impl<'de> Deserialize<'de> for SentCredentials {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SentVisitor)
    }
}

/// The fields of credentials as if they had been sent, to be checked by a provider.
#[must_use]
pub fn fields_of(credentials: &Credentials) -> Vec<(String, SentField)> {
    credentials.iter().map(|(name, value)| (name.to_owned(), SentField::Text(value.clone()))).collect()
}

struct SentVisitor;

macro_rules! not_an_object {
    ($($visit:ident: $type:ty),+) => {
        $(fn $visit<E: serde::de::Error>(self, _: $type) -> Result<SentCredentials, E> {
            Ok(SentCredentials::NotAnObject)
        })+
    };
}

impl<'de> Visitor<'de> for SentVisitor {
    type Value = SentCredentials;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of text fields")
    }

    not_an_object!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);

    fn visit_unit<E>(self) -> Result<SentCredentials, E> {
        Ok(SentCredentials::NotAnObject)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<SentCredentials, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(SentCredentials::NotAnObject)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<SentCredentials, A::Error> {
        let mut fields = Vec::new();
        while let Some((name, Sent(value))) = map.next_entry::<String, Sent>()? {
            fields.push((name, value));
        }
        Ok(SentCredentials::Fields(fields))
    }
}

struct Sent(SentField);

impl<'de> Deserialize<'de> for Sent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        macro_rules! not_text {
            ($($visit:ident: $type:ty),+) => {
                $(fn $visit<E: serde::de::Error>(self, _: $type) -> Result<Sent, E> {
                    Ok(Sent(SentField::NotText))
                })+
            };
        }

        impl<'de> Visitor<'de> for Any {
            type Value = Sent;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text")
            }

            not_text!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64);

            fn visit_unit<E>(self) -> Result<Sent, E> {
                Ok(Sent(SentField::NotText))
            }

            fn visit_str<E>(self, text: &str) -> Result<Sent, E> {
                Ok(Sent(SentField::Text(text.into())))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Sent, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Sent(SentField::NotText))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Sent, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Sent(SentField::NotText))
            }
        }

        deserializer.deserialize_any(Any)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_objects_of_distinct_keys_are_taken() {
        assert_eq!(check_object(br#" {"a": {"b": [1, "2", null, {}]}} "#), Ok(()));
        for text in ["", "[]", "1", "null", "\u{feff}{}"] {
            assert_eq!(check_object(text.as_bytes()), Err(NotStrict::NotAnObject), "{text}");
        }
        let deep = format!("{}1{}", r#"{"a":"#.repeat(9), "}".repeat(9));
        for text in ["{", r#"{"a":1} {}"#, r#"{"a":1,"a":1}"#, r#"{"a":[{"b":1,"b":2}]}"#, &deep] {
            assert!(matches!(check_object(text.as_bytes()), Err(NotStrict::Malformed { .. })), "{text}");
        }
        let at = NotStrict::Malformed { line: 2, column: 6 };
        assert_eq!(check_object(b"{\n \"a\" 1}"), Err(at));
    }
}

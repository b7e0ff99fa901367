//! Bodies: JSON, strictly read.
//!
//! Duplicate keys are refused at every level, since two readers of such a body can see two different
//! things. No message repeats what was sent: it may hold a key.

use std::{fmt, time::Duration};

use axum::{
    body::Body,
    extract::{FromRequest, Request},
    http::{HeaderMap, header},
};
use futures_util::{Stream, StreamExt};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use zeroize::Zeroizing;

use super::{error::Problem, state::AppState};
use crate::domain::{provider::SentField, secret::LONGEST_VALUE};

/// The deepest nesting that any body needs is two; more than this is refused unread.
const DEEPEST: u8 = 8;

/// How long a body may take to arrive.
const ARRIVAL: Duration = Duration::from_secs(10);

/// A type that a route takes as its body.
pub(super) trait Shape: DeserializeOwned {
    /// What the body looks like, for the error.
    const SHAPE: &'static str;
}

/// A body that was read whole and understood.
pub(super) struct Json<T> {
    /// What it says.
    pub value: T,
    /// As it came.
    pub raw: Zeroizing<Vec<u8>>,
}

impl<T: Shape> FromRequest<AppState> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &AppState) -> Result<Self, Problem> {
        expect_json(request.headers())?;
        let arrival = tokio::time::timeout(ARRIVAL, collect(request.into_body()));
        let raw = arrival
            .await
            .map_err(|_| Problem::invalid_request("The body did not arrive within 10 seconds."))??;
        let value = parse(&raw)?;
        Ok(Self { value, raw })
    }
}

fn expect_json(headers: &HeaderMap) -> Result<(), Problem> {
    let text = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = text.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        Ok(())
    } else {
        Err(Problem::unsupported_media_type("Send JSON, with the header `Content-Type: application/json`."))
    }
}

/// Reads the body into one buffer that is wiped when dropped, and never grows: growing would leave a
/// copy behind.
async fn collect(body: Body) -> Result<Zeroizing<Vec<u8>>, Problem> {
    let too_large = || Problem::too_large(format!("A body may have {LONGEST_VALUE} bytes at most."));
    let mut stream = body.into_data_stream();
    let (announced, _) = stream.size_hint();
    if announced > LONGEST_VALUE {
        return Err(too_large());
    }
    let mut raw = Zeroizing::new(Vec::with_capacity(LONGEST_VALUE));
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|_| Problem::invalid_request("The body broke off. Send it again."))?;
        if raw.len() + chunk.len() > LONGEST_VALUE {
            return Err(too_large());
        }
        raw.extend_from_slice(&chunk);
    }
    Ok(raw)
}

fn parse<T: Shape>(raw: &[u8]) -> Result<T, Problem> {
    // serde would take a list for an object too, its entries in the order of the type's fields.
    if !raw.trim_ascii_start().starts_with(b"{") {
        return Err(Problem::invalid_request(format!("The body must be {}.", T::SHAPE)));
    }
    let mut check = serde_json::Deserializer::from_slice(raw);
    let checked = Strict { depth: 0 }.deserialize(&mut check).and_then(|()| check.end());
    checked.map_err(|e| {
        let place = format!("line {}, column {}", e.line(), e.column());
        Problem::invalid_request(format!(
            "The body is not JSON without duplicate keys and nested at most {DEEPEST} deep: see {place}."
        ))
    })?;
    serde_json::from_slice(raw).map_err(|e| {
        let place = format!("line {}, column {}", e.line(), e.column());
        Problem::invalid_request(format!("The body must be {}: see {place}.", T::SHAPE))
    })
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
        let mut seen = std::collections::HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            if !seen.insert(key) {
                return Err(A::Error::custom("a key stands twice"));
            }
            map.next_value_seed(inner)?;
        }
        Ok(())
    }
}

/// The `credentials` of a request: whatever stands there, so that each field's fault can be named.
pub(super) enum SentCredentials {
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

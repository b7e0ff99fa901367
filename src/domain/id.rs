//! The names by which everything is found: organization, connection, provider.
//!
//! To add one: write its rule as a function of bytes and let `identifier!` make the type.
//!
//! A name of up to 23 bytes lies in place, and clones of a longer one share it: names are made, compared and
//! passed on by every request.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

/// A name that breaks its rule. The message states the rule and never repeats the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what} must be {rule}")]
pub struct InvalidId {
    what: &'static str,
    rule: &'static str,
}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:literal, $valid:path) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(SmolStr);

        impl $name {
            /// The rule, as a person reads it.
            pub const RULE: &'static str = $rule;

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                if $valid(text.as_bytes()) {
                    Ok(Self(text.into()))
                } else {
                    Err(InvalidId { what: $what, rule: $rule })
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                text.parse()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

identifier!(
    /// A tenant of the app that uses keybroker; the app's own id for it.
    OrgId,
    "the organization id",
    "1 to 128 of A-Z a-z 0-9 _ . @ + = -, starting with a letter or digit",
    is_org
);

identifier!(
    /// One organization's name for its set of keys at one provider.
    ConnectionName,
    "the connection name",
    "1 to 64 of A-Z a-z 0-9 _ -, starting with a letter or digit",
    is_connection
);

identifier!(
    /// A third party whose keys are kept: one entry of the catalogue.
    ProviderName,
    "the provider name",
    "1 to 64 of a-z 0-9 _",
    is_provider
);

impl ConnectionName {
    /// The one reserved name, which no text is read as: where an organization's vault is kept.
    pub(super) fn vault() -> Self {
        Self(SmolStr::new_static("_vault"))
    }
}

fn is_org(id: &[u8]) -> bool {
    starts_alphanumeric(id, 128) && id.iter().all(|b| b.is_ascii_alphanumeric() || b"_.@+=-".contains(b))
}

fn is_connection(id: &[u8]) -> bool {
    starts_alphanumeric(id, 64) && id.iter().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(b))
}

fn is_provider(id: &[u8]) -> bool {
    (1..=64).contains(&id.len())
        && id.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'_')
}

fn starts_alphanumeric(id: &[u8], longest: usize) -> bool {
    id.len() <= longest && id.first().is_some_and(u8::is_ascii_alphanumeric)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_org_of_the_rule_is_taken(id in "[A-Za-z0-9][A-Za-z0-9_.@+=-]{0,127}") {
            let org: OrgId = id.parse().unwrap();
            prop_assert_eq!(org.as_str(), id);
        }

        #[test]
        fn no_org_holds_anything_else(id in "\\PC*") {
            if let Ok(org) = id.parse::<OrgId>() {
                prop_assert!(!org.as_str().contains(['/', '%', '\0', ' ']));
                prop_assert!(org.as_str().len() <= 128 && org.as_str().is_ascii());
                prop_assert!(org.as_str().as_bytes()[0].is_ascii_alphanumeric());
            }
        }

        #[test]
        fn every_connection_of_the_rule_is_taken(id in "[A-Za-z0-9][A-Za-z0-9_-]{0,63}") {
            prop_assert!(id.parse::<ConnectionName>().is_ok());
        }
    }

    #[test]
    fn hostile_names_are_refused() {
        for id in ["", ".", "..", "a/b", "a%2Fb", "a\0", "_vault", "-a", ".a", "é", "a b", "a\n"] {
            assert!(id.parse::<OrgId>().is_err(), "org {id:?}");
            assert!(id.parse::<ConnectionName>().is_err(), "connection {id:?}");
        }
        assert!("a".repeat(129).parse::<OrgId>().is_err());
        assert!("a".repeat(65).parse::<ConnectionName>().is_err());
        assert!("Vapi".parse::<ProviderName>().is_err());
    }
}

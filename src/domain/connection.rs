//! A connection as its organization sees it: everything but the keys.

use std::str::FromStr;

use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};

use super::{
    id::{ConnectionName, OrgId, ProviderName},
    provider::Provider,
    secret::{Credentials, SecretName, Version},
    text::is_line,
};

/// What the index knows of a connection. Nothing in it is secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// Whose it is.
    pub org: OrgId,
    /// Its name in the organization.
    pub name: ConnectionName,
    /// The provider whose keys it holds.
    pub provider: ProviderName,
    /// What people call it.
    pub label: Option<Label>,
    /// Whether its keys can be used.
    pub status: Status,
    /// Where it was made for: one made for the vault has nothing in the store.
    pub source: Source,
    /// While the organization's vault is enabled: the version of the secret that tells how to ask it.
    #[serde(default)]
    pub vault: Option<Version>,
    /// The version that is current in the store.
    pub version: Version,
    /// How many versions there were, this one included. Orders versions whatever the clocks say.
    pub generation: i64,
    /// The version to which a rollback goes, if there is one.
    pub previous: Option<Version>,
    /// What may be shown of each field.
    pub fields: Vec<ShownField>,
    /// When the provider last took the keys.
    pub verified_at: Option<Timestamp>,
    /// When they are next tried by themselves; nothing if that was never decided.
    #[serde(default)]
    pub check_after: Option<Timestamp>,
    /// When the connection was first made.
    pub created_at: Timestamp,
    /// When its keys, label or status last changed.
    pub updated_at: Timestamp,
}

impl Connection {
    /// Where its keys are kept.
    #[must_use]
    pub fn secret_name(&self) -> SecretName {
        SecretName::new(self.org.clone(), self.name.clone())
    }

    /// Whether it was disconnected.
    #[must_use]
    pub fn is_disconnected(&self) -> bool {
        self.status == Status::Disconnected
    }

    /// Where its keys are, by what the catalogue says of its provider.
    #[must_use]
    pub fn place(&self, provider: Option<&Provider>) -> Place<'_> {
        let may_move = provider.is_none_or(|provider| !provider.oauth);
        match (&self.vault, self.source) {
            _ if self.is_disconnected() => Place::Nowhere,
            (Some(access), _) if may_move => Place::Vault(access),
            (_, Source::Managed) => Place::Store,
            (_, Source::CustomerVault) => Place::Nowhere,
        }
    }

    /// It as its organization sees it: of keys in the vault nothing is known, and without the vault a
    /// connection made for it has none.
    #[must_use]
    pub fn seen(self, provider: Option<&Provider>) -> Self {
        match self.place(provider) {
            Place::Store => Self { source: Source::Managed, ..self },
            Place::Vault(_) => Self { source: Source::CustomerVault, fields: Vec::new(), ..self },
            Place::Nowhere => Self { status: Status::Disconnected, ..self },
        }
    }

    #[cfg(test)]
    pub(crate) fn sample(name: ConnectionName, provider: ProviderName) -> Self {
        let at = Timestamp::UNIX_EPOCH;
        Self {
            org: "acme".parse().expect("an id"),
            name,
            provider,
            label: None,
            status: Status::Active,
            source: Source::Managed,
            vault: None,
            version: "0".repeat(32).parse().expect("a version"),
            generation: 1,
            previous: None,
            fields: Vec::new(),
            verified_at: None,
            check_after: None,
            created_at: at,
            updated_at: at,
        }
    }
}

/// What may be shown of one field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownField {
    /// The field's name.
    pub name: String,
    /// As much as may be seen.
    #[serde(flatten)]
    pub shown: Shown,
}

/// How much of a field may be seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shown {
    /// All of it: the catalogue says that it is no secret.
    Value(String),
    /// Its last four characters, where it has sixteen or more.
    Hint(Option<String>),
}

/// What may be shown of `credentials`, by what the catalogue says of each field. Of a provider that is
/// not in it (any more), everything counts as secret.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "shows what the catalogue calls public, and hints")]
pub fn shown_fields(provider: Option<&Provider>, credentials: &Credentials) -> Vec<ShownField> {
    let show = |(name, value): (&str, &secrecy::SecretString)| {
        let value = value.expose_secret();
        let shown = if provider.is_some_and(|provider| provider.is_public(name)) {
            Shown::Value(value.to_owned())
        } else {
            Shown::Hint(hint(value))
        };
        ShownField { name: name.to_owned(), shown }
    };
    credentials.iter().map(show).collect()
}

fn hint(value: &str) -> Option<String> {
    let length = value.chars().count();
    (length >= 16).then(|| std::iter::once('…').chain(value.chars().skip(length - 4)).collect())
}

/// Whether a connection's keys can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// They can.
    Active,
    /// The provider refuses them.
    NeedsReconnect,
    /// They were erased.
    Disconnected,
}

/// Where a connection's keys are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// In keybroker's own store.
    Managed,
    /// In the organization's own vault.
    CustomerVault,
}

/// Where to go for a connection's keys at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place<'a> {
    /// To the store.
    Store,
    /// To the organization's vault, whose URL and token this version of its secret holds.
    Vault(&'a Version),
    /// There are none.
    Nowhere,
}

macro_rules! stored_as_text {
    ($type:ident { $($variant:ident = $text:literal),+ }) => {
        impl $type {
            /// The name that the API and the index use.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl FromStr for $type {
            type Err = UnknownName;

            fn from_str(text: &str) -> Result<Self, UnknownName> {
                match text { $($text => Ok(Self::$variant),)+ _ => Err(UnknownName) }
            }
        }
    };
}

/// The index holds a name that this version of keybroker does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a status or source that this version does not know")]
pub struct UnknownName;

stored_as_text!(Status { Active = "active", NeedsReconnect = "needs_reconnect", Disconnected = "disconnected" });
stored_as_text!(Source { Managed = "managed", CustomerVault = "customer_vault" });

/// What people call a connection: 1 to 200 characters, none of them a control character.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Label(String);

/// Not a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a label is 1 to 200 characters, without control characters")]
pub struct InvalidLabel;

impl Label {
    /// The label as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Label {
    type Error = InvalidLabel;

    fn try_from(text: String) -> Result<Self, InvalidLabel> {
        if is_line(&text, 200) { Ok(Self(text)) } else { Err(InvalidLabel) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_in_the_vault_while_it_is_enabled() {
        let catalogue = crate::domain::provider::Catalogue::extended(
            "[providers.crm]\nextends = \"sendgrid\"\ndisplay_name = \"CRM\"\noauth = true",
        )
        .unwrap();
        let provider = |name: &str| catalogue.get(&name.parse().unwrap());
        let access: Version = "1".repeat(32).parse().unwrap();
        let managed = Connection::sample("mail".parse().unwrap(), "sendgrid".parse().unwrap());
        let in_vault = Connection { vault: Some(access.clone()), ..managed.clone() };
        let keyless = Connection { source: Source::CustomerVault, ..managed.clone() };
        let gone = Connection { status: Status::Disconnected, ..in_vault.clone() };
        assert_eq!(managed.place(provider("sendgrid")), Place::Store);
        assert_eq!(in_vault.place(provider("sendgrid")), Place::Vault(&access));
        assert_eq!(in_vault.place(provider("crm")), Place::Store);
        assert_eq!(in_vault.place(None), Place::Vault(&access));
        assert_eq!(keyless.place(provider("sendgrid")), Place::Nowhere);
        assert_eq!(gone.place(provider("sendgrid")), Place::Nowhere);
        assert_eq!(keyless.seen(provider("sendgrid")).status, Status::Disconnected);
        assert_eq!(in_vault.seen(provider("sendgrid")).source, Source::CustomerVault);
    }

    #[test]
    fn a_hint_needs_sixteen_characters() {
        assert_eq!(hint("123456789012345"), None);
        assert_eq!(hint("1234567890129f3c").as_deref(), Some("…9f3c"));
        assert_eq!(hint("ääääääääääääöööö").as_deref(), Some("…öööö"));
    }
}

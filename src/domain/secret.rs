//! What is kept, and where: [`SecretName`], [`Version`], [`Credentials`].

use std::{fmt, str::FromStr, sync::Arc};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{MapAccess, Visitor},
};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{
    clock::{Clock, Random, time_ordered_id},
    id::{ConnectionName, OrgId},
};

/// The longest value AWS Secrets Manager takes, in bytes (its quota for `SecretString`).
pub const LONGEST_VALUE: usize = 65_536;

/// The first part of every secret's name, `tenant` unless configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix(Arc<str>);

/// A prefix that AWS would refuse, or that would leave too little room for the names below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the secret prefix must be 1 to 200 of A-Z a-z 0-9 / _ + = . @ -, without a slash at either end or two in a row"
)]
pub struct InvalidPrefix;

impl FromStr for Prefix {
    type Err = InvalidPrefix;

    fn from_str(text: &str) -> Result<Self, InvalidPrefix> {
        let charset = |b: &u8| b.is_ascii_alphanumeric() || b"/_+=.@-".contains(b);
        let whole = (1..=200).contains(&text.len()) && text.as_bytes().iter().all(charset);
        if whole && text.split('/').all(|part| !part.is_empty()) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidPrefix)
        }
    }
}

impl Default for Prefix {
    fn default() -> Self {
        Self("tenant".into())
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The place of one connection's credentials. It can be made only from an organization and a
/// connection, so no name reaches into another organization's part of the store.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SecretName {
    org: OrgId,
    connection: ConnectionName,
}

impl SecretName {
    /// The place of `connection` in `org`.
    #[must_use]
    pub fn new(org: OrgId, connection: ConnectionName) -> Self {
        Self { org, connection }
    }

    /// The place of what it takes to ask the organization's own vault.
    #[must_use]
    pub(super) fn vault(org: OrgId) -> Self {
        Self { org, connection: ConnectionName::vault() }
    }

    /// The organization whose secret it is.
    #[must_use]
    pub fn org(&self) -> &OrgId {
        &self.org
    }

    /// The connection within the organization.
    #[must_use]
    pub fn connection(&self) -> &ConnectionName {
        &self.connection
    }

    /// The name as the store knows it, `<prefix>/<org>/<connection>`. At most 394 of the 512
    /// characters that AWS allows.
    #[must_use]
    pub fn under(&self, prefix: &Prefix) -> String {
        format!("{prefix}/{}/{}", self.org, self.connection)
    }
}

/// One version of a secret: AWS's `VersionId`, which is the `ClientRequestToken` it was written with.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Version(Arc<str>);

/// Not a version id. AWS's are 32 to 64 characters; those that JSON or an entity tag would have to escape
/// are not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a version is 32 to 64 visible ASCII characters other than quotes and backslashes")]
pub struct InvalidVersion;

impl Version {
    /// A new version, later in order than those made before it.
    #[must_use]
    pub fn generate(clock: &dyn Clock, random: &dyn Random) -> Self {
        time_ordered_id(clock, random).into()
    }

    /// The version as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// When it was made, if keybroker made it: its id holds the time.
    #[must_use]
    pub fn made_at(&self) -> Option<Timestamp> {
        let (seconds, nanos) = Uuid::parse_str(&self.0).ok()?.get_timestamp()?.to_unix();
        Timestamp::new(i64::try_from(seconds).ok()?, i32::try_from(nanos).ok()?).ok()
    }
}

impl From<Uuid> for Version {
    fn from(id: Uuid) -> Self {
        Self(id.to_string().into())
    }
}

impl FromStr for Version {
    type Err = InvalidVersion;

    fn from_str(text: &str) -> Result<Self, InvalidVersion> {
        let charset = |b: u8| b.is_ascii_graphic() && !b"\"\\".contains(&b);
        if (32..=64).contains(&text.len()) && text.bytes().all(charset) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidVersion)
        }
    }
}

impl TryFrom<String> for Version {
    type Error = InvalidVersion;

    fn try_from(text: String) -> Result<Self, InvalidVersion> {
        text.parse()
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// A connection's keys: a flat object of text fields, in the order in which they are written.
///
/// There is no `Serialize`: the one way out as text is [`Credentials::to_json`], whose result is
/// wiped when dropped. `Debug` prints the fields' names only.
#[derive(Clone, Default)]
pub struct Credentials(Vec<(String, SecretString)>);

impl Credentials {
    /// Takes fields whose names are already known to be distinct.
    pub(super) fn from_distinct(fields: Vec<(String, SecretString)>) -> Self {
        Self(fields)
    }

    /// What a disconnected connection holds: nothing, written as `{}`.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Whether no field is held, as after a disconnect.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The fields, name and value, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &SecretString)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// The field of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&SecretString> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// Whether both hold the same fields with the same values, in whatever order. The values are
    /// compared in constant time.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "compared here, goes nowhere")]
    pub fn same_as(&self, other: &Self) -> bool {
        self.0.len() == other.0.len()
            && self.0.iter().all(|(name, value)| {
                other.get(name).is_some_and(|twin| {
                    let (a, b) = (value.expose_secret(), twin.expose_secret());
                    verify_slices_are_equal(a.as_bytes(), b.as_bytes()).is_ok()
                })
            })
    }

    /// The credentials object as the store and the API write it, without white space.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "the one exit of credentials as text: to the store or to a caller with a permit"
    )]
    pub fn to_json(&self) -> Zeroizing<Vec<u8>> {
        let longest = self.0.iter().map(|(n, v)| n.len() + v.expose_secret().len() + 6).sum::<usize>();
        // Twice the plain length, so that escapes seldom make the buffer grow: growing would leave
        // an unwiped copy behind.
        let mut text = Zeroizing::new(Vec::with_capacity(2 * longest + 2));
        text.push(b'{');
        for (i, (name, value)) in self.0.iter().enumerate() {
            if i > 0 {
                text.push(b',');
            }
            push_json(&mut text, name);
            text.push(b':');
            push_json(&mut text, value.expose_secret());
        }
        text.push(b'}');
        text
    }

    /// Reads what a store holds.
    ///
    /// # Errors
    /// If it is anything but a flat JSON object of distinct text fields.
    pub fn from_json(text: &[u8]) -> Result<Self, NotCredentials> {
        serde_json::from_slice(text).map_err(|_| NotCredentials)
    }
}

fn push_json(text: &mut Zeroizing<Vec<u8>>, value: &str) {
    serde_json::to_writer(&mut **text, value).expect("text is always written to memory");
}

/// The stored value is not a credentials object: another program wrote something else there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the stored value is not a flat JSON object of text fields")]
pub struct NotCredentials;

impl<'de> Deserialize<'de> for Credentials {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Flat;

        impl<'de> Visitor<'de> for Flat {
            type Value = Credentials;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a flat object of text fields")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Credentials, M::Error> {
                let mut fields = Vec::<(String, SecretString)>::new();
                while let Some((name, value)) = map.next_entry::<String, String>()? {
                    if fields.iter().any(|(known, _)| *known == name) {
                        return Err(serde::de::Error::custom("a field stands twice"));
                    }
                    fields.push((name, value.into()));
                }
                Ok(Credentials(fields))
            }
        }

        deserializer.deserialize_map(Flat)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter().map(|(name, _)| (name, "[redacted]"))).finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_name_leads_back_to_its_org_and_connection(
            org in "[A-Za-z0-9][A-Za-z0-9_.@+=-]{0,127}",
            connection in "[A-Za-z0-9][A-Za-z0-9_-]{0,63}",
        ) {
            let name = SecretName::new(org.parse().unwrap(), connection.parse().unwrap())
                .under(&Prefix::default());
            prop_assert_eq!(name.split('/').collect::<Vec<_>>(), vec!["tenant", &org, &connection]);
            prop_assert!(name.len() <= 512);
        }

        #[test]
        fn credentials_survive_the_store(fields in prop::collection::btree_map("\\PC{1,20}", "\\PC*", 0..5)) {
            let fields = fields.into_iter().map(|(n, v)| (n, v.into())).collect();
            let credentials = Credentials::from_distinct(fields);
            let read = Credentials::from_json(&credentials.to_json()).unwrap();
            prop_assert!(read.same_as(&credentials));
        }
    }

    #[test]
    fn json_keeps_the_order_and_adds_nothing() {
        let text = br#"{"publicApiKey":"p\"1","privateApiKey":"s"}"#;
        assert_eq!(&**Credentials::from_json(text).unwrap().to_json(), text);
        assert_eq!(&**Credentials::none().to_json(), b"{}");
    }

    #[test]
    fn what_is_no_credentials_object_is_refused() {
        for text in ["", "[]", "\"key\"", r#"{"a":1}"#, r#"{"a":{"b":"c"}}"#, r#"{"a":"1","a":"2"}"#] {
            assert!(Credentials::from_json(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn order_does_not_matter_but_every_value_does() {
        let of = |text: &str| Credentials::from_json(text.as_bytes()).unwrap();
        let one = of(r#"{"a":"1","b":"2"}"#);
        assert!(one.same_as(&of(r#"{"b":"2","a":"1"}"#)));
        for other in [r#"{"a":"1"}"#, r#"{"a":"1","b":"3"}"#, r#"{"a":"1","c":"2"}"#] {
            assert!(!one.same_as(&of(other)), "{other}");
        }
    }

    #[test]
    fn debug_shows_no_value() {
        let shown = format!("{:?}", Credentials::from_json(br#"{"apiKey":"canary"}"#).unwrap());
        assert_eq!(shown, r#"{"apiKey": "[redacted]"}"#);
    }

    #[test]
    fn prefixes() {
        for good in ["tenant", "a/b", "prod.keys"] {
            assert!(good.parse::<Prefix>().is_ok(), "{good}");
        }
        for bad in ["", "/tenant", "tenant/", "a//b", "a b", "a*"] {
            assert!(bad.parse::<Prefix>().is_err(), "{bad}");
        }
    }
}

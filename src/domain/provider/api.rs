//! Where a provider's API is and how a key is presented there.

use std::{collections::BTreeMap, fmt};

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::Url;
use zeroize::Zeroizing;

use super::{
    template::Template,
    verification::{Method, Verification},
};
use crate::domain::secret::Credentials;

/// A provider's API.
#[derive(Debug, Clone)]
pub struct Api {
    /// Where it is.
    pub base_url: BaseUrl,
    /// How a key is presented; nothing if it is in the path.
    pub auth: Option<Auth>,
    /// Headers that every request has.
    pub headers: BTreeMap<HeaderName, String>,
    /// How it is asked whether a key works, if there is a way.
    pub verification: Option<Verification>,
}

/// A request to a provider, the key put in. Its URL may hold the key: it is neither shown nor logged.
pub struct ApiRequest {
    /// The method.
    pub method: Method,
    /// The whole URL.
    pub url: SecretString,
    /// The headers, names in lower case.
    pub headers: Vec<(String, SecretString)>,
}

impl fmt::Debug for ApiRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} [redacted]", self.method)
    }
}

impl Api {
    pub(super) fn templates(&self) -> impl Iterator<Item = &Template> {
        let auth = self.auth.iter().flat_map(Auth::templates);
        auth.chain(self.verification.iter().flat_map(Verification::paths))
    }

    /// A request for `path` with the key; nothing if the credentials lack a field that it takes.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the URL is put together in memory that is wiped")]
    pub fn request(&self, method: Method, path: &Template, credentials: &Credentials) -> Option<ApiRequest> {
        let path = path.fill_encoded(credentials)?;
        let (base, path) = (self.base_url.as_str(), path.expose_secret());
        let mut url = Zeroizing::new(String::with_capacity(base.len() + path.len()));
        url.push_str(base);
        url.push_str(path);
        // A path begins with a slash, so nothing in it gets into the host. Looked at again, since a key would
        // go there.
        if Url::parse(&url).ok()?.origin() != Url::parse(base).ok()?.origin() {
            return None;
        }
        let plain = |(name, value): (&HeaderName, &String)| (name.0.clone(), value.as_str().into());
        let mut headers: Vec<_> = self.headers.iter().map(plain).collect();
        if let Some(auth) = &self.auth {
            headers.push(auth.header(credentials)?);
        }
        Some(ApiRequest { method, url: url.as_str().into(), headers })
    }
}

/// An `http` or `https` URL of a host, maybe with a path, without anything else.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct BaseUrl(String);

/// Not the URL of an API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a base_url is https://HOST or http://HOST, maybe with a port and a path, and nothing else")]
pub struct InvalidBaseUrl;

impl BaseUrl {
    /// The URL as text, without a slash at its end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for BaseUrl {
    type Error = InvalidBaseUrl;

    fn try_from(text: String) -> Result<Self, InvalidBaseUrl> {
        let url = Url::parse(&text).map_err(|_| InvalidBaseUrl)?;
        let host_alone = url.username().is_empty() && url.password().is_none() && url.has_host();
        let plain = url.query().is_none() && url.fragment().is_none();
        if matches!(url.scheme(), "http" | "https") && host_alone && plain {
            Ok(Self(url.as_str().trim_end_matches('/').to_owned()))
        } else {
            Err(InvalidBaseUrl)
        }
    }
}

/// How a key is presented.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "AuthEntry")]
pub enum Auth {
    /// In a header.
    Header {
        /// Which.
        name: HeaderName,
        /// Its value.
        value: Template,
    },
    /// As HTTP Basic authentication (RFC 7617).
    Basic {
        /// The user's name.
        username: Template,
        /// The password.
        password: Template,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AuthEntry {
    header: Option<HeaderName>,
    value: Option<Template>,
    username: Option<Template>,
    password: Option<Template>,
}

impl TryFrom<AuthEntry> for Auth {
    type Error = &'static str;

    fn try_from(entry: AuthEntry) -> Result<Self, &'static str> {
        match entry {
            AuthEntry { header, value: Some(value), username: None, password: None } => {
                let name = header.unwrap_or_else(|| HeaderName("authorization".into()));
                Ok(Self::Header { name, value })
            }
            AuthEntry { header: None, value: None, username: Some(username), password: Some(password) } => {
                Ok(Self::Basic { username, password })
            }
            _ => Err("auth has header and value, or username and password"),
        }
    }
}

impl Auth {
    pub(super) fn templates(&self) -> Vec<&Template> {
        match self {
            Self::Header { value, .. } => vec![value],
            Self::Basic { username, password } => vec![username, password],
        }
    }

    #[expect(clippy::disallowed_methods, reason = "encoded in memory that is wiped")]
    fn header(&self, credentials: &Credentials) -> Option<(String, SecretString)> {
        use base64::{Engine, prelude::BASE64_STANDARD};
        match self {
            Self::Header { name, value } => Some((name.0.clone(), value.fill(credentials)?)),
            Self::Basic { username, password } => {
                let (username, password) = (username.fill(credentials)?, password.fill(credentials)?);
                let (username, password) = (username.expose_secret(), password.expose_secret());
                let mut pair = Zeroizing::new(String::with_capacity(username.len() + 1 + password.len()));
                pair.push_str(username);
                pair.push(':');
                pair.push_str(password);
                let mut value = Zeroizing::new(String::with_capacity(2 * pair.len() + 16));
                value.push_str("Basic ");
                BASE64_STANDARD.encode_string(pair.as_bytes(), &mut value);
                Some(("authorization".into(), value.as_str().into()))
            }
        }
    }
}

/// A header's name, in lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct HeaderName(String);

/// Not a header that an entry may set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a header's name is letters, digits and hyphens, and not one that the connection itself needs")]
pub struct InvalidHeaderName;

/// What the HTTP client sets by itself.
const RESERVED: [&str; 6] = ["host", "content-length", "transfer-encoding", "connection", "upgrade", "te"];

impl HeaderName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for HeaderName {
    type Error = InvalidHeaderName;

    fn try_from(text: String) -> Result<Self, InvalidHeaderName> {
        let name = text.to_ascii_lowercase();
        let charset = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
        if !name.is_empty() && charset && !RESERVED.contains(&name.as_str()) {
            Ok(Self(name))
        } else {
            Err(InvalidHeaderName)
        }
    }
}

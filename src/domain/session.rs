//! Connect sessions: the link with which an organization's admin opens the portal, and the visit that it
//! leads to.

use std::{collections::BTreeSet, fmt};

use aws_lc_rs::{constant_time::verify_slices_are_equal, hmac};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use url::Url;
use uuid::Uuid;

use super::{
    access::Actor,
    clock::Random,
    hex::hex,
    id::{OrgId, ProviderName},
    token::{HashedToken, random_text},
};

/// How many characters of 62 make 256 bits.
const LENGTH: usize = 43;

/// What opens a session: the token in a link, or the cookie of a visit. 256 random bits; shown to the one
/// who holds it and stored as a hash.
#[derive(Clone)]
pub struct SessionSecret(SecretString);

/// Text that can't be a session's secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a session's secret is 43 letters and digits")]
pub struct NotASessionSecret;

impl SessionSecret {
    /// A new one.
    #[must_use]
    pub fn generate(random: &dyn Random) -> Self {
        Self(random_text(random, LENGTH))
    }

    /// Reads a presented one.
    ///
    /// # Errors
    /// If the text can't be one.
    pub fn parse(text: &str) -> Result<Self, NotASessionSecret> {
        let valid = text.len() == LENGTH && text.bytes().all(|b| b.is_ascii_alphanumeric());
        if valid { Ok(Self(text.into())) } else { Err(NotASessionSecret) }
    }

    /// What is stored of it.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "hashed here")]
    pub fn hashed(&self) -> HashedToken {
        HashedToken::of(self.0.expose_secret())
    }

    /// The secret itself, for the link or the cookie.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "given to the one who is to hold it")]
    pub fn reveal(&self) -> &str {
        self.0.expose_secret()
    }

    /// What every form of the visit carries: only who sees the visit's pages can know it. Tells nothing of
    /// the cookie from which it is made.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "only its HMAC leaves")]
    pub fn form_token(&self) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.0.expose_secret().as_bytes());
        hex(hmac::sign(&key, b"form").as_ref())
    }

    /// Whether a form carried this visit's own token, compared in constant time.
    #[must_use]
    pub fn made(&self, form_token: &str) -> bool {
        verify_slices_are_equal(self.form_token().as_bytes(), form_token.as_bytes()).is_ok()
    }
}

impl fmt::Debug for SessionSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// A connect session as it is kept: everything but its secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectSession {
    /// Its id.
    pub id: Uuid,
    /// Whose portal it opens.
    pub org: OrgId,
    /// Who visits, as the app said.
    pub actor: Actor,
    /// The providers that it is for; all of them, if none are named.
    pub providers: Option<BTreeSet<ProviderName>>,
    /// Where the visitor may return to.
    pub return_url: Option<ReturnUrl>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Until when the link can be opened.
    pub link_until: Timestamp,
    /// The visit, once the link was opened.
    pub visit: Option<Visit>,
    /// How many keys were tried in it.
    pub attempts: i64,
    /// What the next page tells once.
    pub notice: Option<Notice>,
}

/// A visit under way, or over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Visit {
    /// Until when it lasts at most.
    pub until: Timestamp,
    /// When the visitor was last seen, to the minute.
    pub seen_at: Timestamp,
}

/// What a page tells once, after something was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// What was done.
    pub done: Done,
    /// With which connection, or [`Notice::VAULT`].
    pub connection: String,
    /// What the key opens, as far as the provider told.
    #[serde(default)]
    pub opens: Vec<(String, String)>,
    /// Why the vault failed, if it was tried and did. Repeats nothing of its answer.
    #[serde(default)]
    pub fault: Option<String>,
}

impl Notice {
    /// Stands for the organization's own vault: no connection can be called that.
    pub const VAULT: &str = "_vault";
}

/// What can be done with a connection in the portal, and with the organization's own vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Done {
    /// It was made.
    Connected,
    /// Its keys were replaced.
    Replaced,
    /// The same keys were put again, or the label changed.
    Unchanged,
    /// Its keys were tried, and taken.
    Valid,
    /// Its keys were tried, and refused.
    Invalid,
    /// Its keys were tried, and the provider did not say.
    Unreachable,
    /// There is no way to try its keys.
    Unsupported,
    /// Its previous keys are back.
    RolledBack,
    /// Its keys were erased.
    Disconnected,
    /// The vault's URL was set.
    VaultSaved,
    /// The vault was tried.
    VaultTested,
    /// Keys are read from the vault.
    VaultEnabled,
    /// Keys are read from the store again.
    VaultDisabled,
    /// The vault's URL and token were erased.
    VaultForgotten,
}

/// Where a visitor may return to: a page of the app, at an origin that the operator allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReturnUrl(Url);

/// Not a place to return to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidReturnUrl {
    /// No URL that a browser could go to.
    #[error("return_url must be a whole https or http URL of at most 2000 characters, without a user name")]
    Form,
    /// Its origin is not allowed.
    #[error("the origin of return_url must be one of KEYBROKER_RETURN_URLS")]
    Origin,
}

/// The longest URL to return to, in bytes.
const LONGEST_URL: usize = 2_000;

impl ReturnUrl {
    /// Reads one, if its origin is among those `allowed`.
    ///
    /// # Errors
    /// If it is no URL, or leads elsewhere.
    pub fn new(text: &str, allowed: &[Origin]) -> Result<Self, InvalidReturnUrl> {
        let url = Url::parse(text).map_err(|_| InvalidReturnUrl::Form)?;
        let plain = url.username().is_empty() && url.password().is_none() && text.len() <= LONGEST_URL;
        if !plain || !matches!(url.scheme(), "https" | "http") {
            return Err(InvalidReturnUrl::Form);
        }
        let origin = Origin::of(&url);
        if allowed.contains(&origin) { Ok(Self(url)) } else { Err(InvalidReturnUrl::Origin) }
    }

    /// Reads one that was checked when it was kept.
    ///
    /// # Errors
    /// If it is no URL.
    pub fn kept(text: &str) -> Result<Self, InvalidReturnUrl> {
        Url::parse(text).map(Self).map_err(|_| InvalidReturnUrl::Form)
    }

    /// The URL as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// Scheme, host and port of a page, as a browser's `Origin` header has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(String);

/// Not an origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an origin is https://HOST or http://HOST, maybe with a port, and nothing else")]
pub struct InvalidOrigin;

impl Origin {
    fn of(url: &Url) -> Self {
        Self(url.origin().ascii_serialization())
    }

    /// The origin as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for Origin {
    type Err = InvalidOrigin;

    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
        let url = Url::parse(text).map_err(|_| InvalidOrigin)?;
        let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        let nobody = url.username().is_empty() && url.password().is_none();
        if bare && nobody && url.has_host() && matches!(url.scheme(), "https" | "http") {
            Ok(Self::of(&url))
        } else {
            Err(InvalidOrigin)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::clock::CountingRandom;

    #[test]
    fn a_secret_reads_back_and_makes_its_own_form_token() {
        let random = CountingRandom::default();
        let (one, other) = (SessionSecret::generate(&random), SessionSecret::generate(&random));
        assert_eq!(SessionSecret::parse(one.reveal()).unwrap().hashed(), one.hashed());
        assert!(one.made(&one.form_token()) && !other.made(&one.form_token()));
        assert!(!one.form_token().contains(one.reveal()));
        assert_eq!(format!("{one:?}"), "[redacted]");
        for wrong in ["", "short", &"a".repeat(44), &"-".repeat(43), &format!("{}é", "a".repeat(41))] {
            assert!(SessionSecret::parse(wrong).is_err(), "{wrong}");
        }
    }

    fn allowed() -> Vec<Origin> {
        ["https://app.example", "http://localhost:3000"].iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn a_return_url_stays_at_an_allowed_origin() {
        for good in
            ["https://app.example/settings?a=b#c", "https://APP.example:443/", "http://localhost:3000/x"]
        {
            assert!(ReturnUrl::new(good, &allowed()).is_ok(), "{good}");
        }
        for elsewhere in [
            "https://app.example.evil.test/",
            "https://app.example:8443/",
            "http://app.example/",
            "https://evil.test/https://app.example/",
            "https://evil.test\\@app.example/",
        ] {
            assert_eq!(ReturnUrl::new(elsewhere, &allowed()), Err(InvalidReturnUrl::Origin), "{elsewhere}");
        }
        for wrong in ["/settings", "javascript:alert(1)", "https://user@app.example/", "data:text/html,x"] {
            assert_eq!(ReturnUrl::new(wrong, &allowed()), Err(InvalidReturnUrl::Form), "{wrong}");
        }
    }

    #[test]
    fn an_origin_has_no_path() {
        assert_eq!("https://app.example/".parse::<Origin>().unwrap().as_str(), "https://app.example");
        for wrong in ["app.example", "https://app.example/x", "https://u@app.example", "ftp://x", "*"] {
            assert!(wrong.parse::<Origin>().is_err(), "{wrong}");
        }
    }
}

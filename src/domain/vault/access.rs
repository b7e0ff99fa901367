//! What it takes to ask a vault: a URL and a token, kept as one secret in the store.

use std::fmt;

use aws_lc_rs::{constant_time::verify_slices_are_equal, hmac};
use secrecy::{ExposeSecret, SecretString};
use uuid::{Builder, Uuid};
use zeroize::Zeroizing;

use super::{UrlRules, VaultUrl};
use crate::domain::{
    clock::Random,
    secret::{Credentials, Version},
    token::random_text,
};

/// How many characters of 62 make 256 bits.
const LENGTH: usize = 43;

const START: &str = "kbv_";

/// What the function compares the bearer with: 256 random bits. Shown once, to be set as `AUTH_TOKEN`.
#[derive(Clone)]
pub struct VaultToken(SecretString);

impl VaultToken {
    /// How long every token is, in characters.
    pub const LENGTH: usize = START.len() + LENGTH;

    /// A new one.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "put behind its prefix, into memory that is wiped")]
    pub fn generate(random: &dyn Random) -> Self {
        let mut text = Zeroizing::new(String::with_capacity(START.len() + LENGTH));
        text.push_str(START);
        text.push_str(random_text(random, LENGTH).expose_secret());
        Self(SecretString::from(&**text))
    }

    /// The token itself: for the one answer that shows it, and for the function.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "shown once, and sent to the organization's own function")]
    pub fn reveal(&self) -> &str {
        self.0.expose_secret()
    }

    /// Its last four characters.
    #[must_use]
    pub fn hint(&self) -> String {
        let text = self.reveal();
        std::iter::once('…').chain(text.chars().skip(text.len().saturating_sub(4))).collect()
    }

    /// A version id for what the vault answered: the same for the same keys, on whichever replica, and
    /// another one for others. An HMAC-SHA-256 under this token, so it tells nothing of the keys to anyone
    /// who could not ask the vault for them.
    #[must_use]
    pub fn version_of(&self, credentials: &Credentials) -> Version {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.reveal().as_bytes());
        let tag = hmac::sign(&key, &credentials.to_json());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&tag.as_ref()[..16]);
        // The form for ids of an application's own making (RFC 9562 §5.8).
        let id: Uuid = Builder::from_custom_bytes(bytes).into_uuid();
        id.into()
    }
}

/// In constant time.
impl PartialEq for VaultToken {
    fn eq(&self, other: &Self) -> bool {
        verify_slices_are_equal(self.reveal().as_bytes(), other.reveal().as_bytes()).is_ok()
    }
}

impl fmt::Debug for VaultToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// What is known of how to ask a vault. Either half may still be missing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct VaultAccess {
    /// Where it is.
    pub url: Option<VaultUrl>,
    /// What opens it.
    pub token: Option<VaultToken>,
}

const URL: &str = "url";
const TOKEN: &str = "token";

impl VaultAccess {
    /// Both halves, if they are there.
    #[must_use]
    pub fn whole(&self) -> Option<(&VaultUrl, &VaultToken)> {
        self.url.as_ref().zip(self.token.as_ref())
    }

    /// As the store keeps it.
    #[must_use]
    pub fn to_secret(&self) -> Credentials {
        let url = self.url.as_ref().map(|url| (URL.to_owned(), SecretString::from(url.as_str())));
        let token = self.token.as_ref().map(|token| (TOKEN.to_owned(), token.0.clone()));
        Credentials::from_distinct(url.into_iter().chain(token).collect())
    }

    /// As the store kept it. A URL that the operator's rules no longer allow counts as missing.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "a URL is read out of the secret, to be checked")]
    pub fn from_secret(secret: &Credentials, rules: &UrlRules) -> Self {
        Self {
            url: secret.get(URL).and_then(|url| VaultUrl::parse(url.expose_secret(), rules).ok()),
            token: secret.get(TOKEN).cloned().map(VaultToken),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::clock::SystemRandom;

    #[test]
    fn access_survives_the_store() {
        let rules = UrlRules { hosts: vec!["*.on.aws".parse().unwrap()], allow_http: false };
        let url = VaultUrl::parse("https://a.lambda-url.eu-west-1.on.aws/", &rules).unwrap();
        let token = VaultToken::generate(&SystemRandom);
        assert!(token.reveal().starts_with("kbv_") && token.reveal().len() == 47);
        let access = VaultAccess { url: Some(url.clone()), token: Some(token.clone()) };
        let read = VaultAccess::from_secret(&access.to_secret(), &rules);
        let (read_url, read_token) = read.whole().unwrap();
        assert_eq!((read_url, read_token.reveal()), (&url, token.reveal()));
        assert!(!format!("{access:?}").contains(&token.reveal()[4..]));

        let narrower = UrlRules { hosts: vec!["vault.example".parse().unwrap()], allow_http: false };
        assert!(VaultAccess::from_secret(&access.to_secret(), &narrower).whole().is_none());
    }

    #[test]
    fn a_version_follows_the_keys_and_the_token() {
        let of = |text: &str| Credentials::from_json(text.as_bytes()).unwrap();
        let (token, other) = (VaultToken::generate(&SystemRandom), VaultToken::generate(&SystemRandom));
        let version = token.version_of(&of(r#"{"apiKey":"1"}"#));
        assert_eq!(version, token.version_of(&of(r#"{"apiKey":"1"}"#)));
        assert_ne!(version, token.version_of(&of(r#"{"apiKey":"2"}"#)));
        assert_ne!(version, other.version_of(&of(r#"{"apiKey":"1"}"#)));
    }
}

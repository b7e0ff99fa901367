//! API tokens: what the bearer holds, and what is kept of it.
//!
//! A token is `kb_`, 43 random characters (256 bits) and a checksum of 6, all of `0-9A-Za-z`, so that
//! secret scanners recognise a leaked one without asking anyone. It carries enough randomness for a
//! plain SHA-256 to be as good as a password hash.

use std::fmt;

use aws_lc_rs::{constant_time::verify_slices_are_equal, digest};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{access::Reach, clock::Random, hex::hex, text::is_line};

const START: &str = "kb_";
const RANDOM: usize = 43;
const CHECKSUM: usize = 6;
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The shortest and longest text that is taken for a token, in bytes.
const LENGTHS: std::ops::RangeInclusive<usize> = 16..=256;

/// A token as its bearer holds it. Shown once, never stored.
#[derive(Clone)]
pub struct PlainToken(SecretString);

/// Text that can't be a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAToken {
    /// It doesn't have a token's form.
    #[error("a token is 16 to 256 visible ASCII characters that start with kb_")]
    Form,
    /// It has the form of a generated token and a wrong checksum: a typing or copying mistake.
    #[error("the token's checksum is wrong: it was not copied whole")]
    Checksum,
}

impl PlainToken {
    /// A new token.
    #[must_use]
    pub fn generate(random: &dyn Random) -> Self {
        let mut text = Zeroizing::new(String::with_capacity(START.len() + RANDOM + CHECKSUM));
        text.push_str(START);
        push_random(random, RANDOM, &mut text);
        let checksum = checksum(text.as_bytes());
        text.extend(checksum.map(char::from));
        Self(SecretString::from(&**text))
    }

    /// Reads a presented token. One that an operator chose (the bootstrap token) needs no checksum.
    ///
    /// # Errors
    /// If the text can't be a token.
    pub fn parse(text: &str) -> Result<Self, NotAToken> {
        check(text)?;
        Ok(Self(SecretString::from(text)))
    }

    /// What is stored of it.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "hashed here")]
    pub fn hashed(&self) -> HashedToken {
        HashedToken::of(self.0.expose_secret())
    }

    /// The token itself, for the one answer that shows it.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "shown once, to the one who asked for it")]
    pub fn reveal(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for PlainToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// So many random characters of 62.
pub(super) fn random_text(random: &dyn Random, length: usize) -> SecretString {
    let mut text = Zeroizing::new(String::with_capacity(length));
    push_random(random, length, &mut text);
    SecretString::from(&**text)
}

fn push_random(random: &dyn Random, length: usize, text: &mut String) {
    let mut byte = [0];
    let whole = text.len() + length;
    while text.len() < whole {
        random.fill(&mut byte);
        // 248 is the largest multiple of 62 in a byte: above it, some characters would be likelier.
        if byte[0] < 248 {
            text.push(char::from(ALPHABET[usize::from(byte[0] % 62)]));
        }
    }
}

/// Whether text can be a token.
fn check(text: &str) -> Result<(), NotAToken> {
    let visible = text.bytes().all(|b| b.is_ascii_graphic());
    if !LENGTHS.contains(&text.len()) || !visible || !text.starts_with(START) {
        return Err(NotAToken::Form);
    }
    let (start, end) = text.as_bytes().split_at(text.len().min(START.len() + RANDOM));
    let generated = end.len() == CHECKSUM && text[START.len()..].bytes().all(|b| b.is_ascii_alphanumeric());
    if generated && checksum(start) != end { Err(NotAToken::Checksum) } else { Ok(()) }
}

fn checksum(text: &[u8]) -> [u8; CHECKSUM] {
    let mut rest = crc32fast::hash(text);
    let mut digits = [b'0'; CHECKSUM];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[(rest % 62) as usize];
        rest /= 62;
    }
    digits
}

/// A token's SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct HashedToken([u8; 32]);

impl HashedToken {
    /// The hash of a presented token, of which no copy is made.
    ///
    /// # Errors
    /// If the text can't be a token.
    pub fn of_presented(text: &str) -> Result<Self, NotAToken> {
        check(text).map(|()| Self::of(text))
    }

    /// The hash of any text, for whoever then looks for it among the tokens that are known.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let mut hash = [0; digest::SHA256_OUTPUT_LEN];
        hash.copy_from_slice(digest::digest(&digest::SHA256, text.as_bytes()).as_ref());
        Self(hash)
    }

    /// The hash as the database keeps it: 64 hexadecimal digits.
    #[must_use]
    pub fn to_hex(&self) -> String {
        hex(&self.0)
    }

    /// Whether the database's text is this hash, compared in constant time.
    #[must_use]
    pub fn matches_hex(&self, hex: &str) -> bool {
        verify_slices_are_equal(self.to_hex().as_bytes(), hex.as_bytes()).is_ok()
    }
}

impl fmt::Debug for HashedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// A token as it is kept: everything but the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRecord {
    /// Its id, by which it is listed and revoked.
    pub id: Uuid,
    /// What its maker calls it.
    pub name: TokenName,
    /// What it reaches.
    pub reach: Reach,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends by itself, if ever.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked, if it was.
    pub revoked_at: Option<Timestamp>,
}

impl TokenRecord {
    /// Whether it opens anything at `now`.
    #[must_use]
    pub fn is_valid_at(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }
}

/// What a token is called: 1 to 100 characters, none of them a control character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenName(String);

/// Not a token's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a token's name is 1 to 100 characters, without control characters")]
pub struct InvalidTokenName;

impl TokenName {
    /// What the token is called that an operator gives at start.
    #[must_use]
    pub fn bootstrap() -> Self {
        Self("bootstrap".into())
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for TokenName {
    type Error = InvalidTokenName;

    fn try_from(text: String) -> Result<Self, InvalidTokenName> {
        if is_line(&text, 100) { Ok(Self(text)) } else { Err(InvalidTokenName) }
    }
}

impl std::str::FromStr for TokenName {
    type Err = InvalidTokenName;

    fn from_str(text: &str) -> Result<Self, InvalidTokenName> {
        text.to_owned().try_into()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::clock::{CountingRandom, SystemRandom};

    #[test]
    fn a_generated_token_has_the_form() {
        let token = PlainToken::generate(&SystemRandom);
        assert_eq!(token.reveal().len(), 52);
        assert!(token.reveal().starts_with("kb_"));
        assert_eq!(PlainToken::parse(token.reveal()).unwrap().hashed(), token.hashed());
        assert_ne!(PlainToken::generate(&SystemRandom).hashed(), token.hashed());
        assert_eq!(format!("{token:?} {:?}", token.hashed()), "[redacted] [redacted]");
    }

    proptest! {
        #[test]
        fn one_wrong_character_is_noticed(at in 3..52usize, with in "[0-9A-Za-z]") {
            let token = PlainToken::generate(&CountingRandom::default());
            let mut text = token.reveal().to_owned();
            text.replace_range(at..=at, &with);
            let same = text == token.reveal();
            prop_assert_eq!(PlainToken::parse(&text).is_ok(), same);
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC*") {
            let _ = PlainToken::parse(&text);
            let _ = PlainToken::parse(&format!("kb_{text}"));
        }
    }

    #[test]
    fn an_operators_own_token_is_taken_if_long_enough() {
        assert!(PlainToken::parse("kb_bootstrap-for-tests").is_ok());
        assert_eq!(PlainToken::parse("kb_short").unwrap_err(), NotAToken::Form);
        assert_eq!(PlainToken::parse("sk_bootstrap-for-tests").unwrap_err(), NotAToken::Form);
    }
}

//! The master keys of the embedded store: where they come from, and what they seal.
//!
//! A master key file holds one key a line, 32 bytes in base64; blank lines and lines that start with
//! `#` don't count. The first key seals, all of them open: to rotate, put a new key on top and leave the
//! old one below it.

mod file;

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    digest,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

pub use self::file::KeyringError;
use crate::domain::secret::Version;

/// The length of a master key, in bytes.
const KEY_LEN: usize = 32;

/// The length of the tag that AES-GCM appends, in bytes.
const TAG_LEN: usize = 16;

/// The keys of a master key file, at least one.
///
/// AES-256-GCM with a random nonce of 96 bits: after 2^32 values under one key it is time for a new one
/// (NIST SP 800-38D, 8.3).
#[derive(Debug)]
pub struct Keyring {
    sealing: MasterKey,
    earlier: Vec<MasterKey>,
}

/// One key. The library keeps it and wipes it when dropped.
struct MasterKey {
    id: String,
    key: RandomizedNonceKey,
}

/// Where a sealed value belongs. It opens nowhere else.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    /// The secret's whole name, prefix included.
    pub(super) name: &'a str,
    /// The version's id.
    pub(super) version: &'a Version,
}

/// A value as the database holds it.
#[derive(Debug)]
pub(super) struct Sealed {
    /// Which key sealed it.
    pub(super) key_id: String,
    /// Nonce, ciphertext and tag, in base64.
    pub(super) text: String,
}

/// Why a sealed value does not open. Names the key, by its id, and nothing of the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unopened {
    /// Its key isn't there.
    #[error("the master key file does not hold the key {0}")]
    NoKey(String),
    /// It isn't what that key sealed in that place.
    #[error("it does not open with the key {0}: it was altered, or moved from another name or version")]
    Altered(String),
}

impl Keyring {
    /// Whether the key of this id is among them.
    #[must_use]
    pub fn holds(&self, key_id: &str) -> bool {
        self.find(key_id).is_some()
    }

    /// Encrypts `value` for its place.
    pub(super) fn seal(&self, place: Place<'_>, value: &[u8]) -> Sealed {
        let MasterKey { id, key } = &self.sealing;
        // With room for the tag: growing would leave an unwiped copy of the value behind.
        let mut sealed = Zeroizing::new(Vec::with_capacity(value.len() + TAG_LEN));
        sealed.extend_from_slice(value);
        let nonce = key
            .seal_in_place_append_tag(Aad::from(place.bytes()), &mut *sealed)
            .expect("AES-GCM takes any value of less than 64 GiB");
        let text = STANDARD.encode([nonce.as_ref(), sealed.as_slice()].concat());
        Sealed { key_id: id.clone(), text }
    }

    /// Decrypts what was sealed for this place.
    pub(super) fn open(&self, place: Place<'_>, sealed: &Sealed) -> Result<Zeroizing<String>, Unopened> {
        let Sealed { key_id, text } = sealed;
        let Some(MasterKey { key, .. }) = self.find(key_id) else {
            return Err(Unopened::NoKey(key_id.clone()));
        };
        let open = || {
            let mut bytes = Zeroizing::new(STANDARD.decode(text).ok()?);
            let (nonce, rest) = bytes.split_first_chunk_mut::<NONCE_LEN>()?;
            let value = key.open_in_place(Nonce::from(&*nonce), Aad::from(place.bytes()), rest).ok()?;
            Some(Zeroizing::new(str::from_utf8(value).ok()?.to_owned()))
        };
        open().ok_or_else(|| Unopened::Altered(key_id.clone()))
    }

    fn find(&self, key_id: &str) -> Option<&MasterKey> {
        std::iter::once(&self.sealing).chain(&self.earlier).find(|key| key.id == key_id)
    }
}

impl MasterKey {
    fn new(bytes: &[u8; KEY_LEN]) -> Self {
        let key = RandomizedNonceKey::new(&AES_256_GCM, bytes).expect("32 bytes are a key of AES-256");
        Self { id: key_id(bytes), key }
    }
}

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MasterKey").field("id", &self.id).field("key", &"[redacted]").finish()
    }
}

/// The first 16 hexadecimal digits of a hash: enough to tell keys apart, nothing to find one by.
fn key_id(key: &[u8; KEY_LEN]) -> String {
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(b"keybroker master key");
    hash.update(key);
    let hash = hash.finish();
    let first = hash.as_ref().first_chunk().expect("SHA-256 has 32 bytes");
    format!("{:016x}", u64::from_be_bytes(*first))
}

impl std::fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "version {} of {}", self.version, self.name)
    }
}

impl Place<'_> {
    /// The place as associated data. Each part comes after its length, so that no two places read the
    /// same.
    fn bytes(&self) -> Vec<u8> {
        let part = |text: &str| [&(text.len() as u64).to_be_bytes(), text.as_bytes()].concat();
        [part(self.name), part(self.version.as_str())].concat()
    }
}

#[cfg(test)]
mod tests;

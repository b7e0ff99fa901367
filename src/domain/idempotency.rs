//! `Idempotency-Key`: the same key and request within a day give the same answer.

use aws_lc_rs::hmac;
use serde::{Deserialize, Serialize};

use super::hex::hex;

/// What is kept of a key and of the request it came with.
///
/// The request's body holds secrets, some of them short enough to guess from a plain hash. So both
/// are HMACs under the caller's own key, which is not kept: without it neither can be tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdempotencyKey {
    /// Finds the answer again.
    pub lookup: String,
    /// Tells the same request from another.
    pub fingerprint: String,
}

/// Not an idempotency key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an Idempotency-Key is 1 to 255 visible ASCII characters")]
pub struct InvalidIdempotencyKey;

impl IdempotencyKey {
    /// The key of one caller for one request: its operation (method, path and query) and body.
    ///
    /// # Errors
    /// If the header's text is not a key.
    pub fn new(
        text: &str,
        caller: &str,
        operation: &str,
        body: &[u8],
    ) -> Result<Self, InvalidIdempotencyKey> {
        if !(1..=255).contains(&text.len()) || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(InvalidIdempotencyKey);
        }
        let key = hmac::Key::new(hmac::HMAC_SHA256, text.as_bytes());
        let digest = |parts: &[&[u8]]| {
            let mut context = hmac::Context::with_key(&key);
            for part in parts {
                context.update(&(part.len() as u64).to_be_bytes());
                context.update(part);
            }
            hex(context.sign().as_ref())
        };
        Ok(Self {
            lookup: digest(&[b"key", caller.as_bytes()]),
            fingerprint: digest(&[b"request", operation.as_bytes(), body]),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_caller_operation_and_body_each_count() {
        let of = |key: &str, caller: &str, operation: &str, body: &[u8]| {
            IdempotencyKey::new(key, caller, operation, body).unwrap()
        };
        let one = of("k", "a", "PUT /a", b"x");
        assert_eq!(one, of("k", "a", "PUT /a", b"x"));
        assert_ne!(one.lookup, of("k", "b", "PUT /a", b"x").lookup);
        assert_ne!(one.lookup, of("l", "a", "PUT /a", b"x").lookup);
        assert_ne!(one.fingerprint, of("k", "a", "PUT /b", b"x").fingerprint);
        assert_ne!(one.fingerprint, of("k", "a", "PUT /a", b"y").fingerprint);
        assert_ne!(of("k", "a", "PUT /a", b"bx").fingerprint, of("k", "a", "PUT /ab", b"x").fingerprint);
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for text in ["", "a b", "é", &"k".repeat(256)] {
            assert!(IdempotencyKey::new(text, "a", "", b"").is_err());
        }
    }
}

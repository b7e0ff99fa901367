//! What a reader gets: keys, written out as the answer that gives them.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use zeroize::Zeroizing;

use crate::domain::{
    connection::Source,
    id::ProviderName,
    secret::{Credentials, Version},
};

/// A connection's keys.
///
/// They are kept as the one text that anyone asks of them, the JSON that the API answers with. Clones share
/// it: a read from memory copies no key, and a cached connection takes little more than its own length.
#[derive(Clone)]
pub struct Served {
    text: Shared,
    serial: u64,
    length: u32,
    /// Where the version begins in it, and where it ends.
    version: (u32, u32),
}

/// The number of the next one.
static SERIALS: AtomicU64 = AtomicU64::new(0);

/// Bytes that are wiped when nobody has them any more.
type Shared = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// A text of usual length lies next to the count of those who share it. Of many thousands that are read at
/// random none is in the processor's cache, and every further place that a read looks at costs it a fifth of
/// a microsecond. With the count, 16 bytes, they take what allocators have at hand: 192, 320 or 512 bytes.
fn share(text: Zeroizing<Vec<u8>>) -> Shared {
    match text.len() {
        ..=176 => in_place::<176>(&text),
        177..=304 => in_place::<304>(&text),
        305..=496 => in_place::<496>(&text),
        _ => Arc::new(text),
    }
}

fn in_place<const ROOM: usize>(text: &[u8]) -> Shared {
    let mut shared = Arc::new(Zeroizing::new([0; ROOM]));
    let place = Arc::get_mut(&mut shared).expect("nobody else has it yet");
    place[..text.len()].copy_from_slice(text);
    shared
}

impl Served {
    /// Writes keys out, into one buffer that is wiped when nobody has it any more. The names put in as
    /// they are have nothing that JSON would escape.
    #[must_use]
    pub fn new(
        provider: &ProviderName,
        credentials: &Credentials,
        version: &Version,
        source: Source,
    ) -> Self {
        let (keys, version, source) = (credentials.to_json(), version.as_str(), source.as_str());
        let start = format!("{{\"provider\":\"{provider}\",\"credentials\":");
        let middle = ",\"version\":\"";
        let end = format!("\",\"source\":\"{source}\"}}");
        let length = start.len() + keys.len() + middle.len() + version.len() + end.len();
        let mut text = Zeroizing::new(Vec::with_capacity(length));
        text.extend_from_slice(start.as_bytes());
        text.extend_from_slice(&keys);
        text.extend_from_slice(middle.as_bytes());
        let begin = short(text.len());
        text.extend_from_slice(version.as_bytes());
        let version = (begin, short(text.len()));
        text.extend_from_slice(end.as_bytes());
        let serial = SERIALS.fetch_add(1, Ordering::Relaxed);
        Self { length: short(text.len()), text: share(text), serial, version }
    }

    /// Its own number: nothing else that is served within the process has the same.
    pub(crate) fn serial(&self) -> u64 {
        self.serial
    }

    /// Which version they are.
    pub(crate) fn version(&self) -> &str {
        let (begin, end) = self.version;
        str::from_utf8(&self.as_ref()[begin as usize..end as usize]).expect("it was written as text")
    }

    /// `{"provider":…,"credentials":{…},"version":…,"source":…}`, without white space. Shares the buffer.
    #[must_use]
    pub fn into_document(self) -> Bytes {
        Bytes::from_owner(self)
    }

    /// Whether both are the very same, and not only alike.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.text, &other.text)
    }

    /// How much memory that takes, in bytes.
    pub(super) fn size(&self) -> usize {
        size_of_val(&*self.text).max(self.length as usize)
    }
}

/// A length in half as many bytes.
fn short(length: usize) -> u32 {
    u32::try_from(length).expect("keys are 64 KiB at most")
}

impl AsRef<[u8]> for Served {
    fn as_ref(&self) -> &[u8] {
        &(*self.text).as_ref()[..self.length as usize]
    }
}

impl fmt::Debug for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Served").field("version", &self.version()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_written_out_whole_and_shown_to_no_log() {
        let keys = Credentials::from_json(br#"{"b":"canary \"1\"","a":"2"}"#).unwrap();
        let version: Version = "v".repeat(32).parse().unwrap();
        let served = Served::new(&"vapi".parse().unwrap(), &keys, &version, Source::Managed);
        let expected = format!(
            r#"{{"provider":"vapi","credentials":{{"b":"canary \"1\"","a":"2"}},"version":"{version}","source":"managed"}}"#
        );
        assert!(!format!("{served:?}").contains("canary"), "{served:?}");
        assert_eq!(served.version(), version.as_str());
        assert_eq!(served.into_document(), expected.as_bytes());
    }

    #[test]
    fn keys_of_every_length_are_whole_wherever_they_lie() {
        let version: Version = "v".repeat(64).parse().unwrap();
        for length in (0..600).chain([60_000]) {
            let key = "k".repeat(length);
            let keys = Credentials::from_json(format!(r#"{{"apiKey":"{key}"}}"#).as_bytes()).unwrap();
            let served = Served::new(&"vapi".parse().unwrap(), &keys, &version, Source::Managed);
            assert!(served.size() >= length);
            assert_eq!(served.version(), version.as_str());
            let document: serde_json::Value = serde_json::from_slice(&served.into_document()).unwrap();
            assert_eq!(document["credentials"]["apiKey"], *key);
        }
    }
}

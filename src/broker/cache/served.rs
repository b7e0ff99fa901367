//! What a reader gets: keys, written out as the answer that gives them.

use std::fmt;

use bytes::Bytes;
use zeroize::Zeroizing;

use crate::domain::{
    connection::Source,
    id::ProviderName,
    secret::{Credentials, Version},
};

/// A connection's keys.
///
/// They are kept as the one text that anyone asks of them, the JSON that the API answers with. A read
/// from memory so copies nothing, and a cached connection takes little more than its own length.
pub struct Served {
    version: Version,
    document: Bytes,
}

impl Served {
    /// Writes keys out, into one buffer that is wiped when nobody has it any more. The names put in as
    /// they are have nothing that JSON would escape.
    #[must_use]
    pub fn new(provider: &ProviderName, credentials: &Credentials, version: Version, source: Source) -> Self {
        let (keys, source) = (credentials.to_json(), source.as_str());
        let start = format!("{{\"provider\":\"{provider}\",\"credentials\":");
        let end = format!(",\"version\":\"{version}\",\"source\":\"{source}\"}}");
        let mut text = Zeroizing::new(Vec::with_capacity(start.len() + keys.len() + end.len()));
        text.extend_from_slice(start.as_bytes());
        text.extend_from_slice(&keys);
        text.extend_from_slice(end.as_bytes());
        Self { version, document: Bytes::from_owner(text) }
    }

    /// Which version they are.
    #[must_use]
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// `{"provider":…,"credentials":{…},"version":…,"source":…}`, without white space. Shares the buffer.
    #[must_use]
    pub fn document(&self) -> Bytes {
        self.document.clone()
    }

    /// How long that is, in bytes.
    pub(super) fn length(&self) -> usize {
        self.document.len()
    }
}

impl fmt::Debug for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Served").field("version", &self.version).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_written_out_whole_and_shown_to_no_log() {
        let keys = Credentials::from_json(br#"{"b":"canary \"1\"","a":"2"}"#).unwrap();
        let version: Version = "v".repeat(32).parse().unwrap();
        let served = Served::new(&"vapi".parse().unwrap(), &keys, version.clone(), Source::Managed);
        let expected = format!(
            r#"{{"provider":"vapi","credentials":{{"b":"canary \"1\"","a":"2"}},"version":"{version}","source":"managed"}}"#
        );
        assert_eq!(served.document(), expected.as_bytes());
        assert!(!format!("{served:?}").contains("canary"), "{served:?}");
    }
}

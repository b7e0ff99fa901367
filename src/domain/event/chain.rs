//! The chain of an organization's events: each carries a hash over itself and the one before it.
//!
//! Whoever alters, removes, inserts or swaps events breaks the chain, or has to write all of it anew.

use std::{fmt, str::FromStr};

use aws_lc_rs::digest::{Context, SHA256};

use super::Record;
use crate::domain::hex::hex;

/// Names the form of what is hashed. Another form needs another name.
const FORM: &[u8] = b"keybroker event 1";

/// The hash that one event carries.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ChainHash([u8; 32]);

impl ChainHash {
    /// What the first event's predecessor would carry.
    pub const START: Self = Self([0; 32]);

    /// What `record` carries, as number `sequence` of its organization's chain, after an event that
    /// carries `self`.
    ///
    /// SHA-256 over the form's name, the predecessor's hash and the fields in a fixed order, each as text:
    /// one byte 0 for a field that is not there, else one byte 1, its length in 8 bytes, and it.
    #[must_use]
    pub fn next(&self, sequence: i64, record: &Record) -> Self {
        let mut hash = Context::new(&SHA256);
        hash.update(FORM);
        hash.update(&self.0);
        let mut field = |text: Option<&str>| match text {
            None => hash.update(&[0]),
            Some(text) => {
                hash.update(&[1]);
                hash.update(&(text.len() as u64).to_be_bytes());
                hash.update(text.as_bytes());
            }
        };
        field(Some(&record.org));
        field(Some(&sequence.to_string()));
        field(Some(&record.id));
        field(Some(&record.r#type));
        field(Some(&format!("{:.3}", record.at)));
        field(Some(&record.actor.r#type));
        field(Some(&record.actor.id));
        field(record.actor.name.as_deref());
        field(record.connection.as_deref());
        field(record.version.as_deref());
        field(record.token.as_deref());
        field(record.request_id.as_deref());
        field(record.count.map(|count| count.to_string()).as_deref());
        let mut bytes = [0; 32];
        bytes.copy_from_slice(hash.finish().as_ref());
        Self(bytes)
    }
}

/// 64 hexadecimal digits, in lower case.
impl fmt::Display for ChainHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for ChainHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Not a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a hash is 64 hexadecimal digits in lower case")]
pub struct InvalidHash;

impl FromStr for ChainHash {
    type Err = InvalidHash;

    fn from_str(text: &str) -> Result<Self, InvalidHash> {
        let mut bytes = [0; 32];
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if pairs.len() != bytes.len() || !rest.is_empty() {
            return Err(InvalidHash);
        }
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        Ok(Self(bytes))
    }
}

fn digit(character: u8) -> Result<u8, InvalidHash> {
    match character {
        b'0'..=b'9' => Ok(character - b'0'),
        b'a'..=b'f' => Ok(character - b'a' + 10),
        _ => Err(InvalidHash),
    }
}

/// One event in its place, or several that are kept together, as the reads of a minute are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The number of the last of them in the chain, which begins with 1.
    pub sequence: i64,
    /// The hash that the last of them carries, if it can be read as one.
    pub hash: Option<ChainHash>,
    /// What is said to be the hash before the first, if anything is.
    pub previous: Option<ChainHash>,
    /// What they tell, one at least; nothing if it can't be read.
    pub records: Option<Vec<Record>>,
    /// Its id, for whoever looks for it.
    pub id: String,
    /// Whether a list would show it where it should: not all that this needs is under the hash.
    pub searchable: bool,
}

impl Link {
    /// How many events it holds, as far as can be told.
    #[must_use]
    pub fn events(&self) -> usize {
        self.records.as_ref().map_or(1, Vec::len)
    }

    /// The number of the first of them.
    #[must_use]
    pub fn first(&self) -> i64 {
        self.sequence + 1 - i64::try_from(self.events()).unwrap_or(i64::MAX)
    }

    /// The hash that the last of them should carry after this one.
    fn hash_after(&self, previous: ChainHash, records: &[Record]) -> ChainHash {
        (self.first()..).zip(records).fold(previous, |hash, (sequence, record)| hash.next(sequence, record))
    }
}

/// What is wrong with a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// An event does not match its hash and the one before it: it was altered, inserted or moved, or the
    /// one before it was.
    Altered(i64, String),
    /// Events are missing, from the first to the last of these numbers.
    Missing(i64, i64),
    /// An event can't be read.
    Unreadable(i64, String),
    /// An event stands before the chain's beginning or after its end.
    Outside(i64, String),
    /// Where the chain begins and ends can't be read.
    Ends,
    /// The newest event does not carry the hash that was noted as the chain's newest.
    Head(i64),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Altered(sequence, id) => {
                write!(f, "event {sequence} ({id}) was altered, or the one before it: its hash does not fit")
            }
            Self::Missing(first, last) if first == last => write!(f, "event {first} is missing"),
            Self::Missing(first, last) => write!(f, "events {first} to {last} are missing"),
            Self::Unreadable(sequence, id) => write!(f, "event {sequence} ({id}) can't be read"),
            Self::Outside(sequence, id) => write!(f, "event {sequence} ({id}) stands outside the chain"),
            Self::Ends => f.write_str("where the chain begins and ends can't be read"),
            Self::Head(sequence) => {
                write!(f, "the head differs: event {sequence} is not the one noted as the newest")
            }
        }
    }
}

/// Follows a chain, event by event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Walk {
    /// The number of the last event seen.
    pub sequence: i64,
    /// Its hash.
    pub hash: ChainHash,
    /// Whether the hash is known: not after an event whose own can't be read.
    known: bool,
}

impl Walk {
    /// A walk that begins after an event of this number and hash.
    #[must_use]
    pub const fn after(sequence: i64, hash: ChainHash) -> Self {
        Self { sequence, hash, known: true }
    }

    /// Goes on to the next event there is; what is wrong with it, if anything.
    pub fn step(&mut self, link: &Link) -> Option<Fault> {
        let expected = self.sequence + 1;
        let follows = !self.known || link.previous.is_none_or(|previous| previous == self.hash);
        let fits = |records: &[Record]| !self.known || Some(link.hash_after(self.hash, records)) == link.hash;
        let fault = match (&link.records, link.hash) {
            _ if link.first() != expected => Some(Fault::Missing(expected, link.first() - 1)),
            (None, _) => Some(Fault::Unreadable(link.sequence, link.id.clone())),
            (Some(records), Some(_)) if link.searchable && follows && fits(records) => None,
            (Some(_), _) => Some(Fault::Altered(link.sequence, link.id.clone())),
        };
        self.sequence = link.sequence;
        self.known = link.hash.is_some();
        self.hash = link.hash.unwrap_or(self.hash);
        fault
    }

    /// Whether the walk ended where the chain should; what is wrong, if not.
    #[must_use]
    pub fn end(&self, newest: i64, hash: ChainHash) -> Option<Fault> {
        if self.sequence < newest {
            return Some(Fault::Missing(self.sequence + 1, newest));
        }
        (self.known && self.hash != hash).then_some(Fault::Head(newest))
    }
}

#[cfg(test)]
mod tests;

//! What was counted and not yet written: one part of it, under one lock.
//!
//! Names are copied, one after the other, and not shared with what they came from: a read touches no memory
//! for this that it does not touch anyway, and writing touches that of the part alone.

use std::{mem, sync::Arc};

use hashbrown::{HashTable, hash_table::Entry};
use jiff::Timestamp;

use super::room::Room;
use crate::{
    domain::{
        access::{Actor, Permit, Read},
        event::reads::minute,
    },
    port::audit::Reads,
};

/// One read, and the hash of what it counts into.
pub(super) struct OneRead<'r> {
    pub permit: &'r Permit<Read>,
    pub version: &'r str,
    pub at: Timestamp,
    pub hash: u64,
}

impl OneRead<'_> {
    /// The organization, the connection and the version.
    fn names(&self) -> [&str; 3] {
        let secret = self.permit.on();
        [secret.org().as_str(), secret.connection().as_str(), self.version]
    }
}

/// Lines, and the names of what they count.
#[derive(Default)]
pub(super) struct Lines {
    lines: HashTable<Line>,
    names: String,
}

struct Line {
    hash: u64,
    actor: Arc<Actor>,
    at: Timestamp,
    count: i64,
    /// Where its names begin, and how long each of them is: 128 bytes at most.
    begin: u32,
    lengths: [u8; 3],
}

impl Line {
    fn names<'n>(&self, names: &'n str) -> [&'n str; 3] {
        let mut begin = self.begin as usize;
        self.lengths.map(|length| {
            let end = begin + usize::from(length);
            &names[mem::replace(&mut begin, end)..end]
        })
    }

    /// Whether a read counts into it. An actor that is remembered is known by its place in memory; of one
    /// that came anew there is another line, and the log puts both together.
    fn takes(&self, read: &OneRead<'_>, names: &str) -> bool {
        self.hash == read.hash
            && Arc::ptr_eq(&self.actor, read.permit.actor())
            && self.names(names) == read.names()
            && minute(self.at) == minute(read.at)
    }

    /// A line of this read, whose names go to the end of `names`.
    fn of(read: &OneRead<'_>, names: &mut String) -> Self {
        let begin = u32::try_from(names.len()).expect("there is room for some tens of megabytes");
        let lengths = read.names().map(|name| {
            names.push_str(name);
            u8::try_from(name.len()).expect("a name is 128 bytes at most")
        });
        Self {
            hash: read.hash,
            actor: Arc::clone(read.permit.actor()),
            at: read.at,
            count: 1,
            begin,
            lengths,
        }
    }
}

impl Lines {
    /// Counts a read. False, and nothing done, if that takes another line and there is no `room` for one,
    /// or if `admit` refuses.
    pub(super) fn count(&mut self, read: &OneRead<'_>, room: &Room, admit: impl FnOnce() -> bool) -> bool {
        match self.lines.entry(read.hash, |line| line.takes(read, &self.names), |line| line.hash) {
            Entry::Occupied(mut there) => {
                let admitted = admit();
                there.get_mut().count += i64::from(admitted);
                admitted
            }
            Entry::Vacant(place) => {
                if !room.take() {
                    return false;
                }
                let admitted = admit();
                if admitted {
                    place.insert(Line::of(read, &mut self.names));
                } else {
                    room.give_back(1);
                }
                admitted
            }
        }
    }

    /// Without lines, and with the memory of these for as many more, unless that is much more than they
    /// needed.
    pub(super) fn emptied(mut self) -> Self {
        if self.lines.len() < self.lines.capacity() / 8 {
            return Self::default();
        }
        self.lines.clear();
        self.names.clear();
        self
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    /// What they tell.
    pub(super) fn reads(&self) -> impl Iterator<Item = Reads<'_>> {
        self.lines.iter().map(|line| {
            let [org, connection, version] = line.names(&self.names);
            Reads { org, connection, version, actor: &line.actor, at: line.at, count: line.count }
        })
    }
}

#[cfg(test)]
mod tests;

//! What was counted and not yet written: one part of it, under one lock.
//!
//! Names are copied, one after the other, and not shared with what they came from: a read touches no memory for this
//! that it does not touch anyway, and writing touches that of the part alone.

use std::{mem, sync::Arc};

use hashbrown::{HashTable, hash_table::Entry};
use jiff::Timestamp;

use super::room::Room;
use crate::{
    domain::{
        access::{Actor, Permit, Read},
        event::reads::minute,
        secret::Version,
    },
    port::audit::Reads,
};

/// One read, and the hash of what it counts into.
pub(super) struct OneRead<'r> {
    pub permit: &'r Permit<Read>,
    pub version: &'r Version,
    pub at: Timestamp,
    pub hash: u64,
}

impl OneRead<'_> {
    /// The organization, the connection and the version.
    fn names(&self) -> [&str; 3] {
        let secret = self.permit.on();
        [secret.org().as_str(), secret.connection().as_str(), self.version.as_str()]
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
    /// Where its names begin, and where each of them ends.
    begin: usize,
    ends: [usize; 3],
}

impl Line {
    fn names<'n>(&self, names: &'n str) -> [&'n str; 3] {
        let [org, connection, version] = self.ends;
        [&names[self.begin..org], &names[org..connection], &names[connection..version]]
    }

    /// Whether a read counts into it. An actor is known by its id.
    fn takes(&self, read: &OneRead<'_>, names: &str) -> bool {
        let actor = read.permit.actor();
        self.hash == read.hash
            && self.names(names) == read.names()
            && self.actor.id == actor.id
            && self.actor.r#type == actor.r#type
            && minute(self.at) == minute(read.at)
    }

    /// A line of this read, whose names go to the end of `names`.
    fn of(read: &OneRead<'_>, names: &mut String) -> Self {
        let begin = names.len();
        let ends = read.names().map(|name| {
            names.push_str(name);
            names.len()
        });
        Self { hash: read.hash, actor: Arc::clone(read.permit.actor()), at: read.at, count: 1, begin, ends }
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

    /// Takes them all. As many will come again, so there is room for them.
    pub(super) fn take(&mut self) -> Self {
        // A little more, since it is seldom just as many.
        let lines = HashTable::with_capacity(self.lines.len() / 4 * 5);
        let names = String::with_capacity(self.names.len() / 4 * 5);
        mem::replace(self, Self { lines, names })
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

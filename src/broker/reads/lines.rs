//! What was counted: one part of it, under one lock.
//!
//! Names are copied, one after the other, and not shared with what they came from: a read touches no memory
//! for this that it does not touch anyway, and writing touches that of the part alone.
//!
//! A line that was written stays while its minute lasts. When it is counted again, the log is told its number
//! and not once more what it is.

use std::{mem, sync::Arc};

use hashbrown::{HashTable, hash_table::Entry};
use jiff::Timestamp;

use super::room::Room;
use crate::{
    domain::{access::Actor, event::reads::minute},
    port::audit::Reads,
};

/// The organization, the connection and the version.
pub(super) type Names<'n> = [&'n str; 3];

/// One read.
pub(super) struct OneRead<'r, N> {
    /// Of the actor, the organization and the connection.
    pub hash: u64,
    pub actor: &'r Arc<Actor>,
    /// Of what was served: where it is the same, so are the names.
    pub serial: u64,
    pub at: Timestamp,
    /// Tells the names, which mostly nobody asks for.
    pub names: N,
}

/// Lines, and the names of what they count.
#[derive(Default)]
pub(super) struct Lines {
    table: HashTable<Line>,
    names: String,
    /// The number of the next line. No two have the same, also when the first of them was let go.
    next: i64,
    /// How many lines have counts that are not written.
    waiting: usize,
}

struct Line {
    hash: u64,
    actor: Arc<Actor>,
    /// Of what was served last.
    serial: u64,
    number: i64,
    at: Timestamp,
    /// How often, since it was last written.
    count: i64,
    /// Where its names begin, and how long each of them is: 128 bytes at most.
    begin: u32,
    lengths: [u8; 3],
    /// Whether the log knows what it is.
    told: bool,
}

impl Line {
    fn names<'n>(&self, names: &'n str) -> Names<'n> {
        let mut begin = self.begin as usize;
        self.lengths.map(|length| {
            let end = begin + usize::from(length);
            &names[mem::replace(&mut begin, end)..end]
        })
    }

    /// Whether a read counts into it. An actor that is remembered is known by its place in memory; of one
    /// that came anew there is another line, and the log puts both together. As long as the same value is
    /// served, the names need not be looked at, which lie elsewhere in memory.
    fn takes<'r>(&self, read: &OneRead<'r, impl Fn() -> Names<'r>>, names: &str) -> bool {
        self.hash == read.hash
            && Arc::ptr_eq(&self.actor, read.actor)
            && (self.serial == read.serial || self.names(names) == (read.names)())
            && minute(self.at) == minute(read.at)
    }

    /// A line of this read, whose names go to the end of `names`, read so often.
    fn of<'r>(
        read: &OneRead<'r, impl Fn() -> Names<'r>>,
        count: i64,
        number: i64,
        names: &mut String,
    ) -> Self {
        let begin = u32::try_from(names.len()).expect("there is room for some tens of megabytes");
        let lengths = (read.names)().map(|name| {
            names.push_str(name);
            u8::try_from(name.len()).expect("a name is 128 bytes at most")
        });
        let OneRead { hash, serial, at, .. } = *read;
        Self { hash, actor: Arc::clone(read.actor), serial, number, at, count, begin, lengths, told: false }
    }
}

impl Lines {
    /// Counts a read. False, and nothing done, if that takes another line and there is no `room` for one,
    /// or if `admit` refuses.
    pub(super) fn count<'r>(
        &mut self,
        read: &OneRead<'r, impl Fn() -> Names<'r>>,
        room: &Room,
        admit: impl FnOnce() -> bool,
    ) -> bool {
        self.add(read, 1, |new| {
            if new && !room.take() {
                return false;
            }
            let admitted = admit();
            if new && !admitted {
                room.give_back(1);
            }
            admitted
        })
    }

    /// Takes over what `others` counted, which keep nothing.
    pub(super) fn absorb(&mut self, others: &mut Self, room: &Room) {
        for other in &others.table {
            let Line { hash, serial, at, .. } = *other;
            let names = || other.names(&others.names);
            let read = OneRead { hash, actor: &other.actor, serial, at, names };
            self.add(&read, other.count, |new| {
                // Two lines that are one now took room for two.
                if !new {
                    room.give_back(1);
                }
                true
            });
        }
        others.empty();
    }

    /// Counts a read so often, unless it `may` not, which is told whether that takes another line. Whether
    /// it did.
    fn add<'r>(
        &mut self,
        read: &OneRead<'r, impl Fn() -> Names<'r>>,
        times: i64,
        may: impl FnOnce(bool) -> bool,
    ) -> bool {
        match self.table.entry(read.hash, |line| line.takes(read, &self.names), |line| line.hash) {
            Entry::Occupied(mut there) => {
                if !may(false) {
                    return false;
                }
                let line = there.get_mut();
                self.waiting += usize::from(line.count == 0);
                line.count += times;
                line.serial = read.serial;
            }
            Entry::Vacant(place) => {
                if !may(true) {
                    return false;
                }
                place.insert(Line::of(read, times, self.next, &mut self.names));
                (self.next, self.waiting) = (self.next + 1, self.waiting + 1);
            }
        }
        true
    }

    /// To be called when all that waited is written. The log knows the lines from this minute on, which stay
    /// as long as there is room.
    pub(super) fn written(&mut self, known_from: i64, room: &Room) {
        let mut stay = !room.is_scarce();
        for line in &mut self.table {
            stay &= minute(line.at) >= known_from;
            (line.count, line.told) = (0, true);
        }
        self.waiting = 0;
        if !stay {
            room.give_back(self.table.len());
            self.empty();
        }
    }

    /// Lets go of all lines, and keeps their memory for as many more, unless that is much more than they
    /// needed.
    fn empty(&mut self) {
        if self.table.len() < self.table.capacity() / 8 {
            (self.table, self.names) = Default::default();
        }
        self.table.clear();
        self.names.clear();
        self.waiting = 0;
    }

    /// How many lines have counts that are not written.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// What is not written.
    pub(super) fn reads(&self) -> impl Iterator<Item = Reads<'_>> {
        self.table.iter().filter(|line| line.count > 0).map(|line| {
            let Line { number, at, count, told, .. } = *line;
            let [org, connection, version] = line.names(&self.names);
            Reads { line: number, told, org, connection, version, actor: &line.actor, at, count }
        })
    }
}

#[cfg(test)]
mod tests;

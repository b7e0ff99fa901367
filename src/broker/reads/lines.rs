//! What was counted and not yet written: one part of it, under one lock.

use std::{mem, sync::Arc};

use hashbrown::{HashTable, hash_table::Entry};
use jiff::Timestamp;

use super::room::Room;
use crate::{
    domain::{
        access::{Permit, Read},
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
    /// Whether it counts into this line. An actor is known by its id.
    fn is_of(&self, line: &Reads) -> bool {
        let actor = self.permit.actor();
        line.version == *self.version
            && line.secret == *self.permit.on()
            && line.actor.id == actor.id
            && line.actor.r#type == actor.r#type
            && minute(line.at) == minute(self.at)
    }

    fn line(&self) -> Reads {
        Reads {
            secret: self.permit.on().clone(),
            version: self.version.clone(),
            actor: Arc::clone(self.permit.actor()),
            at: self.at,
            count: 1,
        }
    }
}

/// Lines, with the hash of what they count.
#[derive(Default)]
pub(super) struct Lines(HashTable<(u64, Reads)>);

impl Lines {
    /// Counts a read. False, and nothing done, if that takes another line and there is no `room` for one,
    /// or if `admit` refuses.
    pub(super) fn count(&mut self, read: &OneRead<'_>, room: &Room, admit: impl FnOnce() -> bool) -> bool {
        match self.0.entry(read.hash, |(_, line)| read.is_of(line), |(hash, _)| *hash) {
            Entry::Occupied(mut there) => {
                let admitted = admit();
                there.get_mut().1.count += i64::from(admitted);
                admitted
            }
            Entry::Vacant(place) => {
                if !room.take() {
                    return false;
                }
                let admitted = admit();
                if admitted {
                    place.insert((read.hash, read.line()));
                } else {
                    room.give_back(1);
                }
                admitted
            }
        }
    }

    /// Takes them all. As many will come again, so there is room for them.
    pub(super) fn take(&mut self) -> impl Iterator<Item = Reads> + use<> {
        let others = HashTable::with_capacity(self.0.len());
        mem::replace(&mut self.0, others).into_iter().map(|(_, line)| line)
    }
}

#[cfg(test)]
mod tests;

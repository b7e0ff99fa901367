//! The lines that count reads, in memory: one part of them, under one lock.
//!
//! Each belongs to the minute of its first read. Those whose count the log does not tell are queued, so
//! that nobody has to look for them among the others: apart those that it does not tell of at all, and those
//! that grew since.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
};

use hashbrown::HashTable;
use jiff::Timestamp;
use uuid::Uuid;

use super::room::Room;
use crate::{
    domain::{
        access::{Actor, Permit, Read},
        secret::{SecretName, Version},
    },
    port::audit::Reads,
};

/// One read, and the hash of what its line counts.
pub(super) struct OneRead<'r> {
    pub permit: &'r Permit<Read>,
    pub version: &'r Version,
    pub at: Timestamp,
    pub hash: u64,
}

/// What one line of a minute counts: an actor is known by its id.
#[derive(Debug, Clone)]
struct Key {
    actor: Arc<Actor>,
    secret: SecretName,
    version: Version,
}

impl Key {
    fn of(read: &OneRead<'_>) -> Self {
        let OneRead { permit, version, .. } = read;
        Self {
            actor: Arc::clone(permit.actor()),
            secret: permit.on().clone(),
            version: Version::clone(version),
        }
    }

    fn is(&self, actor: &Actor, secret: &SecretName, version: &Version) -> bool {
        self.version == *version
            && self.secret == *secret
            && self.actor.id == actor.id
            && self.actor.r#type == actor.r#type
    }
}

/// Minutes since 1970.
pub(super) fn minute(time: Timestamp) -> i64 {
    time.as_second().div_euclid(60)
}

/// Lines by their minutes.
#[derive(Default)]
pub(super) struct Lines {
    minutes: BTreeMap<i64, Minute>,
    /// Each line of which the log is to tell, once.
    new: VecDeque<Place>,
    /// Each line that grew since the log told of it, once.
    grown: VecDeque<Place>,
}

/// The lines of one minute.
#[derive(Default)]
pub(super) struct Minute {
    lines: HashTable<Line>,
    /// How many of them count what the log does not tell.
    unwritten: usize,
}

impl Minute {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }
}

/// Where a line is.
#[derive(Clone)]
struct Place {
    minute: i64,
    hash: u64,
    key: Key,
}

struct Line {
    key: Key,
    hash: u64,
    /// Given when it is first written.
    id: Option<Uuid>,
    at: Timestamp,
    count: i64,
    /// What of the count the log is known to tell.
    written: i64,
    queued: bool,
}

impl Line {
    fn is_written(&self) -> bool {
        self.count == self.written
    }
}

/// What a line counted when it was taken out of the queue.
pub(super) struct Counted {
    place: Place,
    id: Uuid,
    /// Whether nobody tried to write it yet.
    new: bool,
    at: Timestamp,
    count: i64,
}

impl Counted {
    /// It, for the log.
    pub(super) fn reads(&self) -> Reads {
        let Key { actor, secret, version } = self.place.key.clone();
        Reads { id: self.id, new: self.new, secret, version, actor, at: self.at, count: self.count }
    }

    /// The hash of what its line counts.
    pub(super) fn hash(&self) -> u64 {
        self.place.hash
    }
}

impl Lines {
    /// Counts a read. False, and nothing done, if that takes another line and there is no `room` for one,
    /// or if `admit` refuses.
    pub(super) fn count(&mut self, read: &OneRead<'_>, room: &Room, admit: impl FnOnce() -> bool) -> bool {
        let number = minute(read.at);
        let minute = self.minutes.entry(number).or_default();
        let known = minute
            .lines
            .find_entry(read.hash, |line| line.key.is(read.permit.actor(), read.permit.on(), read.version));
        let new = known.is_err();
        if new && !room.take() {
            return false;
        }
        if !admit() {
            if new {
                room.give_back(1);
            }
            return false;
        }
        let line = match known {
            Ok(line) => line.into_mut(),
            Err(absent) => {
                let (key, hash, at) = (Key::of(read), read.hash, read.at);
                let line = Line { key, hash, id: None, at, count: 0, written: 0, queued: false };
                absent.into_table().insert_unique(hash, line, |line| line.hash).into_mut()
            }
        };
        minute.unwritten += usize::from(line.is_written());
        line.count += 1;
        if !line.queued {
            line.queued = true;
            let queue = if line.id.is_none() { &mut self.new } else { &mut self.grown };
            queue.push_back(Place { minute: number, hash: line.hash, key: line.key.clone() });
        }
        true
    }

    /// How many lines are to be written now, but for those that are taken: all that are new, and of those that
    /// grew so many, or more if more belong to a minute before `now`.
    pub(super) fn due(&self, now: i64, grown: usize) -> usize {
        let over = self.grown.iter().take_while(|place| place.minute < now).count();
        self.new.len() + self.grown.len().min(grown.max(over))
    }

    /// How many lines count what the log does not tell.
    pub(super) fn unwritten(&self) -> usize {
        self.minutes.values().map(|minute| minute.unwritten).sum()
    }

    fn held(&self) -> usize {
        self.minutes.values().map(Minute::len).sum()
    }

    fn line(&mut self, place: &Place) -> Option<(&mut Line, &mut usize)> {
        let Place { minute, hash, key } = place;
        let minute = self.minutes.get_mut(minute)?;
        let line = minute.lines.find_mut(*hash, |line| line.key.is(&key.actor, &key.secret, &key.version));
        Some((line?, &mut minute.unwritten))
    }

    /// Takes lines out of the queues, the new ones first, one for each id. Those that have none yet are given it.
    pub(super) fn take(&mut self, ids: Vec<Uuid>) -> Vec<Counted> {
        let new = self.new.len().min(ids.len());
        let grown = self.grown.len().min(ids.len() - new);
        let places: Vec<_> = self.new.drain(..new).chain(self.grown.drain(..grown)).collect();
        let mut taken = Vec::with_capacity(places.len());
        for (place, id) in places.into_iter().zip(ids) {
            let Some((line, _)) = self.line(&place) else { continue };
            line.queued = false;
            if line.is_written() {
                continue;
            }
            let (new, id) = (line.id.is_none(), *line.id.get_or_insert(id));
            let (at, count) = (line.at, line.count);
            taken.push(Counted { place, id, new, at, count });
        }
        taken
    }

    /// Puts a line into the queue again.
    pub(super) fn put_back(&mut self, counted: Counted) {
        self.enqueue(counted.place);
    }

    fn enqueue(&mut self, place: Place) {
        if let Some((line, _)) = self.line(&place)
            && !line.queued
        {
            line.queued = true;
            let queue = if line.id.is_none() { &mut self.new } else { &mut self.grown };
            queue.push_back(place);
        }
    }

    /// Notes that the log tells this, or, if the line was closed before, with which count: what it doesn't
    /// count goes into a line of its own. Returns how many reads are new in the log.
    pub(super) fn note(&mut self, counted: &Counted, closed: &HashMap<Uuid, i64>) -> i64 {
        let Counted { place, id, count, .. } = counted;
        let Some((line, unwritten)) = self.line(place) else { return 0 };
        let closed = closed.get(id);
        let recorded = closed.unwrap_or(count) - line.written;
        match closed {
            None => line.written = *count,
            Some(closed) => {
                (line.id, line.written) = (None, 0);
                line.count = (line.count - closed).max(0);
            }
        }
        if line.is_written() {
            *unwritten -= 1;
        } else if closed.is_some() {
            self.enqueue(place.clone());
        }
        recorded
    }

    /// Lets go of whole minutes before `now` that are written.
    pub(super) fn let_go_before(&mut self, now: i64) -> Vec<Minute> {
        let over = self.minutes.extract_if(..now, |_, minute| minute.unwritten == 0);
        over.map(|(_, minute)| minute).collect()
    }

    /// Lets go of the oldest lines that are written, where `goal` of `all` may be left. Returns how many
    /// went.
    pub(super) fn shrink(&mut self, goal: usize, all: usize) -> usize {
        let held = self.held();
        let excess = held - held * goal / all;
        let lines = self.minutes.values().flat_map(|minute| &minute.lines);
        let mut times: Vec<_> = lines.filter(|line| line.is_written()).map(|line| line.at).collect();
        let Some(last) = excess.min(times.len()).checked_sub(1) else { return 0 };
        let newest_to_go = *times.select_nth_unstable(last).1;
        for minute in self.minutes.values_mut() {
            minute.lines.retain(|line| !line.is_written() || line.at > newest_to_go);
        }
        held - self.held()
    }
}

#[cfg(test)]
mod tests;

//! The lines that count reads, in memory.
//!
//! Each belongs to the minute of its first read. Those whose count the log does not tell are queued, so
//! that nobody has to look for them among the others.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    hash::{Hash, Hasher},
    sync::Arc,
};

use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    domain::{
        access::Actor,
        secret::{SecretName, Version},
    },
    port::audit::Reads,
};

/// What one line of a minute counts: an actor is known by its id.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub actor: Arc<Actor>,
    pub secret: SecretName,
    pub version: Version,
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.version == other.version
            && self.secret == other.secret
            && self.actor.id == other.actor.id
            && self.actor.r#type == other.actor.r#type
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.actor.id, &self.secret, &self.version).hash(state);
    }
}

/// Minutes since 1970.
pub(super) fn minute(time: Timestamp) -> i64 {
    time.as_second().div_euclid(60)
}

/// All lines that are held.
#[derive(Default)]
pub(super) struct Lines {
    minutes: BTreeMap<i64, Minute>,
    /// Each line whose count is to be written, once.
    queue: VecDeque<Place>,
}

/// The lines of one minute.
#[derive(Default)]
pub(super) struct Minute {
    lines: HashMap<Key, Line>,
    /// How many of them count what the log does not tell.
    unwritten: usize,
}

/// Where a line is.
struct Place {
    minute: i64,
    key: Key,
}

struct Line {
    /// Given when it is first written.
    id: Option<Uuid>,
    at: Timestamp,
    count: i64,
    /// What of the count the log is known to tell.
    written: i64,
    queued: bool,
}

impl Line {
    fn new(at: Timestamp) -> Self {
        Self { id: None, at, count: 0, written: 0, queued: false }
    }

    fn is_written(&self) -> bool {
        self.count == self.written
    }
}

/// What a line counted when it was taken out of the queue.
pub(super) struct Counted {
    place: Place,
    id: Uuid,
    at: Timestamp,
    count: i64,
}

impl Counted {
    /// It, for the log.
    pub(super) fn reads(&self) -> Reads {
        let Key { actor, secret, version } = self.place.key.clone();
        Reads { id: self.id, secret, version, actor, at: self.at, count: self.count }
    }
}

impl Lines {
    /// Counts a read. False, and nothing done, if that takes another line than the `most` there may be.
    pub(super) fn count(&mut self, key: &Key, at: Timestamp, most: usize) -> bool {
        let (held, number) = (self.held(), minute(at));
        let minute = self.minutes.entry(number).or_default();
        let line = match minute.lines.get_mut(key) {
            Some(line) => line,
            None if held >= most => return false,
            None => minute.lines.entry(key.clone()).or_insert_with(|| Line::new(at)),
        };
        minute.unwritten += usize::from(line.is_written());
        line.count += 1;
        if !line.queued {
            line.queued = true;
            self.queue.push_back(Place { minute: number, key: key.clone() });
        }
        true
    }

    /// How many lines wait to be written, but for those that are taken.
    pub(super) fn queued(&self) -> usize {
        self.queue.len()
    }

    /// How many lines count what the log does not tell.
    pub(super) fn unwritten(&self) -> usize {
        self.minutes.values().map(|minute| minute.unwritten).sum()
    }

    fn held(&self) -> usize {
        self.minutes.values().map(|minute| minute.lines.len()).sum()
    }

    fn line(&mut self, place: &Place) -> Option<(&mut Line, &mut usize)> {
        let minute = self.minutes.get_mut(&place.minute)?;
        Some((minute.lines.get_mut(&place.key)?, &mut minute.unwritten))
    }

    /// Takes lines out of the queue, one for each id. Those that have none yet are given it.
    pub(super) fn take(&mut self, ids: Vec<Uuid>) -> Vec<Counted> {
        let places: Vec<_> = self.queue.drain(..ids.len().min(self.queue.len())).collect();
        let mut taken = Vec::with_capacity(places.len());
        for (place, id) in places.into_iter().zip(ids) {
            let Some((line, _)) = self.line(&place) else { continue };
            line.queued = false;
            if line.is_written() {
                continue;
            }
            let id = *line.id.get_or_insert(id);
            let (at, count) = (line.at, line.count);
            taken.push(Counted { place, id, at, count });
        }
        taken
    }

    /// Puts lines into the queue again.
    pub(super) fn put_back(&mut self, batch: Vec<Counted>) {
        for Counted { place, .. } in batch {
            self.enqueue(place);
        }
    }

    fn enqueue(&mut self, place: Place) {
        if let Some((line, _)) = self.line(&place)
            && !line.queued
        {
            line.queued = true;
            self.queue.push_back(place);
        }
    }

    /// Notes that the log tells these, but for those that were closed before, with these counts: what they
    /// don't count goes into a line of its own. Returns how many reads are new in the log.
    pub(super) fn note(&mut self, batch: &[Counted], closed: &HashMap<Uuid, i64>) -> i64 {
        let mut recorded = 0;
        for Counted { place, id, count, .. } in batch {
            let Some((line, unwritten)) = self.line(place) else { continue };
            let closed = closed.get(id);
            recorded += closed.unwrap_or(count) - line.written;
            match closed {
                None => line.written = *count,
                Some(closed) => {
                    *line = Line {
                        count: (line.count - closed).max(0),
                        queued: line.queued,
                        ..Line::new(line.at)
                    };
                }
            }
            if line.is_written() {
                *unwritten -= 1;
            } else if closed.is_some() {
                let Place { minute, key } = place;
                self.enqueue(Place { minute: *minute, key: key.clone() });
            }
        }
        recorded
    }

    /// Lets go of lines that are written: of whole minutes before `now`, and, if there are nearly as many
    /// lines as there may be, of the oldest others.
    pub(super) fn make_room(&mut self, now: i64, most: usize) -> Vec<Minute> {
        let over = self.minutes.extract_if(..now, |_, minute| minute.unwritten == 0);
        let gone = over.map(|(_, minute)| minute).collect();
        if self.held() >= most - most / 8 {
            self.shrink_to(most / 4 * 3);
        }
        gone
    }

    fn shrink_to(&mut self, goal: usize) {
        let excess = self.held().saturating_sub(goal);
        let lines = self.minutes.values().flat_map(|minute| minute.lines.values());
        let mut times: Vec<_> = lines.filter(|line| line.is_written()).map(|line| line.at).collect();
        let Some(last) = excess.min(times.len()).checked_sub(1) else { return };
        let newest_to_go = *times.select_nth_unstable(last).1;
        for minute in self.minutes.values_mut() {
            minute.lines.retain(|_, line| !line.is_written() || line.at > newest_to_go);
        }
    }
}

#[cfg(test)]
mod tests;

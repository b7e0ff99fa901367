use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use super::*;
use crate::domain::access::ActorType;

const MOST: usize = 12;

/// Lines in one part, with room for [`MOST`].
struct Fixture {
    lines: Lines,
    room: Room,
    actors: HashMap<String, Arc<Actor>>,
    /// What is served of each version: another, when it was loaded anew.
    serials: HashMap<usize, u64>,
}

/// The line's number, whether it is told, and its count.
type Told = (i64, bool, i64);

impl Fixture {
    fn new() -> Self {
        Self {
            lines: Lines::default(),
            room: Room::for_lines(MOST),
            actors: HashMap::new(),
            serials: HashMap::new(),
        }
    }

    fn read(&mut self, actor: &str, n: usize, at: Timestamp) -> bool {
        let mut hash = DefaultHasher::new();
        (actor, n).hash(&mut hash);
        let new = || Arc::new(Actor { r#type: ActorType::Token, id: actor.into(), name: None });
        let actor = self.actors.entry(actor.to_owned()).or_insert_with(new);
        let version = format!("{n:032}");
        let serial = *self.serials.entry(n).or_insert(n as u64);
        let names = || ["acme", "vapi", &version];
        let read = OneRead { hash: hash.finish(), actor, serial, at, names };
        self.lines.count(&read, &self.room, || true)
    }

    /// What waits, in the order of numbers.
    fn waiting(&self) -> Vec<Told> {
        let mut waiting: Vec<_> = self.lines.reads().map(|line| (line.line, line.told, line.count)).collect();
        waiting.sort_unstable();
        assert_eq!(waiting.len(), self.lines.waiting());
        waiting
    }

    /// The counts, least first.
    fn counts(&self) -> Vec<i64> {
        let mut counts: Vec<_> = self.waiting().into_iter().map(|(.., count)| count).collect();
        counts.sort_unstable();
        counts
    }

    /// All that waits is written, and the log knows the lines of this minute.
    fn write(&mut self, minute_of: Timestamp) {
        self.lines.written(minute(minute_of), &self.room);
        assert_eq!(self.waiting(), []);
    }
}

/// So many seconds after the beginning of a minute.
fn at(second: u64) -> Timestamp {
    "2026-11-22T10:00:00Z".parse::<Timestamp>().unwrap() + Duration::from_secs(second)
}

#[test]
fn actors_are_told_apart_and_one_that_came_anew_has_another_line() {
    let mut f = Fixture::new();
    for actor in ["a", "b", "a", "a"] {
        assert!(f.read(actor, 1, at(0)));
    }
    f.actors.remove("a");
    assert!(f.read("a", 1, at(0)));
    assert_eq!(f.counts(), [1, 1, 3]);
}

#[test]
fn what_was_loaded_anew_counts_into_the_same_line() {
    let mut f = Fixture::new();
    assert!(f.read("a", 1, at(0)));
    f.serials.insert(1, 100);
    assert!(f.read("a", 1, at(0)));
    assert!(f.read("a", 1, at(0)));
    assert_eq!(f.counts(), [3]);
}

#[test]
fn a_line_is_of_one_minute_and_tells_its_first_read() {
    let mut f = Fixture::new();
    for second in [10, 59, 60, 61] {
        assert!(f.read("a", 1, at(second)));
    }
    let mut times: Vec<_> = f.lines.reads().map(|line| (line.at, line.count)).collect();
    times.sort_unstable();
    assert_eq!(times, [(at(10), 2), (at(60), 2)]);
}

#[test]
fn a_line_that_was_written_stays_for_its_minute_and_keeps_its_number() {
    let mut f = Fixture::new();
    for n in [1, 2, 3, 2] {
        assert!(f.read("a", n, at(0)));
    }
    assert_eq!(f.waiting(), [(0, false, 1), (1, false, 2), (2, false, 1)]);
    f.write(at(1));
    for n in [2, 4, 2] {
        assert!(f.read("a", n, at(2)));
    }
    assert_eq!(f.waiting(), [(1, true, 2), (3, false, 1)]);
    f.write(at(60));
    assert!(f.read("a", 2, at(3)), "as if the clock went back");
    assert_eq!(f.waiting(), [(4, false, 1)], "what was let go is told anew, by another number");
}

#[test]
fn lines_of_two_minutes_are_all_let_go() {
    let mut f = Fixture::new();
    assert!(f.read("a", 1, at(59)));
    assert!(f.read("a", 1, at(60)));
    f.write(at(60));
    assert!(f.read("a", 1, at(61)));
    assert_eq!(f.waiting(), [(2, false, 1)]);
}

#[test]
fn what_was_written_leaves_where_room_is_scarce() {
    let mut f = Fixture::new();
    for n in 0..MOST {
        assert!(f.read("a", n, at(0)));
    }
    assert!(!f.read("a", MOST, at(0)), "there is no room for one more");
    assert!(f.read("a", 0, at(0)), "what is there needs none");
    f.write(at(0));
    for n in 0..MOST / 2 {
        assert!(f.read("b", n, at(0)));
    }
    f.write(at(0));
    for n in 0..MOST {
        assert!(f.read("b", n, at(0)), "half of these are there, and the other half has room");
    }
}

#[test]
fn what_was_counted_meanwhile_is_added() {
    let mut f = Fixture::new();
    for n in [1, 2, 3] {
        assert!(f.read("a", n, at(0)));
    }
    let mut taken = mem::take(&mut f.lines);
    for n in [1, 4, 4] {
        assert!(f.read("a", n, at(1)));
    }
    assert_eq!(f.waiting(), [(0, false, 1), (1, false, 2)], "by other numbers");
    taken.written(minute(at(0)), &f.room);
    mem::swap(&mut f.lines, &mut taken);
    f.lines.absorb(&mut taken, &f.room);
    assert_eq!(f.waiting(), [(0, true, 1), (3, false, 2)]);
    assert_eq!(taken.reads().count(), 0);
    for n in 5..=MOST {
        assert!(f.read("a", n, at(1)), "the others have room");
    }
    assert!(!f.read("a", 100, at(1)));
}

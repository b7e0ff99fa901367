use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use super::*;
use crate::domain::access::{ActorType, Caller, Reach};

const MOST: usize = 4;

/// Lines in one part, with room for [`MOST`].
struct Fixture {
    lines: Lines,
    room: Room,
    callers: HashMap<String, Caller>,
}

impl Fixture {
    fn new() -> Self {
        Self { lines: Lines::default(), room: Room::for_lines(MOST), callers: HashMap::new() }
    }

    fn read(&mut self, actor: &str, n: usize, at: Timestamp) -> bool {
        let mut hash = DefaultHasher::new();
        (actor, n).hash(&mut hash);
        let new = || {
            let actor = Actor { r#type: ActorType::Token, id: actor.into(), name: None };
            Caller::new(actor, Reach::everything())
        };
        let caller = self.callers.entry(actor.to_owned()).or_insert_with(new);
        let permit = caller.permit("acme".parse().unwrap(), "vapi".parse().unwrap()).unwrap();
        let version = format!("{n:032}");
        let read = OneRead { permit: &permit, version: &version, at, hash: hash.finish() };
        self.lines.count(&read, &self.room, || true)
    }

    /// The counts, least first.
    fn take(&mut self) -> Vec<i64> {
        let mut counts: Vec<_> = mem::take(&mut self.lines).reads().map(|line| line.count).collect();
        counts.sort_unstable();
        counts
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
    f.callers.remove("a");
    assert!(f.read("a", 1, at(0)));
    assert_eq!(f.take(), [1, 1, 3]);
}

#[test]
fn a_line_is_of_one_minute_and_tells_its_first_read() {
    let mut f = Fixture::new();
    for second in [10, 59, 60, 61] {
        assert!(f.read("a", 1, at(second)));
    }
    let mut times: Vec<_> = mem::take(&mut f.lines).reads().map(|line| (line.at, line.count)).collect();
    times.sort_unstable();
    assert_eq!(times, [(at(10), 2), (at(60), 2)]);
}

#[test]
fn what_was_taken_is_counted_anew_and_holds_its_room() {
    let mut f = Fixture::new();
    for n in [1, 2, 3] {
        assert!(f.read("a", n, at(0)));
    }
    assert_eq!(f.take(), [1, 1, 1]);
    assert!(f.read("a", 1, at(1)));
    assert!(!f.read("a", 2, at(1)), "there is no room for a fifth");
    assert!(f.read("a", 1, at(1)), "what is there needs none");
    assert_eq!(f.take(), [2]);
    f.room.give_back(3);
    assert!(f.read("a", 2, at(1)));
    assert_eq!(f.take(), [1]);
}

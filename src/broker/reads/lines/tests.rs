use std::{
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use super::*;
use crate::domain::access::{ActorType, Caller, Reach};

const MOST: usize = 16;

/// Lines in one part, with room for [`MOST`].
struct Fixture {
    lines: Lines,
    room: Room,
}

impl Fixture {
    fn new() -> Self {
        Self { lines: Lines::default(), room: Room::for_lines(MOST) }
    }

    fn read(&mut self, actor: &str, n: usize, at: Timestamp) -> bool {
        // A name of its own each time, and the pointer too: neither makes another line.
        let name = Some(format!("{:p}", &n));
        let actor = Actor { r#type: ActorType::Token, id: actor.into(), name };
        let mut hash = DefaultHasher::new();
        (&actor.id, n).hash(&mut hash);
        let caller = Caller::new(actor, Reach::everything());
        let permit = caller.permit("acme".parse().unwrap(), "vapi".parse().unwrap()).unwrap();
        let version = format!("{n:032}").parse().unwrap();
        let read = OneRead { permit: &permit, version: &version, at, hash: hash.finish() };
        self.lines.count(&read, &self.room, || true)
    }

    fn due(&self) -> usize {
        self.lines.due(0, usize::MAX)
    }

    fn take(&mut self, most: usize) -> Vec<Counted> {
        self.lines.take(ids(most))
    }

    fn note(&mut self, batch: &[Counted], closed: &HashMap<Uuid, i64>) -> i64 {
        batch.iter().map(|counted| self.lines.note(counted, closed)).sum()
    }

    /// Writes everything into a log that takes it.
    fn write(&mut self) -> Vec<Counted> {
        let batch = self.take(self.due());
        self.note(&batch, &HashMap::new());
        batch
    }

    /// Lets go of minutes that are over, and of more where room is short. Returns how many minutes went.
    fn make_room(&mut self, now: Timestamp) -> usize {
        let gone = self.lines.let_go_before(minute(now));
        self.room.give_back(gone.iter().map(Minute::len).sum());
        if let Some((goal, held)) = self.room.scarcity() {
            self.room.give_back(self.lines.shrink(goal, held));
        }
        gone.len()
    }
}

/// So many seconds after the beginning of a minute.
fn at(second: u64) -> Timestamp {
    "2026-11-22T10:00:00Z".parse::<Timestamp>().unwrap() + Duration::from_secs(second)
}

fn ids(count: usize) -> Vec<Uuid> {
    static GIVEN: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let next = || GIVEN.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    (0..count).map(|_| Uuid::from_u64_pair(0, next())).collect()
}

#[test]
fn actors_are_told_apart_by_their_id_alone() {
    let mut f = Fixture::new();
    for actor in ["a", "b", "a", "a"] {
        assert!(f.read(actor, 1, at(0)));
    }
    let counts: Vec<_> = f.write().iter().map(|line| (line.place.key.actor.id.clone(), line.count)).collect();
    assert_eq!(counts, [("a".to_owned(), 3), ("b".to_owned(), 1)]);
}

#[test]
fn a_line_of_the_running_minute_stays_until_there_is_hardly_room() {
    let mut f = Fixture::new();
    for round in 0..4 {
        for n in 0..13 {
            assert!(f.read("t", n, at(round)));
        }
        for line in f.write() {
            assert_eq!(line.count, 1 + i64::try_from(round).unwrap(), "one line for the whole minute");
        }
        f.make_room(at(round));
    }
    // One more is nearly too much: the oldest go.
    f.read("t", 13, at(10));
    f.write();
    f.make_room(at(10));
    assert_eq!(f.lines.held(), 1);
    // With the minute goes what is left.
    assert_eq!(f.make_room(at(60)), 1);
    assert_eq!(f.lines.held(), 0);
}

#[test]
fn earlier_minutes_go_first_and_what_is_not_written_stays() {
    let mut f = Fixture::new();
    for n in 0..5 {
        f.read("t", n, at(n as u64));
    }
    f.write();
    f.read("t", 0, at(30));
    for n in 5..14 {
        f.read("t", n, at(55 + n as u64));
    }
    let taken = f.take(10);
    // The one that grew comes last.
    let (kept, written) = taken.split_last().unwrap();
    f.note(written, &HashMap::new());
    assert_eq!(f.make_room(at(70)), 0, "a line of that minute is not written");
    // Two of five that are written, from the minute before; those of this one stay.
    assert_eq!((f.lines.held(), f.lines.unwritten()), (12, 1));
    assert_eq!(f.lines.minutes.values().map(|minute| minute.lines.len()).collect::<Vec<_>>(), [3, 9]);
    f.note(std::slice::from_ref(kept), &HashMap::new());
    assert_eq!((f.make_room(at(70)), f.lines.held()), (1, 9));
}

#[test]
fn what_could_not_be_written_is_taken_again_once() {
    let mut f = Fixture::new();
    f.read("t", 1, at(0));
    f.read("t", 2, at(0));
    let failed = f.take(10);
    f.read("t", 1, at(1));
    let id = failed[0].id;
    for counted in failed {
        f.lines.put_back(counted);
    }
    assert_eq!((f.due(), f.lines.unwritten()), (2, 2));
    let again = f.write();
    assert_eq!(again.iter().map(|line| line.count).collect::<Vec<_>>(), [2, 1]);
    assert_eq!((again[0].id, f.due(), f.lines.unwritten()), (id, 0, 0));
}

#[test]
fn a_closed_line_is_followed_by_one_of_what_it_does_not_count() {
    let mut f = Fixture::new();
    for second in [0, 1, 2] {
        f.read("t", 1, at(second));
    }
    let batch = f.take(1);
    f.read("t", 1, at(3));
    assert_eq!(f.note(&batch, &HashMap::from([(batch[0].id, 1)])), 1);
    assert_eq!((f.due(), f.lines.unwritten()), (1, 1));
    let next = f.write();
    assert_eq!((next.len(), next[0].count), (1, 3));
    assert_ne!(next[0].id, batch[0].id);
    assert_eq!(f.lines.unwritten(), 0);
}

#[test]
fn lines_that_grow_take_turns_and_new_ones_do_not_wait() {
    let mut f = Fixture::new();
    for n in 1..4 {
        f.read("t", n, at(0));
    }
    f.write();
    for n in 1..5 {
        f.read("t", n, at(1));
    }
    let now = minute(at(1));
    assert_eq!(f.lines.due(now, 1), 2, "the new one, and one of those that grew");
    let taken = f.take(2);
    assert_eq!(taken.iter().map(|counted| counted.count).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(f.lines.due(now, 1), 1);
    assert_eq!(f.lines.due(now + 1, 1), 2, "their minute is over");
}

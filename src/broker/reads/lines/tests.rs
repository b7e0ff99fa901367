use std::time::Duration;

use super::*;
use crate::domain::access::ActorType;

const MOST: usize = 16;

fn key(actor: &str, n: usize) -> Key {
    // A name of its own each time, and the pointer too: neither makes another line.
    let name = Some(format!("{:p}", &n));
    Key {
        actor: Arc::new(Actor { r#type: ActorType::Token, id: actor.into(), name }),
        secret: SecretName::new("acme".parse().unwrap(), "vapi".parse().unwrap()),
        version: format!("{n:032}").parse().unwrap(),
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

impl Lines {
    /// Writes everything into a log that takes it.
    fn write(&mut self) -> Vec<Counted> {
        let batch = self.take(ids(self.queued()));
        self.note(&batch, &HashMap::new());
        batch
    }
}

#[test]
fn actors_are_told_apart_by_their_id_alone() {
    let mut lines = Lines::default();
    for actor in ["a", "b", "a", "a"] {
        assert!(lines.count(&key(actor, 1), at(0), MOST));
    }
    let counts: Vec<_> =
        lines.write().iter().map(|line| (line.place.key.actor.id.clone(), line.count)).collect();
    assert_eq!(counts, [("a".to_owned(), 3), ("b".to_owned(), 1)]);
}

#[test]
fn a_line_of_the_running_minute_stays_until_there_is_hardly_room() {
    let mut lines = Lines::default();
    for round in 0..4 {
        for n in 0..13 {
            assert!(lines.count(&key("t", n), at(round), MOST));
        }
        for line in lines.write() {
            assert_eq!(line.count, 1 + i64::try_from(round).unwrap(), "one line for the whole minute");
        }
        lines.make_room(minute(at(round)), MOST);
    }
    // One more is nearly too much: the oldest go.
    lines.count(&key("t", 13), at(10), MOST);
    lines.write();
    lines.make_room(minute(at(10)), MOST);
    assert_eq!(lines.held(), 1);
    // With the minute goes what is left.
    assert_eq!(lines.make_room(minute(at(60)), MOST).len(), 1);
    assert_eq!(lines.held(), 0);
}

#[test]
fn earlier_minutes_go_first_and_what_is_not_written_stays() {
    let mut lines = Lines::default();
    for n in 0..5 {
        lines.count(&key("t", n), at(n as u64), MOST);
    }
    lines.write();
    lines.count(&key("t", 0), at(30), MOST);
    for n in 5..14 {
        lines.count(&key("t", n), at(55 + n as u64), MOST);
    }
    let taken = lines.take(ids(10));
    let (kept, written) = taken.split_at(1);
    lines.note(written, &HashMap::new());
    assert!(lines.make_room(minute(at(70)), MOST).is_empty(), "a line of that minute is not written");
    // Two of five that are written, from the minute before; those of this one stay.
    assert_eq!((lines.held(), lines.unwritten()), (12, 1));
    assert_eq!(lines.minutes.values().map(|minute| minute.lines.len()).collect::<Vec<_>>(), [3, 9]);
    lines.note(kept, &HashMap::new());
    assert_eq!((lines.make_room(minute(at(70)), MOST).len(), lines.held()), (1, 9));
}

#[test]
fn what_could_not_be_written_is_taken_again_once() {
    let mut lines = Lines::default();
    lines.count(&key("t", 1), at(0), MOST);
    lines.count(&key("t", 2), at(0), MOST);
    let failed = lines.take(ids(10));
    lines.count(&key("t", 1), at(1), MOST);
    let id = failed[0].id;
    lines.put_back(failed);
    assert_eq!((lines.queued(), lines.unwritten()), (2, 2));
    let again = lines.write();
    assert_eq!(again.iter().map(|line| line.count).collect::<Vec<_>>(), [2, 1]);
    assert_eq!((again[0].id, lines.queued(), lines.unwritten()), (id, 0, 0));
}

#[test]
fn a_closed_line_is_followed_by_one_of_what_it_does_not_count() {
    let mut lines = Lines::default();
    for second in [0, 1, 2] {
        lines.count(&key("t", 1), at(second), MOST);
    }
    let batch = lines.take(ids(1));
    lines.count(&key("t", 1), at(3), MOST);
    assert_eq!(lines.note(&batch, &HashMap::from([(batch[0].id, 1)])), 1);
    assert_eq!((lines.queued(), lines.unwritten()), (1, 1));
    let next = lines.write();
    assert_eq!((next.len(), next[0].count), (1, 3));
    assert_ne!(next[0].id, batch[0].id);
    assert_eq!(lines.unwritten(), 0);
}

use jiff::Timestamp;
use proptest::{collection::vec, option, prelude::*, sample::Index};

use super::*;
use crate::domain::event::RecordedActor;

/// Events, by the links that hold them: one or several.
fn records() -> impl Strategy<Value = Vec<Vec<Record>>> {
    let text = "[a-z:]{0,4}";
    let maybe = || option::of(text);
    let actor = (text, text, maybe()).prop_map(|(r#type, id, name)| RecordedActor { r#type, id, name });
    let times = 0..4_000_000_000_000_i64;
    let record = (text, text, times, actor, maybe(), maybe(), maybe(), maybe(), option::of(0..3_i64));
    let record = record.prop_map(|(id, r#type, at, actor, connection, version, token, request_id, count)| {
        let at = Timestamp::from_millisecond(at).unwrap();
        let org = "acme".to_owned();
        Record { id, org, r#type, at, actor, connection, version, token, request_id, count }
    });
    vec(vec(record, 1..4), 1..12)
}

fn chain(records: &[Vec<Record>]) -> Vec<Link> {
    let (mut sequence, mut hash) = (0, ChainHash::START);
    let link = |records: &Vec<Record>| {
        let previous = (records.len() > 1).then_some(hash);
        for record in records {
            sequence += 1;
            hash = hash.next(sequence, record);
        }
        let (id, records) = (records[0].id.clone(), Some(records.clone()));
        Link { sequence, hash: Some(hash), previous, records, id, searchable: true }
    };
    records.iter().map(link).collect()
}

fn verify(links: &[Link], newest: i64, head: ChainHash) -> Vec<Fault> {
    let mut walk = Walk::after(0, ChainHash::START);
    let mut faults: Vec<_> = links.iter().filter_map(|link| walk.step(link)).collect();
    faults.extend(walk.end(newest, head));
    faults
}

/// Another value in the field of that number; whether it differs.
fn alter(record: &mut Record, field: usize, value: &str) -> bool {
    let before = record.clone();
    let text = || value.to_owned();
    let other = |field: &Option<String>| if field.as_deref() == Some(value) { None } else { Some(text()) };
    match field {
        0 => record.id = text(),
        1 => record.org = text(),
        2 => record.r#type = text(),
        3 => record.at += jiff::SignedDuration::from_millis(1),
        4 => record.actor.r#type = text(),
        5 => record.actor.id = text(),
        6 => record.actor.name = other(&record.actor.name),
        7 => record.connection = other(&record.connection),
        8 => record.version = other(&record.version),
        9 => record.token = other(&record.token),
        10 => record.request_id = other(&record.request_id),
        _ => record.count = Some(record.count.map_or(0, |count| count + 1)),
    }
    *record != before
}

proptest! {
    #[test]
    fn an_untouched_chain_has_no_fault(records in records(), start in any::<Index>()) {
        let links = chain(&records);
        let last = links.last().unwrap();
        prop_assert_eq!(verify(&links, last.sequence, last.hash.unwrap()), vec![]);
        // Nor has the rest of one whose beginning was removed.
        let first = &links[start.index(links.len())];
        let mut walk = Walk::after(first.sequence, first.hash.unwrap());
        for link in &links[start.index(links.len()) + 1..] {
            prop_assert_eq!(walk.step(link), None);
        }
        prop_assert_eq!(walk.end(last.sequence, last.hash.unwrap()), None);
    }

    #[test]
    fn every_altered_field_is_found(
        records in records(), at in any::<Index>(), one in any::<Index>(), field in 0..12_usize, value in "[a-z:]{0,4}",
    ) {
        let mut links = chain(&records);
        let last = links.last().unwrap();
        let (newest, head) = (last.sequence, last.hash.unwrap());
        let link = &mut links[at.index(records.len())];
        let held = link.records.as_mut().unwrap();
        let one = one.index(held.len());
        prop_assume!(alter(&mut held[one], field, &value));
        let fault = Fault::Altered(link.sequence, link.id.clone());
        // With a new hash of its own it is the next one that does not fit, or the head.
        let mut rewritten = links.clone();
        prop_assert_eq!(verify(&links, newest, head), vec![fault]);
        let n = at.index(records.len());
        let before = n.checked_sub(1).map_or(ChainHash::START, |n| rewritten[n].hash.unwrap());
        let hash = rewritten[n].hash_after(before, rewritten[n].records.as_ref().unwrap());
        rewritten[n].hash = Some(hash);
        prop_assert_eq!(verify(&rewritten, newest, head).len(), 1);
    }

    #[test]
    fn every_removed_event_is_found(records in records(), at in any::<Index>(), closed_up in any::<bool>()) {
        let mut links = chain(&records);
        let last = links.last().unwrap();
        let (newest, head) = (last.sequence, last.hash.unwrap());
        let n = at.index(records.len());
        let gone = links.remove(n);
        if closed_up {
            let events = gone.sequence + 1 - gone.first();
            links[n..].iter_mut().for_each(|link| link.sequence -= events);
            prop_assert!(!verify(&links, newest - events, head).is_empty());
        } else {
            prop_assert_eq!(verify(&links, newest, head), vec![Fault::Missing(gone.first(), gone.sequence)]);
        }
    }

    #[test]
    fn swapped_and_inserted_events_are_found(records in records(), a in any::<Index>(), b in any::<Index>()) {
        let links = chain(&records);
        let last = links.last().unwrap();
        let (newest, head) = (last.sequence, last.hash.unwrap());
        let (a, b) = (a.index(links.len()), b.index(links.len()));

        let mut inserted = links.clone();
        let copy = Link { sequence: links[a].sequence, ..links[b].clone() };
        inserted.insert(a, copy);
        inserted[a + 1..].iter_mut().for_each(|link| link.sequence += 1);
        prop_assert!(!verify(&inserted, newest + 1, head).is_empty());

        prop_assume!(links[a].records != links[b].records);
        let mut swapped = links.clone();
        swapped[a].records.clone_from(&links[b].records);
        swapped[b].records.clone_from(&links[a].records);
        prop_assert!(!verify(&swapped, newest, head).is_empty());
        swapped[a].hash = links[b].hash;
        swapped[b].hash = links[a].hash;
        prop_assert!(!verify(&swapped, newest, head).is_empty());
    }

    #[test]
    fn another_hash_before_is_found(records in records(), at in any::<Index>()) {
        let mut links = chain(&records);
        let last = links.last().unwrap();
        let (newest, head) = (last.sequence, last.hash.unwrap());
        let link = &mut links[at.index(records.len())];
        link.previous = Some(ChainHash([7; 32]));
        let fault = Fault::Altered(link.sequence, link.id.clone());
        prop_assert_eq!(verify(&links, newest, head), vec![fault]);
    }

    #[test]
    fn a_hash_is_read_as_it_is_written(bytes in any::<[u8; 32]>()) {
        let hash = ChainHash(bytes);
        prop_assert_eq!(hash.to_string().parse(), Ok(hash));
    }
}

#[test]
fn what_is_no_hash_is_refused() {
    for text in
        ["", "00", &"0".repeat(63), &"0".repeat(65), &"0".repeat(66), &"A".repeat(64), &"é".repeat(32)]
    {
        assert_eq!(text.parse::<ChainHash>(), Err(InvalidHash), "{text}");
    }
}

/// The form that docs/architecture.md tells outsiders: it can't change without another name.
#[test]
fn the_form_stays() {
    let record = Record {
        id: "0192f0c1-0000-7000-8000-000000000001".into(),
        org: "acme".into(),
        r#type: "connection.created".into(),
        at: "2026-11-21T21:17:00.125Z".parse().unwrap(),
        actor: RecordedActor { r#type: "token".into(), id: "t1".into(), name: Some("app".into()) },
        connection: Some("vapi".into()),
        version: Some("v1".into()),
        token: None,
        request_id: Some("r1".into()),
        count: None,
    };
    let hash = ChainHash::START.next(1, &record).to_string();
    assert_eq!(hash, "3ceed0d3b77fb761e0cac288ce4a5a90eea99dc25cc7d69f162aa7e0a5e45170");
}

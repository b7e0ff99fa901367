//! What the log tells of reads: one line for what one actor read of a connection's version within a minute.

use aws_lc_rs::digest::{Context, SHA256};
use jiff::Timestamp;
use uuid::{Builder, Uuid};

use super::{EventType, Record, RecordedActor};

/// The version of UUID that the ids of these lines have: of a form of their own, by RFC 9562.
const VERSION: usize = 8;

/// Names what is hashed for an id.
const FORM: &[u8] = b"keybroker reads 1";

/// The minute of a time, from 1970.
#[must_use]
pub fn minute(time: Timestamp) -> i64 {
    time.as_millisecond().div_euclid(60_000)
}

/// In how many shards organizations are.
pub const SHARDS: usize = 64;

/// The shard of an organization, by the hash FNV-1a of its name. What waits in the database to be put
/// together depends on it.
#[must_use]
pub fn shard(org: &str) -> usize {
    let hash = org.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    // Both halves, since the lower digits of a product depend on no higher ones.
    usize::from((hash ^ hash >> 32).to_le_bytes()[0]) % SHARDS
}

/// One line of reads, as a record of its organization.
///
/// Whoever puts it together from what several replicas counted comes to the same id.
#[must_use]
pub fn record(
    org: &str,
    actor: RecordedActor,
    connection: &str,
    version: &str,
    at: Timestamp,
    count: i64,
) -> Record {
    Record {
        id: id(at, [org, &actor.r#type, &actor.id, connection, version]).to_string(),
        org: org.to_owned(),
        r#type: EventType::CredentialsRead.as_str().to_owned(),
        at,
        actor,
        connection: Some(connection.to_owned()),
        version: Some(version.to_owned()),
        token: None,
        request_id: None,
        count: Some(count),
    }
}

/// The time in milliseconds in 48 bits, as in other events' ids, and a hash of what is counted.
fn id(at: Timestamp, counted: [&str; 5]) -> Uuid {
    let millis = at.as_millisecond().to_be_bytes();
    let mut hash = Context::new(&SHA256);
    hash.update(FORM);
    hash.update(&millis);
    for text in counted {
        hash.update(&(text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    }
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.finish().as_ref()[..16]);
    bytes[..6].copy_from_slice(&millis[2..]);
    Builder::from_custom_bytes(bytes).into_uuid()
}

/// When the first read was of the line with this id; nothing if it is no such line's.
#[must_use]
pub fn time_of(id: Uuid) -> Option<Timestamp> {
    let millis = i64::try_from(id.as_u128() >> 80).ok()?;
    (id.get_version_num() == VERSION).then(|| Timestamp::from_millisecond(millis).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(org: &str, actor: &str, connection: &str, millis: i64) -> Uuid {
        let actor = RecordedActor { r#type: "token".into(), id: actor.into(), name: None };
        let at = Timestamp::from_millisecond(millis).unwrap();
        record(org, actor, connection, "v", at, 3).id.parse().unwrap()
    }

    #[test]
    fn an_id_is_of_all_that_is_counted_and_tells_its_time() {
        let id = line("acme", "t", "vapi", 1_763_763_420_125);
        assert_eq!(id, line("acme", "t", "vapi", 1_763_763_420_125));
        for other in [
            line("acm", "et", "vapi", 1_763_763_420_125),
            line("acme", "u", "vapi", 1_763_763_420_125),
            line("acme", "t", "vapj", 1_763_763_420_125),
            line("acme", "t", "vapi", 1_763_763_420_126),
        ] {
            assert_ne!(id, other);
        }
        assert_eq!(time_of(id).unwrap().as_millisecond(), 1_763_763_420_125);
        assert_eq!(time_of("01900000-0000-7000-8000-000000000000".parse().unwrap()), None);
    }

    #[test]
    fn organizations_are_spread_over_the_shards() {
        let mut each = [0; SHARDS];
        (0..6_400).for_each(|n| each[shard(&format!("org_{n}"))] += 1);
        assert!(each.iter().all(|number| (40..200).contains(number)), "{each:?}");
    }

    #[test]
    fn a_minute_begins_with_its_first_millisecond() {
        let minutes = [-1, 0, 59_999, 60_000].map(|at| minute(Timestamp::from_millisecond(at).unwrap()));
        assert_eq!(minutes, [-1, 0, 0, 1]);
    }
}

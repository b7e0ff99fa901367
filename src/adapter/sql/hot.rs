//! Which queries are asked again and again, and must take as long in a large database as in a small one.
//!
//! A test asks both databases how they would carry out each. To add a query that a request or a background
//! task waits for: name it here.

use jiff::Timestamp;

use super::{
    audit, chains, checks, connections, events, lookups, reads, seal, sessions, system, tokens, vaults,
    writes,
};
use crate::domain::{
    event::{EventFilter, EventType, Position},
    id::OrgId,
};

/// The queries, by name.
#[must_use]
pub fn hot_queries() -> Vec<(&'static str, String)> {
    let fixed = [
        ("a page of connections", connections::LIST),
        ("a token", tokens::FIND),
        ("to revoke a token", tokens::REVOKE),
        ("a write under way", writes::FIND),
        ("to take a write over", writes::TAKE_OVER),
        ("to doubt a write", writes::DOUBT),
        ("to end a write", writes::REMOVE),
        ("the writes under way", writes::PENDING),
        ("to end the leases of writes", writes::END_LEASES),
        ("a kept answer", writes::FIND_ANSWER),
        ("to forget answers", writes::FORGET_ANSWERS),
        ("that a key works", checks::WORKS),
        ("that a key is refused", checks::REFUSED),
        ("to postpone a check", checks::POSTPONE),
        ("what changed elsewhere", system::AFTER),
        ("the end of a chain, to append", chains::HEAD),
        ("the position of an event", events::POSITION_OF),
        ("an organization's open reads", reads::OPEN),
        ("to take reads to be sealed", reads::seal::TAKE),
        ("whether a line is open", seal::ANY),
        ("the open lines", seal::OPEN),
        ("the ends of a chain", audit::ENDS),
        ("links of a chain", audit::LINKS),
        ("the link before", audit::LINK_UP_TO),
        ("the next organization", audit::NEXT_ORG),
        ("how old the oldest events are", audit::OLDEST),
        ("to move the beginning of a chain", audit::SET_PRUNED),
        ("to remove events", audit::PRUNE),
        ("the session of a link", sessions::FIND_LINK),
        ("the session of a visit", sessions::FIND_VISIT),
        ("to open a link", sessions::OPEN),
        ("to count an attempt", sessions::COUNT),
        ("to forget sessions", sessions::FORGET),
        ("a vault", vaults::FIND),
        ("to end a vault's change", vaults::COMPLETE),
        ("to try a vault's keys", vaults::RECHECK),
        ("to drop a vault's change", vaults::DROP),
        ("to forget a vault", vaults::FORGET),
    ];
    let fixed = fixed.map(|(name, query)| (name, query.to_owned()));
    let of_lengths = [
        ("a connection", connections::find_query(1)),
        ("connections", connections::find_query(lookups::MOST)),
        ("keys to be tried", checks::claim_query(64)),
    ];
    fixed.into_iter().chain(pages()).chain(of_lengths).collect()
}

/// The pages of the list of events.
fn pages() -> Vec<(&'static str, String)> {
    let org: OrgId = "acme".parse().expect("an organization");
    let newest = EventFilter::default();
    let after = Position { at: Timestamp::UNIX_EPOCH, number: 1, id: String::new() };
    let page = EventFilter { after: Some(after), ..EventFilter::default() };
    let of_type = EventFilter { r#type: Some(EventType::VaultTested), ..page.clone() };
    let of_connection = EventFilter { connection: "vapi".parse().ok(), ..page.clone() };
    let of_actor = EventFilter { actor: Some("ada".to_owned()), ..page.clone() };
    let changes = [
        ("the newest events", &newest),
        ("a page of events", &page),
        ("events of a type", &of_type),
        ("events of a connection", &of_connection),
        ("events of an actor", &of_actor),
    ]
    .map(|(name, filter)| (name, events::changes(&org, filter).sql()));
    let reads = [("the newest reads", &newest), ("a page of reads", &page)]
        .map(|(name, filter)| (name, reads::list::page(org.as_str(), filter, Some((0, 1))).sql()));
    changes.into_iter().chain(reads).collect()
}

//! Version 1 of the API: one file for each kind of thing.

pub mod connections;
pub mod credentials;
pub mod events;
pub mod providers;
pub mod sessions;
pub mod tokens;
pub mod vault;
pub mod verification;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

use super::error::Problem;

/// The bounds of `?limit=`, and what it is when left out.
fn page_size(limit: Option<u16>) -> Result<u16, Problem> {
    match limit.unwrap_or(50) {
        limit @ 1..=200 => Ok(limit),
        _ => Err(Problem::invalid_request("limit must be 1 to 200.")),
    }
}

/// Where a page starts, as the caller sees it: opaque.
pub(super) fn write_cursor(position: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(position)
}

pub(super) fn read_cursor<T: std::str::FromStr>(cursor: Option<&str>) -> Result<Option<T>, Problem> {
    let read = |cursor: &str| {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(cursor).ok()?;
        str::from_utf8(&bytes).ok()?.parse().ok()
    };
    let malformed = || Problem::invalid_request("cursor must be the next_cursor of an earlier page.");
    cursor.map(|cursor| read(cursor).ok_or_else(malformed)).transpose()
}

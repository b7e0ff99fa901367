//! Times as the API writes them.

use jiff::Timestamp;

/// RFC 3339 in UTC, always with milliseconds: what the index keeps, and what sorts as text.
pub(super) fn rfc3339(time: Timestamp) -> String {
    format!("{time:.3}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_milliseconds_and_no_more() {
        let shown = |text: &str| rfc3339(text.parse().unwrap());
        assert_eq!(shown("2026-11-21T23:10:58.489980289Z"), "2026-11-21T23:10:58.489Z");
        assert_eq!(shown("2026-11-21T23:10:58Z"), "2026-11-21T23:10:58.000Z");
    }
}

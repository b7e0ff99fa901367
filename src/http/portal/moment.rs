//! A time as a page shows it: in UTC, until script turns it into the reader's zone.

use jiff::Timestamp;

use crate::http::time::rfc3339;

/// A time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) struct Moment(Timestamp);

impl Moment {
    /// For the attribute `datetime`.
    pub(super) fn iso(self) -> String {
        rfc3339(self.0)
    }

    /// For people.
    pub(super) fn utc(self) -> String {
        self.0.strftime("%Y-%m-%d %H:%M UTC").to_string()
    }
}

impl From<Timestamp> for Moment {
    fn from(at: Timestamp) -> Self {
        Self(at)
    }
}

/// Whole minutes, upwards.
pub(super) fn minutes(wait: std::time::Duration) -> String {
    wait.as_secs().div_ceil(60).max(1).to_string()
}

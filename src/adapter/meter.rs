//! Counts and times what a store is asked, under the same names for every store.

use tokio::time::Instant;

use crate::port::store::StoreError;

/// Notes one finished call: `action` is what was asked, `outcome` one of a few fixed words.
///
/// `keybroker_store_calls_total{action, outcome}` counts calls, `keybroker_store_call_seconds{action}`
/// is how long they took, in seconds, retries included.
pub(super) fn record(action: &'static str, outcome: &'static str, began: Instant) {
    metrics::counter!("keybroker_store_calls_total", "action" => action, "outcome" => outcome).increment(1);
    metrics::histogram!("keybroker_store_call_seconds", "action" => action).record(began.elapsed());
}

/// The outcome's word for a failure.
pub(super) const fn word(error: &StoreError) -> &'static str {
    match error {
        StoreError::ScheduledForDeletion => "scheduled_for_deletion",
        StoreError::Refused(_) => "refused",
        StoreError::Unacceptable(_) => "unacceptable",
        StoreError::RateLimited { .. } => "rate_limited",
        StoreError::Unavailable(_) => "unavailable",
    }
}

//! What a connection's keys are at this moment, for those who read them and those who try them.

use std::time::Duration;

use super::error::Error;
use crate::{
    domain::{
        access::MayRead,
        clock::Clock,
        connection::Connection,
        secret::{Credentials, Version},
    },
    port::store::{Store, StoredSecret, Which},
};

/// How long after a write AWS may answer with what was there before. It promises no time; a second is
/// usual.
const CONSISTENT_WITHIN: Duration = Duration::from_mins(1);

/// The keys that the store holds for a connection, and which version they are.
///
/// AWS may lag behind the index, and other programs may have gone ahead of it: the first is made up for, the
/// second is the truth.
///
/// # Errors
/// [`Error::NotFound`] if there are none, or what the store failed with.
pub(super) async fn current_keys(
    store: &dyn Store,
    clock: &dyn Clock,
    permit: &dyn MayRead,
    connection: &Connection,
) -> Result<(Version, Credentials), Error> {
    let mut secret = store.get(permit, Which::Current).await?;
    if may_lag(connection, clock) && is_from_before(secret.as_ref(), connection) {
        let known = store.get(permit, Which::Version(&connection.version)).await?;
        secret = known.or(secret);
    }
    let Some(secret) = secret else {
        tracing::warn!(org = %connection.org, connection = %connection.name,
            "the store has lost a secret that the index knows");
        return Err(Error::NotFound);
    };
    let credentials = secret.credentials()?;
    if credentials.is_empty() {
        // Erased, by a disconnect that is under way or by another program.
        return Err(Error::NotFound);
    }
    Ok((secret.version, credentials))
}

/// Whether AWS may still answer with what was there before the last write. Later, such an answer is an
/// operator's doing. A version of another program's has no time; it was there before it was heard of.
fn may_lag(connection: &Connection, clock: &dyn Clock) -> bool {
    let made_at = connection.version.made_at();
    made_at.is_some_and(|made_at| clock.now().duration_since(made_at).unsigned_abs() < CONSISTENT_WITHIN)
}

/// Whether an answer of AWS is from before the connection's last write. Any other version was written by
/// another program, and is the truth.
fn is_from_before(secret: Option<&StoredSecret>, connection: &Connection) -> bool {
    secret.is_none_or(|secret| {
        let empty = secret.credentials().is_ok_and(|credentials| credentials.is_empty());
        Some(&secret.version) == connection.previous.as_ref() || empty
    })
}

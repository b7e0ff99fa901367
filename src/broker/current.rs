//! What a connection's keys are at this moment, for those who read them and those who try them.

use super::error::Error;
use crate::{
    domain::{
        access::MayRead,
        connection::Connection,
        secret::{Credentials, Version},
    },
    port::{
        index::ConnectionIndex,
        store::{Store, StoredSecret, Which},
    },
};

/// The keys that the store holds for a connection, and which version they are.
///
/// AWS may answer with what was there before the last write, or with what a write under way is only making:
/// then the version that the index names is asked for by its id. Any other version was written by another
/// program, and is the truth.
///
/// # Errors
/// [`Error::NotFound`] if there are none, or what the store or the database failed with.
pub(super) async fn current_keys(
    store: &dyn Store,
    index: &dyn ConnectionIndex,
    permit: &dyn MayRead,
    connection: &Connection,
) -> Result<(Version, Credentials), Error> {
    let mut secret = store.get(permit, Which::Current).await?;
    let is_current = match &secret {
        None => false,
        Some(secret) if secret.version == connection.version => true,
        Some(secret) => {
            !is_from_before(secret, connection) && !is_under_way(secret, index, connection).await?
        }
    };
    if !is_current {
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

/// Whether a version is older than the one that the index names: AWS does not show the connection's last
/// write yet. It is the one before it, or one that keybroker made still earlier.
pub(super) fn is_from_before(secret: &StoredSecret, connection: &Connection) -> bool {
    let made_at = secret.version.made_at().zip(connection.version.made_at());
    Some(&secret.version) == connection.previous.as_ref() || made_at.is_some_and(|(its, ours)| its < ours)
}

/// Whether the version is one that a write under way is making. It is not shown before that write is whole,
/// so that no reader goes back from it. An erasure is shown at once.
async fn is_under_way(
    secret: &StoredSecret,
    index: &dyn ConnectionIndex,
    connection: &Connection,
) -> Result<bool, Error> {
    if secret.credentials().is_ok_and(|credentials| credentials.is_empty()) {
        return Ok(false);
    }
    let under_way = index.find_write(&connection.org, &connection.name).await?;
    Ok(under_way.as_ref() == Some(&secret.version))
}

//! What goes on to its end, whoever waits for it.

use tokio_util::task::TaskTracker;

use super::error::Error;

/// Runs `work` as one of `tasks`: a caller that hangs up does not stop it half-way, and a shutdown waits for
/// it.
///
/// # Errors
/// What `work` failed with. Should it panic, `what` it was is told and not why: a panic's text may hold what
/// a caller sent.
pub(super) async fn to_its_end<T: Send + 'static>(
    tasks: &TaskTracker,
    what: &str,
    work: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    tasks.spawn(work).await.map_err(|_| Error::Internal(format!("{what} panicked")))?
}

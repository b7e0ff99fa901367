//! The HTTP server: axum's own accept loop has no time limit for slow headers, so this is ours.

use std::{convert::Infallible, time::Duration};

use axum::response::Response;
use hyper::{Request, body::Incoming, server::conn::http1, service::Service};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How long a request's headers may take to arrive, and so how long an idle connection is kept.
const HEADERS_WITHIN: Duration = Duration::from_secs(30);

/// The most memory for one request's headers, in bytes.
const LONGEST_HEADERS: usize = 64 * 1024;

/// Serves until told to stop, then finishes what is under way within `grace`.
pub(super) async fn serve<S>(listener: TcpListener, service: S, stop: CancellationToken, grace: Duration)
where
    S: Service<Request<Incoming>, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEADERS_WITHIN).max_buf_size(LONGEST_HEADERS);
    let graceful = GracefulShutdown::new();
    let connections = TaskTracker::new();
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Too many open files, say: a moment later there may be room again.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        // Answers are small and whole: waiting to fill a packet would only delay them.
        let _ = stream.set_nodelay(true);
        let connection = graceful.watch(http.serve_connection(TokioIo::new(stream), service.clone()));
        connections.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(grace, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests under way were cut off after the grace time");
    }
}

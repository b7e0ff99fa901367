//! What a refused request still has to say is heard out, so that its caller gets to read the refusal.
//!
//! An answer may be ready before its request has arrived whole: no token, no such path, a body too
//! large. The connection would then be closed with bytes unread, and the caller's system, which takes
//! that for a failure, may throw the answer away.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, HttpBody},
    extract::Request,
    http::header,
    middleware::Next,
    response::Response,
};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};

/// What is more than this is not worth the wait.
const MOST: u64 = 32 << 20;

/// Nor is what takes longer.
const LONGEST: Duration = Duration::from_secs(5);

/// Lets a request be answered, then reads what is left of its body.
pub(super) async fn drain(request: Request, next: Next) -> Response {
    // A caller that waits for leave to go on sends no more once it is refused.
    let waits = request.headers().contains_key(header::EXPECT);
    if waits || request.body().is_end_stream() || request.body().size_hint().lower() > MOST {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let body = Arc::new(Mutex::new(body));
    let lent = Body::new(Lent(Arc::clone(&body)));
    let response = next.run(Request::from_parts(parts, lent)).await;
    if let Some(body) = Arc::into_inner(body) {
        let rest = discard(body.into_inner().unwrap_or_else(PoisonError::into_inner));
        // Whether it came to its end or not: the answer goes out.
        let _ = tokio::time::timeout(LONGEST, rest).await;
    }
    response
}

async fn discard(mut body: Body) {
    let mut left = MOST;
    while !body.is_end_stream()
        && let Some(Ok(frame)) = body.frame().await
    {
        let length = frame.data_ref().map_or(0, Bytes::len) as u64;
        let Some(less) = left.checked_sub(length) else { return };
        left = less;
    }
}

/// A body that comes back when its reader has let go of it.
struct Lent(Arc<Mutex<Body>>);

impl Lent {
    fn with<T>(&self, act: impl FnOnce(&mut Body) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.with(|body| Pin::new(body).poll_frame(context))
    }

    fn is_end_stream(&self) -> bool {
        self.with(|body| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.with(|body| body.size_hint())
    }
}

//! A proxy between keybroker and an emulator. It records every action and can be told to misbehave, as
//! AWS does and the emulators never do.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{Response, StatusCode},
};
use keybroker::domain::policy::ACTIONS;
use tokio::sync::Notify;

use super::{client::forward, services::Aws};

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// AWS answers with this code, an HTTP status of 400, and changes nothing.
    Code(&'static str),
    /// AWS answers 500 and changes nothing.
    Internal,
    /// It takes so long.
    Slow(Duration),
    /// The call never arrives: it is held until [`Proxy::release`].
    HoldCall,
    /// The call is carried out and its answer held until [`Proxy::release`].
    HoldAnswer,
    /// The call is carried out and its answer lost.
    LoseAnswer,
}

/// The proxy. Dropped, it checks that nothing but the policy's actions was called.
pub(crate) struct Proxy {
    pub endpoint: String,
    inner: Arc<Inner>,
    server: tokio::task::JoinHandle<()>,
}

struct Inner {
    upstream: SocketAddr,
    calls: Mutex<Vec<String>>,
    user_agents: Mutex<Vec<String>>,
    /// Which calls are in for what: the action, how many calls pass first, how often, and what.
    faults: Mutex<VecDeque<(&'static str, usize, usize, Fault)>>,
    held: Notify,
    release: Notify,
}

impl Proxy {
    pub(crate) async fn start(aws: &Aws) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let inner = Arc::new(Inner {
            upstream: aws.endpoint.trim_start_matches("http://").parse().unwrap(),
            calls: Mutex::default(),
            user_agents: Mutex::default(),
            faults: Mutex::default(),
            held: Notify::new(),
            release: Notify::new(),
        });
        let router = axum::Router::new().fallback(pass).with_state(Arc::clone(&inner));
        let server = async { axum::serve(listener, router).await.unwrap() };
        #[expect(clippy::disallowed_methods, reason = "aborted when the proxy is dropped")]
        let server = tokio::spawn(server);
        Self { endpoint, inner, server }
    }

    /// The next `times` calls of `action` fail so; after `passing` that don't.
    pub(crate) fn fail_after(&self, passing: usize, action: &'static str, times: usize, fault: Fault) {
        self.inner.faults.lock().unwrap().push_back((action, passing, times, fault));
    }

    pub(crate) fn fail(&self, action: &'static str, times: usize, fault: Fault) {
        self.fail_after(0, action, times, fault);
    }

    /// Every call fails so, until [`Proxy::heal`].
    pub(crate) fn fail_all(&self, fault: Fault) {
        for action in ACTIONS {
            self.fail(action, usize::MAX, fault);
        }
    }

    pub(crate) fn heal(&self) {
        self.inner.faults.lock().unwrap().clear();
    }

    /// Waits until a call, or an answer, is held.
    pub(crate) async fn held(&self) {
        tokio::time::timeout(Duration::from_secs(30), self.inner.held.notified())
            .await
            .expect("a call is held");
    }

    /// Lets the held ones go, and holds no more.
    pub(crate) fn release(&self) {
        self.heal();
        self.inner.release.notify_waiters();
    }

    /// The actions called so far, in order.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.inner.calls.lock().unwrap().clone()
    }

    /// What the calls said of who makes them.
    pub(crate) fn user_agents(&self) -> Vec<String> {
        self.inner.user_agents.lock().unwrap().clone()
    }

    pub(crate) fn count(&self, action: &str) -> usize {
        self.calls().iter().filter(|call| *call == action).count()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.server.abort();
        let calls = self.calls();
        if !std::thread::panicking() {
            assert!(calls.iter().all(|call| ACTIONS.contains(&call.as_str())), "{calls:?}");
        }
    }
}

impl Inner {
    fn fault(&self, action: &str) -> Option<Fault> {
        let mut faults = self.faults.lock().unwrap();
        let fault = faults.iter_mut().find(|(of, _, times, _)| *of == action && *times > 0)?;
        if fault.1 > 0 {
            fault.1 -= 1;
            return None;
        }
        fault.2 -= 1;
        Some(fault.3)
    }
}

async fn pass(State(proxy): State<Arc<Inner>>, request: Request) -> Response<Body> {
    let target = request.headers().get("x-amz-target").map_or("none", |value| value.to_str().unwrap());
    let action = target.trim_start_matches("secretsmanager.").to_owned();
    proxy.calls.lock().unwrap().push(action.clone());
    let agent = request.headers().get("x-amz-user-agent").or(request.headers().get("user-agent"));
    proxy.user_agents.lock().unwrap().extend(agent.map(|agent| agent.to_str().unwrap().to_owned()));
    match proxy.fault(&action) {
        None => forward(proxy.upstream, request).await,
        Some(Fault::Code(code)) => refuse(StatusCode::BAD_REQUEST, code),
        Some(Fault::Internal) => refuse(StatusCode::INTERNAL_SERVER_ERROR, "InternalServiceError"),
        Some(Fault::Slow(time)) => {
            tokio::time::sleep(time).await;
            forward(proxy.upstream, request).await
        }
        Some(Fault::HoldCall) => {
            let release = proxy.release.notified();
            proxy.held.notify_one();
            release.await;
            forward(proxy.upstream, request).await
        }
        Some(Fault::HoldAnswer) => {
            let release = proxy.release.notified();
            let answer = forward(proxy.upstream, request).await;
            proxy.held.notify_one();
            release.await;
            answer
        }
        Some(Fault::LoseAnswer) => {
            forward(proxy.upstream, request).await;
            refuse(StatusCode::BAD_GATEWAY, "Lost")
        }
    }
}

fn refuse(status: StatusCode, code: &str) -> Response<Body> {
    let body = serde_json::json!({"__type": code, "message": "made to fail by the test"}).to_string();
    let answer = Response::builder().status(status).header("content-type", "application/x-amz-json-1.1");
    answer.body(body.into()).unwrap()
}

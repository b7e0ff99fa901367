//! What stands in for AWS Secrets Manager in the benches: it answers every `GetSecretValue` with the same
//! value, after some time, and counts. It is an example and no part of the program.
//!
//! `store ADDRESS MILLISECONDS FILE`, where FILE holds the answer's `{"VersionId": …, "SecretString": …}`.
//! `GET /calls` tells how many there were since it was last asked, how many of them at once at most, and how
//! long it was from the first one's begin to the last one's end.

use std::{
    env,
    error::Error,
    fs,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    routing::{get, post},
};
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    time::{Instant, sleep},
};

/// The name with which keybroker asks whether its store is usable. Nothing is there.
const PROBE: &str = "_keybroker/ready";

#[derive(Default)]
struct Calls {
    begun: u64,
    under_way: u64,
    most: u64,
    first: Option<Instant>,
    last: Option<Instant>,
}

struct Store {
    delay: Duration,
    answer: Value,
    calls: Mutex<Calls>,
}

impl Store {
    fn with_calls<T>(&self, change: impl FnOnce(&mut Calls) -> T) -> T {
        change(&mut self.calls.lock().expect("nobody panics while counting"))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [address, delay, file] = &arguments[..] else {
        return Err("usage: store ADDRESS MILLISECONDS FILE".into());
    };
    let delay = Duration::from_millis(delay.parse()?);
    let answer = serde_json::from_slice(&fs::read(file)?)?;
    let store = Arc::new(Store { delay, answer, calls: Mutex::default() });
    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let router = Router::new().route("/", post(get_secret_value)).route("/calls", get(calls));
    axum::serve(listener, router.with_state(store)).await?;
    Ok(())
}

async fn get_secret_value(State(store): State<Arc<Store>>, body: String) -> (StatusCode, Json<Value>) {
    let asked: Value = serde_json::from_str(&body).unwrap_or_default();
    let name = asked["SecretId"].as_str().unwrap_or_default();
    if name.ends_with(PROBE) {
        return (StatusCode::BAD_REQUEST, Json(json!({"__type": "ResourceNotFoundException"})));
    }
    store.with_calls(|calls| {
        calls.begun += 1;
        calls.under_way += 1;
        calls.most = calls.most.max(calls.under_way);
        calls.first.get_or_insert_with(Instant::now);
    });
    sleep(store.delay).await;
    store.with_calls(|calls| {
        calls.under_way -= 1;
        calls.last = Some(Instant::now());
    });
    let mut answer = store.answer.clone();
    answer["Name"] = name.into();
    (StatusCode::OK, Json(answer))
}

async fn calls(State(store): State<Arc<Store>>) -> Json<Value> {
    let calls = store.with_calls(std::mem::take);
    let seconds = calls.first.zip(calls.last).map_or(0.0, |(first, last)| (last - first).as_secs_f64());
    Json(json!({"calls": calls.begun, "most_at_once": calls.most, "seconds": seconds}))
}

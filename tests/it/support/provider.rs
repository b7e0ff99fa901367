//! Every provider of the catalogue, at once, on this machine. Takes all keys but those that a test told it
//! how to treat.

use std::{
    collections::HashMap,
    fmt::Write,
    sync::{LazyLock, Mutex, OnceLock},
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    extract::Request,
    http::{HeaderMap, Response, StatusCode},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use keybroker::domain::provider::Catalogue;
use serde_json::json;

/// How a key is treated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Treatment {
    /// It is refused, as this provider refuses.
    Refuse,
    /// The next so many times it is refused, and later taken.
    RefuseTimes(u32),
    /// The provider answers with this status.
    Status(u16),
    /// It redirects there.
    Redirect(String),
    /// It answers with this status and this body.
    Body(u16, String),
    /// It answers 200 and a body that never ends.
    Endless,
    /// It answers nothing.
    Silence,
    /// It sends its headers and then nothing.
    SilentBody,
    /// It takes the key after so long.
    Slow(Duration),
}

/// One request that the providers got.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub provider: String,
    pub method: String,
    pub path: String,
    pub headers: HeaderMap,
}

#[derive(Default)]
struct State {
    treatments: HashMap<String, Treatment>,
    asked: HashMap<String, Vec<Asked>>,
}

static STATE: LazyLock<Mutex<State>> = LazyLock::new(Mutex::default);

/// From now on `key` is treated so.
pub(crate) fn treat(key: &str, treatment: Treatment) {
    STATE.lock().unwrap().treatments.insert(key.to_owned(), treatment);
}

/// From now on `key` is taken.
pub(crate) fn take(key: &str) {
    STATE.lock().unwrap().treatments.remove(key);
}

/// The requests with `key`, in order.
pub(crate) fn asked(key: &str) -> Vec<Asked> {
    STATE.lock().unwrap().asked.get(key).cloned().unwrap_or_default()
}

/// Where they listen: `http://127.0.0.1:PORT`.
pub(crate) fn base() -> &'static str {
    static BASE: OnceLock<String> = OnceLock::new();
    BASE.get_or_init(|| {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        // A thread of its own: the tests' runtimes come and go.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                axum::serve(listener, axum::Router::new().fallback(answer)).await.unwrap();
            });
        });
        base
    })
}

/// The catalogue's entries, moved to this machine.
pub(crate) fn file() -> String {
    let mut text = String::new();
    for provider in Catalogue::builtin().unwrap().iter().filter(|provider| provider.api.is_some()) {
        writeln!(text, "[providers.{0}]\nbase_url = '{1}/{0}'", provider.name, base()).unwrap();
    }
    text
}

/// `PUT /_control/treat/{key}`, for tests that are not in this process: `take`, `refuse`, `silence`,
/// `status 503` or `slow 1500` (milliseconds).
async fn control(path: String, request: Request) -> Response<Body> {
    let key = path.trim_start_matches("treat/");
    let body = axum::body::to_bytes(request.into_body(), 1_024).await.unwrap();
    match str::from_utf8(&body).unwrap().trim().split_once(' ') {
        Some(("status", status)) => treat(key, Treatment::Status(status.parse().unwrap())),
        Some(("slow", millis)) => treat(key, Treatment::Slow(Duration::from_millis(millis.parse().unwrap()))),
        _ if &*body == b"take" => take(key),
        _ if &*body == b"refuse" => treat(key, Treatment::Refuse),
        _ if &*body == b"silence" => treat(key, Treatment::Silence),
        _ => return respond(400, String::new()),
    }
    respond(204, String::new())
}

async fn answer(request: Request) -> Response<Body> {
    let path = request.uri().path_and_query().unwrap().as_str().to_owned();
    if let Some(path) = path.strip_prefix("/_control/") {
        return control(path.to_owned(), request).await;
    }
    let (provider, path) = path.trim_start_matches('/').split_once('/').unwrap();
    let key = key(request.headers(), path);
    let treatment = {
        let mut state = STATE.lock().unwrap();
        state.asked.entry(key.clone()).or_default().push(Asked {
            provider: provider.to_owned(),
            method: request.method().to_string(),
            path: format!("/{path}"),
            headers: request.headers().clone(),
        });
        let treatment = state.treatments.get(&key).cloned();
        if let Some(Treatment::RefuseTimes(times)) = &treatment {
            let left = if *times > 1 { Some(Treatment::RefuseTimes(times - 1)) } else { None };
            match left {
                Some(left) => state.treatments.insert(key, left),
                None => state.treatments.remove(&key),
            };
        }
        treatment
    };
    match treatment {
        None => taken(provider, path),
        Some(Treatment::Refuse | Treatment::RefuseTimes(_)) => refused(provider),
        Some(Treatment::Status(status)) => respond(status, "{}".into()),
        Some(Treatment::Body(status, body)) => respond(status, body),
        Some(Treatment::Redirect(to)) => {
            let mut response = respond(302, String::new());
            response.headers_mut().insert("location", to.parse().unwrap());
            response
        }
        Some(Treatment::Slow(time)) => {
            tokio::time::sleep(time).await;
            taken(provider, path)
        }
        Some(Treatment::Silence) => std::future::pending().await,
        Some(Treatment::SilentBody) => {
            Response::new(Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>()))
        }
        Some(Treatment::Endless) => {
            let chunk = Bytes::from(vec![b'['; 64 << 10]);
            let chunks = futures_util::stream::repeat_with(move || Ok::<_, std::io::Error>(chunk.clone()));
            Response::new(Body::from_stream(chunks))
        }
    }
}

/// The key in a request, wherever its provider wants it.
fn key(headers: &HeaderMap, path: &str) -> String {
    let header = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let authorization = header("authorization").map(|text| {
        let (scheme, rest) = text.split_once(' ').unwrap();
        if scheme != "Basic" {
            return rest.to_owned();
        }
        let pair = String::from_utf8(BASE64_STANDARD.decode(rest).unwrap()).unwrap();
        pair.split_once(':').unwrap().1.to_owned()
    });
    let in_path = || Some(path.strip_prefix("bot")?.split('/').next()?.to_owned());
    let other = ["x-api-key", "xi-api-key", "x-goog-api-key"].into_iter().find_map(header);
    authorization.or(other).or_else(in_path).unwrap_or_default()
}

fn taken(provider: &str, path: &str) -> Response<Body> {
    let body = match (provider, path) {
        ("vapi", "assistant?limit=1") => json!([{"orgId": "org-of-vapi"}]),
        ("vapi", "assistant?limit=100") => json!([{}, {}, {}]),
        ("vapi", "phone-number?limit=100") => json!(vec![json!({}); 100]),
        ("slack", _) => json!({"ok": true, "team": "Acme", "user": "acmebot"}),
        _ => json!({}),
    };
    let mut response = respond(200, body.to_string());
    if provider == "openai" {
        response.headers_mut().insert("openai-organization", "acme-inc".parse().unwrap());
    }
    response
}

fn refused(provider: &str) -> Response<Body> {
    let (status, body) = match provider {
        "slack" => (200, json!({"ok": false, "error": "invalid_auth"})),
        "google" => (400, json!({"error": {"code": 400, "details": [{"reason": "API_KEY_INVALID"}]}})),
        "elevenlabs" => (401, json!({"detail": {"status": "invalid_api_key"}})),
        _ => (401, json!({"message": "no such key"})),
    };
    respond(status, body.to_string())
}

fn respond(status: u16, body: String) -> Response<Body> {
    let response = Response::builder().status(StatusCode::from_u16(status).unwrap());
    response.header("content-type", "application/json").body(body.into()).unwrap()
}

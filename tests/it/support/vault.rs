//! The customer vault's template, really running as a function behind its Function URL.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
};

use axum::{
    Json,
    body::Body,
    extract::{Request, State},
    http::{HeaderValue, Method, Response, header::HOST},
    routing::put,
};
use serde_json::{Map, Value, json};

use super::{
    app::random_bytes,
    client::{Call, forward},
    services::ministack,
};

/// Where tests that are not in this process `PUT` the function's environment, as an object of texts.
const CONTROL: &str = "/_control/environment";

/// What stands before a function.
#[derive(Clone)]
struct Front {
    host: HeaderValue,
    path: String,
}

/// A function of the test's own. Dropped, it is deleted.
pub(crate) struct VaultFunction {
    /// Where its URL leads, which no name service knows: plain HTTP on this machine.
    pub address: SocketAddr,
    path: String,
    front: tokio::task::JoinHandle<()>,
}

impl VaultFunction {
    /// Does what an organization's admin does, with these environment variables.
    pub(crate) async fn deploy(variables: &[(&str, &str)]) -> Self {
        let name = format!("vault-{}", uuid::Uuid::from_bytes(random_bytes()).simple());
        let path = format!("/2015-03-31/functions/{name}");
        let function = json!({
            "FunctionName": name,
            "Runtime": "nodejs22.x",
            "Role": "arn:aws:iam::000000000000:role/vault",
            "Handler": "index.handler",
            "Code": {"ZipFile": ministack().template},
            "Environment": environment(variables),
        });
        lambda(Method::POST, "/2015-03-31/functions", &function).await;
        let url = format!("/2021-10-31/functions/{name}/url");
        let url = lambda(Method::POST, &url, &json!({"AuthType": "NONE"})).await["FunctionUrl"].take();
        let host = url.as_str().unwrap().trim_start_matches("https://").trim_end_matches('/').to_owned();
        for (action, condition, value) in [
            ("lambda:InvokeFunctionUrl", "FunctionUrlAuthType", json!("NONE")),
            ("lambda:InvokeFunction", "InvokedViaFunctionUrl", json!(true)),
        ] {
            let permission =
                json!({"StatementId": condition, "Action": action, "Principal": "*", condition: value});
            lambda(Method::POST, &format!("{path}/policy"), &permission).await;
        }
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let front = Front { host: HeaderValue::try_from(host).unwrap(), path: path.clone() };
        let router = axum::Router::new().route(CONTROL, put(control)).fallback(pass).with_state(front);
        let front = async { axum::serve(listener, router).await.unwrap() };
        #[expect(clippy::disallowed_methods, reason = "aborted when the function is dropped")]
        let front = tokio::spawn(front);
        Self { address, path, front }
    }

    /// From now on it has these environment variables and no others.
    pub(crate) async fn set(&self, variables: &[(&str, &str)]) {
        configure(&self.path, environment(variables)).await;
    }
}

impl Drop for VaultFunction {
    fn drop(&mut self) {
        self.front.abort();
        // Each function is a process. Where this fails, they end with the emulator.
        if let Ok(mut stream) = TcpStream::connect(ministack().address) {
            let path = &self.path;
            let _ = write!(stream, "DELETE {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
            let _ = stream.read_to_end(&mut Vec::new());
        }
    }
}

fn environment(variables: &[(&str, &str)]) -> Value {
    let variables: Map<_, _> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    json!({"Variables": variables})
}

async fn configure(path: &str, environment: Value) {
    let configuration = json!({"Environment": environment});
    lambda(Method::PUT, &format!("{path}/configuration"), &configuration).await;
}

async fn control(State(front): State<Front>, Json(variables): Json<Value>) {
    configure(&front.path, json!({"Variables": variables})).await;
}

/// Lambda's own API, which the emulator opens to everyone.
async fn lambda(method: Method, path: &str, body: &Value) -> Value {
    let reply = Call::new(ministack().address, method, path).json(body).send().await;
    assert!(reply.status.is_success(), "{path}: {reply:?}");
    reply.json()
}

/// The emulator knows a function by the host that it is asked for.
async fn pass(State(Front { host, .. }): State<Front>, mut request: Request) -> Response<Body> {
    request.headers_mut().insert(HOST, host);
    forward(ministack().address, request).await
}

//! An HTTP client that sends a path as it is: no normalising, no encoding.

use std::net::SocketAddr;

use axum::{body::Body, extract, response::Response};
use http_body_util::{BodyExt, Full};
use hyper::{
    HeaderMap, Method, Request, StatusCode,
    body::Bytes,
    client::conn::http1,
    header::{AUTHORIZATION, CONTENT_TYPE, HOST},
};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A request being put together.
pub(crate) struct Call {
    address: SocketAddr,
    method: Method,
    path: String,
    headers: Vec<(String, String)>,
    body: Bytes,
}

/// An answer, read whole.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Call {
    pub(crate) fn new(address: SocketAddr, method: Method, path: impl Into<String>) -> Self {
        Self { address, method, path: path.into(), headers: Vec::new(), body: Bytes::new() }
    }

    pub(crate) fn token(self, token: &str) -> Self {
        self.header(AUTHORIZATION.as_str(), &format!("Bearer {token}"))
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.header(CONTENT_TYPE.as_str(), "application/json").body(body.to_string())
    }

    pub(crate) fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// The answer, if the server lives to give one.
    pub(crate) async fn try_send(self) -> Option<Reply> {
        let stream = TcpStream::connect(self.address).await.ok()?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
        let mut request =
            Request::builder().method(self.method).uri(self.path).header(HOST, self.address.to_string());
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(self.body)).expect("the test sends a request");
        let answer = async move {
            let response = sender.send_request(request).await.ok()?;
            let (parts, body) = response.into_parts();
            let bytes = body.collect().await.ok()?.to_bytes();
            let text = String::from_utf8(bytes.into()).expect("answers are UTF-8");
            Some(Reply { status: parts.status, headers: parts.headers, text })
        };
        tokio::join!(answer, connection).0
    }

    pub(crate) async fn send(self) -> Reply {
        let what = format!("{} {}", self.method, self.path);
        self.try_send().await.unwrap_or_else(|| panic!("{what}: no answer"))
    }
}

/// Sends bytes as they are, even such as no client would, and reads one answer until the server ends the
/// connection, which the request should ask for.
pub(crate) async fn raw(address: SocketAddr, request: &[u8]) -> Reply {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // A server that has heard enough may answer before it has read all.
    let _ = stream.write_all(request).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8(answer).expect("answers are UTF-8");
    let (head, text) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines.map(|line| line.split_once(": ").unwrap());
    let headers = headers.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
    Reply { status, headers, text: text.to_owned() }
}

/// Sends on what a proxy of ours got, as it is: a signature may cover the headers.
pub(super) async fn forward(upstream: SocketAddr, request: extract::Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let request = Request::from_parts(parts, Full::new(body.collect().await.unwrap().to_bytes()));
    let stream = TcpStream::connect(upstream).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    let answer = async move {
        let (parts, body) = sender.send_request(request).await.unwrap().into_parts();
        Response::from_parts(parts, body.collect().await.unwrap().to_bytes().into())
    };
    tokio::join!(answer, connection).0
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {}", self.text))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The version in the `ETag`.
    pub(crate) fn version(&self) -> String {
        self.header("etag").unwrap_or_else(|| panic!("no ETag: {self:?}")).trim_matches('"').to_owned()
    }

    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self
    }

    /// Checks an error's whole form, and that its code is the one expected.
    #[track_caller]
    pub(crate) fn expect_problem(self, status: u16, code: &str) -> Self {
        let reply = self.expect(status);
        assert_eq!(reply.header("content-type"), Some("application/problem+json"), "{reply:?}");
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        let body = reply.json();
        assert_eq!(body["code"], code, "{body}");
        assert_eq!(body["status"], status);
        assert_eq!(body["request_id"], reply.header("x-request-id").unwrap());
        assert!(body["retryable"].is_boolean() && !body["title"].as_str().unwrap().is_empty(), "{body}");
        assert!(body["detail"].as_str().unwrap().len() > 20, "{body}");
        reply
    }
}

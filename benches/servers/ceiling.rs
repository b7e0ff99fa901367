//! The ceiling of the benches: an axum server that does nothing but answer, with the bytes of one answer of
//! keybroker's that it is given. It is an example and no part of the program.
//!
//! `ceiling ADDRESS FILE`, where FILE holds `{"headers": {"etag": "…", …}, "body": "…"}`.

use std::{collections::HashMap, env, error::Error, fs};

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Response},
};
use bytes::Bytes;
use serde::Deserialize;
use tokio::net::TcpListener;

/// The allocator of keybroker, so that what is compared is what is done.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Deserialize)]
struct Answer {
    headers: HashMap<String, String>,
    body: String,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [address, file] = &arguments[..] else { return Err("usage: ceiling ADDRESS FILE".into()) };
    let answer: Answer = serde_json::from_slice(&fs::read(file)?)?;
    let headers: HeaderMap = (&answer.headers).try_into()?;
    let body = Bytes::from(answer.body);
    let answer = move || {
        let mut response = Response::new(Body::from(body.clone()));
        response.headers_mut().clone_from(&headers);
        std::future::ready(response)
    };
    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, Router::new().fallback(answer)).await?;
    Ok(())
}

//! What the tests stand on: real services, the real program, and a client that sends any bytes.

pub(crate) mod app;
pub(crate) mod aws;
pub(crate) mod client;
pub(crate) mod database;
pub(crate) mod fake_vault;
pub(crate) mod provider;
pub(crate) mod services;
pub(crate) mod vault;
pub(crate) mod wire;

pub(crate) use app::{Db, Store, TestApp};
pub(crate) use client::Reply;

use std::time::Duration;

/// Waits until `check` holds, asking every 50 ms for 60 s at most.
pub(crate) async fn until<F, T>(what: &str, mut check: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    for _ in 0..1_200 {
        if let Some(found) = check().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("did not happen within a minute: {what}");
}

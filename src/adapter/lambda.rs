//! The way to organizations' own functions: AWS Lambda Function URLs, through the guard.
//!
//! One POST for all names. Connections are kept and used again, each to the address that was checked when
//! it was made. What fails is logged without the URL and without anything that was sent or answered.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use reqwest::{
    Response, StatusCode,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue},
};
use serde::Serialize;
use zeroize::Zeroizing;

use super::guard::{Guard, Lookup, NoBody, Refusal, SystemLookup, body, cause};
use crate::{
    domain::vault::{KeyName, VaultAnswer, VaultFault, VaultToken, VaultUrl},
    port::vault::VaultFunctions,
};

/// The largest answer that is read, in bytes.
const LARGEST_ANSWER: usize = 64 << 10;

/// How long an unused connection is kept: less than AWS keeps one.
const KEEP: Duration = Duration::from_secs(30);

/// How many unused connections to one function are kept.
const KEPT: usize = 8;

const TOO_SLOW: &str = "it did not answer in time";
const NOT_REACHED: &str = "it can't be reached, or TLS with it failed";

/// The way to organizations' own functions.
pub struct VaultClient(Guard);

#[derive(Serialize)]
struct Question<'a> {
    keys: Vec<&'a str>,
}

impl VaultClient {
    /// A client. It goes to private addresses only if `allow_private`.
    #[must_use]
    pub fn new(allow_private: bool) -> Self {
        Self::with(allow_private, &(Arc::new(SystemLookup) as Arc<dyn Lookup>))
    }

    fn with(allow_private: bool, lookup: &Arc<dyn Lookup>) -> Self {
        Self(Guard::new(allow_private, lookup, |client| {
            client.pool_idle_timeout(KEEP).pool_max_idle_per_host(KEPT)
        }))
    }
}

#[async_trait]
impl VaultFunctions for VaultClient {
    async fn ask(
        &self,
        url: &VaultUrl,
        token: &VaultToken,
        names: &[&KeyName],
        limit: Duration,
    ) -> Result<VaultAnswer, VaultFault> {
        let client = self.0.client(url.url()).map_err(refused)?;
        let question = Question { keys: names.iter().map(|name| name.as_str()).collect() };
        let question = serde_json::to_vec(&question).expect("names are always written");
        let sent = client
            .post(url.url().clone())
            .timeout(limit)
            .header(AUTHORIZATION, bearer(token))
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, "application/json")
            .body(question)
            .send()
            .await;
        let response = sent.map_err(|error| no_answer(&error))?;
        match response.status() {
            StatusCode::OK => answer(response).await,
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                Err(VaultFault::Unauthorized(status.as_u16()))
            }
            status => {
                Err(VaultFault::BadResponse(format!("it answered with the status {}", status.as_u16())))
            }
        }
    }
}

fn bearer(token: &VaultToken) -> HeaderValue {
    let text = Zeroizing::new(format!("Bearer {}", token.reveal()));
    let mut value = HeaderValue::from_str(&text).expect("a vault's token is letters and digits");
    value.set_sensitive(true);
    value
}

async fn answer(response: Response) -> Result<VaultAnswer, VaultFault> {
    let wrong = |why: &str| VaultFault::BadResponse(why.to_owned());
    let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = content_type.and_then(|value| value.split(';').next()).unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        return Err(wrong("its answer is not called application/json"));
    }
    let body = body(response, LARGEST_ANSWER).await.map_err(|no_body| match no_body {
        NoBody::TooLarge => wrong("its answer is larger than 64 KiB"),
        NoBody::Failed(error) => no_answer(&error),
    })?;
    VaultAnswer::read(&body).map_err(|malformed| {
        tracing::info!(length = body.len(), "a vault's answer has another form");
        VaultFault::BadResponse(malformed.to_string())
    })
}

fn refused(refusal: Refusal) -> VaultFault {
    tracing::warn!(%refusal, "a vault was not asked");
    VaultFault::Unreachable(match refusal {
        Refusal::PrivateAddress => {
            "its address is private, which KEYBROKER_ALLOW_PRIVATE_ADDRESSES does not allow"
        }
        Refusal::NotSecure => "its URL is http, and its address is public",
        Refusal::NoTls => "TLS can't be set up here: the service lacks CA certificates",
    })
}

fn no_answer(error: &reqwest::Error) -> VaultFault {
    match cause(error) {
        Ok(refusal) => refused(refusal),
        Err(cause) => {
            tracing::info!(cause, "a vault gave no answer");
            VaultFault::Unreachable(if error.is_timeout() { TOO_SLOW } else { NOT_REACHED })
        }
    }
}

#[cfg(test)]
mod tests;

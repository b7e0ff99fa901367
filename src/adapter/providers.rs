//! The way to the providers' APIs, through the guard.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use reqwest::{
    Method as HttpMethod, Url,
    header::{ACCEPT, HeaderMap, HeaderName, HeaderValue},
};
use secrecy::ExposeSecret;

use super::guard::{Guard, Lookup, Refusal, SystemLookup, body, cause};
use crate::{
    domain::provider::{ApiAnswer, ApiRequest, Method},
    port::providers::{NoAnswer, ProviderApis},
};

/// The largest body that is read, in bytes: a list of a hundred assistants has some hundred thousand.
const LARGEST_BODY: usize = 1 << 20;

/// The way to the providers' APIs.
pub struct ProviderClient(Guard);

impl ProviderClient {
    /// A client that waits so long for a whole answer. Where TLS can't be set up every provider is
    /// unreachable.
    #[must_use]
    pub fn new(timeout: Duration, allow_private: bool) -> Self {
        let lookup: Arc<dyn Lookup> = Arc::new(SystemLookup);
        Self(Guard::new(allow_private, &lookup, |client| {
            client
                .timeout(timeout)
                .connect_timeout(timeout)
                // A key is tried seldom, and a kept connection that the provider is just closing would look
                // like trouble of its own.
                .pool_max_idle_per_host(0)
        }))
    }

    /// Whether TLS could be set up.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.0.is_usable()
    }
}

impl From<Refusal> for NoAnswer {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::PrivateAddress => Self::PrivateAddress,
            Refusal::NotSecure => Self::NotSecure,
            Refusal::NoTls => Self::Unreachable,
        }
    }
}

#[async_trait]
impl ProviderApis for ProviderClient {
    #[expect(clippy::disallowed_methods, reason = "sent to the provider, whose key it is")]
    async fn ask(&self, request: ApiRequest, wants_body: bool) -> Result<ApiAnswer, NoAnswer> {
        let url = Url::parse(request.url.expose_secret()).map_err(|_| NoAnswer::Unaskable)?;
        let client = self.0.client(&url)?;
        let method = match request.method {
            Method::Get => HttpMethod::GET,
            Method::Post => HttpMethod::POST,
        };
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        for (name, value) in &request.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| NoAnswer::Unaskable)?;
            let mut value = HeaderValue::from_str(value.expose_secret()).map_err(|_| NoAnswer::Unsendable)?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        let host = url.host_str().unwrap_or_default().to_owned();
        let sent = client.request(method, url).headers(headers).send().await;
        let response = sent.map_err(|error| no_answer(&error, &host))?;
        let status = response.status().as_u16();
        let text = |(name, value): (&HeaderName, &HeaderValue)| {
            Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
        };
        let headers = response.headers().iter().filter_map(text).collect();
        let body = if wants_body { body(response, LARGEST_BODY).await.ok() } else { None };
        let body = body.and_then(|body| serde_json::from_slice(&body).ok());
        Ok(ApiAnswer { status, headers, body })
    }
}

fn no_answer(error: &reqwest::Error, host: &str) -> NoAnswer {
    match cause(error) {
        Ok(refusal) => refusal.into(),
        Err(cause) => {
            tracing::info!(host, cause, "a provider gave no answer");
            if error.is_timeout() { NoAnswer::TimedOut } else { NoAnswer::Unreachable }
        }
    }
}

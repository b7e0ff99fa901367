//! The way to the providers' APIs, and the guard before it.
//!
//! A name is resolved once, every address is checked, and the connection goes to one that was checked: a
//! name that changes its answer in between gains nothing. No redirect is followed and no proxy of the
//! environment is used.

use std::{error::Error as _, io, net::IpAddr, sync::Arc, time::Duration};

use async_trait::async_trait;
use reqwest::{
    Client, Method as HttpMethod, Response, Url,
    dns::{Addrs, Name, Resolve, Resolving},
    header::{ACCEPT, HeaderMap, HeaderName, HeaderValue},
    redirect::Policy,
};
use secrecy::ExposeSecret;
use url::Host;
use zeroize::Zeroizing;

use crate::{
    domain::{
        address::is_public,
        provider::{ApiAnswer, ApiRequest, Method},
    },
    port::providers::{NoAnswer, ProviderApis},
};

/// The largest body that is read, in bytes: a list of a hundred assistants has some hundred thousand.
const LARGEST_BODY: usize = 1 << 20;

/// HTTP clients of which each goes only to addresses that suit it.
pub struct ProviderClient {
    /// For https: to public addresses; to any, where private ones are allowed. Nothing, where TLS can't be
    /// set up.
    secure: Option<Guarded>,
    /// For http, where private addresses are allowed: to these only, so that no key crosses a public
    /// network in clear.
    plain: Option<Guarded>,
}

struct Guarded {
    client: Client,
    allowed: Allowed,
}

/// Which addresses a client may go to.
#[derive(Debug, Clone, Copy)]
enum Allowed {
    Public,
    Private,
    Any,
}

impl Allowed {
    fn permits(self, address: IpAddr) -> bool {
        match self {
            Self::Public => is_public(address),
            Self::Private => !is_public(address),
            Self::Any => true,
        }
    }

    /// What it says of an address that it does not permit.
    fn refusal(self) -> NoAnswer {
        match self {
            Self::Public => NoAnswer::PrivateAddress,
            Self::Private | Self::Any => NoAnswer::NotSecure,
        }
    }
}

impl ProviderClient {
    /// Clients that wait so long for a whole answer. Where TLS can't be set up, since the system has no
    /// certificates, say, every provider is unreachable, and the rest of the service works.
    #[must_use]
    pub fn new(timeout: Duration, allow_private: bool) -> Self {
        let secure = if allow_private { Allowed::Any } else { Allowed::Public };
        let plain = allow_private.then_some(Allowed::Private);
        let usable = |guarded: Result<Guarded, reqwest::Error>| {
            let failed = |error: &reqwest::Error| {
                tracing::error!(
                    error = error.to_string(),
                    "TLS can't be set up, so no key can be tried: install CA certificates"
                );
            };
            guarded.inspect_err(failed).ok()
        };
        Self {
            secure: usable(Guarded::new(secure, timeout)),
            plain: plain.and_then(|allowed| usable(Guarded::new(allowed, timeout))),
        }
    }

    /// Whether TLS could be set up.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.secure.is_some()
    }

    fn for_url(&self, url: &Url) -> Result<&Guarded, NoAnswer> {
        let guarded = match url.scheme() {
            "https" => self.secure.as_ref().ok_or(NoAnswer::Unreachable)?,
            _ => self.plain.as_ref().ok_or_else(|| match literal(url) {
                Some(address) if !is_public(address) => NoAnswer::PrivateAddress,
                _ => NoAnswer::NotSecure,
            })?,
        };
        // An address in the URL itself is not resolved, and so not checked on the way.
        match literal(url) {
            Some(address) if !guarded.allowed.permits(address) => Err(guarded.allowed.refusal()),
            _ => Ok(guarded),
        }
    }
}

fn literal(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Ipv4(address) => Some(address.into()),
        Host::Ipv6(address) => Some(address.into()),
        Host::Domain(_) => None,
    }
}

impl Guarded {
    fn new(allowed: Allowed, timeout: Duration) -> Result<Self, reqwest::Error> {
        let client = Client::builder()
            .dns_resolver(Arc::new(Resolver(allowed)))
            .redirect(Policy::none())
            .no_proxy()
            .timeout(timeout)
            .connect_timeout(timeout)
            // A key is tried seldom, and a kept connection that the provider is just closing would look like
            // trouble of its own.
            .pool_max_idle_per_host(0)
            .user_agent(concat!("keybroker/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { client, allowed })
    }
}

/// Resolves names, and refuses those of which any address is not allowed.
struct Resolver(Allowed);

/// An address that a client may not go to.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refused(NoAnswer);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let allowed = self.0;
        Box::pin(async move {
            let addresses: Vec<_> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            if addresses.is_empty() {
                return Err(io::Error::from(io::ErrorKind::NotFound).into());
            }
            if !addresses.iter().all(|address| allowed.permits(address.ip())) {
                return Err(Refused(allowed.refusal()).into());
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

#[async_trait]
impl ProviderApis for ProviderClient {
    #[expect(clippy::disallowed_methods, reason = "sent to the provider, whose key it is")]
    async fn ask(&self, request: ApiRequest, wants_body: bool) -> Result<ApiAnswer, NoAnswer> {
        let url = Url::parse(request.url.expose_secret()).map_err(|_| NoAnswer::Unaskable)?;
        let guarded = self.for_url(&url)?;
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
        let sent = guarded.client.request(method, url).headers(headers).send().await;
        let response = sent.map_err(|error| no_answer(&error, &host))?;
        let status = response.status().as_u16();
        let text = |(name, value): (&HeaderName, &HeaderValue)| {
            Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
        };
        let headers = response.headers().iter().filter_map(text).collect();
        let body = if wants_body { json(response).await } else { None };
        Ok(ApiAnswer { status, headers, body })
    }
}

/// The cause of a failure, for the log alone, and what a caller is told. The failure's own text is left out:
/// it may hold the URL, and so a key.
fn no_answer(error: &reqwest::Error, host: &str) -> NoAnswer {
    let (mut cause, mut causes) = (error.source(), Vec::new());
    while let Some(inner) = cause {
        if let Some(Refused(refusal)) = inner.downcast_ref() {
            return *refusal;
        }
        causes.push(inner.to_string());
        cause = inner.source();
    }
    tracing::info!(host, cause = causes.join(": "), "a provider gave no answer");
    if error.is_timeout() { NoAnswer::TimedOut } else { NoAnswer::Unreachable }
}

/// The body, if it arrives in time, is not too large, and is JSON.
async fn json(mut response: Response) -> Option<serde_json::Value> {
    let announced = response.content_length().and_then(|length| usize::try_from(length).ok());
    // Never grows: growing would leave an unwiped copy behind, and an answer may hold a key.
    let room = announced.unwrap_or(LARGEST_BODY);
    if room > LARGEST_BODY {
        return None;
    }
    let mut body = Zeroizing::new(Vec::with_capacity(room));
    while let Some(chunk) = response.chunk().await.ok()? {
        if body.len() + chunk.len() > body.capacity() {
            return None;
        }
        body.extend_from_slice(&chunk);
    }
    serde_json::from_slice(&body).ok()
}

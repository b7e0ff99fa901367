//! The guard before every URL that is not the operator's own: HTTP clients that go only where they may.
//!
//! A name is resolved once, every address is checked, and the connection goes to one that was checked: a
//! name that changes its answer in between gains nothing. No redirect is followed and no proxy of the
//! environment is used.

use std::{
    error::Error as _,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use futures_util::future::BoxFuture;
use reqwest::{
    Client, ClientBuilder, Response, Url,
    dns::{Addrs, Name, Resolve, Resolving},
    redirect::Policy,
};
use url::Host;
use zeroize::Zeroizing;

use crate::domain::address::is_public;

/// Which addresses a client may go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Allowed {
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
    fn refusal(self) -> Refusal {
        match self {
            Self::Public => Refusal::PrivateAddress,
            Self::Private | Self::Any => Refusal::NotSecure,
        }
    }
}

/// Why the guard lets a request go nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// The address is private.
    #[error("its address is private")]
    PrivateAddress,
    /// It would go over a public network in clear.
    #[error("its URL is not https")]
    NotSecure,
    /// TLS can't be set up.
    #[error("TLS can't be set up")]
    NoTls,
}

/// How names become addresses. Tests have ways of their own.
pub(super) trait Lookup: Send + Sync + 'static {
    /// The addresses of a name; their ports say nothing.
    fn addresses(&self, name: &str) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>>;
}

/// As the system does it.
pub(super) struct SystemLookup;

impl Lookup for SystemLookup {
    fn addresses(&self, name: &str) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        let name = name.to_owned();
        Box::pin(async move { Ok(tokio::net::lookup_host((name, 0)).await?.collect()) })
    }
}

/// HTTP clients of which each goes only to addresses that suit it.
pub(super) struct Guard {
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

impl Guard {
    /// A guard whose clients are made by `build` beyond what all of them have in common. Where TLS can't be
    /// set up, since the system has no certificates, say, it lets no https pass, and the rest of the service
    /// works.
    pub(super) fn new(
        allow_private: bool,
        lookup: &Arc<dyn Lookup>,
        build: impl Fn(ClientBuilder) -> ClientBuilder,
    ) -> Self {
        let make = |allowed| {
            let client = build(Client::builder())
                .dns_resolver(Arc::new(Resolver { allowed, lookup: Arc::clone(lookup) }))
                .redirect(Policy::none())
                .no_proxy()
                .user_agent(concat!("keybroker/", env!("CARGO_PKG_VERSION")))
                .build();
            let failed = |error: &reqwest::Error| {
                tracing::error!(error = error.to_string(), "TLS can't be set up: install CA certificates");
            };
            client.inspect_err(failed).ok().map(|client| Guarded { client, allowed })
        };
        Self {
            secure: make(if allow_private { Allowed::Any } else { Allowed::Public }),
            plain: allow_private.then(|| make(Allowed::Private)).flatten(),
        }
    }

    /// Whether TLS could be set up.
    pub(super) fn is_usable(&self) -> bool {
        self.secure.is_some()
    }

    /// The client for a URL, if it may be asked at all.
    pub(super) fn client(&self, url: &Url) -> Result<&Client, Refusal> {
        let guarded = match url.scheme() {
            "https" => self.secure.as_ref().ok_or(Refusal::NoTls)?,
            _ => self.plain.as_ref().ok_or_else(|| match literal(url) {
                Some(address) if !is_public(address) => Refusal::PrivateAddress,
                _ => Refusal::NotSecure,
            })?,
        };
        // An address in the URL itself is not resolved, and so not checked on the way.
        match literal(url) {
            Some(address) if !guarded.allowed.permits(address) => Err(guarded.allowed.refusal()),
            _ => Ok(&guarded.client),
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

/// Resolves names, and refuses those of which any address is not allowed.
struct Resolver {
    allowed: Allowed,
    lookup: Arc<dyn Lookup>,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (allowed, addresses) = (self.allowed, self.lookup.addresses(name.as_str()));
        Box::pin(async move {
            let addresses = addresses.await?;
            if addresses.is_empty() {
                return Err(io::Error::from(io::ErrorKind::NotFound).into());
            }
            if !addresses.iter().all(|address| allowed.permits(address.ip())) {
                return Err(allowed.refusal().into());
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// Why a request failed: the guard's refusal, or the causes in words, for the log alone. The failure's own
/// text is left out: it may hold the URL, and so a key.
pub(super) fn cause(error: &reqwest::Error) -> Result<Refusal, String> {
    let (mut cause, mut causes) = (error.source(), Vec::new());
    while let Some(inner) = cause {
        if let Some(refusal) = inner.downcast_ref() {
            return Ok(*refusal);
        }
        causes.push(inner.to_string());
        cause = inner.source();
    }
    Err(causes.join(": "))
}

/// Why a body could not be had.
#[derive(Debug)]
pub(super) enum NoBody {
    /// It has more bytes than allowed.
    TooLarge,
    /// It broke off, or did not come in time.
    Failed(reqwest::Error),
}

/// A body of at most `most` bytes, in memory that is wiped and never grows: growing would leave an unwiped
/// copy behind, and an answer may hold a key.
pub(super) async fn body(mut response: Response, most: usize) -> Result<Zeroizing<Vec<u8>>, NoBody> {
    let announced = response.content_length().and_then(|length| usize::try_from(length).ok());
    let room = announced.unwrap_or(most);
    if room > most {
        return Err(NoBody::TooLarge);
    }
    let mut body = Zeroizing::new(Vec::with_capacity(room));
    while let Some(chunk) = response.chunk().await.map_err(NoBody::Failed)? {
        if body.len() + chunk.len() > body.capacity() {
            return Err(NoBody::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

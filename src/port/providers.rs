//! The providers' APIs, asked whether keys work.

use async_trait::async_trait;

use crate::domain::provider::{ApiAnswer, ApiRequest};

/// A way to the providers' APIs.
#[async_trait]
pub trait ProviderApis: Send + Sync {
    /// Sends one request and waits for the answer. Follows no redirect, and goes to no private address
    /// unless the operator allowed it.
    ///
    /// The body is read only where `wants_body`; one that is too large, too slow or not JSON is left out.
    ///
    /// # Errors
    /// If there is no answer.
    async fn ask(&self, request: ApiRequest, wants_body: bool) -> Result<ApiAnswer, NoAnswer>;
}

/// Why there is no answer. Says nothing that a caller may not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// It did not come in time.
    #[error("it did not answer in time")]
    TimedOut,
    /// Its name, a connection to it, or TLS with it failed.
    #[error("it can't be reached")]
    Unreachable,
    /// Its address is private.
    #[error("its address is private, which KEYBROKER_ALLOW_PRIVATE_ADDRESSES does not allow")]
    PrivateAddress,
    /// It wants the key in clear over a public network.
    #[error("its URL is not https")]
    NotSecure,
    /// Too many of its keys are being tried.
    #[error("too many of its keys are being tried at present")]
    Busy,
    /// The catalogue's entry does not fit these fields.
    #[error("its catalogue entry makes no request of these fields")]
    Unaskable,
    /// The key has characters that HTTP can't carry.
    #[error("the key has characters that no header can carry")]
    Unsendable,
}

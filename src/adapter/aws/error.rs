//! What an error of AWS means, by its code. The HTTP status is no guide: a denial and a throttled call
//! both arrive as 400.
//!
//! The codes are those of the [API reference] and of the [errors common to all of AWS]. To add one: its
//! line in [`meaning`].
//!
//! [API reference]: https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_Operations.html
//! [errors common to all of AWS]: https://docs.aws.amazon.com/secretsmanager/latest/apireference/CommonErrors.html

use std::error::Error;

use aws_sdk_secretsmanager::{
    error::{ConnectorError, ProvideErrorMetadata, SdkError},
    operation::RequestId,
};

use super::meter;
use crate::{domain::policy::GET_SECRET_VALUE, port::store::StoreError};

/// The code for a secret, or a version of one, that isn't there.
pub(super) const NOT_FOUND: &str = "ResourceNotFoundException";

/// The code for a secret that is there, or a version that is there with another value.
pub(super) const ALREADY_EXISTS: &str = "ResourceExistsException";

/// The SDK's words for credentials that aren't there or are set up wrongly. Its type for this can't be
/// named without one more crate; a test notices when the words change.
const NO_CREDENTIALS: [&str; 2] =
    ["the credential provider was not enabled", "the credentials provider was not properly configured"];

/// Its words for credentials that should be there and may come yet: a role's, from a service that
/// stumbles.
const CREDENTIALS_FAILED: [&str; 2] =
    ["an error occurred while loading credentials", "unexpected credentials error"];

/// What is told where the SDK's own words might hold the request.
const NOT_SENT: &str =
    "the request could not be sent or its answer not understood; check AWS_ENDPOINT_URL and proxy settings";

/// A call that failed: what it means, and the code by which a caller may still go on.
#[derive(Debug)]
pub(super) struct Failure {
    code: Option<String>,
    meaning: Option<Meaning>,
    error: StoreError,
}

impl Failure {
    /// Reads the SDK's error. Its text is the action, the secret's name, the code and the request id;
    /// of AWS's own message nothing is repeated.
    pub(super) fn of<E>(action: &str, name: &str, error: &SdkError<E>) -> Self
    where
        E: ProvideErrorMetadata,
    {
        if let (SdkError::ServiceError(_), Some(code)) = (error, error.code()) {
            let request = error.request_id().unwrap_or("none");
            let text = format!("{action} of {name}: {code} (request {request})");
            let message = error.message().unwrap_or_default();
            let meaning = meaning(code, message);
            let error = answered(action, meaning, message, text);
            return Self { code: Some(code.to_owned()), meaning: Some(meaning), error };
        }
        let unavailable = |what: String| StoreError::Unavailable(format!("{action} of {name}: {what}"));
        let refused = |what: &str| StoreError::Refused(format!("{action} of {name}: {what}"));
        let error = match error {
            SdkError::ConstructionFailure(_) => refused("the SDK could not form the request"),
            SdkError::TimeoutError(_) => unavailable("no answer in time".into()),
            SdkError::DispatchFailure(failure) => match failure.as_connector_error() {
                Some(error) if says(error, NO_CREDENTIALS) => refused("no AWS credentials"),
                Some(error) => unavailable(why(error)),
                None => unavailable(NOT_SENT.into()),
            },
            // An answer that is no answer of AWS: cut off, garbled, from a proxy in between. So are the
            // kinds of error that the SDK may yet invent: it calls its list open.
            _ => {
                let status = error.raw_response().map_or(0, |response| response.status().as_u16());
                unavailable(format!("an answer that can't be read, of HTTP status {status}"))
            }
        };
        Self { code: None, meaning: None, error }
    }

    /// Whether AWS knows who asks and does not allow it.
    pub(super) fn is_denial(&self) -> bool {
        self.meaning == Some(Meaning::Denied)
    }

    /// Whether AWS does not know who asks.
    pub(super) fn is_wrong_key(&self) -> bool {
        self.meaning == Some(Meaning::WrongKey)
    }

    /// Whether AWS answered with this code.
    pub(super) fn is(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code)
    }

    /// The outcome's word in the metrics.
    pub(super) fn outcome(&self) -> &'static str {
        match self.code.as_deref() {
            Some(NOT_FOUND) => "not_found",
            Some(ALREADY_EXISTS) => "already_exists",
            _ => meter::word(&self.error),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self { code: None, meaning: None, error }
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        failure.error
    }
}

impl From<&Failure> for StoreError {
    fn from(failure: &Failure) -> Self {
        failure.error.clone()
    }
}

/// The error of an answer that means this; `text` is what the log is told of it.
fn answered(action: &str, meaning: Meaning, message: &str, text: String) -> StoreError {
    match meaning {
        Meaning::ScheduledForDeletion => StoreError::ScheduledForDeletion,
        Meaning::Denied => StoreError::Refused(format!("{text}; {}", remedy(action, message))),
        Meaning::WrongKey | Meaning::Refused => StoreError::Refused(text),
        Meaning::Unacceptable => StoreError::Unacceptable(text),
        Meaning::Unavailable => StoreError::Unavailable(text),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    ScheduledForDeletion,
    Refused,
    /// Refused for want of a permission.
    Denied,
    /// Refused because the access key, its secret, or this machine's clock is wrong.
    WrongKey,
    Unacceptable,
    Unavailable,
}

#[expect(clippy::match_same_arms, reason = "grouped by cause")]
fn meaning(code: &str, message: &str) -> Meaning {
    match code {
        "AccessDeniedException" | "AccessDenied" | "NotAuthorized" => Meaning::Denied,

        // The credentials are wrong or spent, or this machine's clock is wrong.
        "ExpiredToken"
        | "ExpiredTokenException"
        | "IncompleteSignature"
        | "IncompleteSignatureException"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "OptInRequired"
        | "RequestExpired"
        | "RequestTimeTooSkewed"
        | "SignatureDoesNotMatch"
        | "UnrecognizedClientException" => Meaning::WrongKey,

        // The KMS key is missing, disabled or not for keybroker.
        "DecryptionFailure" | "EncryptionFailure" => Meaning::Refused,
        "KMSThrottlingException" | "KMSInternalException" => Meaning::Unavailable,
        _ if code.starts_with("KMS") => Meaning::Refused,

        // Its only sign is the message, which exists in several wordings.
        "InvalidRequestException" if tells_of_deletion(message) => Meaning::ScheduledForDeletion,

        // The request is wrong for this secret or this account, or a quota is full.
        "InvalidRequestException"
        | "InvalidParameterException"
        | "LimitExceededException"
        | "MalformedPolicyDocumentException"
        | "PreconditionNotMetException"
        | "ValidationError"
        | "ValidationException" => Meaning::Refused,

        // On a write: the KMS key does not exist. Where it is the secret that may be missing, the
        // store looks at the code first.
        NOT_FOUND => Meaning::Refused,
        ALREADY_EXISTS => Meaning::Unacceptable,

        "RequestLimitExceeded"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "SlowDown"
        | "Throttling"
        | "ThrottledException"
        | "ThrottlingException"
        | "TooManyRequestsException" => Meaning::Unavailable,

        "InternalError"
        | "InternalFailure"
        | "InternalServerError"
        | "InternalServiceError"
        | "RequestTimeout"
        | "RequestTimeoutException"
        | "ServiceUnavailable"
        | "ServiceUnavailableException" => Meaning::Unavailable,

        // What isn't known may pass, and may have been written all the same: the broker must find out.
        // The code is in the text, so that it can be given its line above.
        _ => Meaning::Unavailable,
    }
}

fn tells_of_deletion(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    ["scheduled for deletion", "marked for deletion", "marked deleted"].iter().any(|it| message.contains(it))
}

/// What would lift a denial. Of the message only this is read: whether it is KMS that denies.
fn remedy(action: &str, message: &str) -> String {
    if message.contains("KMS") || message.contains("kms:") {
        let writes = if action == GET_SECRET_VALUE { "" } else { " and kms:GenerateDataKey" };
        return format!("allow kms:Decrypt{writes} on the secret's KMS key");
    }
    format!("allow secretsmanager:{action}, as `keybroker iam policy` prints it")
}

fn says(error: &ConnectorError, words: [&str; 2]) -> bool {
    error.source().is_some_and(|source| words.contains(&source.to_string().as_str()))
}

/// Why a request did not go out, or its answer not come in. Only an error of the network is told in
/// its own words: others may hold the request, body included, or what a credential process printed.
fn why(error: &ConnectorError) -> String {
    if error.is_io() || error.is_timeout() {
        let causes = std::iter::successors(error.source(), |error| (*error).source());
        return causes.map(ToString::to_string).collect::<Vec<_>>().join(": ");
    }
    let why = match error.as_other() {
        Some(_) => "the connection broke before the answer was whole",
        None if says(error, CREDENTIALS_FAILED) => "the AWS credentials could not be loaded",
        None => NOT_SENT,
    };
    why.into()
}

#[cfg(test)]
mod tests;

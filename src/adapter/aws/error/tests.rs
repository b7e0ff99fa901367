use std::net::TcpListener;

use aws_config::{BehaviorVersion, Region, profile::ProfileFileCredentialsProvider, retry::RetryConfig};
use aws_sdk_secretsmanager::{
    Client, Config,
    config::{Credentials, SharedCredentialsProvider, http::HttpResponse},
    error::ErrorMetadata,
    operation::put_secret_value::PutSecretValueError,
};

use super::*;

/// How the SDK gives an error of AWS, whether it knows the code or not.
fn failure(code: Option<&str>, message: &str) -> Failure {
    let metadata = ErrorMetadata::builder().message(message);
    let metadata = match code {
        Some(code) => metadata.code(code).build(),
        None => metadata.build(),
    };
    let mut response = HttpResponse::new(400.try_into().unwrap(), "".into());
    response.headers_mut().insert("x-amzn-requestid", "r-1");
    let error = SdkError::service_error(PutSecretValueError::generic(metadata), response);
    Failure::of("PutSecretValue", "tenant/acme/vapi", &error)
}

fn error(code: &str, message: &str) -> StoreError {
    failure(Some(code), message).into()
}

#[test]
fn a_denial_names_action_secret_and_remedy() {
    let StoreError::Refused(text) = error("AccessDeniedException", "User: arn:… is not authorized") else {
        panic!("a denial is a refusal")
    };
    insta::assert_snapshot!(text, @"PutSecretValue of tenant/acme/vapi: AccessDeniedException (request r-1); allow secretsmanager:PutSecretValue, as `keybroker iam policy` prints it");
    let StoreError::Refused(text) = error("AccessDeniedException", "Access to KMS is not allowed") else {
        panic!("a denial is a refusal")
    };
    assert!(text.ends_with("allow kms:Decrypt and kms:GenerateDataKey on the secret's KMS key"), "{text}");
}

#[test]
fn codes_have_their_meaning() {
    for code in [
        "UnrecognizedClientException",
        "InvalidSignatureException",
        "ExpiredTokenException",
        "DecryptionFailure",
        "EncryptionFailure",
        "KMSDisabledException",
        "LimitExceededException",
        "InvalidParameterException",
    ] {
        assert!(matches!(error(code, ""), StoreError::Refused(text) if text.contains(code)), "{code}");
    }
    for code in ["ThrottlingException", "InternalServiceError", "KMSThrottlingException", "NeverHeardOf"] {
        assert!(matches!(error(code, ""), StoreError::Unavailable(text) if text.contains(code)), "{code}");
    }
    assert!(matches!(error(ALREADY_EXISTS, ""), StoreError::Unacceptable(_)));
}

#[test]
fn deletion_is_known_by_its_wordings_and_nothing_else() {
    for message in [
        "You can't create this secret because a secret with this name is already scheduled for deletion.",
        "You can't perform this operation on the secret because it was marked for deletion.",
        "The secret is currently marked deleted.",
    ] {
        assert_eq!(error("InvalidRequestException", message), StoreError::ScheduledForDeletion, "{message}");
    }
    let managed = error("InvalidRequestException", "The secret is managed by another service.");
    assert!(matches!(managed, StoreError::Refused(_)));
}

#[test]
fn the_message_of_aws_is_not_repeated() {
    for code in ["AccessDeniedException", "InvalidRequestException", "NeverHeardOf", ALREADY_EXISTS] {
        let shown = format!("{:?}", failure(Some(code), "canary KMS"));
        assert!(!shown.contains("canary"), "{code}");
    }
}

#[test]
fn outcomes_are_words() {
    assert_eq!(failure(Some(NOT_FOUND), "").outcome(), "not_found");
    assert_eq!(failure(Some(ALREADY_EXISTS), "").outcome(), "already_exists");
    assert_eq!(failure(Some("AccessDeniedException"), "").outcome(), "refused");
    assert_eq!(failure(None, "").outcome(), "unavailable");
}

#[test]
fn an_error_without_a_code_says_its_status() {
    let text = StoreError::from(failure(None, "")).to_string();
    assert!(text.ends_with("an answer that can't be read, of HTTP status 400"), "{text}");
}

fn client(credentials: SharedCredentialsProvider, endpoint: &str) -> Client {
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(credentials)
        .retry_config(RetryConfig::disabled())
        .endpoint_url(endpoint)
        .build();
    Client::from_conf(config)
}

fn credentials() -> SharedCredentialsProvider {
    SharedCredentialsProvider::new(Credentials::new("id", "canary", None, None, "test"))
}

async fn failure_of(client: &Client) -> StoreError {
    let request = client.put_secret_value().secret_id("tenant/acme/vapi").secret_string("canary");
    let error = request.send().await.unwrap_err();
    Failure::of("PutSecretValue", "tenant/acme/vapi", &error).into()
}

#[tokio::test]
async fn missing_credentials_are_a_refusal_and_nothing_is_sent() {
    let provider = ProfileFileCredentialsProvider::builder().profile_name("keybroker-has-none").build();
    let failure = failure_of(&client(SharedCredentialsProvider::new(provider), "http://127.0.0.1:9")).await;
    let refused = "PutSecretValue of tenant/acme/vapi: no AWS credentials";
    assert_eq!(failure, StoreError::Refused(refused.into()));
}

#[tokio::test]
async fn an_endpoint_that_is_none_does_not_bring_the_request_into_the_text() {
    let failure = failure_of(&client(credentials(), "canary of an URL")).await;
    let StoreError::Unavailable(text) = failure else { panic!("{failure:?}") };
    assert!(text.contains("AWS_ENDPOINT_URL") && !text.contains("canary"), "{text}");
}

#[tokio::test]
async fn a_closed_port_is_told_with_its_cause() {
    let endpoint = format!("http://{}", TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    let failure = failure_of(&client(credentials(), &endpoint)).await;
    let StoreError::Unavailable(text) = failure else { panic!("{failure:?}") };
    assert!(text.contains("Connection refused") && !text.contains("canary"), "{text}");
}

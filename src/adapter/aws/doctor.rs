//! Examines the identity that keybroker has in AWS, by trying each action.
//!
//! The probe secret `<prefix>/_doctor/probe` is made once and used again each time. No connection can
//! have its name. What the identity should *not* be allowed is tried with calls that only read.

use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_secretsmanager::{
    config::{
        ConfigBag, Intercept, RuntimeComponents, interceptors::BeforeDeserializationInterceptorContextRef,
    },
    error::BoxError,
};
use jiff::{Timestamp, fmt::rfc2822::DateTimeParser};

use super::{ALREADY_EXISTS, AwsStore, CURRENT, Failure, NOT_FOUND, call};
use crate::{
    domain::{
        finding::Finding,
        policy::{CREATE_SECRET, GET_SECRET_VALUE, PUT_SECRET_VALUE, UPDATE_SECRET},
        secret::Version,
    },
    port::store::StoreError,
};

const PROBE: &str = "_doctor/probe";

/// AWS refuses requests that are signed more than five minutes off; warn well before.
const MOST_SKEW_SECONDS: i64 = 60;

impl AwsStore {
    /// Tries each of the four actions on the probe secret, and some that should be denied. `version` is
    /// that of the value to be written; `now` what this machine takes for the time.
    pub async fn examine(&self, version: &Version, now: Timestamp) -> Vec<Finding> {
        let probe = format!("{}/{PROBE}", self.prefix);
        let value = format!(r#"{{"probe":"{version}"}}"#);
        let date = Date::default();

        let get = self.client.get_secret_value().secret_id(&probe).version_stage(CURRENT);
        let get = call(GET_SECRET_VALUE, &probe, get.customize().interceptor(date.clone()).send()).await;
        let create = self.client.create_secret().name(&probe).secret_string("{}");
        let create = create.set_kms_key_id(self.kms_key_id.clone());
        let create = call(CREATE_SECRET, &probe, create.send()).await.map(drop);
        let put = self.client.put_secret_value().secret_id(&probe).client_request_token(version.as_str());
        let put = call(PUT_SECRET_VALUE, &probe, put.secret_string(&value).send()).await.map(drop);
        let update = self.client.update_secret().secret_id(&probe).description("keybroker doctor");
        let update = call(UPDATE_SECRET, &probe, update.send()).await.map(drop);

        let mut findings = vec![
            allowed(GET_SECRET_VALUE, &probe, get.map(drop), Some(NOT_FOUND)),
            allowed(CREATE_SECRET, &probe, create, Some(ALREADY_EXISTS)),
            allowed(PUT_SECRET_VALUE, &probe, put, None),
            allowed(UPDATE_SECRET, &probe, update, None),
            self.round_trip(&probe, version, &value).await,
        ];
        findings.extend(date.skew(now));
        findings.extend(self.too_wide(&probe).await);
        findings
    }

    async fn round_trip(&self, probe: &str, version: &Version, value: &str) -> Finding {
        let tried = format!("to read back what was written to {probe}");
        let get = self.client.get_secret_value().secret_id(probe).version_id(version.as_str());
        match call(GET_SECRET_VALUE, probe, get.send()).await {
            Ok(found) if found.secret_string.as_deref() == Some(value) => {
                Finding::good("store", tried, "the same value")
            }
            Ok(_) => Finding::good("store", tried, "another value")
                .bad("something between keybroker and AWS changes answers: look at AWS_ENDPOINT_URL"),
            Err(failure) => Finding::good("store", tried, StoreError::from(failure).to_string())
                .bad("mend what the findings above name"),
        }
    }

    /// Calls that a policy of the four actions denies. Each only reads, and its answer is dropped.
    async fn too_wide(&self, probe: &str) -> Vec<Finding> {
        let list = call("ListSecrets", "*", self.client.list_secrets().max_results(1).send()).await;
        let describe = self.client.describe_secret().secret_id(probe);
        let describe = call("DescribeSecret", probe, describe.send()).await;
        let outside = format!("_outside_of_{}/probe", self.prefix.to_string().replace('/', "_"));
        let elsewhere = self.client.get_secret_value().secret_id(&outside);
        let elsewhere = call(GET_SECRET_VALUE, &outside, elsewhere.send()).await;
        vec![
            denied("secretsmanager:ListSecrets", "to list secrets", &list),
            denied("secretsmanager:DescribeSecret", "to describe the probe", &describe),
            denied("prefix", &format!("to read {outside}, which is not under the prefix"), &elsewhere),
        ]
    }
}

/// One of the four permissions. `also` is the code with which AWS answers someone who is allowed, too.
fn allowed(action: &str, probe: &str, result: Result<(), Failure>, also: Option<&str>) -> Finding {
    let check = format!("secretsmanager:{action}");
    let tried = format!("{action} of {probe}");
    match result {
        Ok(()) => Finding::good(check, tried, "allowed"),
        Err(failure) if also.is_some_and(|code| failure.is(code)) => Finding::good(check, tried, "allowed"),
        Err(failure) => {
            let remedy = match StoreError::from(&failure) {
                _ if failure.is_wrong_key() => {
                    "AWS does not know this access key, or its secret is wrong or its time is over: set \
                     AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY anew, and check this machine's clock"
                }
                StoreError::Refused(_) if failure.is_denial() => {
                    "attach the policy that `keybroker iam policy` prints for this account, region and prefix; \
                     a new policy takes up to a minute to spread"
                }
                StoreError::Refused(_) => {
                    "check AWS_REGION, KEYBROKER_AWS_KMS_KEY_ID and KEYBROKER_SECRET_PREFIX; iam/README.md \
                     explains the codes of AWS"
                }
                StoreError::ScheduledForDeletion => {
                    "someone deleted the probe secret: restore it with `aws secretsmanager restore-secret`"
                }
                StoreError::Unacceptable(_) | StoreError::RateLimited { .. } | StoreError::Unavailable(_) => {
                    "AWS does not answer as it should: check AWS_REGION, AWS_ENDPOINT_URL and the network"
                }
            };
            Finding::good(check, tried, StoreError::from(failure).to_string()).bad(remedy)
        }
    }
}

/// Something that should be refused. That a secret isn't there is told only to who may look.
fn denied<T>(check: &str, tried: &str, result: &Result<T, Failure>) -> Finding {
    let finding = |found: &str| Finding::good(check, tried, found);
    match result {
        Err(failure) if failure.is_denial() => finding("denied, as it should be"),
        Err(failure) if !failure.is(NOT_FOUND) => {
            finding("no clear answer").warning("mend what the findings above name, and run the doctor again")
        }
        Ok(_) | Err(_) => finding("allowed").warning(
            "the identity can do more than keybroker needs: give it only the policy that `keybroker iam policy` \
             prints (an emulator that does not enforce IAM allows everything)",
        ),
    }
}

/// The time at which AWS answered, by its `Date` header.
#[derive(Debug, Clone, Default)]
struct Date(Arc<Mutex<Option<String>>>);

impl Intercept for Date {
    fn name(&self) -> &'static str {
        "Date"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date").map(str::to_owned);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = date;
        Ok(())
    }
}

impl Date {
    fn skew(&self, now: Timestamp) -> Option<Finding> {
        let date = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        let theirs = DateTimeParser::new().parse_timestamp(&date).ok()?;
        let seconds = now.as_second() - theirs.as_second();
        let tried = "to compare this machine's clock with AWS's";
        let finding = Finding::good("clock", tried, format!("{} s apart", seconds.abs()));
        if seconds.abs() <= MOST_SKEW_SECONDS {
            return Some(finding);
        }
        Some(
            finding.bad("AWS refuses requests more than five minutes off: set the clock, and keep it by NTP"),
        )
    }
}

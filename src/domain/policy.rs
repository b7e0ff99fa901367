//! The IAM policy that keybroker needs, and the only list of the AWS actions it calls.

use std::{fmt, str::FromStr};

use serde_json::{Value, json};

use super::secret::Prefix;

/// Reads a version of a secret.
pub const GET_SECRET_VALUE: &str = "GetSecretValue";

/// Makes a secret with its first version.
pub const CREATE_SECRET: &str = "CreateSecret";

/// Gives a secret another version.
pub const PUT_SECRET_VALUE: &str = "PutSecretValue";

/// Changes the KMS key or the description of a secret that is there.
pub const UPDATE_SECRET: &str = "UpdateSecret";

/// Every AWS action that keybroker calls. The AWS store names its calls from here, and a test
/// records what is really called.
pub const ACTIONS: [&str; 4] = [GET_SECRET_VALUE, CREATE_SECRET, PUT_SECRET_VALUE, UPDATE_SECRET];

/// The least that keybroker can work with: four actions on one prefix of secret names.
#[derive(Debug, Clone)]
pub struct IamPolicy {
    /// `aws`, or another partition as `aws-cn`, `aws-us-gov`.
    pub partition: Partition,
    /// The region that holds the secrets.
    pub region: Region,
    /// The account that holds the secrets.
    pub account: AccountId,
    /// The first part of every secret's name.
    pub prefix: Prefix,
}

impl IamPolicy {
    /// The policy document.
    #[must_use]
    pub fn document(&self) -> Value {
        let actions = ACTIONS.map(|action| format!("secretsmanager:{action}"));
        json!({
            "Version": "2012-10-17",
            "Statement": [{
                "Sid": "KeybrokerSecrets",
                "Effect": "Allow",
                "Action": actions,
                "Resource": self.resource(),
            }],
        })
    }

    /// The ARN pattern of the secrets. The random suffix that AWS appends to a secret's ARN is
    /// covered by the `*`.
    #[must_use]
    pub fn resource(&self) -> String {
        let Self { partition, region, account, prefix } = self;
        format!("arn:{partition}:secretsmanager:{region}:{account}:secret:{prefix}/*")
    }
}

macro_rules! arn_part {
    ($(#[$doc:meta])* $name:ident, $rule:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name(String);

        impl FromStr for $name {
            type Err = InvalidArnPart;

            fn from_str(text: &str) -> Result<Self, InvalidArnPart> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) { Ok(Self(text.to_owned())) } else { Err(InvalidArnPart($rule)) }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

/// A part of an ARN that can't be one. Wildcards in particular are refused: they would widen the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it must be {0}")]
pub struct InvalidArnPart(&'static str);

arn_part!(
    /// An AWS account's id.
    AccountId,
    "an account id of 12 digits",
    |text| text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
);

arn_part!(
    /// An AWS region.
    Region,
    "a region such as us-east-1",
    |text| text.len() <= 32 && text.split('-').count() >= 3 && is_lower_hyphenated(text)
);

arn_part!(
    /// An AWS partition.
    Partition,
    "a partition: aws, aws-cn, aws-us-gov …",
    |text| (text == "aws" || text.starts_with("aws-")) && text.len() <= 32 && is_lower_hyphenated(text)
);

fn is_lower_hyphenated(text: &str) -> bool {
    let part =
        |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    text.split('-').all(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_is_exactly_the_four_actions_on_the_prefix() {
        let policy = IamPolicy {
            partition: "aws".parse().unwrap(),
            region: "us-east-1".parse().unwrap(),
            account: "123456789012".parse().unwrap(),
            prefix: Prefix::default(),
        };
        let expected = json!({
            "Version": "2012-10-17",
            "Statement": [{
                "Sid": "KeybrokerSecrets",
                "Effect": "Allow",
                "Action": [
                    "secretsmanager:GetSecretValue",
                    "secretsmanager:CreateSecret",
                    "secretsmanager:PutSecretValue",
                    "secretsmanager:UpdateSecret",
                ],
                "Resource": "arn:aws:secretsmanager:us-east-1:123456789012:secret:tenant/*",
            }],
        });
        assert_eq!(policy.document(), expected);
    }

    #[test]
    fn nothing_widens_it() {
        for account in ["", "12345678901", "*", "12345678901*"] {
            assert!(account.parse::<AccountId>().is_err(), "{account}");
        }
        for region in ["", "*", "us-*", "US-EAST-1", "us", "us--1"] {
            assert!(region.parse::<Region>().is_err(), "{region}");
        }
        for partition in ["", "*", "aws*", "gcp"] {
            assert!(partition.parse::<Partition>().is_err(), "{partition}");
        }
    }
}

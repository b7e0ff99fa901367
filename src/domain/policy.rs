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

/// What Secrets Manager does with a customer-managed KMS key in keybroker's name. AWS's own key,
/// `aws/secretsmanager`, takes no permission.
pub const KMS_ACTIONS: [&str; 2] = ["GenerateDataKey", "Decrypt"];

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
    /// The customer-managed KMS key that encrypts the secrets, if there is one.
    pub kms_key: Option<KmsKeyArn>,
}

impl IamPolicy {
    /// The policy document.
    #[must_use]
    pub fn document(&self) -> Value {
        let mut statements = vec![json!({
            "Sid": "KeybrokerSecrets",
            "Effect": "Allow",
            "Action": ACTIONS.map(|action| format!("secretsmanager:{action}")),
            "Resource": self.resource(),
        })];
        statements.extend(self.kms_key.as_ref().map(|key| {
            json!({
                "Sid": "KeybrokerKmsKey",
                "Effect": "Allow",
                "Action": KMS_ACTIONS.map(|action| format!("kms:{action}")),
                "Resource": key.to_string(),
                "Condition": {"StringEquals": {"kms:ViaService": self.via_service()}},
            })
        }));
        json!({"Version": "2012-10-17", "Statement": statements})
    }

    /// The ARN pattern of the secrets. The random suffix that AWS appends to a secret's ARN is
    /// covered by the `*`.
    #[must_use]
    pub fn resource(&self) -> String {
        let Self { partition, region, account, prefix, .. } = self;
        format!("arn:{partition}:secretsmanager:{region}:{account}:secret:{prefix}/*")
    }

    /// Secrets Manager by the name that KMS knows it by. With it as a condition, the key serves for
    /// secrets and nothing else: keybroker can't call KMS itself.
    fn via_service(&self) -> String {
        let suffix = if self.partition.0 == "aws-cn" { "amazonaws.com.cn" } else { "amazonaws.com" };
        format!("secretsmanager.{}.{suffix}", self.region)
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

/// The ARN of a KMS key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KmsKeyArn {
    partition: Partition,
    region: Region,
    account: AccountId,
    id: String,
}

impl KmsKeyArn {
    /// Whether Secrets Manager can use the key there: it takes keys of its own region only, though they
    /// may belong to another account.
    #[must_use]
    pub fn is_in(&self, partition: &Partition, region: &Region) -> bool {
        self.partition == *partition && self.region == *region
    }
}

/// An alias in particular is refused: IAM compares the ARN of the key itself, so a permission on an
/// alias allows nothing.
impl FromStr for KmsKeyArn {
    type Err = InvalidArnPart;

    fn from_str(text: &str) -> Result<Self, InvalidArnPart> {
        let invalid = InvalidArnPart("the ARN of a key, arn:aws:kms:REGION:ACCOUNT:key/ID, not of an alias");
        let [arn, partition, service, region, account, key] = text.split(':').collect::<Vec<_>>()[..] else {
            return Err(invalid);
        };
        let id = key.strip_prefix("key/").filter(|id| id.len() <= 64 && is_lower_hyphenated(id));
        match (arn, service, id) {
            ("arn", "kms", Some(id)) => Ok(Self {
                partition: partition.parse()?,
                region: region.parse()?,
                account: account.parse()?,
                id: id.to_owned(),
            }),
            _ => Err(invalid),
        }
    }
}

impl fmt::Display for KmsKeyArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { partition, region, account, id } = self;
        write!(f, "arn:{partition}:kms:{region}:{account}:key/{id}")
    }
}

fn is_lower_hyphenated(text: &str) -> bool {
    let part =
        |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    text.split('-').all(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab";

    fn policy(partition: &str, region: &str, kms_key: Option<&str>) -> IamPolicy {
        IamPolicy {
            partition: partition.parse().unwrap(),
            region: region.parse().unwrap(),
            account: "123456789012".parse().unwrap(),
            prefix: Prefix::default(),
            kms_key: kms_key.map(|key| key.parse().unwrap()),
        }
    }

    #[test]
    fn the_policy_is_exactly_the_four_actions_on_the_prefix() {
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
        assert_eq!(policy("aws", "us-east-1", None).document(), expected);
    }

    #[test]
    fn a_kms_key_adds_two_actions_on_it_by_way_of_secrets_manager() {
        let without = policy("aws", "us-east-1", None).document();
        let document = policy("aws", "us-east-1", Some(KEY)).document();
        assert_eq!(document["Statement"][0], without["Statement"][0]);
        let expected = json!({
            "Sid": "KeybrokerKmsKey",
            "Effect": "Allow",
            "Action": ["kms:GenerateDataKey", "kms:Decrypt"],
            "Resource": KEY,
            "Condition": {"StringEquals": {"kms:ViaService": "secretsmanager.us-east-1.amazonaws.com"}},
        });
        assert_eq!(document["Statement"][1], expected);
        assert_eq!(document["Statement"].as_array().unwrap().len(), 2);
        assert_eq!(
            policy("aws-cn", "cn-north-1", None).via_service(),
            "secretsmanager.cn-north-1.amazonaws.com.cn"
        );
    }

    #[test]
    fn a_kms_key_is_one_key_of_the_region() {
        for key in [KEY, "arn:aws:kms:us-east-1:210987654321:key/mrk-1234abcd12ab34cd56ef1234567890ab"] {
            let parsed: KmsKeyArn = key.parse().unwrap();
            assert_eq!(parsed.to_string(), key);
            let is_in = |partition: &str, region: &str| {
                parsed.is_in(&partition.parse().unwrap(), &region.parse().unwrap())
            };
            assert!(is_in("aws", "us-east-1"));
            assert!(!is_in("aws", "us-west-2"));
            assert!(!is_in("aws-us-gov", "us-east-1"));
        }
        for key in [
            "",
            "1234abcd-12ab-34cd-56ef-1234567890ab",
            "alias/keybroker",
            "arn:aws:kms:us-east-1:123456789012:alias/keybroker",
            "arn:aws:kms:us-east-1:123456789012:key/",
            "arn:aws:kms:us-east-1:123456789012:key/*",
            "arn:aws:kms:*:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
            "arn:aws:kms:us-east-1::key/1234abcd-12ab-34cd-56ef-1234567890ab",
            "arn:aws:s3:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
            "arn:aws:kms:us-east-1:123456789012:key/1234abcd:x",
        ] {
            assert!(key.parse::<KmsKeyArn>().is_err(), "{key}");
        }
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

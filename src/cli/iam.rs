//! `keybroker iam`

use clap::{Args, Subcommand};

use super::Failure;
use crate::domain::{
    policy::{AccountId, IamPolicy, KmsKeyArn, Partition, Region},
    secret::Prefix,
};

/// What AWS has to allow.
#[derive(Debug, Subcommand)]
pub(super) enum Iam {
    Policy(Policy),
}

/// Print the IAM policy that keybroker needs: four actions on one prefix, and nothing else.
///
/// The directory iam/ of the project has it for Terraform and `CloudFormation` too, and says where to attach
/// it.
#[derive(Debug, Args)]
pub(super) struct Policy {
    /// The AWS account that holds the secrets: 12 digits.
    #[arg(long, value_name = "ID")]
    account: AccountId,

    /// The region that holds the secrets.
    #[arg(long, value_name = "REGION")]
    region: Region,

    /// The AWS partition.
    #[arg(long, default_value = "aws")]
    partition: Partition,

    /// First part of every secret's name.
    #[arg(long, env = "KEYBROKER_SECRET_PREFIX", default_value = "tenant")]
    prefix: Prefix,

    /// The customer-managed KMS key that encrypts the secrets, as its ARN: adds what the key takes.
    /// Without it AWS's own key is used, which takes no permission.
    #[arg(long, value_name = "ARN")]
    kms_key_arn: Option<KmsKeyArn>,
}

impl Iam {
    pub(super) fn run(self) -> Result<(), Failure> {
        let Self::Policy(Policy { account, region, partition, prefix, kms_key_arn: kms_key }) = self;
        if let Some(key) = kms_key.as_ref().filter(|key| !key.is_in(&partition, &region)) {
            let text = format!(
                "--kms-key-arn: {key} is not in {region} of partition {partition}, and Secrets Manager takes \
                 only keys of the secrets' own region; name a key of that region"
            );
            return Err(Failure::Usage(text));
        }
        let document = IamPolicy { partition, region, account, prefix, kms_key }.document();
        println!("{document:#}");
        Ok(())
    }
}

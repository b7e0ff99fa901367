//! `keybroker iam`

use clap::{Args, Subcommand};

use super::Failure;
use crate::domain::{
    policy::{AccountId, IamPolicy, Partition, Region},
    secret::Prefix,
};

/// What AWS has to allow.
#[derive(Debug, Subcommand)]
pub(super) enum Iam {
    Policy(Policy),
}

/// Print the IAM policy that keybroker needs: four actions on one prefix, and nothing else.
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
}

impl Iam {
    pub(super) fn run(self) -> Result<(), Failure> {
        let Self::Policy(Policy { account, region, partition, prefix }) = self;
        let document = IamPolicy { partition, region, account, prefix }.document();
        println!("{document:#}");
        Ok(())
    }
}

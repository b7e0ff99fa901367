# Who keybroker is in AWS: a user, or a role when `trust_policy` says who may take it on; with the policy of
# ../policy attached and nothing else.
#
# No access key is made here. aws_iam_access_key would write the secret into Terraform's state, which more people and
# programs read than the one server that needs it: make the key in the console (../../console.md, part 3).

terraform {
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

module "policy" {
  source = "../policy"

  account_id       = data.aws_caller_identity.current.account_id
  partition        = data.aws_partition.current.partition
  region           = var.region
  prefix           = var.prefix
  kms_key_arn      = var.kms_key_arn
  source_cidrs     = var.source_cidrs
  vpc_endpoint_ids = var.vpc_endpoint_ids
}

locals {
  users = var.trust_policy == null ? 1 : 0
  roles = var.trust_policy == null ? 0 : 1
}

resource "aws_iam_policy" "keybroker" {
  name        = var.name
  description = "Four Secrets Manager actions on ${var.prefix}/* for keybroker"
  policy      = module.policy.json
}

resource "aws_iam_user" "keybroker" {
  count = local.users

  name                 = var.name
  permissions_boundary = var.permissions_boundary_arn
  force_destroy        = true # its access key is not Terraform's, and would keep `terraform destroy` from removing it
}

resource "aws_iam_user_policy_attachment" "keybroker" {
  count = local.users

  user       = aws_iam_user.keybroker[0].name
  policy_arn = aws_iam_policy.keybroker.arn
}

resource "aws_iam_role" "keybroker" {
  count = local.roles

  name                 = var.name
  assume_role_policy   = var.trust_policy
  permissions_boundary = var.permissions_boundary_arn
}

resource "aws_iam_role_policy_attachment" "keybroker" {
  count = local.roles

  role       = aws_iam_role.keybroker[0].name
  policy_arn = aws_iam_policy.keybroker.arn
}

# The form in which EC2 takes a role.
resource "aws_iam_instance_profile" "keybroker" {
  count = var.instance_profile ? local.roles : 0

  name = var.name
  role = aws_iam_role.keybroker[0].name
}

# keybroker's IAM policy as JSON, made without a provider: `terraform validate` and `terraform test` check it
# offline. The source of truth is src/domain/policy.rs; tests/it/iam.rs compares the two.

terraform {
  required_version = ">= 1.9" # validations that look at another variable
}

locals {
  actions = [
    "secretsmanager:GetSecretValue",
    "secretsmanager:CreateSecret",
    "secretsmanager:PutSecretValue",
    "secretsmanager:UpdateSecret",
  ]
  kms_actions = [
    "kms:GenerateDataKey",
    "kms:Decrypt",
  ]

  resource    = "arn:${var.partition}:secretsmanager:${var.region}:${var.account_id}:secret:${var.prefix}/*"
  via_service = "secretsmanager.${var.region}.${var.partition == "aws-cn" ? "amazonaws.com.cn" : "amazonaws.com"}"

  # At most one of the two; the variables' validation sees to it.
  conditions = merge(
    length(var.source_cidrs) > 0 ? { IpAddress = { "aws:SourceIp" = var.source_cidrs } } : {},
    length(var.vpc_endpoint_ids) > 0 ? { StringEquals = { "aws:SourceVpce" = var.vpc_endpoint_ids } } : {},
  )

  secrets_statement = merge(
    {
      Sid      = "KeybrokerSecrets"
      Effect   = "Allow"
      Action   = local.actions
      Resource = local.resource
    },
    length(local.conditions) > 0 ? { Condition = local.conditions } : {},
  )

  # Without the conditions above: it is Secrets Manager that calls KMS.
  kms_statements = [for arn in var.kms_key_arn[*] : {
    Sid       = "KeybrokerKmsKey"
    Effect    = "Allow"
    Action    = local.kms_actions
    Resource  = arn
    Condition = { StringEquals = { "kms:ViaService" = local.via_service } }
  }]

  document = {
    Version   = "2012-10-17"
    Statement = concat([local.secrets_statement], local.kms_statements)
  }
}

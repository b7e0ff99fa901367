# The rules are those of `keybroker iam policy`. Wildcards in particular are refused: they would widen the policy.

variable "account_id" {
  description = "The AWS account that holds the secrets."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{12}$", var.account_id))
    error_message = "account_id must be 12 digits, in quotes."
  }
}

variable "region" {
  description = "The region that holds the secrets: what keybroker has as AWS_REGION."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9]+(-[a-z0-9]+){2,}$", var.region))
    error_message = "region must be a region such as us-east-1."
  }
}

variable "partition" {
  description = "The AWS partition: aws, aws-cn, aws-us-gov …"
  type        = string
  default     = "aws"

  validation {
    condition     = can(regex("^aws(-[a-z0-9]+)*$", var.partition))
    error_message = "partition must be aws, or another partition such as aws-cn."
  }
}

variable "prefix" {
  description = "First part of every secret's name: what keybroker has as KEYBROKER_SECRET_PREFIX."
  type        = string
  default     = "tenant"

  validation {
    condition     = length(var.prefix) <= 200 && can(regex("^[A-Za-z0-9_+=.@-]+(/[A-Za-z0-9_+=.@-]+)*$", var.prefix))
    error_message = "prefix must be 1 to 200 of A-Z a-z 0-9 / _ + = . @ -, without a slash at either end or two in a row."
  }
}

variable "kms_key_arn" {
  description = "The customer-managed KMS key of the secrets: what keybroker has as KEYBROKER_AWS_KMS_KEY_ID, as the key's ARN. Null for AWS's own key."
  type        = string
  default     = null

  validation {
    condition = var.kms_key_arn == null || can(regex(
      "^arn:${var.partition}:kms:${var.region}:[0-9]{12}:key/[a-z0-9]+(-[a-z0-9]+)*$", var.kms_key_arn
    ))
    error_message = "kms_key_arn must be the ARN of a key (not of an alias) in the secrets' own region."
  }
}

variable "source_cidrs" {
  description = "Allow calls only from these public IPv4 or IPv6 ranges. Empty for no such condition."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for cidr in var.source_cidrs : can(cidrhost(cidr, 0))])
    error_message = "source_cidrs must be ranges such as 203.0.113.10/32."
  }
}

variable "vpc_endpoint_ids" {
  description = "Allow calls only through these interface endpoints for Secrets Manager. Empty for no such condition."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for id in var.vpc_endpoint_ids : can(regex("^vpce-[0-9a-f]+$", id))])
    error_message = "vpc_endpoint_ids must be ids such as vpce-0123456789abcdef0."
  }

  validation {
    condition     = length(var.vpc_endpoint_ids) == 0 || length(var.source_cidrs) == 0
    error_message = "Give source_cidrs or vpc_endpoint_ids, not both: a call through an endpoint has no public address, so both together would allow nothing."
  }
}

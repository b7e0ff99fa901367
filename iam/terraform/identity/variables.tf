# What the policy holds is checked by ../policy.

variable "name" {
  description = "The name of the user or role, and of the policy."
  type        = string
  default     = "keybroker"
}

variable "region" {
  description = "The region that holds the secrets: what keybroker has as AWS_REGION."
  type        = string
}

variable "prefix" {
  description = "First part of every secret's name: what keybroker has as KEYBROKER_SECRET_PREFIX."
  type        = string
  default     = "tenant"
}

variable "kms_key_arn" {
  description = "The customer-managed KMS key of the secrets, as its ARN. Null for AWS's own key."
  type        = string
  default     = null
}

variable "source_cidrs" {
  description = "Allow calls only from these public ranges. Empty for no such condition."
  type        = list(string)
  default     = []
}

variable "vpc_endpoint_ids" {
  description = "Allow calls only through these interface endpoints for Secrets Manager. Empty for no such condition."
  type        = list(string)
  default     = []
}

variable "trust_policy" {
  description = "Who may take on the role, as JSON: see ../../variants/trust-*.json. Null makes a user instead."
  type        = string
  default     = null

  validation {
    condition     = var.trust_policy == null || can(jsondecode(var.trust_policy).Statement)
    error_message = "trust_policy must be a policy document in JSON."
  }
}

variable "instance_profile" {
  description = "Make an instance profile of the role, for EC2."
  type        = bool
  default     = false

  validation {
    condition     = !var.instance_profile || var.trust_policy != null
    error_message = "An instance profile needs a role: set trust_policy."
  }
}

variable "permissions_boundary_arn" {
  description = "A policy that bounds whatever the user or role is ever given. Null for none."
  type        = string
  default     = null
}

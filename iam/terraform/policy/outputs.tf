output "json" {
  description = "The policy document, for aws_iam_policy.policy or any other place that takes JSON."
  value       = jsonencode(local.document)
}

output "resource" {
  description = "The ARN pattern of the secrets."
  value       = local.resource
}

output "policy_arn" {
  description = "The policy."
  value       = aws_iam_policy.keybroker.arn
}

output "user_name" {
  description = "The user, for whom an access key is to be made in the console. Null when a role was made."
  value       = one(aws_iam_user.keybroker[*].name)
}

output "role_arn" {
  description = "The role. Null when a user was made."
  value       = one(aws_iam_role.keybroker[*].arn)
}

output "instance_profile_name" {
  description = "The instance profile, for EC2. Null when none was made."
  value       = one(aws_iam_instance_profile.keybroker[*].name)
}

# The module prints what `keybroker iam policy` prints; ../../policy.json and ../../variants hold that.
# Run in the module's directory: terraform init && terraform test

variables {
  account_id = "123456789012"
  region     = "us-east-1"
}

run "is_the_programs_policy" {
  command = plan

  assert {
    condition     = jsondecode(output.json) == jsondecode(file("../../policy.json"))
    error_message = "It differs from policy.json."
  }
}

run "with_a_kms_key" {
  command = plan

  variables {
    kms_key_arn = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
  }

  assert {
    condition     = jsondecode(output.json) == jsondecode(file("../../variants/kms.json"))
    error_message = "It differs from variants/kms.json."
  }
}

run "from_an_address" {
  command = plan

  variables {
    source_cidrs = ["203.0.113.10/32"]
  }

  assert {
    condition     = jsondecode(output.json) == jsondecode(file("../../variants/source-ip.json"))
    error_message = "It differs from variants/source-ip.json."
  }
}

run "through_an_endpoint" {
  command = plan

  variables {
    vpc_endpoint_ids = ["vpce-0123456789abcdef0"]
  }

  assert {
    condition     = jsondecode(output.json) == jsondecode(file("../../variants/vpc-endpoint.json"))
    error_message = "It differs from variants/vpc-endpoint.json."
  }
}

run "elsewhere" {
  command = plan

  variables {
    partition   = "aws-cn"
    region      = "cn-north-1"
    prefix      = "apps/tenant"
    kms_key_arn = "arn:aws-cn:kms:cn-north-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
  }

  assert {
    condition     = output.resource == "arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:apps/tenant/*"
    error_message = output.resource
  }

  assert {
    condition     = strcontains(output.json, "\"secretsmanager.cn-north-1.amazonaws.com.cn\"")
    error_message = output.json
  }
}

run "refuses_a_wildcard_account" {
  command         = plan
  expect_failures = [var.account_id]

  variables {
    account_id = "12345678901*"
  }
}

run "refuses_a_wildcard_region" {
  command         = plan
  expect_failures = [var.region]

  variables {
    region = "us-*-1"
  }
}

run "refuses_a_wildcard_partition" {
  command         = plan
  expect_failures = [var.partition]

  variables {
    partition = "aws*"
  }
}

run "refuses_a_wildcard_prefix" {
  command         = plan
  expect_failures = [var.prefix]

  variables {
    prefix = "*"
  }
}

run "refuses_a_prefix_that_ends_in_a_slash" {
  command         = plan
  expect_failures = [var.prefix]

  variables {
    prefix = "tenant/"
  }
}

run "refuses_an_alias_as_a_key" {
  command         = plan
  expect_failures = [var.kms_key_arn]

  variables {
    kms_key_arn = "arn:aws:kms:us-east-1:123456789012:alias/keybroker"
  }
}

run "refuses_a_key_of_another_region" {
  command         = plan
  expect_failures = [var.kms_key_arn]

  variables {
    kms_key_arn = "arn:aws:kms:us-west-2:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
  }
}

run "refuses_what_is_no_range" {
  command         = plan
  expect_failures = [var.source_cidrs]

  variables {
    source_cidrs = ["203.0.113.10"]
  }
}

run "refuses_an_address_and_an_endpoint_together" {
  command         = plan
  expect_failures = [var.vpc_endpoint_ids]

  variables {
    source_cidrs     = ["203.0.113.10/32"]
    vpc_endpoint_ids = ["vpce-0123456789abcdef0"]
  }
}

//! The IAM policy: every copy of it in `iam/` says what the program says, and with IAM enforced it allows
//! the four actions under the prefix and nothing else.

use std::{collections::BTreeSet, fs, path::PathBuf, process::Command};

use futures_util::future::join_all;
use keybroker::domain::policy::{ACTIONS, KMS_ACTIONS};
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::services::{aws_as_admin, installed, root, secretsmanager, secretsmanager_as_keybroker};

/// The KMS key of the files in `iam/`.
const KEY: &str = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab";

/// The OIDC issuer of the cluster in `iam/variants/trust-eks-web-identity.json`.
const OIDC_PROVIDER: &str = "oidc.eks.us-east-1.amazonaws.com/id/EXAMPLED539D4633E53DE1B71EXAMPLE";

#[test]
fn the_files_are_what_the_program_prints() {
    assert_eq!(file("policy.json"), printed(&[]));
    assert_eq!(file("variants/kms.json"), printed(&["--kms-key-arn", KEY]));
}

#[test]
fn variants_narrow_the_policy_and_never_widen_it() {
    let policy = parsed("policy.json");
    let with_condition = |condition: Value| {
        let mut policy = policy.clone();
        policy["Statement"][0]["Condition"] = condition;
        policy
    };
    let from_address = json!({"IpAddress": {"aws:SourceIp": ["203.0.113.10/32"]}});
    assert_eq!(parsed("variants/source-ip.json"), with_condition(from_address));
    let through_endpoint = json!({"StringEquals": {"aws:SourceVpce": ["vpce-0123456789abcdef0"]}});
    assert_eq!(parsed("variants/vpc-endpoint.json"), with_condition(through_endpoint));

    // A boundary covers what an identity may be given, so any key of the account.
    let mut boundary = parsed("variants/kms.json");
    boundary["Statement"][1]["Resource"] = json!("arn:aws:kms:us-east-1:123456789012:key/*");
    assert_eq!(parsed("variants/permission-boundary.json"), boundary);
}

#[rstest]
#[case::ec2("ec2", "sts:AssumeRole", json!({"Service": "ec2.amazonaws.com"}))]
#[case::ecs("ecs", "sts:AssumeRole", json!({"Service": "ecs-tasks.amazonaws.com"}))]
#[case::eks("eks-web-identity", "sts:AssumeRoleWithWebIdentity",
            json!({"Federated": format!("arn:aws:iam::123456789012:oidc-provider/{OIDC_PROVIDER}")}))]
fn a_trust_policy_lets_one_kind_of_principal_in(
    #[case] name: &str,
    #[case] action: &str,
    #[case] principal: Value,
) {
    let trust = parsed(&format!("variants/trust-{name}.json"));
    assert_eq!(trust["Version"], "2012-10-17");
    let [statement] = &trust["Statement"].as_array().unwrap()[..] else { panic!("{trust:#}") };
    assert_eq!(statement["Effect"], "Allow");
    assert_eq!(statement["Action"], action);
    assert_eq!(statement["Principal"], principal);
    // Without them any task or pod of any account or namespace could take the role.
    let conditions = statement["Condition"].to_string();
    match name {
        "ecs" => assert!(conditions.contains("\"aws:SourceAccount\":\"123456789012\""), "{conditions}"),
        "eks-web-identity" => assert!(conditions.contains(":sub\":\"system:serviceaccount:"), "{conditions}"),
        _ => assert_eq!(statement["Condition"], Value::Null),
    }
}

#[test]
fn no_variant_is_left_untested() {
    let files = fs::read_dir(path("variants")).unwrap();
    let files: BTreeSet<_> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    let tested = [
        "kms",
        "permission-boundary",
        "source-ip",
        "trust-ec2",
        "trust-ecs",
        "trust-eks-web-identity",
        "vpc-endpoint",
    ];
    assert_eq!(files, tested.map(|name| format!("{name}.json")).into());
    let readme = file("README.md");
    for name in files {
        assert!(
            readme.contains(&format!("variants/{name}")),
            "iam/README.md does not say when to use {name}"
        );
    }
}

/// As text everywhere; by its own test, which compares its output with the files, where Terraform is.
#[test]
fn the_terraform_module_says_the_same() {
    let module = file("terraform/policy/main.tf");
    assert_eq!(hcl_list(&module, "actions"), ACTIONS.map(|action| format!("secretsmanager:{action}")));
    assert_eq!(hcl_list(&module, "kms_actions"), KMS_ACTIONS.map(|action| format!("kms:{action}")));
    let resource =
        "\"arn:${var.partition}:secretsmanager:${var.region}:${var.account_id}:secret:${var.prefix}/*\"";
    let of_resource: Vec<_> =
        module.lines().filter_map(|line| line.trim().strip_prefix("resource ")).collect();
    assert_eq!(of_resource, [format!("   = {resource}")]);
    assert_eq!(module.matches("secretsmanager:").count(), ACTIONS.len() + 1, "an action outside the list");
    assert_eq!(module.matches("kms:").count(), KMS_ACTIONS.len() + 1, "an action outside the list");

    let identity = file("terraform/identity/main.tf");
    for elsewhere in ["secretsmanager:", "kms:", "\"aws_iam_access_key\""] {
        assert!(
            !identity.contains(elsewhere),
            "{elsewhere} in terraform/identity: the policy is in ../policy"
        );
    }

    let scratch = tempfile::tempdir().unwrap();
    let mut terraform = Command::new("terraform");
    terraform.args(["test", "-no-color"]).current_dir(path("terraform/policy"));
    terraform.env("TF_DATA_DIR", scratch.path()).env("CHECKPOINT_DISABLE", "1");
    match terraform.output() {
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
            assert!(text.contains("run \"is_the_programs_policy\"... pass"), "{text}");
        }
        Err(error) => eprintln!("terraform test was left out: {error}"),
    }
}

#[test]
fn the_cloudformation_template_passes_its_linter() {
    let output =
        Command::new(installed("cfn-lint")).arg(path("cloudformation/keybroker.yaml")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    // Its secret could only be told to too many.
    assert!(!file("cloudformation/keybroker.yaml").contains("AWS::IAM::AccessKey"));
}

/// moto makes of the template what AWS would; the documents that come out are compared.
#[tokio::test]
async fn the_cloudformation_template_says_the_same() {
    let identities = [
        ("User", None),
        ("Ec2Role", Some("variants/trust-ec2.json")),
        ("EcsRole", Some("variants/trust-ecs.json")),
        ("EksRole", Some("variants/trust-eks-web-identity.json")),
    ];
    for (identity, _) in identities {
        create_stack(identity).await;
    }
    // The whole of the account's IAM.
    let account = aws_as_admin(&["iam", "get-account-authorization-details"]).await;
    let find = |list: &str, field: &str, name: &str| {
        let found = account[list].as_array().unwrap().iter().find(|one| one[field] == name);
        found.cloned().unwrap_or_else(|| panic!("no {name} in {list}"))
    };
    for (identity, trust) in identities {
        let who = match trust {
            None => find("UserDetailList", "UserName", identity),
            Some(_) => find("RoleDetailList", "RoleName", identity),
        };
        let attached = who["AttachedManagedPolicies"].as_array().unwrap().iter();
        let mut attached: Vec<_> = attached.map(|policy| policy["PolicyArn"].as_str().unwrap()).collect();
        attached.sort_unstable();
        let expected = [identity, &format!("{identity}-kms")];
        assert_eq!(attached, expected.map(|name| format!("arn:aws:iam::123456789012:policy/{name}")));
        let statements = attached.iter().flat_map(|arn| {
            let document = find("Policies", "Arn", arn)["PolicyVersionList"][0]["Document"].take();
            assert_eq!(document["Version"], "2012-10-17");
            document["Statement"].as_array().unwrap().clone()
        });
        let together = json!({"Version": "2012-10-17", "Statement": statements.collect::<Vec<_>>()});
        assert_eq!(together, parsed("variants/kms.json"), "{identity}");
        if let Some(trust) = trust {
            assert_eq!(who["AssumeRolePolicyDocument"], parsed(trust));
        }
    }
}

/// The stack of an identity, all of it named like its kind.
async fn create_stack(identity: &str) {
    let template = format!("file://{}", path("cloudformation/keybroker.yaml").display());
    let oidc_provider = if identity == "EksRole" { OIDC_PROVIDER } else { "" };
    let parameters =
        [("Identity", identity), ("Name", identity), ("KmsKeyArn", KEY), ("OidcProvider", oidc_provider)]
            .map(|(key, value)| format!("ParameterKey={key},ParameterValue={value}"));
    let mut create = vec!["cloudformation", "create-stack", "--stack-name", identity];
    create.extend(["--template-body", &template, "--capabilities", "CAPABILITY_NAMED_IAM", "--parameters"]);
    create.extend(parameters.iter().map(String::as_str));
    aws_as_admin(&create).await;
}

#[tokio::test]
async fn the_four_calls_pass_under_the_prefix() {
    let id = "tenant/iam-allowed/nested/vapi";
    let version = "01234567-89ab-7def-8123-456789abcdef";
    let allowed = async |call: &[&str]| {
        let answer = secretsmanager_as_keybroker(call).await;
        let answer = answer.unwrap_or_else(|error| panic!("{call:?}: {error}"));
        assert_eq!(answer["Name"], id);
        answer
    };
    let created = allowed(&["create-secret", "--name", id, "--secret-string", "1"]).await;
    assert_eq!(allowed(&["get-secret-value", "--secret-id", id]).await["SecretString"], "1");
    let put = ["put-secret-value", "--secret-id", id, "--secret-string", "2"];
    allowed(&[&put[..], &["--client-request-token", version]].concat()).await;
    allowed(&["update-secret", "--secret-id", id, "--description", "moved"]).await;
    // By its ARN, too, and the version before.
    let arn = created["ARN"].as_str().unwrap();
    let previous = allowed(&["get-secret-value", "--secret-id", arn, "--version-stage", "AWSPREVIOUS"]).await;
    assert_eq!(previous["SecretString"], "1");
    let read = secretsmanager(&["get-secret-value", "--secret-id", id]).await;
    assert_eq!((&read["SecretString"], &read["VersionId"]), (&json!("2"), &json!(version)));
}

#[tokio::test]
async fn the_same_calls_are_denied_elsewhere() {
    let id = "other/iam/vapi";
    let created = secretsmanager(&["create-secret", "--name", id, "--secret-string", "1"]).await;
    let arn = created["ARN"].as_str().unwrap();
    denied(&[
        ("GetSecretValue", &["get-secret-value", "--secret-id", id]),
        ("GetSecretValue", &["get-secret-value", "--secret-id", arn]),
        ("CreateSecret", &["create-secret", "--name", "other/iam/new", "--secret-string", "2"]),
        ("PutSecretValue", &["put-secret-value", "--secret-id", id, "--secret-string", "2"]),
        ("UpdateSecret", &["update-secret", "--secret-id", id, "--description", "2"]),
        // The slash is part of what is allowed, and so is the region.
        ("CreateSecret", &["create-secret", "--name", "tenantx/iam/vapi", "--secret-string", "2"]),
        ("CreateSecret", &["create-secret", "--name", "tenant-iam", "--secret-string", "2"]),
        ("GetSecretValue", &["get-secret-value", "--region", "us-west-2", "--secret-id", "tenant/iam/vapi"]),
    ])
    .await;
    let read = secretsmanager(&["get-secret-value", "--secret-id", id]).await;
    assert_eq!(read["SecretString"], "1");
}

#[tokio::test]
async fn nothing_else_is_allowed_under_the_prefix() {
    let id = "tenant/iam-denied/vapi";
    let first = secretsmanager(&["create-secret", "--name", id, "--secret-string", "1"]).await;
    let second = secretsmanager(&["put-secret-value", "--secret-id", id, "--secret-string", "2"]).await;
    let [first, second] = [&first, &second].map(|answer| answer["VersionId"].as_str().unwrap());
    let tag = ["--tags", "Key=a,Value=b"];
    let move_back = ["--move-to-version-id", first, "--remove-from-version-id", second];
    let stage = ["update-secret-version-stage", "--secret-id", id, "--version-stage", "AWSCURRENT"];
    let calls: [(&str, &[&str]); 7] = [
        ("DescribeSecret", &["describe-secret", "--secret-id", id]),
        ("ListSecrets", &["list-secrets"]),
        ("ListSecretVersionIds", &["list-secret-version-ids", "--secret-id", id]),
        ("BatchGetSecretValue", &["batch-get-secret-value", "--secret-id-list", id]),
        ("TagResource", &[&["tag-resource", "--secret-id", id], &tag[..]].concat()),
        ("UpdateSecretVersionStage", &[&stage[..], &move_back].concat()),
        ("DeleteSecret", &["delete-secret", "--secret-id", id]),
    ];
    denied(&calls).await;
    // A secret that is tagged as it is made needs the permission to tag, too.
    let name = "tenant/iam-denied/tagged";
    let create = [&["create-secret", "--name", name, "--secret-string", "x"], &tag[..]].concat();
    denied(&[("TagResource", &create)]).await;
    // It was the permission that they lacked: who has it makes the same calls.
    for (_, call) in calls {
        secretsmanager(call).await;
    }
}

/// Makes each call as keybroker's user and expects AWS to deny the action for want of a permission.
async fn denied(calls: &[(&str, &[&str])]) {
    let answers = join_all(calls.iter().map(|(_, call)| secretsmanager_as_keybroker(call))).await;
    for ((action, call), answer) in calls.iter().zip(answers) {
        let error = match answer {
            Ok(answer) => panic!("{call:?} was allowed: {answer}"),
            Err(error) => error,
        };
        assert!(error.contains("(AccessDeniedException)"), "{call:?}: {error}");
        let said = format!("not authorized to perform: secretsmanager:{action} on resource");
        assert!(error.contains(&said), "{call:?}: {error}");
    }
}

fn path(name: &str) -> PathBuf {
    root().join("iam").join(name)
}

fn file(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("iam/{name}: {error}"))
}

fn parsed(name: &str) -> Value {
    serde_json::from_str(&file(name)).unwrap_or_else(|error| panic!("iam/{name}: {error}"))
}

fn printed(more: &[&str]) -> String {
    let arguments = ["iam", "policy", "--account", "123456789012", "--region", "us-east-1"];
    let mut program = Command::new(env!("CARGO_BIN_EXE_keybroker"));
    let output = program.args(arguments).args(more).env_remove("KEYBROKER_SECRET_PREFIX").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The strings of `name = ["…", …]`.
fn hcl_list(module: &str, name: &str) -> Vec<String> {
    let start = format!("  {name} = [\n");
    let (_, list) = module.split_once(&start).unwrap_or_else(|| panic!("no list {name}"));
    let (list, _) = list.split_once(']').unwrap();
    let item = |line: &str| line.trim().trim_end_matches(',').trim_matches('"').to_owned();
    list.lines().map(item).filter(|item| !item.is_empty()).collect()
}

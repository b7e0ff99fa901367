//! Services that many tests share, started when first asked for. Each ends when this process does,
//! however it does: its supervisor waits for the end of its own standard input.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
};

use serde::Deserialize;

/// A Secrets Manager emulator.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Aws {
    pub endpoint: String,
    pub region: String,
    pub access_key_id: String,
    pub secret_access_key: String,
    /// Someone who may do anything: another program, or an operator.
    #[serde(default)]
    pub admin_access_key_id: String,
    #[serde(default)]
    pub admin_secret_access_key: String,
}

/// An emulator of Lambda that really runs functions.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Lambda {
    pub address: SocketAddr,
    /// The customer vault's template, as Lambda takes code.
    pub template: String,
}

#[derive(Debug, Clone, Deserialize)]
struct Postgres {
    url: String,
}

struct Running<T> {
    about: T,
    /// Its standard input is a pipe from us.
    _supervisor: Child,
}

/// moto, with IAM enforced: keybroker's user has the policy that `keybroker iam policy` prints.
pub(crate) fn moto() -> &'static Aws {
    static MOTO: OnceLock<Running<Aws>> = OnceLock::new();
    let start = || {
        let policy = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(policy.path(), printed_policy()).unwrap();
        start("moto", &["--policy", policy.path().to_str().unwrap()])
    };
    &MOTO.get_or_init(start).about
}

/// LocalStack 4.14.0, which does not enforce IAM.
pub(crate) fn localstack() -> &'static Aws {
    static LOCALSTACK: OnceLock<Running<Aws>> = OnceLock::new();
    &LOCALSTACK.get_or_init(|| start("localstack", &[])).about
}

/// MiniStack, for Lambda alone.
pub(crate) fn ministack() -> &'static Lambda {
    static MINISTACK: OnceLock<Running<Lambda>> = OnceLock::new();
    &MINISTACK.get_or_init(|| start("ministack", &[])).about
}

/// The URL of a PostgreSQL server.
pub(crate) fn postgres() -> &'static str {
    static POSTGRES: OnceLock<Running<Postgres>> = OnceLock::new();
    &POSTGRES.get_or_init(|| start::<Postgres>("postgres", &[])).about.url
}

/// Makes a user of moto's IAM who may do these actions of Secrets Manager with these secrets, and
/// nothing else; its access key.
pub(crate) async fn identity(actions: &[&str], secrets: &str) -> (String, String) {
    let user = format!("user-{}", uuid::Uuid::from_bytes(super::app::random_bytes()).simple());
    let actions: Vec<_> = actions.iter().map(|action| format!("secretsmanager:{action}")).collect();
    let resource = format!("arn:aws:secretsmanager:us-east-1:123456789012:secret:{secrets}");
    let statement = serde_json::json!({"Effect": "Allow", "Action": actions, "Resource": resource});
    let policy = serde_json::json!({"Version": "2012-10-17", "Statement": [statement]}).to_string();
    let name = ["--user-name", &user];
    aws_as_admin(&[&["iam", "create-user"], &name[..]].concat()).await;
    let document = ["--policy-name", "only", "--policy-document", &policy];
    aws_as_admin(&[&["iam", "put-user-policy"], &name[..], &document[..]].concat()).await;
    let key = aws_as_admin(&[&["iam", "create-access-key"], &name[..]].concat()).await;
    let text = |field: &str| key["AccessKey"][field].as_str().unwrap().to_owned();
    (text("AccessKeyId"), text("SecretAccessKey"))
}

/// Runs the AWS CLI's `secretsmanager` against moto, as someone who may do anything.
pub(crate) async fn secretsmanager(arguments: &[&str]) -> serde_json::Value {
    aws_as_admin(&[&["secretsmanager"], arguments].concat()).await
}

/// The same as keybroker's user: the answer, or what the CLI says of the refusal.
pub(crate) async fn secretsmanager_as_keybroker(arguments: &[&str]) -> Result<serde_json::Value, String> {
    let Aws { access_key_id, secret_access_key, .. } = moto();
    aws_cli(access_key_id, secret_access_key, &[&["secretsmanager"], arguments].concat()).await
}

/// Runs the AWS CLI against moto, for any service, as someone who may do anything.
pub(crate) async fn aws_as_admin(arguments: &[&str]) -> serde_json::Value {
    let Aws { admin_access_key_id, admin_secret_access_key, .. } = moto();
    let answer = aws_cli(admin_access_key_id, admin_secret_access_key, arguments).await;
    answer.unwrap_or_else(|error| panic!("{arguments:?}: {error}"))
}

/// Null where the CLI prints nothing, as for many a deletion.
async fn aws_cli(key_id: &str, secret: &str, arguments: &[&str]) -> Result<serde_json::Value, String> {
    let aws = moto();
    let mut command = Command::new(installed("aws"));
    command.args(["--endpoint-url", &aws.endpoint]).args(arguments);
    command.env("AWS_DEFAULT_REGION", &aws.region).env("AWS_EC2_METADATA_DISABLED", "true");
    command.env("AWS_ACCESS_KEY_ID", key_id).env("AWS_SECRET_ACCESS_KEY", secret);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    if output.stdout.is_empty() {
        return Ok(serde_json::Value::Null);
    }
    Ok(serde_json::from_slice(&output.stdout).unwrap())
}

/// A program that was installed along with moto.
pub(crate) fn installed(program: &str) -> PathBuf {
    root().join("target/services/moto/bin").join(program)
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn printed_policy() -> Vec<u8> {
    let arguments = ["iam", "policy", "--account", "123456789012", "--region", "us-east-1"];
    let printed = Command::new(env!("CARGO_BIN_EXE_keybroker")).args(arguments).output().unwrap();
    assert!(printed.status.success());
    printed.stdout
}

fn start<T: for<'de> Deserialize<'de>>(service: &str, arguments: &[&str]) -> Running<T> {
    let mut supervisor = Command::new("python3")
        .arg(root().join("tests/services/serve.py"))
        .arg(service)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 is there");
    let mut line = String::new();
    BufReader::new(supervisor.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let about = serde_json::from_str(&line)
        .unwrap_or_else(|e| panic!("{service} did not start ({e}); tests/run installs what it needs"));
    Running { about, _supervisor: supervisor }
}

//! Services that many tests share, started when first asked for. Each ends when this process does,
//! however it does: its supervisor waits for the end of its own standard input.

use std::{
    io::{BufRead, BufReader},
    path::Path,
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

/// The URL of a PostgreSQL server.
pub(crate) fn postgres() -> &'static str {
    static POSTGRES: OnceLock<Running<Postgres>> = OnceLock::new();
    &POSTGRES.get_or_init(|| start::<Postgres>("postgres", &[])).about.url
}

/// Runs the AWS CLI against moto, as someone who may do anything.
pub(crate) async fn secretsmanager(arguments: &[&str]) -> serde_json::Value {
    let aws = moto();
    let mut command = Command::new(root().join("target/services/moto/bin/aws"));
    command.args(["--endpoint-url", &aws.endpoint, "secretsmanager"]).args(arguments);
    command.env("AWS_DEFAULT_REGION", &aws.region).env("AWS_EC2_METADATA_DISABLED", "true");
    command.env("AWS_ACCESS_KEY_ID", &aws.admin_access_key_id);
    command.env("AWS_SECRET_ACCESS_KEY", &aws.admin_secret_access_key);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
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

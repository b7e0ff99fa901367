//! The real program, as a process of its own, with a database and a store of its own.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use hyper::Method;
use keybroker::domain::{
    access::Scope,
    clock::{Clock, Random, SystemClock, SystemRandom},
};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    aws::Proxy,
    client::{Call, Reply},
    database::Database,
    provider, services, until,
};

/// Which database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Db {
    Sqlite,
    Postgres,
}

impl Db {
    /// The URL of an empty one: in this folder, if it is a file.
    pub(crate) async fn url(self, folder: &Path) -> String {
        match self {
            Self::Sqlite => format!("sqlite:{}", folder.join("keybroker.db").display()),
            Self::Postgres => Database::create(services::postgres()).await,
        }
    }
}

/// Which store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Store {
    Local,
    Moto,
    LocalStack,
}

/// A running service. Dropped, it is killed and what it left is removed.
pub(crate) struct TestApp {
    pub address: SocketAddr,
    /// Reaches everything.
    pub root: String,
    /// The organization that this test has to itself, on an emulator that others use too.
    pub org: String,
    pub aws: Option<Proxy>,
    pub folder: TempDir,
    pub database_url: String,
    environment: Vec<(String, String)>,
    process: Option<Child>,
}

pub(crate) fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SystemRandom.fill(&mut bytes);
    bytes
}

impl TestApp {
    pub(crate) async fn new(db: Db, store: Store) -> Self {
        Self::with(db, store, &[]).await
    }

    /// The quickest to start, for what does not depend on either.
    pub(crate) async fn local() -> Self {
        Self::new(Db::Sqlite, Store::Local).await
    }

    /// With settings of the test's own.
    pub(crate) async fn with(db: Db, store: Store, settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database_url = db.url(folder.path()).await;
        let id = uuid::Uuid::from_bytes(random_bytes()).simple().to_string();
        let root = format!("kb_root-of-the-tests-{id}");
        let mut environment = vec![
            ("KEYBROKER_DATABASE_URL".to_owned(), database_url.clone()),
            ("KEYBROKER_BOOTSTRAP_TOKEN".to_owned(), root.clone()),
            ("KEYBROKER_LOG".to_owned(), "trace".to_owned()),
        ];
        let mut set = |name: &str, value: &str| environment.push((name.to_owned(), value.to_owned()));
        let providers = folder.path().join("providers.toml");
        std::fs::write(&providers, provider::file()).unwrap();
        set("KEYBROKER_PROVIDERS_FILE", providers.to_str().unwrap());
        set("KEYBROKER_ALLOW_PRIVATE_ADDRESSES", "true");
        set("KEYBROKER_VERIFY_CONFIRM_AFTER", "100ms");
        let aws = match store {
            Store::Local => {
                set("KEYBROKER_STORE", "local");
                let key = master_key(folder.path());
                set("KEYBROKER_MASTER_KEY_FILE", key.to_str().unwrap());
                None
            }
            Store::Moto | Store::LocalStack => {
                let aws = if store == Store::Moto { services::moto() } else { services::localstack() };
                let proxy = Proxy::start(aws).await;
                set("KEYBROKER_STORE", "aws");
                set("AWS_ENDPOINT_URL", &proxy.endpoint);
                set("AWS_REGION", &aws.region);
                set("AWS_ACCESS_KEY_ID", &aws.access_key_id);
                set("AWS_SECRET_ACCESS_KEY", &aws.secret_access_key);
                Some(proxy)
            }
        };
        for (name, value) in settings {
            set(name, value);
        }
        let address = ([127, 0, 0, 1], 0).into();
        let org = format!("org_{id}");
        let mut app = Self { address, root, org, aws, folder, database_url, environment, process: None };
        app.start().await;
        app
    }

    /// A second process on the same database and store.
    pub(crate) async fn replica(&self, settings: &[(&str, &str)]) -> Self {
        let mut environment = self.environment.clone();
        environment.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let mut replica = Self {
            address: self.address,
            root: self.root.clone(),
            org: self.org.clone(),
            aws: None,
            folder: tempfile::tempdir().unwrap(),
            database_url: self.database_url.clone(),
            environment,
            process: None,
        };
        replica.start().await;
        replica
    }

    /// Starts the program, again if it was killed before.
    pub(crate) async fn start(&mut self) {
        let mut command = program();
        command.arg("serve").envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.env("KEYBROKER_LISTEN", "127.0.0.1:0").env("KEYBROKER_ADMIN_LISTEN", "127.0.0.1:0");
        let log = File::options().create(true).append(true).open(self.log_file()).unwrap();
        let mut process = command.stdout(Stdio::piped()).stderr(log).stdin(Stdio::null()).spawn().unwrap();
        let stdout = process.stdout.take().unwrap();
        let line = tokio::task::spawn_blocking(|| BufReader::new(stdout).lines().next()).await.unwrap();
        self.process = Some(process);
        let line = line.unwrap_or_else(|| panic!("did not start: {}", self.log())).unwrap();
        self.address = line.strip_prefix("listening on http://").unwrap().parse().unwrap();
    }

    /// What /metrics shows.
    pub(crate) async fn metrics(&self) -> String {
        let log = self.log();
        let (_, after) = log.rsplit_once("\"admin_address\":\"").expect("the log says where");
        let address = after.split('"').next().unwrap().parse().unwrap();
        Call::new(address, Method::GET, "/metrics").send().await.expect(200).text
    }

    /// For how long it has not asked what others changed, as it last told: once a second, and never 0 once it
    /// did.
    pub(crate) async fn blindness(&self) -> Duration {
        let metrics = self.metrics().await;
        let seconds = |line: &str| line.strip_prefix("keybroker_blindness_seconds ")?.parse().ok();
        metrics.lines().find_map(seconds).map(Duration::from_secs_f64).unwrap_or_default()
    }

    /// Until it has heard of all that was changed before: it forgets nothing for that any more.
    pub(crate) async fn caught_up(&self) {
        let clock = SystemClock::default();
        let since = clock.uptime();
        until("it asked what was changed", || async {
            let waited = clock.uptime().saturating_sub(since);
            let blindness = self.blindness().await;
            (!blindness.is_zero() && blindness + Duration::from_secs(1) < waited).then_some(())
        })
        .await;
    }

    /// Every file that it has written, but its log and its key.
    pub(crate) fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let files = std::fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().path());
        let others = ["log", "master.key", "providers.toml"];
        let files = files.filter(|file| !others.iter().any(|other| file.ends_with(other)));
        files.map(|file| (file.clone(), std::fs::read(file).unwrap())).collect()
    }

    /// Ends it at once, as a power cut would.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Asks it to end, and returns how it did.
    pub(crate) async fn terminate(&mut self) -> std::process::ExitStatus {
        let mut process = self.process.take().unwrap();
        let signalled = Command::new("kill").args(["-TERM", &process.id().to_string()]).status().unwrap();
        assert!(signalled.success());
        tokio::task::spawn_blocking(move || process.wait().unwrap()).await.unwrap()
    }

    pub(crate) fn log_file(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap()
    }

    pub(crate) fn aws(&self) -> &Proxy {
        self.aws.as_ref().expect("this app's store is AWS")
    }

    pub(crate) async fn database(&self) -> Database {
        Database::connect(&self.database_url).await
    }

    /// The `keybroker` command with this app's settings.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program();
        command.args(arguments).envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// A request without a token.
    pub(crate) fn call(&self, method: Method, path: &str) -> Call {
        Call::new(self.address, method, path)
    }

    pub(crate) fn get(&self, path: &str) -> Call {
        self.call(Method::GET, path).token(&self.root)
    }

    pub(crate) fn put(&self, path: &str) -> Call {
        self.call(Method::PUT, path).token(&self.root)
    }

    pub(crate) fn post(&self, path: &str) -> Call {
        self.call(Method::POST, path).token(&self.root)
    }

    pub(crate) fn delete(&self, path: &str) -> Call {
        self.call(Method::DELETE, path).token(&self.root)
    }

    /// The path of a connection of this test's organization.
    pub(crate) fn path(&self, connection: &str) -> String {
        format!("/v1/orgs/{}/connections/{connection}", self.org)
    }

    /// Puts a Vapi key.
    pub(crate) async fn put_vapi(&self, private: &str) -> Reply {
        self.put(&self.path("vapi")).json(&vapi(private)).send().await
    }

    /// What the credentials route answers.
    pub(crate) async fn read(&self, connection: &str) -> Reply {
        self.get(&format!("{}/credentials", self.path(connection))).send().await
    }

    /// The private key that a reader gets.
    pub(crate) async fn private_key(&self) -> String {
        let reply = self.read("vapi").await.expect(200);
        reply.json()["credentials"]["privateApiKey"].as_str().unwrap().to_owned()
    }

    /// A token with these scopes for these organizations.
    pub(crate) async fn token(&self, scopes: &[Scope], orgs: &[&str]) -> String {
        let body = json!({"name": "a test's", "scopes": scopes, "orgs": orgs});
        let reply = self.post("/v1/tokens").json(&body).send().await.expect(201);
        reply.json()["token"].as_str().unwrap().to_owned()
    }

    /// The types and versions of a connection's changes, oldest first.
    pub(crate) async fn history(&self, connection: &str) -> Vec<(String, String)> {
        let mut history = Vec::new();
        let mut page = format!("/v1/orgs/{}/events?limit=200", self.org);
        loop {
            let reply = self.get(&page).send().await.expect(200).json();
            for event in reply["events"].as_array().unwrap() {
                if event["connection"] == connection && event["type"] != "credentials.read" {
                    let text = |field: &str| event[field].as_str().unwrap().to_owned();
                    history.push((text("type"), text("version")));
                }
            }
            let Some(cursor) = reply["next_cursor"].as_str() else { break };
            page = format!("/v1/orgs/{}/events?limit=200&cursor={cursor}", self.org);
        }
        history.reverse();
        history
    }

    /// Waits until no write is left unfinished.
    pub(crate) async fn settled(&self) {
        let mut database = self.database().await;
        for _ in 0..600 {
            if database.intents().await == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("a write is still unfinished: {}", self.log());
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The body that puts a Vapi key.
pub(crate) fn vapi(private: &str) -> Value {
    json!({"provider": "vapi", "credentials": {"publicApiKey": "pk", "privateApiKey": private}})
}

/// The program, with an environment that holds nothing of this machine's.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keybroker"));
    command.env_clear().env("AWS_EC2_METADATA_DISABLED", "true").env("HOME", "/nonexistent");
    command
}

/// A master key's file.
pub(crate) fn master_key(folder: &Path) -> PathBuf {
    let file = folder.join("master.key");
    keybroker::adapter::local::Keyring::generate_file(&file, &SystemRandom).unwrap();
    file
}

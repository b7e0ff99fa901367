//! `keybroker dev`: what a newcomer sees, and does with it.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
};

use hyper::Method;
use serde_json::{Value, json};

use super::{failed, keybroker, run};
use crate::support::client::Call;

/// A running `keybroker dev`.
struct Dev {
    process: Child,
    /// What it printed, to the end of its welcome.
    welcome: String,
    address: SocketAddr,
    token: String,
}

impl Dev {
    fn start(state: &Path) -> Self {
        let arguments = ["dev", "--port", "0", "--state", state.to_str().unwrap()];
        let mut process =
            keybroker(&arguments, &[]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut welcome = String::new();
        for line in BufReader::new(process.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            welcome.push_str(&line);
            welcome.push('\n');
            if line.starts_with("Metrics: ") {
                break;
            }
        }
        let after = |start: &str| {
            let line = welcome.lines().find_map(|line| line.trim().strip_prefix(start));
            line.unwrap_or_else(|| panic!("{start}… in {welcome}")).to_owned()
        };
        let address = after("listening on http://").parse().unwrap();
        let token = after("export KEYBROKER_TOKEN=");
        Self { process, welcome, address, token }
    }

    /// The commands that it prints, as a shell reads them.
    fn commands(&self) -> Vec<String> {
        let joined = self.welcome.replace("\\\n", " ");
        let commands = joined.lines().map(str::trim);
        commands
            .filter(|line| line.starts_with("curl ") || line.starts_with("export "))
            .map(str::to_owned)
            .collect()
    }

    async fn status(&self, token: &str) -> u16 {
        Call::new(self.address, Method::GET, "/v1/tokens").token(token).send().await.status.as_u16()
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

#[test]
fn what_it_prints_works_in_a_shell() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(&folder.path().join("state"));
    let commands = dev.commands();
    let [export, put, get] = commands.as_slice() else { panic!("{commands:?}") };
    let shell = |curl: &str| {
        let script =
            format!("{export}\n{}", curl.replacen("curl", "curl --silent --show-error --fail-with-body", 1));
        let output = Command::new("sh").args(["-ec", &script]).output().unwrap();
        assert!(output.status.success(), "{script}: {output:?}");
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    assert_eq!(shell(put)["status"], "active");
    let keys = json!({"publicApiKey": "pk-demo", "privateApiKey": "sk-demo-0123456789"});
    assert_eq!(shell(get)["credentials"], keys);
}

#[tokio::test]
async fn each_start_keeps_the_keys_and_makes_a_new_token() {
    let folder = tempfile::tempdir().unwrap();
    let path = "/v1/orgs/acme/connections/vapi";
    let first = Dev::start(folder.path());
    assert!(first.address.ip().is_loopback() && first.address.port() != 0, "{}", first.address);
    assert_eq!(first.status(&first.token).await, 200);
    let put = Call::new(first.address, Method::PUT, format!("{path}?verify=false")).token(&first.token);
    put.json(&crate::support::app::vapi("sk-kept-0123456789")).send().await.expect(201);
    let docs = Call::new(first.address, Method::GET, "/docs").send().await.expect(200);
    assert!(docs.text.contains("keybroker"));
    let former = first.token.clone();
    drop(first);

    let second = Dev::start(folder.path());
    assert_ne!(second.token, former);
    assert_eq!(second.status(&former).await, 401);
    let get = Call::new(second.address, Method::GET, format!("{path}/credentials")).token(&second.token);
    assert_eq!(get.send().await.expect(200).json()["credentials"]["privateApiKey"], "sk-kept-0123456789");
}

#[tokio::test]
async fn the_link_that_it_prints_opens_the_portal() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path());
    let start = format!("http://{}/connect/", dev.address);
    let link = dev.welcome.lines().find_map(|line| line.trim().strip_prefix(&start)).unwrap();
    let call = |method| Call::new(dev.address, method, format!("/connect/{link}")).send();
    call(Method::GET).await.expect(200);
    let opened = call(Method::POST).await.expect(303);
    let cookie = opened.header("set-cookie").unwrap().split(';').next().unwrap();
    let portal = Call::new(dev.address, Method::GET, "/portal").header("cookie", cookie);
    assert!(portal.send().await.expect(200).text.contains("/portal/connections/vapi"));
}

/// Whatever the environment says: a development service is nobody else's.
#[test]
fn it_listens_on_loopback_only() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().to_str().unwrap();
    let everywhere = [("KEYBROKER_LISTEN", "0.0.0.0:0"), ("KEYBROKER_ADMIN_LISTEN", "0.0.0.0:0")];
    let mut command = keybroker(&["dev", "--port", "0", "--state", state], &everywhere);
    let mut process = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.starts_with("listening on http://127.0.0.1:")));
    assert!(lines.any(|line| line.starts_with("Metrics: ")));
    let listening = listening_sockets(process.id());
    process.kill().unwrap();
    process.wait().unwrap();
    assert_eq!(listening.len(), 2, "{listening:?}");
    // 127.0.0.1, as /proc writes it.
    assert!(listening.iter().all(|address| address.starts_with("0100007F:")), "{listening:?}");
}

/// The addresses on which a process listens, as /proc/net/tcp writes them.
fn listening_sockets(process: u32) -> Vec<String> {
    let links = std::fs::read_dir(format!("/proc/{process}/fd")).unwrap();
    let links = links.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
    let open: Vec<_> = links.map(|link| link.display().to_string()).collect();
    let mut listening = Vec::new();
    for table in ["tcp", "tcp6"] {
        let table = std::fs::read_to_string(format!("/proc/{process}/net/{table}")).unwrap_or_default();
        for line in table.lines().skip(1) {
            let columns: Vec<_> = line.split_whitespace().collect();
            if columns[3] == "0A" && open.contains(&format!("socket:[{}]", columns[9])) {
                listening.push(columns[1].to_owned());
            }
        }
    }
    listening
}

#[test]
fn it_says_why_it_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let state = folder.path().join("a").display().to_string();
    failed(&run(&["dev", "--port", &port, "--state", &state], &[]), 1, &[&port, "choose another"]);
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let state = file.join("state").display().to_string();
    failed(&run(&["dev", "--port", "0", "--state", &state], &[]), 1, &["--state"]);

    let shared = folder.path().join("shared");
    let running = Dev::start(&shared);
    let second = run(&["dev", "--port", "0", "--state", shared.to_str().unwrap()], &[]);
    failed(&second, 1, &["another keybroker"]);
    drop(running);
}

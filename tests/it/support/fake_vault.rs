//! An organization's function that does what a test says, byte for byte, and remembers what it was asked.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufReader},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::Notify,
    task::JoinSet,
};

/// What it does.
#[derive(Debug, Clone)]
pub(crate) enum Conduct {
    /// What the template does.
    Proper,
    /// The same, once a test says [`FakeVault::release`].
    Held,
    /// It ends the connection before it reads anything.
    HangUpFirst,
    /// It sends these bytes and ends the connection.
    Bytes(Vec<u8>),
    /// It sends these bytes and then nothing more, and keeps the connection.
    Stall(Vec<u8>),
    /// It sends these bytes, and then these others for as long as anyone reads.
    Endless(Vec<u8>, Vec<u8>),
}

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub method: String,
    pub path: String,
    pub authorization: String,
    pub keys: Vec<String>,
    /// Which of all connections it came by.
    pub connection: usize,
}

struct State {
    conduct: Conduct,
    token: String,
    values: BTreeMap<String, String>,
    asked: Vec<Asked>,
    connections: usize,
    held: usize,
    most_held: usize,
    sent: usize,
}

struct Shared {
    state: Mutex<State>,
    release: Notify,
}

/// A function of the test's own, over plain HTTP on this machine. Dropped, it is gone.
pub(crate) struct FakeVault {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    server: tokio::task::JoinHandle<()>,
}

impl FakeVault {
    /// One that has these keys, and knows no token yet.
    pub(crate) async fn with(values: &[(&str, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = State {
            conduct: Conduct::Proper,
            token: String::new(),
            values: BTreeMap::new(),
            asked: Vec::new(),
            connections: 0,
            held: 0,
            most_held: 0,
            sent: 0,
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), release: Notify::new() });
        #[expect(clippy::disallowed_methods, reason = "aborted when the vault is dropped")]
        let server = tokio::spawn(listen(listener, Arc::clone(&shared)));
        let vault = Self { address, shared, server };
        for (name, value) in values {
            vault.set(name, value);
        }
        vault
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Sets `AUTH_TOKEN`.
    pub(crate) fn set_token(&self, token: &str) {
        token.clone_into(&mut self.state().token);
    }

    /// Sets a key; an empty value removes it.
    pub(crate) fn set(&self, name: &str, value: &str) {
        self.state().values.insert(name.to_owned(), value.to_owned());
    }

    /// From now on it does this.
    pub(crate) fn conduct(&self, conduct: Conduct) {
        self.state().conduct = conduct;
    }

    /// Lets the requests go that are held.
    pub(crate) fn release(&self) {
        self.shared.release.notify_waiters();
    }

    /// How many requests are held at this moment.
    pub(crate) fn held(&self) -> usize {
        self.state().held
    }

    /// The most that were at a time.
    pub(crate) fn most_held(&self) -> usize {
        self.state().most_held
    }

    /// What it was asked since the last time, in order.
    pub(crate) fn take_asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.state().asked)
    }

    /// How many connections there were.
    pub(crate) fn connections(&self) -> usize {
        self.state().connections
    }

    /// How many bytes of endless answers were taken.
    pub(crate) fn sent(&self) -> usize {
        self.state().sent
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap()
    }
}

impl Drop for FakeVault {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// An answer of HTTP's, the last on its connection.
pub(crate) fn answer(status: u16, content_type: &str, body: &str) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-type: {content_type}\r\n");
    format!("{head}content-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

async fn listen(listener: TcpListener, shared: Arc<Shared>) {
    // Aborted with this task, and so the connections end.
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let number = {
            let mut state = shared.state.lock().unwrap();
            state.connections += 1;
            state.connections
        };
        connections.spawn(serve(stream, number, Arc::clone(&shared)));
    }
}

async fn serve(stream: TcpStream, connection: usize, shared: Arc<Shared>) {
    if matches!(shared.state.lock().unwrap().conduct, Conduct::HangUpFirst) {
        return;
    }
    let (reading, mut writing) = stream.into_split();
    let mut reading = BufReader::new(reading);
    while let Some(asked) = read(&mut reading, connection).await {
        let conduct = {
            let mut state = shared.state.lock().unwrap();
            state.asked.push(asked.clone());
            state.conduct.clone()
        };
        let goes_on = match conduct {
            Conduct::Proper => write(&mut writing, &proper(&shared, &asked)).await,
            Conduct::Held => {
                tokio::select! {
                    () = hold(&shared) => write(&mut writing, &proper(&shared, &asked)).await,
                    // The caller waits no longer.
                    _ = reading.read_u8() => false,
                }
            }
            Conduct::HangUpFirst => false,
            Conduct::Bytes(bytes) => {
                write(&mut writing, &bytes).await;
                false
            }
            Conduct::Stall(bytes) => {
                write(&mut writing, &bytes).await;
                // Until the caller ends the connection.
                let _ = reading.read_u8().await;
                false
            }
            Conduct::Endless(start, more) => {
                write(&mut writing, &start).await;
                while write(&mut writing, &more).await {
                    shared.state.lock().unwrap().sent += more.len();
                }
                false
            }
        };
        if !goes_on {
            return;
        }
    }
}

/// Counts itself among the held, also when the connection goes away meanwhile.
async fn hold(shared: &Shared) {
    struct Holding<'a>(&'a Shared);
    impl Drop for Holding<'_> {
        fn drop(&mut self) {
            self.0.state.lock().unwrap().held -= 1;
        }
    }
    let released = shared.release.notified();
    {
        let mut state = shared.state.lock().unwrap();
        state.held += 1;
        state.most_held = state.most_held.max(state.held);
    }
    let _holding = Holding(shared);
    // Longer than any test takes.
    let _ = tokio::time::timeout(Duration::from_mins(2), released).await;
}

async fn write(to: &mut OwnedWriteHalf, bytes: &[u8]) -> bool {
    to.write_all(bytes).await.is_ok()
}

fn proper(shared: &Shared, asked: &Asked) -> Vec<u8> {
    let state = shared.state.lock().unwrap();
    if asked.authorization != format!("Bearer {}", state.token) {
        return kept(401, r#"{"error":"The bearer token is missing or wrong."}"#);
    }
    let value = |name: &String| state.values.get(name).filter(|value| !value.is_empty());
    let values: BTreeMap<_, _> =
        asked.keys.iter().filter_map(|name| Some((name.clone(), value(name)?.clone()))).collect();
    let missing: Vec<_> = asked.keys.iter().filter(|name| value(name).is_none()).collect();
    kept(200, &json!({"values": values, "missing": missing}).to_string())
}

/// An answer after which the connection is kept.
fn kept(status: u16, body: &str) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n");
    format!("{head}content-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// One request; nothing at the end of the connection.
async fn read(from: &mut BufReader<OwnedReadHalf>, connection: usize) -> Option<Asked> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(from.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.lines();
    let mut first = lines.next().unwrap().split(' ').map(str::to_owned);
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    from.read_exact(&mut body).await.ok()?;
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let keys = body["keys"].as_array().cloned().unwrap_or_default();
    Some(Asked {
        method: first.next().unwrap(),
        path: first.next().unwrap(),
        authorization: headers.get("authorization").cloned().unwrap_or_default(),
        keys: keys.iter().map(|key| key.as_str().unwrap().to_owned()).collect(),
        connection,
    })
}

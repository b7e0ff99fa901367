use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::atomic::{AtomicUsize, Ordering},
};

use futures_util::future::BoxFuture;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;
use crate::domain::{clock::SystemRandom, vault::UrlRules};

/// A resolver that gives one answer after the other, and the last one from then on.
struct Answers {
    answers: Vec<Vec<IpAddr>>,
    asked: AtomicUsize,
}

impl Answers {
    fn new(answers: &[&[&str]]) -> Arc<Self> {
        let parse = |answer: &&[&str]| answer.iter().map(|address| address.parse().unwrap()).collect();
        Arc::new(Self { answers: answers.iter().map(parse).collect(), asked: AtomicUsize::new(0) })
    }
}

impl Lookup for Answers {
    fn addresses(&self, _: &str) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        let asked = self.asked.fetch_add(1, Ordering::SeqCst);
        let answer = self.answers[asked.min(self.answers.len() - 1)].clone();
        Box::pin(async move { Ok(answer.into_iter().map(|address| (address, 0).into()).collect()) })
    }
}

/// Listens on loopback, where no connection must ever arrive.
struct Untouched(TcpListener);

impl Untouched {
    async fn listen() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    fn port(&self) -> u16 {
        self.0.local_addr().unwrap().port()
    }

    async fn stayed_so(self) {
        let arrived = tokio::time::timeout(Duration::from_millis(100), self.0.accept()).await;
        assert!(arrived.is_err(), "a connection arrived from {:?}", arrived.unwrap().unwrap().1);
    }
}

async fn ask(client: &VaultClient, url: &str, allow_http: bool) -> Result<VaultAnswer, VaultFault> {
    // The rules for URLs are another guard: this one must hold without them.
    let hosts = ["*.on.aws", "*.rebind.example", "127.0.0.1"].map(|host| host.parse().unwrap());
    let url = VaultUrl::parse(url, &UrlRules { hosts: hosts.into(), allow_http }).unwrap();
    let token = VaultToken::generate(&SystemRandom);
    client.ask(&url, &token, &[], Duration::from_millis(300)).await
}

fn client(lookup: &Arc<Answers>, allow_private: bool) -> VaultClient {
    VaultClient::with(allow_private, &(Arc::clone(lookup) as Arc<dyn Lookup>))
}

fn is_private(result: &Result<VaultAnswer, VaultFault>) -> bool {
    matches!(result, Err(VaultFault::Unreachable(why)) if why.contains("address is private"))
}

#[tokio::test]
async fn no_name_leads_to_an_address_that_is_not_public() {
    for address in [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "100.64.0.1",
        "127.0.0.1",
        "127.8.8.8",
        "169.254.169.254",
        "169.254.170.2",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.8",
        "192.0.2.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::ffff:8.8.8.8",
        "64:ff9b::7f00:1",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fec0::1",
        "ff02::1",
    ] {
        let lookup = Answers::new(&[&[address]]);
        let result = ask(&client(&lookup, false), "https://a.lambda-url.us-east-1.on.aws/", false).await;
        assert!(is_private(&result), "{address}");
        assert_eq!(lookup.asked.load(Ordering::SeqCst), 1, "{address}");
    }
}

#[tokio::test]
async fn one_private_address_among_public_ones_is_enough() {
    let lookup = Answers::new(&[&["93.184.216.34", "127.0.0.1"]]);
    assert!(is_private(&ask(&client(&lookup, false), "https://a.on.aws/", false).await));
}

/// The name is public when it is checked and this machine when it is used: for whoever resolves twice.
#[tokio::test]
async fn a_name_that_changes_its_answer_gains_nothing() {
    let listener = Untouched::listen().await;
    let lookup = Answers::new(&[&["2606:4700::1"], &["127.0.0.1"]]);
    let client = client(&lookup, false);
    let first = ask(&client, "https://a.rebind.example/", false).await;
    assert!(!is_private(&first), "the first answer was public, and is the one that was used");
    assert_eq!(lookup.asked.load(Ordering::SeqCst), 1, "resolved once for each request");
    for _ in 0..3 {
        assert!(is_private(&ask(&client, "https://a.rebind.example/", false).await));
    }
    listener.stayed_so().await;
}

#[tokio::test]
async fn an_address_in_the_url_is_checked_too() {
    let listener = Untouched::listen().await;
    let lookup = Answers::new(&[&["127.0.0.1"]]);
    assert!(is_private(&ask(&client(&lookup, false), "https://127.0.0.1/", false).await));
    let http = format!("http://127.0.0.1:{}/", listener.port());
    assert!(is_private(&ask(&client(&lookup, false), &http, true).await));
    let named = format!("http://a.rebind.example:{}/", listener.port());
    assert!(ask(&client(&lookup, false), &named, true).await.is_err());
    assert_eq!(lookup.asked.load(Ordering::SeqCst), 0, "nothing was resolved");
    listener.stayed_so().await;
}

/// For development: private addresses in clear, and no public ones.
#[tokio::test]
async fn plain_http_goes_to_private_addresses_only() {
    let lookup = Answers::new(&[&["93.184.216.34"], &["127.0.0.1"]]);
    let client = client(&lookup, true);
    let fault = ask(&client, "http://a.rebind.example:9/", true).await.unwrap_err();
    assert_eq!(fault, VaultFault::Unreachable("its URL is http, and its address is public"));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://a.rebind.example:{}/", listener.local_addr().unwrap().port());
    let (arrived, _) = tokio::join!(
        tokio::time::timeout(Duration::from_secs(2), listener.accept()),
        tokio::time::timeout(Duration::from_millis(200), ask(&client, &url, true)),
    );
    assert!(arrived.is_ok(), "allowed, it gets there");
}

/// Leads every name to one listener, its port included.
struct To(SocketAddr);

impl Lookup for To {
    fn addresses(&self, _: &str) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        let address = self.0;
        Box::pin(async move { Ok(vec![address]) })
    }
}

/// Whoever can't speak TLS is told nothing, and asked once.
#[tokio::test]
async fn nothing_is_sent_where_tls_fails() {
    for answer in [&b"HTTP/1.1 200 OK\r\n\r\n"[..], b"", b"\x15\x03\x03\x00\x02\x02\x28"] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let lookup: Arc<dyn Lookup> = Arc::new(To(listener.local_addr().unwrap()));
        let client = VaultClient::with(true, &lookup);
        let peer = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut hello = [0; 3];
            stream.read_exact(&mut hello).await.unwrap();
            assert_eq!(hello[..2], [0x16, 0x03], "a TLS handshake begins");
            stream.write_all(answer).await.unwrap();
            stream.shutdown().await.unwrap();
            let mut rest = Vec::new();
            // What was left unread may reset the connection.
            let _ = stream.read_to_end(&mut rest).await;
            rest
        };
        let (result, heard) = tokio::join!(ask(&client, "https://a.on.aws/", false), peer);
        assert_eq!(result.unwrap_err(), VaultFault::Unreachable(NOT_REACHED));
        assert!(!heard.windows(6).any(|bytes| bytes == b"Bearer"), "the token went out in clear");
        Untouched(listener).stayed_so().await;
    }
}

//! A provider's URL leads nowhere but to the provider.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use serde_json::json;

use super::fresh_key;
use crate::support::{Db, Store, TestApp, app::vapi};

/// A listener on loopback that counts who connects.
struct Trap {
    port: u16,
    connections: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Trap {
    async fn set() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&connections);
        let accept = async move {
            while listener.accept().await.is_ok() {
                counter.fetch_add(1, Ordering::SeqCst);
            }
        };
        #[expect(clippy::disallowed_methods, reason = "aborted when the trap is dropped")]
        let task = tokio::spawn(accept);
        Self { port, connections, task }
    }

    fn sprung(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Trap {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn app_with(base_url: &str, allow: &str) -> TestApp {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("own.toml");
    std::fs::write(&file, format!("[providers.vapi]\nbase_url = '{base_url}'\n")).unwrap();
    let settings = [
        ("KEYBROKER_PROVIDERS_FILE", file.to_str().unwrap()),
        ("KEYBROKER_ALLOW_PRIVATE_ADDRESSES", allow),
        ("KEYBROKER_VERIFY_TIMEOUT", "2s"),
    ];
    TestApp::with(Db::Sqlite, Store::Local, &settings).await
}

/// However a private address is written, no byte reaches it.
#[tokio::test]
async fn private_addresses_are_refused() {
    let trap = Trap::set().await;
    let port = trap.port;
    for url in [
        format!("https://127.0.0.1:{port}"),
        format!("http://127.0.0.1:{port}"),
        format!("https://localhost:{port}"),
        format!("http://localhost:{port}"),
        format!("https://127.1:{port}"),
        format!("https://2130706433:{port}"),
        format!("https://0x7f000001:{port}"),
        format!("https://0177.0.0.1:{port}"),
        format!("https://0.0.0.0:{port}"),
        format!("https://[::1]:{port}"),
        format!("https://[::ffff:127.0.0.1]:{port}"),
        format!("https://[::]:{port}"),
        format!("https://user.localhost:{port}"),
    ] {
        let app = app_with(&url, "false").await;
        let key = fresh_key();
        let reply = app.put(&app.path("vapi")).json(&vapi(&key)).send().await;
        let detail = reply.expect_problem(502, "provider_unreachable").json()["detail"].clone();
        let detail = detail.as_str().unwrap();
        let unresolved = url.contains("user.localhost") && detail.contains("can't be reached");
        assert!(
            detail.contains("KEYBROKER_ALLOW_PRIVATE_ADDRESSES")
                || detail.contains("not https")
                || unresolved,
            "{url}: {detail}"
        );
    }
    assert_eq!(trap.sprung(), 0);
}

#[tokio::test]
async fn the_metadata_services_are_refused() {
    for url in [
        "http://169.254.169.254",
        "https://169.254.169.254",
        "https://[fd00:ec2::254]",
        "https://100.100.100.200",
    ] {
        let app = app_with(url, "false").await;
        let reply = app.put_vapi(&fresh_key()).await.expect_problem(502, "provider_unreachable");
        assert!(reply.text.contains("KEYBROKER_ALLOW_PRIVATE_ADDRESSES"), "{url}: {}", reply.text);
    }
}

/// Private ones may be allowed. A public one never gets a key in clear.
#[tokio::test]
async fn plain_http_stays_on_private_addresses() {
    let trap = Trap::set().await;
    let app = app_with(&format!("http://localhost:{}", trap.port), "true").await;
    app.put_vapi(&fresh_key()).await.expect_problem(502, "provider_unreachable");
    assert!(trap.sprung() > 0, "it is allowed to go there, where nobody answers");
    let app = app_with("http://1.1.1.1", "true").await;
    let reply = app.put_vapi(&fresh_key()).await.expect_problem(502, "provider_unreachable");
    assert!(reply.text.contains("not https"), "{}", reply.text);
}

/// A provider that redirects to a private address gets nowhere with it.
#[tokio::test]
async fn a_redirect_leads_nowhere() {
    use crate::support::provider::{Treatment, treat};
    let trap = Trap::set().await;
    let app = TestApp::local().await;
    let key = fresh_key();
    treat(&key, Treatment::Redirect(format!("http://127.0.0.1:{}/", trap.port)));
    app.put_vapi(&key).await.expect_problem(502, "provider_unreachable");
    let verify = app.post(&format!("{}/verify", app.path("vapi")));
    verify.send().await.expect_problem(404, "not_found");
    assert_eq!(trap.sprung(), 0);
}

/// What is put into a path stays in its place.
#[tokio::test]
async fn a_field_can_not_change_the_path() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("own.toml");
    let base = crate::support::provider::base();
    let entry = format!(
        "[providers.acme]\ndisplay_name = 'Acme'\ncategory = 'voice'\nbase_url = '{base}/acme'\n\
         auth = {{ value = 'Bearer {{key}}' }}\nverify = {{ path = '/accounts/{{account}}/me?a={{account}}' }}\n\
         fields = [{{ name = 'key', label = 'Key' }}, {{ name = 'account', label = 'Account' }}]\n"
    );
    std::fs::write(&file, entry).unwrap();
    let file = file.to_str().unwrap();
    let app = TestApp::with(Db::Sqlite, Store::Local, &[("KEYBROKER_PROVIDERS_FILE", file)]).await;
    let key = fresh_key();
    let put = async |account: &str| {
        let body = json!({"provider": "acme", "credentials": {"key": key, "account": account}});
        app.put(&app.path("acme")).json(&body).send().await
    };
    put("../x?y=1#z/%2e%2e").await.expect(201);
    let encoded = "..%2Fx%3Fy%3D1%23z%2F%252e%252e";
    assert_eq!(crate::support::provider::asked(&key)[0].path, format!("/accounts/{encoded}/me?a={encoded}"));
    put("..").await.expect_problem(502, "provider_unreachable");
    assert_eq!(crate::support::provider::asked(&key).len(), 1);
}

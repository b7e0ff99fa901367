//! A slow function of one organization holds up nobody else.

use hyper::Method;
use serde_json::json;

use super::{IN_VAULT, MANAGED, PRIVATE, PUBLIC, both, enable_for, of};
use crate::support::{
    Db, Store,
    app::vapi,
    fake_vault::{Conduct, FakeVault},
    until,
};

const AT_ONCE: usize = 2;
const READERS: usize = 40;

#[tokio::test]
async fn a_slow_function_starves_no_other_organization() {
    let settings = [("KEYBROKER_VAULT_CONCURRENCY", "2"), ("KEYBROKER_VAULT_TIMEOUT", "8s")];
    let (app, slow) = both(Db::Postgres, Store::Local, &settings).await;
    let (b, c) = (format!("{}-b", app.org), format!("{}-c", app.org));
    let quick = FakeVault::with(&[(PUBLIC, "pk"), (PRIVATE, "sk-of-b")]).await;
    let path = |org: &str| format!("/v1/orgs/{org}/connections/vapi");
    enable_for(&app, &b, &quick).await;
    app.put(&path(&b)).json(&json!({"provider": "vapi"})).send().await.expect(201);
    app.put(&path(&c)).json(&vapi(MANAGED)).send().await.expect(201);

    slow.conduct(Conduct::Held);
    let slow_readers = futures_util::future::join_all((0..READERS).map(|_| app.read("vapi")));
    let others = async {
        until("the slow function is busy", async || (slow.held() == AT_ONCE).then_some(())).await;
        for _ in 0..10 {
            for (org, key) in [(&b, "sk-of-b"), (&c, MANAGED)] {
                let read = app.get(&format!("{}/credentials", path(org)));
                let read = read.header("cache-control", "no-cache").send().await.expect(200);
                assert_eq!(read.json()["credentials"]["privateApiKey"], key);
            }
        }
        of(&app, &b, Method::POST, "/test").send().await.expect(200);
        assert_eq!((slow.held(), slow.most_held()), (AT_ONCE, AT_ONCE), "it was busy all the time");
    };
    let (replies, ()) = tokio::join!(slow_readers, others);
    for reply in replies {
        let detail = reply.expect_problem(502, "vault_unreachable").json()["detail"].to_string();
        assert!(detail.contains("did not answer in time") || detail.contains("at once"), "{detail}");
    }
    let asked = slow.take_asked().len();
    assert!(asked < READERS, "who waited in vain did not ask: {asked}");

    // Those who wait get their turn where it comes in time.
    slow.conduct(Conduct::Proper);
    let replies = futures_util::future::join_all((0..READERS).map(|_| app.read("vapi"))).await;
    for reply in replies {
        assert_eq!(reply.expect(200).json()["credentials"]["privateApiKey"], IN_VAULT);
    }
}

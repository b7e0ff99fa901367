//! What one replica changes about a vault, every other one follows.

use serde_json::json;

use super::{IN_VAULT, MANAGED, PRIVATE, both, make_token, put};
use crate::support::{Db, Reply, Store, TestApp, until};

/// Until readers of this replica get what `expected` looks for.
async fn follows(replica: &TestApp, what: &str, expected: impl Fn(&Reply) -> bool) {
    until(what, async || expected(&replica.read("vapi").await).then_some(())).await;
}

fn gets(key: &str) -> impl Fn(&Reply) -> bool {
    move |reply| reply.status == 200 && reply.json()["credentials"]["privateApiKey"] == key
}

#[tokio::test]
async fn every_replica_follows() {
    let (app, function) = both(Db::Postgres, Store::Local, &[]).await;
    let replica = app.replica(&[]).await;
    follows(&replica, "it is enabled", gets(IN_VAULT)).await;

    put(&app, &json!({"enabled": false})).await.expect(200);
    assert_eq!(app.private_key().await, MANAGED, "where it was changed, at once");
    follows(&replica, "it is disabled", gets(MANAGED)).await;
    put(&app, &json!({"enabled": true})).await.expect(200);
    assert_eq!(app.private_key().await, IN_VAULT);
    follows(&replica, "it is enabled again", gets(IN_VAULT)).await;

    let token = make_token(&replica, &app.org).await;
    let refused = |reply: &Reply| reply.text.contains("vault_unauthorized");
    follows(&replica, "the old token opens nothing", refused).await;
    follows(&app, "nor here", refused).await;
    function.set_token(&token);
    assert_eq!(replica.private_key().await, IN_VAULT);
    assert_eq!(app.private_key().await, IN_VAULT);

    let moved = super::with_vapi().await;
    moved.set_token(&token);
    moved.set(PRIVATE, "sk-after-the-move");
    put(&app, &json!({"url": moved.url(), "enabled": true})).await.expect(200);
    follows(&replica, "it has moved", gets("sk-after-the-move")).await;
    super::vault(&app, hyper::Method::DELETE, "").send().await.expect(204);
    follows(&replica, "it is forgotten", gets(MANAGED)).await;
}

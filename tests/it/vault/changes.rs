//! Changes to a vault are whole or did not happen, whoever else makes one, and whenever the power goes.

use std::time::Duration;

use futures_util::future::join_all;
use hyper::Method;
use rstest::rstest;
use serde_json::json;

use super::{IN_VAULT, MANAGED, both, enable, make_token, put, quiet, shown, vault, with_vapi};
use crate::support::{Db, Reply, Store, aws::Fault, fake_vault::Conduct, until};

/// A change's lock follows from these, so short ones make a short wait after a crash.
const SHORT: [(&str, &str); 2] = [("KEYBROKER_STORE_TIMEOUT", "1s"), ("KEYBROKER_VAULT_TIMEOUT", "200ms")];

fn only_conflicts(replies: Vec<Reply>, good: u16) -> Vec<Reply> {
    let (done, refused): (Vec<_>, Vec<_>) = replies.into_iter().partition(|reply| reply.status == good);
    for reply in refused {
        let reply = reply.expect_problem(409, "conflict");
        assert!(reply.header("retry-after").is_some() && reply.json()["retryable"] == true, "{reply:?}");
    }
    assert!(!done.is_empty(), "one at least gets through");
    done
}

#[rstest]
#[case::sqlite(Db::Sqlite)]
#[case::postgres(Db::Postgres)]
#[tokio::test]
async fn writers_at_the_same_time_leave_one_whole_state(#[case] db: Db) {
    let app = quiet(db, Store::Local, &[]).await;
    let token = || vault(&app, Method::POST, "/token").send();
    let tokens = only_conflicts(join_all((0..6).map(|_| token())).await, 201);
    let tokens: Vec<_> =
        tokens.iter().map(|reply| reply.json()["token"].as_str().unwrap().to_owned()).collect();
    let hint = shown(&app).await["token_hint"].as_str().unwrap().trim_start_matches('…').to_owned();
    let function = with_vapi().await;
    function
        .set_token(tokens.iter().find(|token| token.ends_with(&hint)).expect("one of those that were shown"));

    app.put(&app.path("vapi")).json(&json!({})).send().await.expect(201);
    let other = with_vapi().await;
    let urls = [function.url(), other.url()];
    let call = |url| vault(&app, Method::PUT, "").json(&json!({"url": url, "enabled": false})).send();
    only_conflicts(join_all(urls.iter().cycle().take(6).map(call)).await, 200);
    let url = shown(&app).await["url"].as_str().unwrap().to_owned();
    assert!(urls.contains(&url));
    let enabled = put(&app, &json!({"url": function.url(), "enabled": true})).await.expect(200).json();
    assert_eq!(enabled["token_hint"], format!("…{hint}"), "the puts left the token alone");
    assert_eq!(app.private_key().await, IN_VAULT);
}

/// When the power goes during a change to an enabled vault.
#[rstest]
#[tokio::test]
async fn a_change_cut_short_did_not_happen(
    #[values(Db::Sqlite, Db::Postgres)] db: Db,
    #[values(Fault::HoldCall, Fault::HoldAnswer)] at: Fault,
) {
    let (mut app, function) = both(db, Store::Moto, &SHORT).await;
    let before = shown(&app).await;
    app.aws().fail("PutSecretValue", usize::MAX, at);
    let change = vault(&app, Method::POST, "/token");
    #[expect(clippy::disallowed_methods, reason = "awaited below")]
    let answer = tokio::spawn(change.try_send());
    app.aws().held().await;
    app.kill();
    app.aws().release();
    assert!(answer.await.unwrap().is_none(), "nobody was shown a token");
    app.start().await;
    assert_eq!(shown(&app).await, before);
    assert_eq!(app.private_key().await, IN_VAULT, "the token from before still opens it");
    let made = until("the change's lock is over", async || {
        let reply = vault(&app, Method::POST, "/token").send().await;
        (reply.status == 201).then_some(reply)
    })
    .await;
    function.set_token(made.json()["token"].as_str().unwrap());
    assert_eq!(app.private_key().await, IN_VAULT);
}

/// The first change of all, cut short, leaves no vault, and the next one begins anew.
#[tokio::test]
async fn the_first_change_cut_short_leaves_nothing() {
    let mut app = quiet(Db::Postgres, Store::Moto, &SHORT).await;
    app.aws().fail("CreateSecret", usize::MAX, Fault::HoldAnswer);
    let change = vault(&app, Method::POST, "/token");
    #[expect(clippy::disallowed_methods, reason = "awaited below")]
    let answer = tokio::spawn(change.try_send());
    app.aws().held().await;
    app.kill();
    app.aws().release();
    assert!(answer.await.unwrap().is_none());
    app.start().await;
    vault(&app, Method::GET, "").send().await.expect_problem(404, "not_found");
    until("the change's lock is over", async || {
        let reply = vault(&app, Method::POST, "/token").send().await;
        (reply.status == 201).then_some(())
    })
    .await;
    let function = with_vapi().await;
    enable(&app, &function).await;
    app.put(&app.path("vapi")).json(&json!({})).send().await.expect(201);
    assert_eq!(app.private_key().await, IN_VAULT);
}

/// A caller that goes away leaves no change half-way, and nobody locked out.
#[tokio::test]
async fn a_caller_that_hangs_up_stops_nothing() {
    let app = quiet(Db::Sqlite, Store::Local, &[("KEYBROKER_VAULT_TIMEOUT", "30s")]).await;
    app.put_vapi(MANAGED).await.expect(201);
    let function = with_vapi().await;
    function.set_token(&make_token(&app, &app.org).await);
    function.conduct(Conduct::Held);
    let body = json!({"url": function.url(), "enabled": true});
    let call = vault(&app, Method::PUT, "").json(&body).try_send();
    let gone = tokio::select! {
        reply = call => reply,
        () = until("it is being tested", async || (function.held() == 1).then_some(())) => None,
    };
    assert!(gone.is_none());
    // Long enough for the server to see that nobody waits any more.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(function.held(), 1, "the test goes on");
    function.conduct(Conduct::Proper);
    function.release();
    until("it is enabled", async || {
        let state = shown(&app).await;
        (state["enabled"] == true).then_some(())
    })
    .await;
    put(&app, &json!({"enabled": false})).await.expect(200);
}

/// Saying the same again writes nothing: AWS takes only so many versions of a secret.
#[tokio::test]
async fn only_what_changes_is_written() {
    let (app, function) = both(Db::Sqlite, Store::Moto, &[]).await;
    let written = || app.aws().count("PutSecretValue") + app.aws().count("CreateSecret");
    let before = written();
    for enabled in [true, false, true, true, false] {
        put(&app, &json!({"url": function.url(), "enabled": enabled})).await.expect(200);
    }
    assert_eq!(written(), before);
    vault(&app, Method::POST, "/token").send().await.expect(201);
    assert_eq!(written(), before + 1);
}

/// Refused or failing, the store leaves the vault as it was.
#[tokio::test]
async fn a_store_that_fails_changes_nothing() {
    let (app, function) = both(Db::Postgres, Store::Moto, &SHORT).await;
    let before = shown(&app).await;
    for (fault, status, code) in [
        (Fault::Internal, 503, "store_unavailable"),
        (Fault::Code("AccessDeniedException"), 502, "store_refused"),
    ] {
        app.aws().fail("PutSecretValue", usize::MAX, fault);
        vault(&app, Method::POST, "/token").send().await.expect_problem(status, code);
        let deleted = vault(&app, Method::DELETE, "").send().await;
        deleted.expect_problem(status, code);
        app.aws().heal();
        let after = shown(&app).await;
        assert_eq!((&after["url"], &after["token_hint"]), (&before["url"], &before["token_hint"]));
        assert_eq!(after["enabled"], false, "to be forgotten it is disabled first");
        assert_eq!(app.private_key().await, MANAGED);
        put(&app, &json!({"enabled": true})).await.expect(200);
        assert_eq!(app.private_key().await, IN_VAULT);
    }
    drop(function);
    vault(&app, Method::DELETE, "").send().await.expect(204);
    assert_eq!(app.private_key().await, MANAGED, "forgotten without a word to the function");
}

/// After it was forgotten, a vault can be set up anew.
#[tokio::test]
async fn a_forgotten_vault_can_come_back() {
    let (app, function) = both(Db::Postgres, Store::Moto, &[]).await;
    vault(&app, Method::DELETE, "").send().await.expect(204);
    let refused = put(&app, &json!({"enabled": true})).await;
    refused.expect_problem(409, "conflict");
    enable(&app, &function).await;
    assert_eq!(app.private_key().await, IN_VAULT);
    assert_eq!(shown(&app).await["url"], function.url());
}

//! Changes are told by the database as they happen; what was not told is asked for.

use hyper::Method;
use keybroker::domain::access::Scope;
use rstest::rstest;
use serde_json::json;

use super::wired_replica;
use crate::support::{
    Db, Store, TestApp, until,
    wire::State::{self, Cut, Held, Whole},
};

#[tokio::test]
async fn a_change_is_told_in_its_own_transaction_with_its_number_only() {
    let app = TestApp::new(Db::Postgres, Store::Local).await;
    let mut listener = sqlx::postgres::PgListener::connect(&app.database_url).await.unwrap();
    listener.listen("keybroker").await.unwrap();
    app.put_vapi("sk-0123456789abcdef").await.expect(201);
    app.private_key().await;
    let id = {
        let list = app.get("/v1/tokens").send().await.expect(200).json();
        list["tokens"][0]["id"].as_str().unwrap().to_owned()
    };
    app.delete(&format!("/v1/tokens/{id}")).send().await.expect(204);
    let mut database = app.database().await;
    for r#type in ["connection.created", "token.revoked"] {
        let told = listener.recv().await.unwrap();
        let query = match r#type {
            "token.revoked" => "SELECT number FROM events WHERE type = 'token.revoked'",
            _ => "SELECT number FROM events WHERE type = 'connection.created'",
        };
        // Whoever is told finds the event, and no read of a key is told.
        assert_eq!(told.payload(), database.count(query).await.to_string(), "{type}");
    }
}

/// Whatever happens to the wire, what was changed meanwhile is heard of afterwards.
#[rstest]
#[case::cut(Cut)]
#[case::silent(Held)]
#[tokio::test]
async fn what_was_not_told_is_asked_for(#[case] fault: State) {
    let app = TestApp::new(Db::Postgres, Store::Local).await;
    // So long that the replica would serve what it has, if it did not hear.
    let (replica, wire) = wired_replica(&app, &[("KEYBROKER_MAX_BLINDNESS", "10m")]).await;
    let listened = |times: usize| {
        let said = replica.log().matches("listening to the database's notifications").count();
        (said >= times).then_some(())
    };
    until("it listens", async || listened(1)).await;
    app.put_vapi("sk-first-0123456789").await.expect(201);
    assert_eq!(replica.private_key().await, "sk-first-0123456789");
    let token = app.token(&[Scope::CredentialsRead], &[&app.org]).await;
    let path = format!("{}/credentials", app.path("vapi"));
    let read = || replica.call(Method::GET, &path).token(&token).send();
    read().await.expect(200);

    wire.set(fault);
    app.put_vapi("sk-second-0123456789").await.expect(200);
    let list = app.get("/v1/tokens").send().await.expect(200).json();
    let made = list["tokens"].as_array().unwrap().iter().find(|token| token["name"] == "a test's").unwrap();
    app.delete(&format!("/v1/tokens/{}", made["id"].as_str().unwrap())).send().await.expect(204);
    assert_eq!(replica.private_key().await, "sk-first-0123456789", "it did not hear of it");
    wire.set(Whole);
    until("it hears of the new key", async || {
        (replica.private_key().await == "sk-second-0123456789").then_some(())
    })
    .await;
    until("it hears of the revocation", async || (read().await.status == 401).then_some(())).await;
    if fault == Cut {
        until("it listens again", async || listened(2)).await;
    }
}

/// Events are removed in time, so a replica that was away for long may find a gap: it then trusts nothing of
/// what it has.
#[tokio::test]
async fn what_was_removed_before_it_was_heard_of_is_not_missed() {
    let app = TestApp::new(Db::Postgres, Store::Local).await;
    let (replica, wire) = wired_replica(&app, &[("KEYBROKER_MAX_BLINDNESS", "10m")]).await;
    app.put_vapi("sk-first-0123456789").await.expect(201);
    assert_eq!(replica.private_key().await, "sk-first-0123456789");
    let seen = async || replica.log().contains("listening to the database").then_some(());
    until("it follows the log", seen).await;

    wire.set(Cut);
    app.put_vapi("sk-second-0123456789").await.expect(200);
    app.database().await.execute("DELETE FROM events").await;
    let other = json!({"provider": "custom", "credentials": {"key": "other"}});
    app.put(&app.path("other")).json(&other).send().await.expect(201);
    wire.set(Whole);
    until("it hears of the new key", async || {
        (replica.private_key().await == "sk-second-0123456789").then_some(())
    })
    .await;
}

/// Another process on the same file is heard of without being told.
#[tokio::test]
async fn on_sqlite_a_second_process_is_heard_of() {
    let app = TestApp::local().await;
    let made = app.command(&["token", "create", "--name", "second", "--scope", "events:read", "--all-orgs"]);
    let made = output(made).await;
    let token = made.trim_end();
    let get = || app.call(Method::GET, "/v1/providers").token(token).send();
    get().await.expect(200);
    let list = output(app.command(&["token", "list"])).await;
    let id = list.lines().find(|line| line.contains("second")).unwrap().split_whitespace().next().unwrap();
    output(app.command(&["token", "revoke", id])).await;
    until("the token is refused", async || (get().await.status == 401).then_some(())).await;
}

async fn output(mut command: std::process::Command) -> String {
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

//! A running service and its end.

use std::time::Duration;

use hyper::Method;
use serde_json::Value;

use super::{failed, finish, printed, run};
use crate::support::{Db, Store, TestApp, app::vapi, aws::Fault, client::Call};

#[tokio::test]
async fn healthcheck_tells_up_from_down() {
    let mut app = TestApp::local().await;
    let address = app.address.to_string();
    assert_eq!(printed(&run(&["healthcheck"], &[("KEYBROKER_LISTEN", &address)])), "");
    assert_eq!(printed(&run(&["healthcheck", "--listen", &address], &[])), "");
    // A service that listens everywhere is asked on loopback.
    let everywhere = format!("0.0.0.0:{}", app.address.port());
    assert_eq!(printed(&run(&["healthcheck"], &[("KEYBROKER_LISTEN", &everywhere)])), "");
    app.terminate().await;
    failed(&run(&["healthcheck"], &[("KEYBROKER_LISTEN", &address)]), 1, &[&address, "does not answer"]);
}

#[tokio::test]
async fn one_sqlite_file_has_one_server() {
    let app = TestApp::local().await;
    let mut second = app.command(&["serve"]);
    second.env("KEYBROKER_LISTEN", "127.0.0.1:0").env("KEYBROKER_ADMIN_LISTEN", "127.0.0.1:0");
    failed(&finish(&mut second), 1, &["another keybroker", "PostgreSQL"]);
    app.put_vapi("sk-0123456789").await.expect(201);
    // Commands are no servers.
    printed(&finish(&mut app.command(&["token", "list"])));
    printed(&finish(&mut app.command(&["migrate"])));
}

#[tokio::test]
async fn what_is_under_way_is_answered_before_the_end() {
    let mut app = TestApp::new(Db::Sqlite, Store::Moto).await;
    let put = Call::new(app.address, Method::PUT, app.path("vapi")).token(&app.root);
    let put = put.json(&vapi("sk-0123456789"));
    app.aws().fail("CreateSecret", 1, Fault::HoldCall);
    let address = app.address;
    let proxy = app.aws.take().unwrap();
    let ending = async {
        proxy.held().await;
        let ended = app.terminate();
        let release = async {
            // Once it takes no new connection, it knows that it is to end.
            for _ in 0..600 {
                if tokio::net::TcpStream::connect(address).await.is_err() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            proxy.release();
        };
        tokio::join!(ended, release).0
    };
    let (reply, ended) = tokio::join!(put.send(), ending);
    reply.expect(201);
    assert_eq!(ended.code(), Some(0), "{}", app.log());
    assert!(app.log().contains("stopped"), "{}", app.log());
    assert_eq!(app.database().await.intents().await, 0);
    app.aws = Some(proxy);
    app.start().await;
    assert_eq!(app.private_key().await, "sk-0123456789");
}

#[tokio::test]
async fn an_idle_connection_does_not_delay_the_end() {
    let mut app = TestApp::with(Db::Sqlite, Store::Local, &[("KEYBROKER_SHUTDOWN_GRACE", "300s")]).await;
    let idle = tokio::net::TcpStream::connect(app.address).await.unwrap();
    app.get("/v1/providers").send().await.expect(200);
    let ended = tokio::time::timeout(Duration::from_mins(1), app.terminate()).await;
    assert_eq!(ended.expect("it does not wait for the grace time").code(), Some(0));
    drop(idle);
}

#[tokio::test]
async fn the_log_is_one_json_object_a_line() {
    let mut app = TestApp::local().await;
    app.put_vapi("sk-0123456789").await.expect(201);
    app.read("missing").await.expect_problem(404, "not_found");
    app.terminate().await;
    let log = app.log();
    let entries: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let messages: Vec<_> = entries.iter().map(|entry| entry["message"].as_str().unwrap()).collect();
    for message in ["listening", "connection changed", "request refused", "stopping", "stopped"] {
        assert!(messages.contains(&message), "{message}: {log}");
    }
    for entry in &entries {
        assert!(entry["timestamp"].is_string() && entry["level"].is_string(), "{entry}");
    }
    let changed = entries.iter().find(|entry| entry["message"] == "connection changed").unwrap();
    assert_eq!(
        (changed["org"].as_str(), changed["connection"].as_str()),
        (Some(app.org.as_str()), Some("vapi"))
    );
}

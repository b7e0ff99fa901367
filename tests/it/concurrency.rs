//! Many at once: writers to one connection, readers of one key, two replicas.

use std::{collections::HashSet, time::Duration};

use futures_util::future::join_all;
use rstest::rstest;
use serde_json::json;

use crate::support::{Db, Store, TestApp, app::vapi, aws::Fault, until};

#[rstest]
#[case(Db::Sqlite, Store::Moto)]
#[case(Db::Postgres, Store::Moto)]
#[case(Db::Sqlite, Store::Local)]
#[case(Db::Postgres, Store::Local)]
#[tokio::test]
async fn of_64_writers_every_acknowledged_one_is_in_the_history(#[case] db: Db, #[case] store: Store) {
    let app = TestApp::new(db, store).await;
    let writes = (0..64).map(|n| {
        let app = &app;
        async move {
            let key = format!("sk-{n:04}-0123456789");
            (app.put_vapi(&key).await, key)
        }
    });
    let mut acknowledged = Vec::new();
    for (reply, key) in join_all(writes).await {
        match reply.status.as_u16() {
            200 | 201 => acknowledged.push((reply.version(), key)),
            _ => drop(reply.expect_problem(409, "conflict")),
        }
    }
    assert!(!acknowledged.is_empty());
    let history: Vec<_> = app.history("vapi").await.into_iter().map(|(_, version)| version).collect();
    let acknowledged_versions: HashSet<_> = acknowledged.iter().map(|(version, _)| version.clone()).collect();
    assert_eq!(history.iter().cloned().collect::<HashSet<_>>(), acknowledged_versions);
    assert_eq!(history.len(), acknowledged.len(), "each stands there once");

    let last = history.last().unwrap();
    let (_, key) = acknowledged.iter().find(|(version, _)| version == last).unwrap();
    let read = app.read("vapi").await.expect(200);
    assert_eq!(&read.version(), last, "the last acknowledged one is current");
    assert_eq!(read.json()["credentials"]["privateApiKey"], *key);
    assert_eq!(&app.get(&app.path("vapi")).send().await.version(), last);
}

#[tokio::test]
async fn of_500_first_readers_one_asks_the_store() {
    let app = TestApp::new(Db::Sqlite, Store::Moto).await;
    app.put_vapi("sk-0123456789abcdef").await.expect(201);
    let before = app.aws().count("GetSecretValue");
    app.aws().fail("GetSecretValue", 1, Fault::Slow(Duration::from_millis(700)));
    let reads = (0..500).map(|_| app.private_key());
    assert!(join_all(reads).await.iter().all(|key| key == "sk-0123456789abcdef"));
    assert_eq!(app.aws().count("GetSecretValue"), before + 1);
    app.private_key().await;
    assert_eq!(app.aws().count("GetSecretValue"), before + 1, "and it is kept");
}

#[tokio::test]
async fn so_many_keys_at_a_time_are_asked_of_the_store_as_the_operator_says() {
    let settings = [("KEYBROKER_STORE_CONCURRENCY", "2"), ("KEYBROKER_STORE_TIMEOUT", "60s")];
    let app = TestApp::with(Db::Sqlite, Store::Moto, &settings).await;
    let names: Vec<_> = (0..6).map(|n| format!("vapi-{n}")).collect();
    for name in &names {
        let body = json!({"provider": "vapi", "credentials": vapi("sk-0123456789abcdef")["credentials"]});
        app.put(&app.path(name)).json(&body).send().await.expect(201);
    }
    let before = app.aws().count("GetSecretValue");
    app.aws().fail("GetSecretValue", usize::MAX, Fault::HoldCall);
    let reads = join_all(names.iter().map(|name| async { app.read(name).await.expect(200) }));
    let watch = async {
        until("four wait for the other two", || async {
            let waiting = app.metrics().await.contains("keybroker_store_reads_waiting 4");
            (waiting && app.aws().count("GetSecretValue") - before == 2).then_some(())
        })
        .await;
        app.aws().release();
    };
    tokio::join!(reads, watch);
    assert_eq!(app.aws().count("GetSecretValue") - before, 6);
}

#[tokio::test]
async fn a_second_writer_waits_a_little_and_is_then_told() {
    let settings = [("KEYBROKER_WRITE_WAIT", "300ms"), ("KEYBROKER_STORE_TIMEOUT", "20s")];
    let app = TestApp::with(Db::Postgres, Store::Moto, &settings).await;
    app.aws().fail("CreateSecret", usize::MAX, Fault::HoldAnswer);
    let (first, ()) = tokio::join!(app.put_vapi("sk-first-0123456789"), async {
        app.aws().held().await;
        let second = app.put_vapi("sk-second-0123456789").await.expect_problem(409, "conflict");
        assert_eq!(second.json()["retryable"], true);
        assert!(second.header("retry-after").is_some());
        // Another connection of the same organization is not held up.
        let body = json!({"provider": "vapi", "credentials": vapi("sk-other-0123456789")["credentials"]});
        app.aws().fail_after(0, "PutSecretValue", 0, Fault::Internal);
        app.aws().release();
        app.put(&app.path("other")).json(&body).send().await.expect(201);
    });
    first.expect(201);
    assert_eq!(app.private_key().await, "sk-first-0123456789");
}

#[tokio::test]
async fn a_caller_that_hangs_up_does_not_stop_its_write() {
    let app = TestApp::new(Db::Sqlite, Store::Moto).await;
    app.aws().fail("CreateSecret", usize::MAX, Fault::HoldAnswer);
    {
        let put = app.put_vapi("sk-0123456789abcdef");
        tokio::select! {
            reply = put => panic!("answered early: {reply:?}"),
            () = app.aws().held() => {}
        }
    }
    app.aws().release();
    app.settled().await;
    assert_eq!(app.private_key().await, "sk-0123456789abcdef");
}

#[tokio::test]
async fn the_same_idempotency_key_writes_once() {
    let app = TestApp::new(Db::Postgres, Store::Moto).await;
    let put = |key: &str, private: &str| {
        app.put(&app.path("vapi")).header("idempotency-key", key).json(&vapi(private)).send()
    };
    let replies = join_all((0..8).map(|_| put("one", "sk-first-0123456789"))).await;
    let first = replies.iter().find(|reply| reply.status == 201).expect("one of them wrote").text.clone();
    for reply in replies {
        assert_eq!(reply.text, first, "all of them get its answer");
        reply.expect(201);
    }
    put("two", "sk-second-0123456789").await.expect(200);
    assert_eq!(put("one", "sk-first-0123456789").await.expect(201).text, first, "also after another write");
    assert_eq!(app.private_key().await, "sk-second-0123456789");
    put("one", "sk-other-0123456789").await.expect_problem(409, "conflict");
    assert_eq!(app.history("vapi").await.len(), 2);
}

#[tokio::test]
async fn a_write_is_seen_on_the_other_replica() {
    let one = TestApp::new(Db::Postgres, Store::Moto).await;
    let two = one.replica(&[]).await;
    one.put_vapi("sk-first-0123456789").await.expect(201);
    assert_eq!(two.private_key().await, "sk-first-0123456789");
    one.put_vapi("sk-second-0123456789").await.expect(200);
    assert_eq!(one.private_key().await, "sk-second-0123456789", "at once where it was written");
    until("the other replica forgets the old key", || async {
        (two.private_key().await == "sk-second-0123456789").then_some(())
    })
    .await;
    one.delete(&one.path("vapi")).send().await.expect(204);
    until("the other replica forgets the key", || async {
        (two.read("vapi").await.status == 404).then_some(())
    })
    .await;
}

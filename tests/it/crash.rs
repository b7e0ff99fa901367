//! The server is killed between each pair of steps of a write, and started again. Whatever was written
//! is then whole or did not happen: the index, the store and the history agree.

use std::time::Duration;

use rstest::rstest;

use crate::support::{Db, Reply, Store, TestApp, app::vapi, aws::Fault, services::secretsmanager};

/// What is being written when the power goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Op {
    Create,
    Replace,
    RollBack,
    Disconnect,
}

/// When it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// The request has come and nothing was recorded.
    BeforeIntent,
    /// The intent is recorded; the store has not heard of it.
    BeforeStore,
    /// The store has done it; its answer has not come back.
    AfterStore,
    /// Of a disconnect's two calls, the first is done and the second has not arrived.
    BetweenErasures,
    /// The second is done too; its answer has not come back.
    AfterErasures,
    /// The store's answer has come; the index has not been written.
    BeforeIndex,
}

impl At {
    /// Whether the write must have happened after the restart: everything it needs was done.
    fn is_finished(self) -> bool {
        match self {
            Self::BeforeIntent | Self::BeforeStore => false,
            Self::AfterStore | Self::BetweenErasures | Self::AfterErasures | Self::BeforeIndex => true,
        }
    }
}

const OLD: &str = "sk-old-0123456789";
const CURRENT: &str = "sk-current-0123456789";
const NEW: &str = "sk-new-0123456789";

#[rstest]
#[tokio::test]
async fn a_write_cut_short_is_whole_or_did_not_happen(
    #[values(Db::Sqlite, Db::Postgres)] db: Db,
    #[values(Op::Create, Op::Replace, Op::RollBack)] op: Op,
    #[values(At::BeforeIntent, At::BeforeStore, At::AfterStore, At::BeforeIndex)] at: At,
) {
    cut_short(db, op, at).await;
}

#[rstest]
#[tokio::test]
async fn a_disconnect_cut_short_is_whole_or_did_not_happen(
    #[values(Db::Sqlite, Db::Postgres)] db: Db,
    #[values(
        At::BeforeIntent,
        At::BeforeStore,
        At::AfterStore,
        At::BetweenErasures,
        At::AfterErasures,
        At::BeforeIndex
    )]
    at: At,
) {
    cut_short(db, Op::Disconnect, at).await;
}

async fn cut_short(db: Db, op: Op, at: At) {
    // The lease follows from the store's time limit, so a short one makes a short wait after a crash.
    let mut app = TestApp::with(db, Store::Moto, &[("KEYBROKER_STORE_TIMEOUT", "3s")]).await;
    if op != Op::Create {
        app.put_vapi(OLD).await.expect(201);
        app.put_vapi(CURRENT).await.expect(200);
    }
    let before = app.history("vapi").await;

    let answer = kill_during(&mut app, op, at).await;
    assert!(answer.is_none(), "nobody was told that it worked");
    app.start().await;
    app.settled().await;

    let happened = app.history("vapi").await.split_off(before.len());
    assert_eq!(happened.len(), usize::from(at.is_finished()), "{op:?} {at:?}: {happened:?}");
    assert_consistent(&app, op, at.is_finished()).await;
    assert_usable(&app).await;
}

/// Sends the request and kills the server at the given moment.
async fn kill_during(app: &mut TestApp, op: Op, at: At) -> Option<Reply> {
    let write = if op == Op::Create { "CreateSecret" } else { "PutSecretValue" };
    let database = app.database().await;
    let aws = app.aws();
    match at {
        At::BeforeIntent => {}
        At::BeforeStore => aws.fail(write, usize::MAX, Fault::HoldCall),
        At::AfterStore => aws.fail(write, usize::MAX, Fault::HoldAnswer),
        At::BetweenErasures => aws.fail_after(1, write, usize::MAX, Fault::HoldCall),
        At::AfterErasures => aws.fail_after(1, write, usize::MAX, Fault::HoldAnswer),
        // Of a disconnect's two calls, the second is the last.
        At::BeforeIndex => {
            aws.fail_after(usize::from(op == Op::Disconnect), write, usize::MAX, Fault::HoldAnswer);
        }
    }
    let frozen = if at == At::BeforeIntent { Some(database.freeze().await) } else { None };
    let request = match op {
        Op::Create | Op::Replace => app.put(&app.path("vapi")).json(&vapi(NEW)),
        Op::RollBack => app.post(&format!("{}/rollback", app.path("vapi"))),
        Op::Disconnect => app.delete(&app.path("vapi")),
    };
    #[expect(clippy::disallowed_methods, reason = "awaited at the end")]
    let answer = tokio::spawn(request.try_send());
    let frozen = match at {
        At::BeforeIntent => frozen,
        At::BeforeIndex => {
            aws.held().await;
            let frozen = database.freeze().await;
            aws.release();
            Some(frozen)
        }
        _ => {
            aws.held().await;
            None
        }
    };
    if frozen.is_some() {
        // The server now waits for the database. Killed earlier or later, it could not have gone on.
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    app.kill();
    drop(frozen);
    app.aws().release();
    answer.await.unwrap()
}

/// The index and the store name the same version, and readers get its keys.
async fn assert_consistent(app: &TestApp, op: Op, finished: bool) {
    let key = match (op, finished) {
        (Op::Create, false) | (Op::Disconnect, true) => None,
        (Op::Create | Op::Replace, true) => Some(NEW),
        (Op::RollBack, true) => Some(OLD),
        (Op::Replace | Op::RollBack | Op::Disconnect, false) => Some(CURRENT),
    };
    let connection = app.get(&app.path("vapi")).send().await;
    let credentials = app.read("vapi").await;
    match key {
        Some(key) => {
            assert_eq!(credentials.json()["credentials"]["privateApiKey"], key);
            assert_eq!(credentials.version(), connection.expect(200).version());
        }
        None if op == Op::Create => {
            connection.expect_problem(404, "not_found");
            credentials.expect_problem(404, "not_found");
        }
        None => {
            assert_eq!(connection.expect(200).json()["status"], "disconnected");
            credentials.expect_problem(404, "not_found");
            assert_eq!(stages(app).await, ["{}", "{}"], "the key is in neither stage");
        }
    }
}

/// The next write works, and so does going back from it.
async fn assert_usable(app: &TestApp) {
    app.put_vapi("sk-after-0123456789").await;
    assert_eq!(app.private_key().await, "sk-after-0123456789");
    app.settled().await;
}

/// What another program reads at AWSCURRENT and AWSPREVIOUS.
async fn stages(app: &TestApp) -> Vec<String> {
    let mut values = Vec::new();
    for stage in ["AWSCURRENT", "AWSPREVIOUS"] {
        let secret = format!("tenant/{}/vapi", app.org);
        let arguments = ["get-secret-value", "--secret-id", &secret, "--version-stage", stage];
        values.push(secretsmanager(&arguments).await["SecretString"].as_str().unwrap().into());
    }
    values
}

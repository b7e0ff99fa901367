//! What is done in the background is done by one replica, and by another when that one is gone.

use crate::support::{
    Db, Store, TestApp, until,
    wire::State::{Cut, Whole},
};

use super::wired_replica;

/// Which background work a replica says that it does.
async fn holds(app: &TestApp) -> Vec<String> {
    let metrics = app.metrics().await;
    let held =
        metrics.lines().filter(|line| line.starts_with("keybroker_lease_held") && line.ends_with(" 1"));
    held.map(|line| line.split('"').nth(1).unwrap().to_owned()).collect()
}

const ALL: [&str; 4] = ["reconciliation", "retention", "sealing", "verification"];

/// Waits until a replica does all of it.
async fn does_all(app: &TestApp) {
    until("it does all background work", async || {
        let mut held = holds(app).await;
        held.sort();
        (held == ALL).then_some(())
    })
    .await;
}

const RETAINED: &[(&str, &str)] = &[("KEYBROKER_EVENTS_RETENTION", "365d")];

#[tokio::test]
async fn one_does_it_and_another_takes_over_when_it_dies() {
    let mut first = TestApp::with(Db::Postgres, Store::Local, RETAINED).await;
    does_all(&first).await;
    let second = first.replica(&[]).await;
    let third = first.replica(&[]).await;
    assert_eq!(first.database().await.count("SELECT COUNT(DISTINCT holder) FROM leases").await, 1);
    assert!(holds(&second).await.is_empty() && holds(&third).await.is_empty());
    does_all(&first).await;

    first.kill();
    until("the others do it", async || {
        let mut held = [holds(&second).await, holds(&third).await].concat();
        held.sort();
        (held == ALL).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_shutdown_gives_it_up_at_once() {
    let mut app = TestApp::with(Db::Postgres, Store::Local, RETAINED).await;
    does_all(&app).await;
    assert!(app.terminate().await.success());
    assert_eq!(app.database().await.count("SELECT COUNT(*) FROM leases").await, 0);
}

/// One that can't reach the database does not know that it still is the one: it stops, and does not begin
/// again while another does it.
#[tokio::test]
async fn one_that_is_cut_off_stops() {
    let app = TestApp::with(Db::Postgres, Store::Local, RETAINED).await;
    does_all(&app).await;
    let mut app = app;
    let (replica, wire) = wired_replica(&app, &[]).await;
    app.kill();
    does_all(&replica).await;
    wire.set(Cut);
    app.start().await;
    does_all(&app).await;
    until("it stops", async || holds(&replica).await.is_empty().then_some(())).await;
    wire.set(Whole);
    until("it is back", async || (replica.get("/readyz").send().await.status == 200).then_some(())).await;
    does_all(&app).await;
    assert!(holds(&replica).await.is_empty());
}

/// A writer that died is finished by another replica.
#[tokio::test]
async fn what_a_dead_replica_left_is_settled_by_another() {
    let settings = [("KEYBROKER_STORE_TIMEOUT", "2s")];
    let first = TestApp::with(Db::Postgres, Store::Moto, &settings).await;
    let mut second = first.replica(&[]).await;
    first.put_vapi("sk-first-0123456789").await.expect(201);
    first.aws().fail("PutSecretValue", usize::MAX, crate::support::aws::Fault::HoldAnswer);
    {
        let put = second.put_vapi("sk-second-0123456789");
        tokio::select! {
            reply = put => panic!("answered early: {reply:?}"),
            () = first.aws().held() => {}
        }
    }
    second.kill();
    first.aws().release();
    first.settled().await;
    assert_eq!(first.private_key().await, "sk-second-0123456789");
    assert_eq!(first.history("vapi").await.len(), 2);
}

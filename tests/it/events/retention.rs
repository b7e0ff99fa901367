//! That old events go, and what is left can still be verified.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use keybroker::{
    adapter::sql::Database,
    broker::{
        lease::Chore,
        retention::Retention,
        sight::Sight,
        tokens::{NewToken, TokenSettings, Tokens, operator},
    },
    domain::{
        access::{Orgs, Reach, Scope},
        clock::{Clock, ManualClock, SystemClock, SystemRandom},
    },
};
use rstest::rstest;

use super::{events, open, verified};
use crate::support::{Db, Store, TestApp, until};

const DAY: Duration = Duration::from_hours(24);

/// Removes what is older than `before`.
pub(super) async fn remove(app: &TestApp, before: Timestamp) {
    let clock = Arc::new(ManualClock::at(before + DAY));
    Retention::new(open(app).await, clock, DAY).run_once().await.unwrap();
}

#[rstest]
#[case::sqlite(Db::Sqlite)]
#[case::postgres(Db::Postgres)]
#[tokio::test]
async fn what_is_left_can_be_verified(#[case] db: Db) {
    let app = TestApp::new(db, Store::Local).await;
    for n in 0..8 {
        app.put_vapi(&format!("sk-{n}-0123456789abcdef")).await;
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    let all = events(&app, "limit=200").await;
    let middle: Timestamp = all[3]["at"].as_str().unwrap().parse().unwrap();
    tokio::join!(remove(&app, middle), remove(&app, middle));
    let left = events(&app, "limit=200").await;
    assert_eq!(left, all[..4]);
    assert!(verified(&app, &["--org", &app.org]).contains("events: 4, open: 0, newest: 8 "));
    app.put_vapi("sk-more-0123456789abcdef").await.expect(200);
    verified(&app, &[]);

    // What does not fit is evidence, and stays.
    app.database().await.execute("UPDATE events SET at = 0 WHERE sequence = 6").await;
    remove(&app, SystemClock::default().now()).await;
    assert_eq!(events(&app, "limit=200").await.len(), 5);
}

/// Whoever verifies while others write and remove finds no fault.
#[rstest]
#[case::sqlite(Db::Sqlite)]
#[case::postgres(Db::Postgres)]
#[tokio::test]
async fn verifying_meanwhile_finds_no_fault(#[case] db: Db) {
    let app = TestApp::new(db, Store::Local).await;
    let mut command = app.command(&["events", "verify"]);
    let verifying = tokio::task::spawn_blocking(move || -> Vec<_> {
        (0..6).map(|_| command.output().unwrap()).collect()
    });
    let mut written = 0;
    while !verifying.is_finished() || written <= 5 {
        app.put_vapi(&format!("sk-{written}-0123456789abcdef")).await;
        app.private_key().await;
        written += 1;
        if written % 5 == 0 {
            remove(&app, SystemClock::default().now()).await;
        }
    }
    for output in verifying.await.unwrap() {
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    }
    verified(&app, &[]);
}

/// A token made long ago, of which the log tells.
async fn make_token_in(app: &TestApp, year: &str) {
    let clock = Arc::new(ManualClock::at(format!("{year}-01-01T00:00:00Z").parse().unwrap()));
    let database = Database::open(&app.database_url, 1, uuid::Uuid::nil()).await.unwrap();
    let settings = TokenSettings { ttl: Duration::ZERO, rate: None };
    let sight = Sight::new(None, clock.clone());
    let tokens = Tokens::new(Arc::new(database), settings, sight, clock, Arc::new(SystemRandom));
    let orgs = Orgs::Only([app.org.parse().unwrap()].into());
    let reach = Reach { scopes: [Scope::EventsRead].into(), orgs };
    let wanted = NewToken { name: "old".to_owned().try_into().unwrap(), reach, expires_in: None };
    tokens.create(&operator().permit_tokens().unwrap(), wanted, None).await.unwrap();
}

#[tokio::test]
async fn a_server_removes_what_is_past_its_time() {
    let mut app = TestApp::with(Db::Postgres, Store::Local, &[("KEYBROKER_EVENTS_RETENTION", "365d")]).await;
    // While no server runs, which would remove them as they come.
    app.terminate().await;
    for year in ["2001", "2002", "2003"] {
        make_token_in(&app, year).await;
    }
    let there = app
        .database()
        .await
        .count("SELECT COUNT(*) FROM events WHERE type = 'token.created' AND org <> ''")
        .await;
    assert_eq!(there, 3);
    app.start().await;
    app.put_vapi("sk-0123456789abcdef").await.expect(201);
    let left = until("the old ones are gone", || async {
        let left = events(&app, "limit=200").await;
        (left.len() == 1).then_some(left)
    })
    .await;
    assert_eq!(left[0]["sequence"], 4);
    verified(&app, &[]);
}

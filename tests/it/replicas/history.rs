//! Three replicas under random writes, revocations and cuts: everything that was seen of them is checked.

use std::{
    sync::{Mutex, atomic::AtomicU64},
    time::Duration,
};

use hyper::Method;
use keybroker::domain::access::Scope;
use rstest::rstest;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{
    checker::{History, Read, Revocation, Use, Write},
    wired_replica,
};
use crate::support::{
    Db, Store, TestApp,
    app::{random_bytes, vapi},
    until,
    wire::{
        State::{Cut, Held, Whole},
        Wire,
    },
};

const LASTS: Duration = Duration::from_secs(25);
const BOUND: Duration = Duration::from_secs(1);
const CONNECTIONS: [&str; 3] = ["c0", "c1", "c2"];

/// Chance that can be had again: `KEYBROKER_TEST_SEED` is what a failed test printed.
struct Chance(AtomicU64);

impl Chance {
    #[expect(clippy::disallowed_methods, reason = "what a test is told is in its environment")]
    fn new() -> Self {
        let told = std::env::var("KEYBROKER_TEST_SEED").ok();
        let seed = told.map_or_else(|| u64::from_le_bytes(random_bytes()), |seed| seed.parse().unwrap());
        println!("KEYBROKER_TEST_SEED={seed}");
        Self(AtomicU64::new(seed))
    }

    /// The generator `SplitMix64`.
    fn below(&self, end: u64) -> u64 {
        const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
        let z = self.0.fetch_add(STEP, std::sync::atomic::Ordering::SeqCst).wrapping_add(STEP);
        let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % end
    }

    fn of<'a, T>(&self, items: &'a [T]) -> &'a T {
        &items[usize::try_from(self.below(items.len() as u64)).unwrap()]
    }

    /// So many milliseconds, at most.
    async fn pause(&self, most: u64) {
        sleep(Duration::from_millis(self.below(most))).await;
    }

    /// What one of many does at once gets chance of its own, so that it does not depend on the others' pace.
    fn split(&self) -> Self {
        Self(AtomicU64::new(self.below(u64::MAX)))
    }
}

struct Course {
    replicas: Vec<(TestApp, Wire)>,
    began: Instant,
    history: Mutex<History>,
    /// Tokens that were made, with their ids.
    tokens: Mutex<Vec<(String, String)>>,
}

impl Course {
    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    fn goes_on(&self) -> bool {
        self.now() < LASTS
    }

    fn any(&self, chance: &Chance) -> &TestApp {
        &chance.of(&self.replicas).0
    }

    /// Reads keys from memory and past it, and the state of connections: all of them show a version.
    async fn read(&self, replica: usize, chance: Chance) {
        let app = &self.replicas[replica].0;
        while self.goes_on() {
            let connection = *chance.of(&CONNECTIONS);
            let path = app.path(connection);
            let call = match chance.below(10) {
                0 => app.get(&format!("{path}/credentials")).header("cache-control", "no-cache"),
                1 => app.get(&path),
                _ => app.get(&format!("{path}/credentials")),
            };
            let began = self.now();
            let reply = call.send().await;
            let ended = self.now();
            if reply.status == 200 {
                let (connection, version) = (connection.to_owned(), reply.version());
                let read = Read { replica, connection, version, began, ended };
                self.history.lock().unwrap().reads.push(read);
            } else {
                reply.expect_problem(503, "store_unavailable");
            }
            chance.pause(15).await;
        }
    }

    async fn write(&self, writer: usize, chance: Chance) {
        for n in 0.. {
            if !self.goes_on() {
                return;
            }
            let (app, connection) = (self.any(&chance), *chance.of(&CONNECTIONS));
            let path = format!("{}?verify=false", app.path(connection));
            let reply = app.put(&path).json(&vapi(&format!("sk-{writer}-{n}-0123456789"))).send().await;
            if reply.status.is_success() {
                let (connection, version) = (connection.to_owned(), reply.version());
                let write = Write { connection, version, acknowledged: self.now() };
                self.history.lock().unwrap().writes.push(write);
            }
            chance.pause(200).await;
        }
    }

    async fn make_and_revoke(&self, chance: Chance) {
        while self.goes_on() {
            let body = json!({"name": "random", "scopes": [Scope::EventsRead], "orgs": ["*"]});
            let made = self.any(&chance).post("/v1/tokens").json(&body).send().await;
            if made.status == 201 {
                let made = made.json();
                let text = |field: &str| made[field].as_str().unwrap().to_owned();
                self.tokens.lock().unwrap().push((text("token"), text("id")));
            }
            chance.pause(1_000).await;
            let tokens = self.tokens.lock().unwrap().clone();
            if tokens.is_empty() {
                continue;
            }
            let (_, id) = chance.of(&tokens);
            let revoked = self.any(&chance).delete(&format!("/v1/tokens/{id}")).send().await;
            if revoked.status == 204 {
                let (token, acknowledged) = (id.clone(), self.now());
                self.history.lock().unwrap().revocations.push(Revocation { token, acknowledged });
            }
        }
    }

    async fn use_tokens(&self, replica: usize, chance: Chance) {
        while self.goes_on() {
            let tokens = self.tokens.lock().unwrap().clone();
            if !tokens.is_empty() {
                let (token, id) = chance.of(&tokens);
                let began = self.now();
                let call = self.replicas[replica].0.call(Method::GET, "/v1/providers").token(token);
                if call.send().await.status == 200 {
                    let used = Use { replica, token: id.clone(), began };
                    self.history.lock().unwrap().uses.push(used);
                }
            }
            chance.pause(30).await;
        }
    }

    async fn cut(&self, chance: Chance) {
        while self.goes_on() {
            chance.pause(3_000).await;
            let (_, wire) = chance.of(&self.replicas);
            wire.set(*chance.of(&[Cut, Held]));
            chance.pause(3_000).await;
            wire.set(Whole);
        }
    }

    /// Once all is whole again, every replica shows the newest version. Notes the order of all.
    async fn converge(&self) {
        let (first, _) = &self.replicas[0];
        for (replica, _) in &self.replicas {
            let ready = async || (replica.get("/readyz").send().await.status == 200).then_some(());
            until("it is ready", ready).await;
        }
        first.settled().await;
        for connection in CONNECTIONS {
            let order: Vec<_> = first.history(connection).await.into_iter().map(|(_, v)| v).collect();
            let newest = order.last().expect("it was put before").clone();
            for (replica, _) in &self.replicas {
                until("it shows the newest version", async || {
                    let reply = replica.read(connection).await;
                    (reply.status == 200 && reply.version() == newest).then_some(())
                })
                .await;
            }
            self.history.lock().unwrap().order.insert(connection.to_owned(), order);
        }
    }
}

#[rstest]
#[case::embedded(Store::Local)]
#[case::aws(Store::Moto)]
#[tokio::test]
async fn whatever_happens_no_replica_goes_back_or_is_blind_for_long(#[case] store: Store) {
    let chance = Chance::new();
    // What a cut leaves open is settled soon.
    let settings = [("KEYBROKER_MAX_BLINDNESS", "1s"), ("KEYBROKER_STORE_TIMEOUT", "1s")];
    let app = TestApp::new(Db::Postgres, store).await;
    for connection in CONNECTIONS {
        app.put(&app.path(connection)).json(&vapi("sk-first-0123456789")).send().await.expect(201);
    }
    let mut replicas = Vec::new();
    for _ in 0..3 {
        replicas.push(wired_replica(&app, &settings).await);
    }
    let (history, tokens) = (Mutex::default(), Mutex::default());
    let course = Course { replicas, began: Instant::now(), history, tokens };
    let all: Vec<_> = (0..course.replicas.len()).collect();
    let per_replica = all.iter().flat_map(|replica| {
        let (one, two, three) = (chance.split(), chance.split(), chance.split());
        let readers = [course.read(*replica, one), course.read(*replica, two)];
        [futures_util::future::join_all(readers)].into_iter().zip([course.use_tokens(*replica, three)])
    });
    let per_replica = per_replica.map(|(readers, users)| async { tokio::join!(readers, users) });
    let writers = (0..4).map(|writer| course.write(writer, chance.split()));
    tokio::join!(
        futures_util::future::join_all(per_replica),
        futures_util::future::join_all(writers),
        course.make_and_revoke(chance.split()),
        course.cut(chance.split()),
    );
    course.converge().await;

    let history = course.history.into_inner().unwrap();
    let seen = [history.reads.len(), history.writes.len(), history.uses.len(), history.revocations.len()];
    println!("reads, writes, uses and revocations: {seen:?}");
    assert!(seen[0] > 100 && seen[1] > 5 && seen[2] > 20 && seen[3] > 0, "too little happened: {seen:?}");
    let faults = history.faults(BOUND);
    assert!(
        faults.is_empty(),
        "{} faults, the first of them: {:#?}",
        faults.len(),
        &faults[..faults.len().min(5)]
    );
}

use std::sync::Mutex;

use async_trait::async_trait;
use jiff::Timestamp;

use super::*;
use crate::{
    domain::event::{Record, RecordedActor, chain::Link},
    port::{
        audit::{OpenLine, Reads},
        index::Page,
    },
};

/// One chain, to which something happens while it is read.
struct Chain(Mutex<State>);

struct State {
    links: Vec<Link>,
    ends: Option<Ends>,
    /// Done after the ends were read for the first time.
    then: Option<Meanwhile>,
}

type Meanwhile = Box<dyn FnOnce(&mut State) + Send>;

fn link(previous: ChainHash, sequence: i64) -> Link {
    let record = Record {
        id: format!("id-{sequence}"),
        org: "acme".into(),
        r#type: "connection.updated".into(),
        at: Timestamp::UNIX_EPOCH,
        actor: RecordedActor::default(),
        connection: None,
        version: None,
        token: None,
        request_id: None,
        count: None,
    };
    let hash = Some(previous.next(sequence, &record));
    Link {
        sequence,
        hash,
        previous: None,
        id: record.id.clone(),
        records: Some(vec![record]),
        searchable: true,
    }
}

impl State {
    fn of(length: i64) -> Self {
        let mut state = Self { links: Vec::new(), ends: Some(EMPTY), then: None };
        (0..length).for_each(|_| state.append());
        state
    }

    fn append(&mut self) {
        let ends = self.ends.as_mut().unwrap();
        let link = link(ends.newest_hash, ends.newest + 1);
        (ends.newest, ends.newest_hash) = (link.sequence, link.hash.unwrap());
        self.links.push(link);
    }

    fn prune(&mut self, up_to: i64) {
        let ends = self.ends.as_mut().unwrap();
        let last = self.links.iter().find(|link| link.sequence == up_to).unwrap();
        (ends.pruned, ends.pruned_hash) = (up_to, last.hash.unwrap());
        self.links.retain(|link| link.sequence > up_to);
    }

    fn then(mut self, act: impl FnOnce(&mut Self) + Send + 'static) -> Self {
        self.then = Some(Box::new(act));
        self
    }

    /// The faults that are found, and how many events were looked at.
    async fn verified(self) -> (Vec<Fault>, u64) {
        let mut faults = Vec::new();
        let auditor = Auditor::new(Arc::new(Chain(Mutex::new(self))));
        let found = auditor.verify("acme", &mut |fault| faults.push(fault)).await.unwrap();
        (faults, found.events)
    }
}

#[async_trait]
impl AuditIndex for Chain {
    async fn find_ends(&self, _: &str) -> Result<Option<Ends>, IndexError> {
        let mut state = self.0.lock().unwrap();
        let ends = state.ends.ok_or_else(|| IndexError::Broken("no hash".into()))?;
        if let Some(act) = state.then.take() {
            act(&mut state);
        }
        Ok(Some(ends))
    }

    async fn links_after(&self, _: &str, after: i64, limit: u16) -> Result<Vec<Link>, IndexError> {
        let state = self.0.lock().unwrap();
        let links = state.links.iter().filter(|link| link.sequence > after);
        Ok(links.take(limit.into()).cloned().collect())
    }

    async fn link_up_to(&self, _: &str, end: i64) -> Result<Option<Link>, IndexError> {
        Ok(self.0.lock().unwrap().links.iter().find(|link| link.sequence <= end).cloned())
    }

    async fn count_open(&self, _: &str) -> Result<i64, IndexError> {
        Ok(0)
    }

    async fn record_reads(&self, _: i64, _: &[Reads<'_>], _: Timestamp) -> Result<i64, IndexError> {
        unreachable!()
    }
    async fn seal_reads(&self, _: i64) -> Result<(), IndexError> {
        unreachable!()
    }
    async fn forget_writers(&self, _: Timestamp) -> Result<(), IndexError> {
        unreachable!()
    }
    async fn seal(&self, _: Timestamp, _: &OpenLine, _: u16) -> Result<Option<OpenLine>, IndexError> {
        unreachable!()
    }
    async fn next_org(&self, _: &str) -> Result<Option<String>, IndexError> {
        unreachable!()
    }
    async fn orgs_to_prune(&self, _: &str, _: Timestamp, _: u16) -> Result<Page<String, String>, IndexError> {
        unreachable!()
    }
    async fn prune(&self, _: &str, _: &Ends, _: i64, _: ChainHash) -> Result<bool, IndexError> {
        unreachable!()
    }
}

#[tokio::test]
async fn what_happens_meanwhile_is_no_fault() {
    let long = i64::from(PAGE) + 3;
    assert_eq!(State::of(0).verified().await, (vec![], 0));
    assert_eq!(State::of(long).verified().await.0, vec![]);
    let appended = State::of(3).then(State::append);
    assert_eq!(appended.verified().await, (vec![], 3));
    let first = State::of(0).then(State::append);
    assert_eq!(first.verified().await, (vec![], 0));
    let pruned = State::of(5).then(|state| state.prune(2));
    assert_eq!(pruned.verified().await, (vec![], 3));
    let all_pruned = State::of(5).then(|state| state.prune(5));
    assert_eq!(all_pruned.verified().await, (vec![], 0));
    let both = State::of(5).then(|state| {
        state.append();
        state.prune(6);
        state.append();
    });
    assert_eq!(both.verified().await, (vec![], 1));
}

#[tokio::test]
async fn what_is_missing_or_too_much_is_a_fault() {
    let mut cut = State::of(5);
    cut.links.truncate(3);
    assert_eq!(cut.verified().await.0, [Fault::Missing(4, 5)]);

    let mut none = State::of(5);
    none.links.clear();
    assert_eq!(none.verified().await.0, [Fault::Missing(1, 5)]);

    let mut beyond = State::of(2);
    beyond.links.push(link(ChainHash::START, 3));
    assert_eq!(beyond.verified().await.0, [Fault::Outside(3, "id-3".into())]);

    let mut before = State::of(4);
    before.prune(2);
    before.links.insert(0, link(ChainHash::START, 1));
    assert_eq!(before.verified().await.0, [Fault::Outside(1, "id-1".into())]);

    let mut headless = State::of(2);
    headless.ends.as_mut().unwrap().newest_hash = ChainHash::START;
    assert_eq!(headless.verified().await.0, [Fault::Head(2)]);

    let mut unreadable = State::of(2);
    unreadable.ends = None;
    assert_eq!(unreadable.verified().await.0, [Fault::Ends]);
}

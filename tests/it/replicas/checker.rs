//! What must hold of everything that was seen of several replicas, whatever happened to them.

use std::{collections::HashMap, time::Duration};

/// What was seen. Times count from the beginning of the test.
#[derive(Debug, Default)]
pub(super) struct History {
    /// The versions of each connection in the database's order.
    pub order: HashMap<String, Vec<String>>,
    pub reads: Vec<Read>,
    pub writes: Vec<Write>,
    pub uses: Vec<Use>,
    pub revocations: Vec<Revocation>,
}

/// A replica showed a version.
#[derive(Debug, Clone)]
pub(super) struct Read {
    pub replica: usize,
    pub connection: String,
    pub version: String,
    pub began: Duration,
    pub ended: Duration,
}

/// A write was acknowledged.
#[derive(Debug, Clone)]
pub(super) struct Write {
    pub connection: String,
    pub version: String,
    pub acknowledged: Duration,
}

/// A replica took a token.
#[derive(Debug, Clone)]
pub(super) struct Use {
    pub replica: usize,
    pub token: String,
    pub began: Duration,
}

/// A revocation was acknowledged.
#[derive(Debug, Clone)]
pub(super) struct Revocation {
    pub token: String,
    pub acknowledged: Duration,
}

impl History {
    /// Everything that must not be: a version that was never current, one shown after a newer one by the same
    /// replica or longer than `bound` after it was replaced, and a token taken so long after its revocation.
    pub(super) fn faults(&self, bound: Duration) -> Vec<String> {
        let mut faults = Vec::new();
        let mut reads = HashMap::<_, Vec<_>>::new();
        for read in &self.reads {
            let Some(rank) = self.rank(&read.connection, &read.version) else {
                faults.push(format!("shown but never current: {read:?}"));
                continue;
            };
            reads.entry((read.replica, &read.connection)).or_default().push((rank, read));
        }
        for shown in reads.values() {
            faults.extend(backwards(shown));
        }
        faults.extend(self.outdated(reads.values().flatten(), bound));
        for used in &self.uses {
            let revoked = self.revocations.iter().find(|revocation| revocation.token == used.token);
            if revoked.is_some_and(|revocation| revocation.acknowledged + bound < used.began) {
                let replica = used.replica;
                faults.push(format!("taken after its revocation by {replica}: {used:?}, {revoked:?}"));
            }
        }
        faults
    }

    /// The place of a version in its connection's order.
    fn rank(&self, connection: &str, version: &str) -> Option<usize> {
        self.order.get(connection)?.iter().position(|known| known == version)
    }

    fn outdated<'a>(
        &'a self,
        reads: impl Iterator<Item = &'a (usize, &'a Read)>,
        bound: Duration,
    ) -> impl Iterator<Item = String> {
        let mut writes = HashMap::<_, Vec<_>>::new();
        for write in &self.writes {
            let rank = self.rank(&write.connection, &write.version).expect("what was acknowledged is there");
            writes.entry(&write.connection).or_default().push((rank, write));
        }
        reads.filter_map(move |(rank, read)| {
            let newer = writes
                .get(&read.connection)?
                .iter()
                .find(|(newer, write)| newer > rank && write.acknowledged + bound < read.began);
            newer.map(|(_, write)| format!("shown after it was replaced: {read:?}, {write:?}"))
        })
    }
}

/// Reads, by one replica, of what is older than a read had shown that ended before they began.
fn backwards(shown: &[(usize, &Read)]) -> Vec<String> {
    let mut by_end = shown.to_vec();
    by_end.sort_by_key(|(_, read)| read.ended);
    let mut by_begin = shown.to_vec();
    by_begin.sort_by_key(|(_, read)| read.began);
    let (mut ended, mut newest) = (by_end.into_iter().peekable(), None::<(usize, &Read)>);
    let mut faults = Vec::new();
    for (rank, read) in by_begin {
        while let Some(before) = ended.next_if(|(_, before)| before.ended < read.began) {
            newest = newest.filter(|(newest, _)| *newest >= before.0).or(Some(before));
        }
        if let Some((_, newer)) = newest.filter(|(newest, _)| *newest > rank) {
            faults.push(format!("shown after a newer one: {read:?}, {newer:?}"));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Duration = Duration::from_secs(5);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn history() -> History {
        let order = ["v1", "v2", "v3"].map(str::to_owned).to_vec();
        History { order: [("c".to_owned(), order)].into(), ..History::default() }
    }

    /// Reads by replica, version, begin and end.
    fn reads(reads: &[(usize, &str, u64, u64)]) -> History {
        let read = |(replica, version, began, ended): &(usize, &str, u64, u64)| Read {
            replica: *replica,
            connection: "c".to_owned(),
            version: (*version).to_owned(),
            began: at(*began),
            ended: at(*ended),
        };
        History { reads: reads.iter().map(read).collect(), ..history() }
    }

    fn written(mut history: History, version: &str, acknowledged: u64) -> History {
        let (connection, version) = ("c".to_owned(), version.to_owned());
        history.writes.push(Write { connection, version, acknowledged: at(acknowledged) });
        history
    }

    fn assert_fault(history: &History, fault: &str) {
        let faults = history.faults(BOUND);
        assert!(faults.len() == 1 && faults[0].starts_with(fault), "{fault}: {faults:?}");
    }

    fn assert_faultless(history: &History) {
        assert_eq!(history.faults(BOUND), Vec::<String>::new());
    }

    #[test]
    fn a_replica_that_goes_back_is_found() {
        assert_fault(&reads(&[(1, "v2", 0, 1), (1, "v1", 2, 3)]), "shown after a newer one");
        // In whatever order it was noted down, and not only right after the newer one.
        let noted = [(1, "v2", 4, 5), (1, "v1", 0, 1), (1, "v3", 2, 3)];
        assert_fault(&reads(&noted), "shown after a newer one");
        let long_after = [(1, "v2", 0, 1), (1, "v3", 2, 3), (1, "v3", 4, 5), (1, "v2", 6, 7)];
        assert_fault(&reads(&long_after), "shown after a newer one");
    }

    #[test]
    fn two_replicas_and_two_reads_at_once_may_differ() {
        assert_faultless(&reads(&[(1, "v2", 0, 1), (2, "v1", 2, 3), (1, "v2", 2, 3), (2, "v2", 4, 5)]));
        assert_faultless(&reads(&[(1, "v2", 1, 2), (1, "v1", 0, 3)]));
        assert_faultless(&reads(&[(1, "v2", 1, 2), (1, "v1", 2, 3)]));
    }

    #[test]
    fn what_was_replaced_too_long_ago_is_found() {
        let late = written(reads(&[(1, "v1", 16, 17)]), "v2", 10);
        assert_fault(&late, "shown after it was replaced");
        // By a write that was not acknowledged, and then by one that was.
        assert_fault(&written(reads(&[(1, "v1", 16, 17)]), "v3", 10), "shown after it was replaced");
        for fine in [(1, "v1", 15, 30), (1, "v2", 16, 17), (1, "v3", 16, 17)] {
            assert_faultless(&written(reads(&[fine]), "v2", 10));
        }
    }

    #[test]
    fn a_version_from_nowhere_is_found() {
        assert_fault(&reads(&[(1, "v9", 0, 1)]), "shown but never current");
    }

    #[test]
    fn connections_are_apart() {
        let mut history = reads(&[(1, "v3", 0, 1), (1, "other1", 2, 3)]);
        history.reads[1].connection = "d".to_owned();
        history.order.insert("d".to_owned(), vec!["other1".to_owned(), "other2".to_owned()]);
        assert_faultless(&written(history, "v2", 0));
    }

    #[test]
    fn a_token_taken_too_long_after_its_revocation_is_found() {
        let with_use = |token: &str, began| History {
            uses: vec![Use { replica: 1, token: token.to_owned(), began: at(began) }],
            revocations: vec![Revocation { token: "t".to_owned(), acknowledged: at(10) }],
            ..history()
        };
        assert_fault(&with_use("t", 16), "taken after its revocation");
        assert_faultless(&with_use("t", 15));
        assert_faultless(&with_use("other", 16));
    }
}

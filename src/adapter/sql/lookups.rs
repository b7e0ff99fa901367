//! Connections that several ask for at the same time, found together.
//!
//! Most of what a query costs is the way to the database and back: a connection of the pool is tried, the
//! query sent, the connection tried again, each with a thread of SQLite's or over the network. A further row
//! costs next to nothing. So one query is under way at a time, and whoever asks meanwhile is answered by the
//! next one. Who asks alone waits for nobody.
//!
//! A query begins after all whom it answers have asked, so each sees what was written before it asked. A row
//! goes to those alone who asked for that connection of that organization.

use std::collections::HashMap;

use sqlx::{AnyPool, AssertSqlSafe, Row, any::AnyRow};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};
use tokio_util::task::TaskTracker;

use super::{TIME_LIMIT, connections, decoded, index_error, late};
use crate::{
    domain::{connection::Connection, secret::SecretName},
    port::index::IndexError,
};

/// The most that one query asks for: more would make no row cheaper.
pub(super) const MOST: usize = 32;

type Answer = Result<Option<Connection>, IndexError>;

struct Lookup {
    name: SecretName,
    answer: oneshot::Sender<Answer>,
}

/// Where to ask. Clones ask in the same place.
#[derive(Debug, Clone)]
pub(super) struct Lookups(mpsc::UnboundedSender<Lookup>);

impl Lookups {
    /// Answers from that pool until nobody can ask any more, or the pool is closed.
    pub(super) fn start(pool: AnyPool, tasks: &TaskTracker) -> Self {
        let (ask, asked) = mpsc::unbounded_channel();
        tasks.spawn(answer_all(pool, asked));
        Self(ask)
    }

    /// The connection of that name.
    ///
    /// # Errors
    /// If the database does not answer in time, or has something there that can't be read.
    pub(super) async fn find(&self, name: SecretName) -> Answer {
        let (answer, answered) = oneshot::channel();
        let closed = || IndexError::Unavailable("the database is closed".into());
        self.0.send(Lookup { name, answer }).map_err(|_| closed())?;
        timeout(TIME_LIMIT, answered).await.map_err(late)?.map_err(|_| closed())?
    }
}

async fn answer_all(pool: AnyPool, mut asked: mpsc::UnboundedReceiver<Lookup>) {
    let mut closed = pool.close_event();
    let mut wanted = Vec::with_capacity(MOST);
    while let Ok(Some(first)) = closed.do_until(asked.recv()).await {
        wanted.push(first);
        // Others may be about to ask: requests and answers of the store come many at a time.
        tokio::task::yield_now().await;
        while wanted.len() < MOST
            && let Ok(lookup) = asked.try_recv()
        {
            wanted.push(lookup);
        }
        let found = timeout(TIME_LIMIT, find(&pool, &wanted)).await.map_err(late);
        let found = found.and_then(|found| found.map_err(|e| index_error(&e)));
        for Lookup { name, answer } in wanted.drain(..) {
            let found = match &found {
                Ok(found) => found.get(&name).cloned().unwrap_or(Ok(None)),
                Err(error) => Err(error.clone()),
            };
            // Who asked may not be there any more.
            let _ = answer.send(found);
        }
    }
}

async fn find(pool: &AnyPool, wanted: &[Lookup]) -> Result<HashMap<SecretName, Answer>, sqlx::Error> {
    // Of few different lengths, so that each stays prepared: who asked last is asked for in the places left
    // over.
    let places = wanted.len().next_power_of_two();
    let mut query = sqlx::query(AssertSqlSafe(connections::find_query(places)));
    for Lookup { name, .. } in wanted.iter().chain(wanted.last().into_iter().cycle()).take(places) {
        query = query.bind(name.org().as_str()).bind(name.connection().as_str());
    }
    query.fetch_all(pool).await?.iter().map(found).collect()
}

/// A row that can't be read concerns only those who asked for it.
fn found(row: &AnyRow) -> Result<(SecretName, Answer), sqlx::Error> {
    let text = |column| row.try_get::<String, _>(column);
    let name = SecretName::new(decoded(text("org")?.parse())?, decoded(text("name")?.parse())?);
    Ok((name, connections::connection(row).map(Some).map_err(|e| index_error(&e))))
}

//! PostgreSQL's notifications: the transaction that makes a change tells of it when it commits.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::postgres::PgListener;
use tokio::time::timeout;

use super::{Database, events::CHANNEL};
use crate::port::{
    index::IndexError,
    news::{Listening, News},
};

/// How long it is quiet before the connection is asked whether it still lives: one that was cut off without
/// a word would be quiet for ever.
const QUIET: Duration = Duration::from_secs(10);

#[async_trait]
impl News for Database {
    async fn listen(&self) -> Result<Option<Box<dyn Listening>>, IndexError> {
        let options = self.pool().connect_options();
        if options.database_url.scheme() == "sqlite" {
            return Ok(None);
        }
        let listener = self.within(async {
            let mut listener = PgListener::connect(options.database_url.as_str()).await?;
            // Whoever listens is to know of a lost connection first.
            listener.eager_reconnect(false);
            listener.listen(CHANNEL).await?;
            Ok(listener)
        });
        Ok(Some(Box::new(Heard { database: self.clone(), listener: listener.await? })))
    }
}

struct Heard {
    database: Database,
    listener: PgListener,
}

#[async_trait]
impl Listening for Heard {
    async fn hear(&mut self) -> Result<(), IndexError> {
        loop {
            match timeout(QUIET, self.listener.try_recv()).await {
                Ok(Ok(Some(_))) => return Ok(()),
                Ok(Ok(None)) => return Err(IndexError::Unavailable("the connection was lost".into())),
                Ok(Err(error)) => return Err(IndexError::Unavailable(error.to_string())),
                Err(_) => {
                    let alive = sqlx::query("SELECT 1").execute(&mut self.listener);
                    self.database.within(alive).await?;
                }
            }
        }
    }
}

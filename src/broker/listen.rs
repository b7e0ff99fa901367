//! The ear of a replica: wakes the follower as soon as the database tells of a change.
//!
//! What it misses while it is deaf is not lost: the follower asks the log, and it is woken when the ear
//! hears again.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Notify, time::sleep};
use tokio_util::sync::CancellationToken;

use super::error::Error;
use crate::port::news::News;

/// How long it waits before it tries to hear again, first and at most.
const AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// What wakes the follower. Clones share it.
#[derive(Clone, Default)]
pub struct Wake(Arc<Inner>);

#[derive(Default)]
struct Inner {
    bell: Notify,
    hearing: AtomicBool,
}

impl Wake {
    /// Waits until there may be something new.
    pub(super) async fn woken(&self) {
        self.0.bell.notified().await;
    }

    /// Whether changes are told as they happen.
    pub(super) fn is_hearing(&self) -> bool {
        self.0.hearing.load(Ordering::Relaxed)
    }

    fn ring(&self) {
        self.0.bell.notify_one();
    }
}

/// Listens to the database.
pub struct Listener {
    news: Arc<dyn News>,
    wake: Wake,
}

impl Listener {
    /// One that wakes by `wake`.
    #[must_use]
    pub fn new(news: Arc<dyn News>, wake: Wake) -> Self {
        Self { news, wake }
    }

    /// Listens until told to stop. Ends at once where the database does not tell.
    pub async fn run(self, stop: CancellationToken) {
        stop.run_until_cancelled(self.listen()).await;
    }

    async fn listen(&self) {
        let (first, longest) = AGAIN;
        let (mut pause, mut told) = (first, false);
        loop {
            let result = self.listen_once().await;
            let heard = self.wake.0.hearing.swap(false, Ordering::Relaxed);
            let error = match result {
                Ok(()) => return,
                Err(error) => error,
            };
            if heard {
                (pause, told) = (first, false);
            }
            if !told {
                tracing::warn!(%error, "the database's notifications can't be heard; it is asked instead");
                told = true;
            }
            sleep(pause).await;
            pause = (pause * 2).min(longest);
        }
    }

    /// Listens as long as the connection lasts.
    async fn listen_once(&self) -> Result<(), Error> {
        let Some(mut listening) = self.news.listen().await? else { return Ok(()) };
        tracing::info!("listening to the database's notifications");
        self.wake.0.hearing.store(true, Ordering::Relaxed);
        loop {
            // At first for what was missed before.
            self.wake.ring();
            listening.hear().await?;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;
    use tokio::{sync::Semaphore, time::timeout};

    use super::*;
    use crate::port::{index::IndexError, news::Listening};

    /// A database whose connections hear so many changes each, whenever the test makes one, and are then
    /// lost.
    struct Script {
        connections: Mutex<Vec<Option<usize>>>,
        made: Arc<Semaphore>,
    }

    struct Line {
        changes: usize,
        made: Arc<Semaphore>,
    }

    #[async_trait]
    impl News for Script {
        async fn listen(&self) -> Result<Option<Box<dyn Listening>>, IndexError> {
            let next = self.connections.lock().unwrap().remove(0);
            let changes = next.ok_or_else(|| IndexError::Unavailable("down".into()))?;
            Ok(Some(Box::new(Line { changes, made: Arc::clone(&self.made) })))
        }
    }

    #[async_trait]
    impl Listening for Line {
        async fn hear(&mut self) -> Result<(), IndexError> {
            self.made.acquire().await.unwrap().forget();
            self.changes =
                self.changes.checked_sub(1).ok_or_else(|| IndexError::Unavailable("lost".into()))?;
            Ok(())
        }
    }

    async fn woken(wake: &Wake) {
        timeout(Duration::from_secs(30), wake.woken()).await.expect("it wakes");
    }

    #[tokio::test]
    async fn it_wakes_for_each_change_and_whenever_it_hears_again() {
        let (wake, stop, made) = (Wake::default(), CancellationToken::new(), Arc::new(Semaphore::new(0)));
        let connections = Mutex::new(vec![Some(2), None, Some(1)]);
        let news = Script { connections, made: Arc::clone(&made) };
        let listener = Listener::new(Arc::new(news), wake.clone());
        assert!(!wake.is_hearing());
        let awake = async {
            woken(&wake).await;
            // Two changes, the loss of the connection, and a change heard by the next one but one.
            for _ in 0..4 {
                assert!(wake.is_hearing());
                made.add_permits(1);
                woken(&wake).await;
            }
            stop.cancel();
        };
        tokio::join!(listener.run(stop.clone()), awake);
    }

    #[tokio::test]
    async fn a_database_that_does_not_tell_is_not_listened_to() {
        struct Silent;
        #[async_trait]
        impl News for Silent {
            async fn listen(&self) -> Result<Option<Box<dyn Listening>>, IndexError> {
                Ok(None)
            }
        }
        let wake = Wake::default();
        Listener::new(Arc::new(Silent), wake.clone()).run(CancellationToken::new()).await;
        assert!(!wake.is_hearing());
    }
}

//! The write protocol: a change is whole or did not happen, whenever the process dies.
//!
//! 1. The intent is recorded, with the id of the version to come. Its row is the lock: one writer to a
//!    connection at a time.
//! 2. The store is asked to make that version current. The id is AWS's `ClientRequestToken`, so asking
//!    twice does no harm.
//! 3. In one transaction the index takes the version over, the event is appended, the answer is kept
//!    under its idempotency key, and the intent goes.
//!
//! Dying between two steps leaves the intent. Whoever finds it after its lease ran out (`settle`, from the
//! reconciler or from the next writer) asks the store for the intent's version: it is there, then step 3 is
//! done (a disconnect's second erasure before it); it is not, then the write never happened and the
//! intent is dropped.
//!
//! An adoption takes over what another program wrote into the store: its second step only reads, and its
//! third takes over the version that it read. Nothing has the intent's own version, so one that was left is
//! dropped.
//!
//! A registration leaves the store alone: the keys of its connection are in the organization's own vault.
//!
//! A lease outlasts the time limit of its writer, so nobody settles what a living writer may still do.

mod adopt;
mod entry;
mod outcome;
mod place;
mod register;
mod settle;

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::Notify,
    time::{Instant, sleep, timeout_at},
};

use super::{
    cache::CredentialCache,
    current::is_from_before,
    error::{Conflict, Error},
};
use crate::{
    domain::{
        access::{Permit, Write},
        clock::{Clock, Random},
        connection::{Connection, Source, Status},
        event::{Event, RequestId},
        idempotency::IdempotencyKey,
        precondition::Precondition,
        provider::Catalogue,
        secret::{Credentials, SecretName, Version},
    },
    port::{
        index::{ANSWERS_KEPT, Begun, ConnectionIndex, Intent, Plan},
        store::{Expect, Store, StoreError, Which},
        vault::VaultIndex,
    },
};

/// What goes into a write and comes out of it, for those who don't see the ports.
pub use crate::port::index::{Answer, LabelChange, Outcome};

/// What a caller says about how a write may be done.
#[derive(Debug, Clone, Default)]
pub struct Terms {
    /// What must hold beforehand.
    pub precondition: Precondition,
    /// Under which key the answer is kept.
    pub idempotency: Option<IdempotencyKey>,
    /// In which request it happens.
    pub request_id: Option<RequestId>,
}

/// How long writes may take.
#[derive(Debug, Clone, Copy)]
pub struct WriteLimits {
    /// From the recorded intent to the store's last answer.
    pub time: Duration,
    /// How long a writer waits for another one to end before it gives up.
    pub wait: Duration,
}

/// What a lease has beyond the time limit, for the database's last word and for clocks that differ.
const LEASE_MARGIN: Duration = Duration::from_secs(2);

/// Carries out writes.
pub struct Writer {
    /// Where intents, connections and events are kept.
    pub index: Arc<dyn ConnectionIndex>,
    /// Which organizations keep their keys themselves.
    pub vaults: Arc<dyn VaultIndex>,
    /// Where credentials are kept.
    pub store: Arc<dyn Store>,
    /// What has to forget what was written.
    pub cache: CredentialCache,
    /// What each provider's fields are.
    pub catalogue: Arc<Catalogue>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Where versions get their randomness.
    pub random: Arc<dyn Random>,
    /// How long it may take.
    pub limits: WriteLimits,
    /// How long after a write its keys are tried by themselves.
    pub check_every: Duration,
    /// Wakes the reconciler when a write is left to it.
    pub left_open: Arc<Notify>,
}

/// What is to be written, once the connection is locked.
pub(super) enum Work {
    Put(Credentials),
    RollBack,
    Disconnect,
}

/// How a write failed.
enum Failure {
    /// The store was not changed.
    Clean(Error),
    /// Nobody knows.
    Unknown(Error),
}

impl<E: Into<Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Clean(error.into())
    }
}

impl Writer {
    /// A fresh version id.
    pub(super) fn new_version(&self) -> Version {
        Version::generate(&*self.clock, &*self.random)
    }

    /// The answer kept under the terms' key, if the same request was answered before.
    pub(super) async fn answered(&self, name: &SecretName, terms: &Terms) -> Result<Option<Answer>, Error> {
        let Some(key) = &terms.idempotency else { return Ok(None) };
        let not_before = self.clock.now() - ANSWERS_KEPT;
        match self.index.find_answer(name.org(), key, not_before).await? {
            Some((fingerprint, answer)) if fingerprint == key.fingerprint => Ok(Some(answer)),
            Some(_) => Err(Error::Conflict(Conflict::IdempotencyKeyReused)),
            None => Ok(None),
        }
    }

    /// Carries out one write, from the intent to the answer.
    pub(super) async fn carry_out(
        &self,
        permit: &Permit<Write>,
        plan: Plan,
        work: Work,
        terms: &Terms,
    ) -> Result<Answer, Error> {
        let (intent, deadline) = self.begin(permit, plan, terms).await?;
        let result = self.attempt(permit, &intent, work, terms, deadline).await;
        self.conclude(&intent, result).await
    }

    /// Drops the intent of a write that came to nothing, and leaves one to the reconciler of which
    /// nobody knows.
    async fn conclude(&self, intent: &Intent, result: Result<Answer, Failure>) -> Result<Answer, Error> {
        let org = &intent.org;
        match result {
            Ok(answer) => Ok(answer),
            Err(Failure::Clean(error)) => {
                if let Err(e) = self.index.drop_write(org, intent).await {
                    self.left_open.notify_one();
                    tracing::warn!(%org, connection = %intent.connection, error = %e, "an intent is left to the reconciler");
                }
                Err(error)
            }
            Err(Failure::Unknown(error)) => {
                tracing::warn!(%org, connection = %intent.connection, version = %intent.version, %error,
                    "a write's outcome is unknown; the reconciler will find out");
                // If this fails too, the lease says the same a little later.
                let _ = self.index.doubt_write(org, intent).await;
                self.left_open.notify_one();
                Err(error)
            }
        }
    }

    /// Step 1: the intent, once no other stands, and the moment by which the store must have answered.
    async fn begin(
        &self,
        permit: &Permit<Write>,
        plan: Plan,
        terms: &Terms,
    ) -> Result<(Intent, Instant), Error> {
        let name = permit.on();
        let give_up = Instant::now() + self.limits.wait;
        let mut pause = Duration::from_millis(10);
        loop {
            // Both from the same moment: recording the intent may itself take a while.
            let deadline = Instant::now() + self.limits.time;
            let intent = Intent {
                org: name.org().clone(),
                connection: name.connection().clone(),
                version: self.new_version(),
                plan: plan.clone(),
                actor: (**permit.actor()).clone(),
                request_id: terms.request_id.as_ref().map(|id| id.as_str().to_owned()),
                idempotency: terms.idempotency.clone(),
                lease_until: self.clock.now() + self.lease(),
                uncertain: false,
            };
            let other = match self.index.begin_write(name.org(), &intent).await {
                Ok(Begun::Alone) => return Ok((intent, deadline)),
                Ok(Begun::Busy(other)) => other,
                Err(error) => {
                    // The database may still record it, after we stopped waiting.
                    self.left_open.notify_one();
                    return Err(error.into());
                }
            };
            let now = self.clock.now();
            if other.lease_until <= now {
                self.settle(&other).await?;
                continue;
            }
            if other.uncertain {
                let left = other.lease_until.duration_since(now).unsigned_abs();
                let reason = "an earlier write's outcome is not known yet".into();
                return Err(Error::Unavailable { reason, retry_after: left, store: true });
            }
            if Instant::now() >= give_up {
                return Err(Error::Conflict(Conflict::WriteUnderWay));
            }
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(100));
        }
    }

    fn lease(&self) -> Duration {
        self.limits.time + LEASE_MARGIN
    }

    /// The answer that the same request got before this one had the connection. Its intent then goes.
    async fn answered_meanwhile(
        &self,
        permit: &Permit<Write>,
        intent: &Intent,
        terms: &Terms,
    ) -> Result<Option<Answer>, Error> {
        let answer = self.answered(permit.on(), terms).await?;
        if answer.is_some() {
            self.index.drop_write(&intent.org, intent).await?;
        }
        Ok(answer)
    }

    /// What comes after step 1, the connection being locked.
    async fn attempt(
        &self,
        permit: &Permit<Write>,
        intent: &Intent,
        work: Work,
        terms: &Terms,
        deadline: Instant,
    ) -> Result<Answer, Failure> {
        if let Some(answer) = self.answered_meanwhile(permit, intent, terms).await? {
            return Ok(answer);
        }
        let before = self.index.find_connection(&intent.org, &intent.connection).await?;
        if !matches!(work, Work::Disconnect) && self.keeps_own_by_now(intent, before.as_ref()).await? {
            return Err(Error::Conflict(Conflict::KeysInVault).into());
        }
        let prepare = self.prepare(permit, before.as_ref(), intent, work, &terms.precondition);
        let prepared = timeout_at(deadline, prepare).await;
        let (credentials, unchanged) = prepared.map_err(|_| too_late())??;
        match (unchanged, before) {
            // Disconnecting again changes nothing, and is no event.
            (true, Some(connection)) if is_erasure(intent) => {
                self.index.drop_write(&intent.org, intent).await?;
                Ok(Answer { outcome: Outcome::Disconnected, connection })
            }
            // Made for the vault, it has nothing in the store to erase.
            (false, Some(before)) if before.source == Source::CustomerVault && is_erasure(intent) => {
                self.complete(intent, Some(before), &credentials, false).await
            }
            (true, before) => self.complete(intent, before, &credentials, true).await,
            (false, before) => self.store_and_complete(permit, intent, before, &credentials, deadline).await,
        }
    }

    /// Steps 2 and 3.
    async fn store_and_complete(
        &self,
        permit: &Permit<Write>,
        intent: &Intent,
        before: Option<Connection>,
        credentials: &Credentials,
        deadline: Instant,
    ) -> Result<Answer, Failure> {
        // A call that begins late could land after someone else settled this write.
        if Instant::now() >= deadline {
            return Err(Failure::Clean(too_late()));
        }
        let expect = if before.is_some() { Expect::Existing } else { Expect::Missing };
        match timeout_at(deadline, self.store(permit, intent, credentials, expect)).await {
            Err(_) => return Err(Failure::Unknown(too_late())),
            Ok(Err(error)) if matches!(error, Error::Unavailable { .. }) => {
                return Err(Failure::Unknown(error));
            }
            Ok(Err(error)) => return Err(Failure::Clean(error)),
            Ok(Ok(())) => {}
        }
        self.complete(intent, before, credentials, false).await
    }

    /// What to write, and whether it is there already, if the precondition holds.
    async fn prepare(
        &self,
        permit: &Permit<Write>,
        before: Option<&Connection>,
        intent: &Intent,
        work: Work,
        precondition: &Precondition,
    ) -> Result<(Credentials, bool), Error> {
        let demand = |version: Option<&Version>| {
            if precondition.holds(version) { Ok(()) } else { Err(Error::PreconditionFailed) }
        };
        let known = before.map(|connection| &connection.version);
        match work {
            Work::Put(credentials) => {
                let Some(before) = before.filter(|connection| !connection.is_disconnected()) else {
                    demand(known)?;
                    return Ok((credentials, false));
                };
                if *precondition == Precondition::Absent {
                    return Err(Error::PreconditionFailed);
                }
                if matches!(&intent.plan, Plan::Put { provider, .. } if *provider != before.provider) {
                    return Err(Error::Conflict(Conflict::OtherProvider));
                }
                let current = match self.store.get(permit, Which::Current).await {
                    // What can't be read can still be replaced.
                    Err(StoreError::Refused(_)) => None,
                    // Nor does what AWS shows from before the last write count.
                    current => current?.filter(|current| !is_from_before(current, before)),
                };
                // Another program may have written meanwhile: a reader was then given that version.
                demand(current.as_ref().map_or(known, |current| Some(&current.version)))?;
                let same = current.is_some_and(|current| {
                    current.version == before.version
                        && current.credentials().is_ok_and(|current| current.same_as(&credentials))
                });
                Ok((credentials, same))
            }
            Work::RollBack => {
                demand(known)?;
                let nothing = || Error::Conflict(Conflict::NothingToRollBackTo);
                let previous = before.ok_or(Error::NotFound)?.previous.as_ref().ok_or_else(nothing)?;
                let secret = self.store.get(permit, Which::Version(previous)).await?.ok_or_else(nothing)?;
                let credentials = secret.credentials()?;
                Ok((credentials, false))
            }
            Work::Disconnect => {
                demand(known)?;
                let before = before.ok_or(Error::NotFound)?;
                Ok((Credentials::none(), before.is_disconnected()))
            }
        }
    }

    /// Step 2. A disconnect writes twice: one empty version would leave the keys readable as the
    /// previous one.
    async fn store(
        &self,
        permit: &Permit<Write>,
        intent: &Intent,
        credentials: &Credentials,
        expect: Expect,
    ) -> Result<(), Error> {
        self.store.put(permit, &intent.version, credentials, expect).await?;
        if let Plan::Disconnect { erase } = &intent.plan {
            // Part of the keys' erasure has happened: whatever stops the rest, the outcome is open.
            let rest = self.store.put(permit, erase, credentials, Expect::Existing).await;
            rest.map_err(|e| Error::unavailable(format!("after one of two empty versions: {e}")))?;
        }
        Ok(())
    }

    /// Step 3.
    async fn complete(
        &self,
        intent: &Intent,
        before: Option<Connection>,
        credentials: &Credentials,
        unchanged: bool,
    ) -> Result<Answer, Failure> {
        let dead = before.as_ref().is_some_and(|before| before.status == Status::NeedsReconnect);
        let answer = self.answer(intent, before, credentials, unchanged);
        let revived = dead && unchanged && answer.connection.status == Status::Active;
        let events = self.events(intent, &answer, revived);
        self.record(intent, answer, &events).await
    }

    async fn record(&self, intent: &Intent, answer: Answer, events: &[Event]) -> Result<Answer, Failure> {
        let completed =
            self.index.complete_write(&intent.org, intent, &answer, events, self.clock.now()).await;
        self.cache.forget(&answer.connection.secret_name());
        match completed {
            Ok(true) => {
                tracing::info!(org = %intent.org, connection = %intent.connection, event = events.first().map(|event| event.r#type.as_str()),
                    version = %answer.connection.version, actor = %intent.actor.id, "connection changed");
                Ok(answer)
            }
            Ok(false) => Err(Failure::Clean(Error::unavailable("another process settled this write"))),
            Err(error) => Err(Failure::Unknown(error.into())),
        }
    }
}

fn is_erasure(intent: &Intent) -> bool {
    matches!(intent.plan, Plan::Disconnect { .. })
}

fn too_late() -> Error {
    Error::unavailable("the store took too long")
}

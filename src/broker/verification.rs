//! Trying keys with their providers, and what follows from it.
//!
//! Outcomes are kept apart: only a provider that says that a key is wrong changes its connection, and only
//! after it said so twice, some seconds apart. Silence, trouble of the provider's own and answers that say
//! nothing change nothing.

use std::{collections::HashSet, sync::Arc, time::Duration};

use futures_util::FutureExt;
use jiff::Timestamp;
use metrics::{counter, histogram};
use secrecy::ExposeSecret;
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::error::Error;
use crate::{
    domain::{
        access::{Actor, MayRead, Permit, Read, SystemTask, Write},
        clock::{Clock, Random, time_ordered_id},
        connection::{Connection, Status},
        event::{Event, EventType, RequestId},
        provider::{ApiAnswer, Catalogue, Fact, Method, Outcome, Provider, Verification},
        secret::{Credentials, SecretName},
    },
    port::{
        index::{Check, ConnectionIndex},
        providers::{NoAnswer, ProviderApis},
        store::{Store, Which},
    },
};

/// How much sooner a provider that did not say is asked again.
const SOONER: u32 = 24;

/// The most providers that are asked at a time.
const AT_ONCE: usize = 64;

/// How long keys are left alone, and how their wrongness is confirmed.
#[derive(Debug, Clone, Copy)]
pub struct VerificationSettings {
    /// How long after one try the next one comes by itself; zero: never.
    pub every: Duration,
    /// How long after a provider refused a key it is asked again, before the connection is changed.
    pub confirm_after: Duration,
}

/// What came of trying a connection's keys.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// In one word.
    pub outcome: Outcome,
    /// In a sentence, for people.
    pub detail: String,
    /// What the key opens, as name and value, so that a person sees that it is the right account.
    pub opens: Vec<(String, String)>,
    /// When.
    pub checked_at: Timestamp,
}

/// Tries keys. Clones share what is under way.
#[derive(Clone)]
pub struct Verifier(Arc<Inner>);

/// What a verifier works with.
pub struct Parts {
    /// Where outcomes are kept.
    pub index: Arc<dyn ConnectionIndex>,
    /// Where keys are.
    pub store: Arc<dyn Store>,
    /// How each provider is asked.
    pub catalogue: Arc<Catalogue>,
    /// The way to them.
    pub apis: Arc<dyn ProviderApis>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Where events' ids get their randomness.
    pub random: Arc<dyn Random>,
    /// How keys are treated.
    pub settings: VerificationSettings,
    /// Runs what a report set off, so that a shutdown waits for it.
    pub under_way: TaskTracker,
    /// Ends the wait between two tries at a shutdown.
    pub stop: CancellationToken,
}

struct Inner {
    parts: Parts,
    slots: Semaphore,
    /// The connections whose report is being looked into: a thousand reports are one verification.
    reported: std::sync::Mutex<HashSet<SecretName>>,
}

/// Whether to ask what a key opens, beside whether it works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    Alone,
    WithFacts,
}

impl Verifier {
    /// A verifier of these parts.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(Inner { parts, slots: Semaphore::new(AT_ONCE), reported: std::sync::Mutex::default() }))
    }

    /// Tries a connection's current keys and keeps what came of it.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there are none, or what the store or the database failed with.
    pub async fn verify(
        &self,
        permit: &Permit<Write>,
        request_id: Option<RequestId>,
    ) -> Result<Verdict, Error> {
        self.check(permit, permit.actor(), request_id).await
    }

    /// Takes note that a provider answered a request with the status `upstream`. If that can mean that the
    /// keys are wrong, they are tried soon, by a task of its own. Returns the connection as it is now.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there are no keys, or what the database failed with.
    pub async fn report(
        &self,
        permit: Permit<Read>,
        upstream: u16,
        request_id: Option<RequestId>,
    ) -> Result<Connection, Error> {
        let name = permit.on().clone();
        let connection = self.connected(&name).await?;
        let about_the_key = (400..500).contains(&upstream) && upstream != 429;
        if about_the_key && self.reported().insert(name.clone()) {
            let verifier = self.clone();
            self.0.parts.under_way.spawn(async move {
                let check = verifier.check(&permit, permit.actor(), request_id);
                // Caught, so that a defect does not leave the connection out of reach of reports.
                let ended = std::panic::AssertUnwindSafe(check).catch_unwind().await;
                verifier.reported().remove(&name);
                if let Ok(Err(error)) = ended {
                    tracing::warn!(org = %name.org(), connection = %name.connection(), %error,
                        "a reported key could not be tried");
                }
            });
        }
        Ok(connection)
    }

    /// How long after one try the next one comes by itself.
    pub(super) fn every(&self) -> Duration {
        self.0.parts.settings.every
    }

    /// Tries the keys of a connection whose time has come.
    ///
    /// # Errors
    /// As [`Verifier::verify`].
    pub(super) async fn check_due(&self, name: SecretName) -> Result<Outcome, Error> {
        let permit = SystemTask::Verifier.permit_read(name);
        Ok(self.check(&permit, permit.actor(), None).await?.outcome)
    }

    /// Asks a provider about credentials once. Changes nothing.
    pub(super) async fn ask(&self, provider: &Provider, credentials: &Credentials, ask: Ask) -> Verdict {
        let (outcome, detail, opens) = match provider.verification() {
            None => {
                let detail = format!("{} has no way to try a key.", provider.display_name);
                (Outcome::Unsupported, detail, Vec::new())
            }
            Some((_, verification)) => self.ask_api(provider, verification, credentials, ask).await,
        };
        counter!("keybroker_verifications_total", "provider" => provider.name.to_string(), "outcome" => outcome.as_str())
            .increment(1);
        Verdict { outcome, detail, opens, checked_at: self.0.parts.clock.now() }
    }

    async fn ask_api(
        &self,
        provider: &Provider,
        verification: &Verification,
        credentials: &Credentials,
        ask: Ask,
    ) -> (Outcome, String, Vec<(String, String)>) {
        let name = &provider.display_name;
        let facts = if ask == Ask::WithFacts { verification.opens.as_slice() } else { &[] };
        let wants_body = verification.reads_body() || facts.iter().any(|fact| fact.path.is_none());
        let (outcome, why, answer) = match self.send(provider, None, credentials, wants_body).await {
            Ok(answer) => {
                let (outcome, why) = verification.judge(&answer);
                (outcome, why, Some(answer))
            }
            Err(why @ NoAnswer::Unsendable) => (Outcome::Invalid, why.to_string(), None),
            Err(why) => (Outcome::Unreachable, why.to_string(), None),
        };
        let detail = match outcome {
            Outcome::Valid => format!("{name} takes the key."),
            Outcome::Invalid => format!("{name} refuses the key: {why}."),
            Outcome::Unreachable | Outcome::Unsupported => format!("{name} did not say: {why}."),
        };
        let opens = match (outcome, answer) {
            (Outcome::Valid, Some(answer)) => self.facts(provider, facts, &answer, credentials).await,
            _ => Vec::new(),
        };
        (outcome, detail, opens)
    }

    /// What a key opens, as far as the provider tells it: a fact that does not come is left out.
    async fn facts(
        &self,
        provider: &Provider,
        facts: &[Fact],
        verified: &ApiAnswer,
        credentials: &Credentials,
    ) -> Vec<(String, String)> {
        let read = |fact: &Fact, answer: &ApiAnswer| {
            let text = fact.read(answer).filter(|text| !repeats_a_field(text, credentials))?;
            Some((fact.label.clone(), text))
        };
        let told = facts.iter().map(async |fact| {
            if fact.path.is_none() {
                return read(fact, verified);
            }
            let answer = self.send(provider, Some(fact), credentials, true).await.ok()?;
            if (200..300).contains(&answer.status) { read(fact, &answer) } else { None }
        });
        futures_util::future::join_all(told).await.into_iter().flatten().collect()
    }

    /// One request, timed, among at most so many.
    async fn send(
        &self,
        provider: &Provider,
        fact: Option<&Fact>,
        credentials: &Credentials,
        wants_body: bool,
    ) -> Result<ApiAnswer, NoAnswer> {
        let (api, verification) = provider.verification().ok_or(NoAnswer::Unreachable)?;
        let (method, path) = match fact.and_then(|fact| fact.path.as_ref()) {
            Some(path) => (Method::Get, path),
            None => (verification.method, &verification.path),
        };
        let request = api.request(method, path, credentials).ok_or(NoAnswer::Unsendable)?;
        let _slot = self.0.slots.acquire().await;
        let began = Instant::now();
        let answer = self.0.parts.apis.ask(request, wants_body).await;
        histogram!("keybroker_verification_seconds", "provider" => provider.name.to_string())
            .record(began.elapsed());
        answer
    }

    /// Tries the keys that the store holds, a second time if they are refused, and keeps the outcome.
    async fn check(
        &self,
        permit: &dyn MayRead,
        actor: &Arc<Actor>,
        request_id: Option<RequestId>,
    ) -> Result<Verdict, Error> {
        let name = permit.secret();
        let connection = self.connected(name).await?;
        let parts = &self.0.parts;
        let Some(provider) = parts.catalogue.get(&connection.provider) else {
            return Ok(self.not_in_catalogue(&connection));
        };
        let secret = parts.store.get(permit, Which::Current).await?.ok_or(Error::NotFound)?;
        let credentials = secret.credentials()?;
        let mut verdict = self.ask(provider, &credentials, Ask::WithFacts).await;
        if verdict.outcome == Outcome::Invalid {
            // Cut short by a shutdown, it is not confirmed.
            let waited = parts.stop.run_until_cancelled(sleep(parts.settings.confirm_after)).await;
            if waited.is_none() {
                return Ok(verdict);
            }
            verdict = self.ask(provider, &credentials, Ask::WithFacts).await;
        }
        self.keep(&connection, &verdict, actor, request_id).await?;
        Ok(verdict)
    }

    /// Keeps an outcome, unless the connection has been written meanwhile: then it concerns other keys.
    async fn keep(
        &self,
        connection: &Connection,
        verdict: &Verdict,
        actor: &Arc<Actor>,
        request_id: Option<RequestId>,
    ) -> Result<(), Error> {
        let change = match verdict.outcome {
            Outcome::Valid => Some((Status::Active, EventType::ConnectionVerified)),
            Outcome::Invalid => Some((Status::NeedsReconnect, EventType::ConnectionNeedsReconnect)),
            Outcome::Unreachable | Outcome::Unsupported => None,
        };
        let parts = &self.0.parts;
        let every = match verdict.outcome {
            Outcome::Unreachable => parts.settings.every / SOONER,
            Outcome::Valid | Outcome::Invalid | Outcome::Unsupported => parts.settings.every,
        };
        let check = Check {
            version: connection.version.clone(),
            at: verdict.checked_at,
            status: change.map(|(status, _)| status),
            again_at: next_try(verdict.checked_at, every, &*parts.random),
        };
        let event = change.map(|(_, r#type)| Event {
            id: time_ordered_id(&*parts.clock, &*parts.random),
            org: Some(connection.org.clone()),
            r#type,
            at: verdict.checked_at,
            actor: Arc::clone(actor),
            connection: Some(connection.name.clone()),
            version: Some(connection.version.clone()),
            token: None,
            request_id,
        });
        let kept =
            parts.index.record_check(&connection.org, &connection.name, &check, event.as_ref()).await?;
        if kept && check.status == Some(Status::NeedsReconnect) {
            tracing::warn!(org = %connection.org, connection = %connection.name, provider = %connection.provider,
                "the provider refuses the keys: the connection needs reconnecting");
        }
        Ok(())
    }

    async fn connected(&self, name: &SecretName) -> Result<Connection, Error> {
        let found = self.0.parts.index.find_connection(name.org(), name.connection()).await?;
        found.filter(|connection| !connection.is_disconnected()).ok_or(Error::NotFound)
    }

    fn not_in_catalogue(&self, connection: &Connection) -> Verdict {
        Verdict {
            outcome: Outcome::Unsupported,
            detail: format!("The provider {} is not in the catalogue any more.", connection.provider),
            opens: Vec::new(),
            checked_at: self.0.parts.clock.now(),
        }
    }

    fn reported(&self) -> std::sync::MutexGuard<'_, HashSet<SecretName>> {
        self.0.reported.lock().expect("no one panics while holding the set")
    }
}

/// When keys are tried next: after `every` and up to a tenth more, so that what was written together is not
/// tried together for ever.
pub(super) fn next_try(from: Timestamp, every: Duration, random: &dyn Random) -> Timestamp {
    let mut byte = [0];
    random.fill(&mut byte);
    from + every + every / 10 * u32::from(byte[0]) / 255
}

/// Whether a provider's text repeats what it was sent: an honest one has no reason to.
#[expect(clippy::disallowed_methods, reason = "compared here, so that it goes nowhere")]
fn repeats_a_field(text: &str, credentials: &Credentials) -> bool {
    credentials.iter().any(|(_, value)| text.contains(value.expose_secret()))
}

//! Trying keys with their providers, and what follows from it.
//!
//! Outcomes are kept apart: only a provider that says that a key is wrong changes its connection, and only
//! after it said so twice, some seconds apart. Silence, trouble of the provider's own and answers that say
//! nothing change nothing.

mod reports;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::FutureExt;
use jiff::Timestamp;
use metrics::{counter, histogram};
use secrecy::ExposeSecret;
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::reports::Reports;
use super::{cache::CredentialCache, current::current_keys, error::Error, vault::VaultReader};
use crate::{
    domain::{
        access::{Actor, MayRead, Permit, Read, SystemTask, Write},
        clock::{Clock, Random},
        connection::{Connection, Place, Status},
        event::{Event, EventType, RequestId},
        id::ProviderName,
        provider::{ApiAnswer, Catalogue, Fact, Method, Outcome, Provider, Verification},
        secret::{Credentials, SecretName, Version},
    },
    port::{
        index::{Check, ConnectionIndex},
        providers::{NoAnswer, ProviderApis},
        store::Store,
    },
};

/// How much sooner a provider that did not say is asked again.
const SOONER: u32 = 24;

/// How many keys of one provider are tried at a time.
const AT_ONCE: usize = 16;

/// How long a try waits for its turn.
const TURN_WITHIN: Duration = Duration::from_secs(5);

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
    /// The way to those that organizations keep themselves.
    pub vault: VaultReader,
    /// What hears of connections that are shown.
    pub cache: CredentialCache,
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
    /// So many of each provider's keys are tried at a time, so that one that hangs holds up no other.
    slots: BTreeMap<ProviderName, Semaphore>,
    reports: Reports,
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
        let slots = parts.catalogue.iter().map(|provider| (provider.name.clone(), Semaphore::new(AT_ONCE)));
        Self(Arc::new(Inner { slots: slots.collect(), reports: Reports::default(), parts }))
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
        if about_the_key && self.0.reports.begin(&name) {
            let verifier = self.clone();
            self.0.parts.under_way.spawn(async move { verifier.look_into(permit, request_id).await });
        }
        let provider = self.0.parts.catalogue.get(&connection.provider);
        Ok(connection.seen(provider))
    }

    async fn look_into(&self, permit: Permit<Read>, request_id: Option<RequestId>) {
        let name = permit.on();
        let wait = self.0.reports.wait(name);
        if self.0.parts.stop.run_until_cancelled(sleep(wait)).await.is_some() {
            let check = self.check(&permit, permit.actor(), request_id);
            // Caught, so that a defect does not leave the connection out of reach of reports.
            if let Ok(Err(error)) = std::panic::AssertUnwindSafe(check).catch_unwind().await {
                tracing::warn!(org = %name.org(), connection = %name.connection(), %error,
                    "a reported key could not be tried");
            }
        }
        self.0.reports.end(name);
    }

    /// How long after one try the next one comes by itself.
    pub(super) fn every(&self) -> Duration {
        self.0.parts.settings.every
    }

    /// Tries the keys of a connection whose time has come, if it has any: it may be disconnected meanwhile,
    /// or made for a vault that is disabled.
    ///
    /// # Errors
    /// As [`Verifier::verify`].
    pub(super) async fn check_due(&self, name: SecretName) -> Result<(), Error> {
        let permit = SystemTask::verifier(name);
        match self.check(&permit, permit.actor(), None).await {
            Ok(_) | Err(Error::NotFound) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Asks a provider about credentials once. Changes nothing.
    pub(super) async fn ask(&self, provider: &Provider, credentials: &Credentials, ask: Ask) -> Verdict {
        let Some((_, verification)) = provider.verification() else {
            return self.unsupported(no_way(provider));
        };
        let (outcome, detail, opens) = self.ask_api(provider, verification, credentials, ask).await;
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
        let (api, verification) = provider.verification().ok_or(NoAnswer::Unaskable)?;
        let (method, path) = match fact.and_then(|fact| fact.path.as_ref()) {
            Some(path) => (Method::Get, path),
            None => (verification.method, &verification.path),
        };
        let request = api.request(method, path, credentials).ok_or(NoAnswer::Unaskable)?;
        let slots = self.0.slots.get(&provider.name).ok_or(NoAnswer::Unaskable)?;
        let turn = timeout(TURN_WITHIN, slots.acquire()).await;
        let _turn = turn.map_err(|_| NoAnswer::Busy)?;
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
        let parts = &self.0.parts;
        let mut connection = self.connected(permit.secret()).await?;
        let (mut version, mut verdict) = self.try_current(permit, &connection).await?;
        if verdict.outcome == Outcome::Invalid {
            // Cut short by a shutdown, it is not confirmed.
            if parts.stop.run_until_cancelled(sleep(parts.settings.confirm_after)).await.is_none() {
                return Ok(verdict);
            }
            let refused = version;
            connection = self.connected(permit.secret()).await?;
            (version, verdict) = self.try_current(permit, &connection).await?;
            // Other keys by now, and these were refused once only.
            if verdict.outcome == Outcome::Invalid && version != refused {
                return Ok(verdict);
            }
        }
        self.keep(&connection, version, &verdict, actor, request_id).await?;
        Ok(verdict)
    }

    /// Tries the keys that the store holds once. Where there is no way, the store is not asked either.
    async fn try_current(
        &self,
        permit: &dyn MayRead,
        connection: &Connection,
    ) -> Result<(Version, Verdict), Error> {
        let parts = &self.0.parts;
        let unsupported = |why| Ok((connection.version.clone(), self.unsupported(why)));
        let provider = match parts.catalogue.get(&connection.provider) {
            None => {
                let name = &connection.provider;
                return unsupported(format!("The provider {name} is not in the catalogue any more."));
            }
            Some(provider) if provider.verification().is_none() => return unsupported(no_way(provider)),
            Some(provider) => provider,
        };
        let (version, credentials) = match connection.place(Some(provider)) {
            Place::Store => current_keys(&*parts.store, &*parts.index, permit, connection).await?,
            Place::Vault(access) => {
                let route = parts.vault.route(permit, connection, provider, access).await?;
                parts.vault.read(&route).await?
            }
            Place::Nowhere => return Err(Error::NotFound),
        };
        Ok((version, self.ask(provider, &credentials, Ask::WithFacts).await))
    }

    /// Keeps an outcome, unless the connection has been written or its vault changed meanwhile: then it
    /// concerns other keys.
    async fn keep(
        &self,
        connection: &Connection,
        tried: Version,
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
            vault: connection.vault.clone(),
            at: verdict.checked_at,
            status: change.map(|(status, _)| status),
            again_at: next_try(verdict.checked_at, every, &*parts.random),
        };
        let event = change.map(move |(_, r#type)| Event {
            at: verdict.checked_at,
            connection: Some(connection.name.clone()),
            version: Some(tried),
            request_id,
            ..Event::new(
                &*parts.clock,
                &*parts.random,
                Some(connection.org.clone()),
                r#type,
                Arc::clone(actor),
            )
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
        let parts = &self.0.parts;
        let found = parts.index.find_connection(name.org(), name.connection()).await?;
        let has_keys = |connection: &Connection| {
            connection.place(parts.catalogue.get(&connection.provider)) != Place::Nowhere
        };
        let found = found.filter(has_keys).ok_or(Error::NotFound)?;
        parts.cache.told(name, found.generation);
        Ok(found)
    }

    fn unsupported(&self, detail: String) -> Verdict {
        let checked_at = self.0.parts.clock.now();
        Verdict { outcome: Outcome::Unsupported, detail, opens: Vec::new(), checked_at }
    }
}

fn no_way(provider: &Provider) -> String {
    format!("{} has no way to try a key.", provider.display_name)
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

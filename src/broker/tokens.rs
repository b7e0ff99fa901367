//! API tokens: who is calling, and who may make whom.
//!
//! A token that was found valid is remembered, so that a request needs no query: [`Tokens::known`] is the
//! one place where that is consulted. It is forgotten at once when this replica revokes one and within a
//! second when another process does (see [`super::changes`]), and after the cache's TTL in any case. While
//! this replica is blind the database is asked each time (see [`super::sight`]). Callers are made here and
//! nowhere else.

use std::{
    collections::BTreeSet,
    convert::Infallible,
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use governor::{
    DefaultDirectRateLimiter, NotUntil, Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
};
use jiff::Timestamp;
use quick_cache::sync::Cache;
use uuid::Uuid;

use super::{error::Error, sight::Sight};
use crate::{
    domain::{
        access::{Actor, ActorType, Caller, ManageTokens, Orgs, Permit, Reach},
        clock::{Clock, Random, time_ordered_id},
        event::{Event, EventType, RequestId},
        token::{HashedToken, PlainToken, TokenName, TokenRecord},
    },
    port::index::TokenIndex,
};

/// The most tokens that are remembered at a time.
const REMEMBERED: usize = 100_000;

/// The tokens' use cases. Clones share what they remember.
#[derive(Clone)]
pub struct Tokens(Arc<Inner>);

struct Inner {
    index: Arc<dyn TokenIndex>,
    remembered: Cache<HashedToken, Remembered>,
    /// Counts revocations, so that a token read before one is not remembered after it.
    revocations: AtomicU64,
    limiters: Option<Limiters>,
    settings: TokenSettings,
    sight: Sight,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

/// What is kept of a token that was found valid.
#[derive(Clone)]
struct Remembered {
    caller: Arc<Caller>,
    expires_at: Option<Timestamp>,
    loaded_at: Duration,
}

/// A presented token that is valid.
pub struct KnownToken {
    hash: HashedToken,
    remembered: Remembered,
}

impl KnownToken {
    /// Whom it lets in, once [`Tokens::admit`] did.
    #[must_use]
    pub fn caller(&self) -> &Arc<Caller> {
        &self.remembered.caller
    }
}

/// How often each token was used lately. Apart from what is known of tokens, so that forgetting them
/// gives nobody a fresh allowance.
struct Limiters {
    quota: Quota,
    of: Cache<HashedToken, Arc<DefaultDirectRateLimiter>>,
}

impl Limiters {
    fn new(rate: NonZeroU32) -> Self {
        Self { quota: Quota::per_second(rate), of: Cache::new(REMEMBERED) }
    }

    fn check(&self, hash: &HashedToken) -> Result<(), Error> {
        let new = || Ok::<_, Infallible>(Arc::new(RateLimiter::direct(self.quota)));
        let Ok(limiter) = self.of.get_or_insert_with(hash, new);
        let wait = |until: NotUntil<_>| until.wait_time_from(DefaultClock::default().now());
        limiter.check().map_err(|until| Error::RateLimited { retry_after: wait(until) })
    }
}

/// How tokens are treated.
#[derive(Debug, Clone, Copy)]
pub struct TokenSettings {
    /// How long a token is remembered without asking the database again.
    pub ttl: Duration,
    /// How many requests a second one token may make of one replica.
    pub rate: Option<NonZeroU32>,
}

/// A token to be made.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// What it is called.
    pub name: TokenName,
    /// What it reaches.
    pub reach: Reach,
    /// When it ends, counted from now.
    pub expires_in: Option<Duration>,
}

impl Tokens {
    /// Tokens in `index`.
    #[must_use]
    pub fn new(
        index: Arc<dyn TokenIndex>,
        settings: TokenSettings,
        sight: Sight,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        Self(Arc::new(Inner {
            index,
            remembered: Cache::new(REMEMBERED),
            revocations: AtomicU64::new(0),
            limiters: settings.rate.map(Limiters::new),
            settings,
            sight,
            clock,
            random,
        }))
    }

    /// The caller that bears this token.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] if it opens nothing, [`Error::RateLimited`] if it is used too often,
    /// or what the database failed with.
    pub async fn authenticate(&self, presented: &str) -> Result<Arc<Caller>, Error> {
        let not_a_token = |_| Error::Unauthenticated("not a token, or not copied whole");
        let hash = HashedToken::of_presented(presented).map_err(not_a_token)?;
        let token = match self.known(hash, self.0.clock.uptime())? {
            Some(token) => token,
            None => self.look_up(hash).await?,
        };
        self.admit(&token)?;
        Ok(Arc::clone(token.caller()))
    }

    /// The token, if it is remembered at the uptime `now`. Asks nobody. Nothing is while this replica is
    /// blind: the token may have been revoked.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] if it has expired.
    pub fn known(&self, hash: HashedToken, now: Duration) -> Result<Option<KnownToken>, Error> {
        // In this order: a replica that sees again has forgotten before what was revoked meanwhile.
        if !self.0.sight.is_clear(now) {
            return Ok(None);
        }
        let Some(remembered) = self.0.remembered.get(&hash) else { return Ok(None) };
        if remembered.expires_at.is_some_and(|end| end <= self.0.clock.now()) {
            return Err(Error::Unauthenticated("expired"));
        }
        let age = now.saturating_sub(remembered.loaded_at);
        Ok((age < self.0.settings.ttl).then_some(KnownToken { hash, remembered }))
    }

    /// Lets a token be used once more.
    ///
    /// # Errors
    /// [`Error::RateLimited`] if it is used too often; that it was tried does not count.
    pub fn admit(&self, token: &KnownToken) -> Result<(), Error> {
        self.0.limiters.as_ref().map_or(Ok(()), |limiters| limiters.check(&token.hash))
    }

    async fn look_up(&self, hash: HashedToken) -> Result<KnownToken, Error> {
        let revocations = self.0.revocations.load(Ordering::SeqCst);
        let loaded_at = self.0.clock.uptime();
        let record = self.0.index.find_token(&hash).await?;
        let record = record.ok_or(Error::Unauthenticated("unknown"))?;
        if !record.is_valid_at(self.0.clock.now()) {
            return Err(Error::Unauthenticated("revoked or expired"));
        }
        let actor = Actor {
            r#type: ActorType::Token,
            id: record.id.to_string(),
            name: Some(record.name.as_str().to_owned()),
        };
        let caller = Arc::new(Caller::new(actor, record.reach));
        let remembered = Remembered { caller, expires_at: record.expires_at, loaded_at };
        if !self.0.settings.ttl.is_zero() {
            self.0.remembered.insert(hash, remembered.clone());
            if self.0.revocations.load(Ordering::SeqCst) != revocations {
                self.0.remembered.remove(&hash);
            }
        }
        Ok(KnownToken { hash, remembered })
    }

    /// Asks the database again about every token: one was revoked elsewhere.
    pub fn forget_all(&self) {
        self.0.revocations.fetch_add(1, Ordering::SeqCst);
        self.0.remembered.clear();
    }

    /// Makes a token that reaches no more than the permit's own.
    ///
    /// # Errors
    /// [`Error::MissingScope`] or [`Error::NotFound`] if it would reach more; [`Error::InvalidRequest`] if
    /// it would end before it began; else what the database failed with.
    pub async fn create(
        &self,
        permit: &Permit<ManageTokens, Reach>,
        wanted: NewToken,
        request_id: Option<RequestId>,
    ) -> Result<(PlainToken, TokenRecord), Error> {
        if let Some(scope) = wanted.reach.scopes.difference(&permit.on().scopes).next() {
            return Err(Error::MissingScope(*scope));
        }
        if !permit.on().covers(&wanted.reach) {
            return Err(Error::NotFound);
        }
        let token = PlainToken::generate(&*self.0.random);
        let record = self.record(wanted)?;
        let events = self.events(EventType::TokenCreated, permit.actor(), &record, request_id.as_ref());
        if !self.0.index.add_token(&record, &token.hashed(), &events).await? {
            return Err(Error::Internal("a new token was there already".into()));
        }
        tracing::info!(token = %record.id, actor = %permit.actor().id, "token created");
        Ok((token, record))
    }

    /// The tokens that reach no more than the permit's own, oldest first; no revoked ones.
    ///
    /// # Errors
    /// What the database failed with.
    pub async fn list(&self, permit: &Permit<ManageTokens, Reach>) -> Result<Vec<TokenRecord>, Error> {
        let tokens = self.0.index.list_tokens().await?;
        Ok(tokens.into_iter().filter(|token| permit.on().covers(&token.reach)).collect())
    }

    /// Revokes a token that reaches no more than the permit's own.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is none to revoke, or what the database failed with.
    pub async fn revoke(
        &self,
        permit: &Permit<ManageTokens, Reach>,
        id: Uuid,
        request_id: Option<RequestId>,
    ) -> Result<(), Error> {
        let token =
            self.list(permit).await?.into_iter().find(|token| token.id == id).ok_or(Error::NotFound)?;
        let events = self.events(EventType::TokenRevoked, permit.actor(), &token, request_id.as_ref());
        let revoked = self.0.index.revoke_token(id, self.0.clock.now(), &events).await;
        // Whatever the answer: it may have been revoked without our hearing of it.
        self.forget_all();
        if !revoked? {
            return Err(Error::NotFound);
        }
        tracing::info!(token = %id, actor = %permit.actor().id, "token revoked");
        Ok(())
    }

    /// Makes sure that the operator's own token, which reaches everything, is there. One that was
    /// revoked stays so.
    ///
    /// # Errors
    /// What the database failed with.
    pub async fn ensure_bootstrap(&self, token: &PlainToken) -> Result<(), Error> {
        if let Some(record) = self.0.index.find_token(&token.hashed()).await? {
            if !record.is_valid_at(self.0.clock.now()) {
                tracing::warn!(token = %record.id, "the bootstrap token was revoked and opens nothing");
            }
            return Ok(());
        }
        let name = TokenName::bootstrap();
        let record = self.record(NewToken { name, reach: Reach::everything(), expires_in: None })?;
        let actor = Arc::new(Actor { r#type: ActorType::System, id: "start".into(), name: None });
        let events = self.events(EventType::TokenCreated, &actor, &record, None);
        self.0.index.add_token(&record, &token.hashed(), &events).await?;
        Ok(())
    }

    fn record(&self, wanted: NewToken) -> Result<TokenRecord, Error> {
        let created_at = self.0.clock.now();
        if wanted.expires_in.is_some_and(|lasts| lasts < Duration::from_secs(1)) {
            return Err(Error::InvalidRequest("expires_in must be at least 1 second.".into()));
        }
        let end = |lasts: Duration| {
            created_at
                .checked_add(lasts)
                .map_err(|_| Error::InvalidRequest("expires_in is too far away.".into()))
        };
        Ok(TokenRecord {
            id: time_ordered_id(&*self.0.clock, &*self.0.random),
            name: wanted.name,
            reach: wanted.reach,
            created_at,
            expires_at: wanted.expires_in.map(end).transpose()?,
            revoked_at: None,
        })
    }

    /// One event for each organization that the token reaches, or one for all of them.
    fn events(
        &self,
        r#type: EventType,
        actor: &Arc<Actor>,
        token: &TokenRecord,
        request_id: Option<&RequestId>,
    ) -> Vec<Event> {
        let orgs: BTreeSet<_> = match &token.reach.orgs {
            Orgs::All => [None].into(),
            Orgs::Only(orgs) => orgs.iter().cloned().map(Some).collect(),
        };
        let event = |org| Event {
            token: Some(token.id),
            request_id: request_id.cloned(),
            ..Event::new(&*self.0.clock, &*self.0.random, org, r#type, Arc::clone(actor))
        };
        orgs.into_iter().map(event).collect()
    }
}

/// The person at the command line: whoever reaches the database reaches everything.
#[must_use]
pub fn operator() -> Caller {
    at_the_command_line("cli")
}

/// The same person, importing.
#[must_use]
pub fn importing_operator() -> Caller {
    at_the_command_line("import")
}

fn at_the_command_line(id: &str) -> Caller {
    let actor = Actor { r#type: ActorType::Operator, id: id.into(), name: None };
    Caller::new(actor, Reach::everything())
}

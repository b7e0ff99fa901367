//! Connect sessions: a link that opens once, and the visit behind it. Visitors are made here and nowhere
//! else.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use jiff::Timestamp;

use super::error::Error;
use crate::{
    domain::{
        access::{Actor, ActorType, Invite, Permit, Visitor},
        clock::{Clock, Random, time_ordered_id},
        event::{Event, EventType, RequestId},
        id::{OrgId, ProviderName},
        provider::Catalogue,
        session::{ConnectSession, Notice, Origin, ReturnUrl, SessionSecret},
    },
    port::sessions::SessionIndex,
};

/// How long a link may be good for, and how long it is if nothing is said.
pub const LINK_LASTS: std::ops::RangeInclusive<Duration> = Duration::from_mins(1)..=Duration::from_hours(1);
const LINK_LASTS_BY_DEFAULT: Duration = Duration::from_mins(30);

/// The most keys that can be tried in one session: a person needs a few.
const MOST_ATTEMPTS: i64 = 30;

/// How exactly it is known when a visitor was last seen: a write a page would be a waste.
const SEEN_TO: Duration = Duration::from_mins(1);

/// How visits are treated.
#[derive(Debug, Clone)]
pub struct SessionSettings {
    /// How a browser reaches the portal, without a slash at the end.
    pub public_url: String,
    /// Where visitors may return to.
    pub return_origins: Vec<Origin>,
    /// How long a visit lasts without being used.
    pub idle: Duration,
    /// How long a visit lasts at most.
    pub lifetime: Duration,
}

/// The connect sessions' use cases.
#[derive(Clone)]
pub struct Sessions(Arc<Inner>);

struct Inner {
    index: Arc<dyn SessionIndex>,
    catalogue: Arc<Catalogue>,
    settings: SessionSettings,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

/// A session to be made.
#[derive(Debug, Clone, Default)]
pub struct NewSession {
    /// Who is invited: the app's id of the user, and a name.
    pub actor: Option<(String, Option<String>)>,
    /// For which providers; all of them, if none are named.
    pub providers: Option<BTreeSet<ProviderName>>,
    /// Where the visitor may return to.
    pub return_url: Option<String>,
    /// How long the link is good for.
    pub expires_in: Option<Duration>,
}

/// A visitor and their session.
#[derive(Debug, Clone)]
pub struct VisitOpen {
    /// What they may do.
    pub visitor: Visitor,
    /// Their session.
    pub session: ConnectSession,
}

impl Sessions {
    /// Sessions in `index`.
    #[must_use]
    pub fn new(
        index: Arc<dyn SessionIndex>,
        catalogue: Arc<Catalogue>,
        settings: SessionSettings,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        Self(Arc::new(Inner { index, catalogue, settings, clock, random }))
    }

    /// How sessions are treated.
    #[must_use]
    pub fn settings(&self) -> &SessionSettings {
        &self.0.settings
    }

    /// Makes a session. Returns it and its link, which is shown this once.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] if a provider is unknown, the return URL is not allowed or the time is out
    /// of bounds; else what the database failed with.
    pub async fn create(
        &self,
        permit: &Permit<Invite, OrgId>,
        wanted: NewSession,
        request_id: Option<RequestId>,
    ) -> Result<(ConnectSession, String), Error> {
        let invalid = |rule: String| Error::InvalidRequest(format!("{rule}."));
        let unknown = |name: &&ProviderName| self.0.catalogue.get(name).is_none();
        if wanted.providers.iter().flatten().any(|name| unknown(&name)) {
            return Err(invalid(
                "in providers, one is not in the catalogue; GET /v1/providers lists those that are".into(),
            ));
        }
        if wanted.providers.as_ref().is_some_and(BTreeSet::is_empty) {
            // Not "all": whoever names none may have found none that this user should get.
            return Err(invalid("providers is left out for all, or names at least one".into()));
        }
        let return_url = wanted.return_url.as_deref();
        let return_url =
            return_url.map(|url| ReturnUrl::new(url, &self.0.settings.return_origins)).transpose();
        let lasts = wanted.expires_in.unwrap_or(LINK_LASTS_BY_DEFAULT);
        if !LINK_LASTS.contains(&lasts) {
            return Err(invalid("expires_in must be 60 to 3600 seconds".into()));
        }
        let now = self.0.clock.now();
        let id = time_ordered_id(&*self.0.clock, &*self.0.random);
        let (actor_id, name) = wanted.actor.unwrap_or_else(|| (format!("session:{id}"), None));
        let session = ConnectSession {
            id,
            org: permit.on().clone(),
            actor: Actor { r#type: ActorType::User, id: actor_id, name },
            providers: wanted.providers,
            return_url: return_url.map_err(|rule| invalid(rule.to_string()))?,
            created_at: now,
            link_until: now + lasts,
            visit: None,
            attempts: 0,
            notice: None,
        };
        let link = SessionSecret::generate(&*self.0.random);
        let event = self.event(EventType::SessionCreated, &session, Arc::clone(permit.actor()), request_id);
        self.0.index.add_session(&session, &link.hashed(), &event).await?;
        tracing::info!(org = %session.org, session = %session.id, "connect session created");
        Ok((session, format!("{}/connect/{}", self.0.settings.public_url, link.reveal())))
    }

    /// The session behind a link that can still be opened. Opens nothing.
    ///
    /// # Errors
    /// [`Error::LinkExpired`] if it can't, or what the database failed with.
    pub async fn look_at(&self, link: &str) -> Result<ConnectSession, Error> {
        let link = SessionSecret::parse(link).map_err(|_| Error::LinkExpired)?;
        let session = self.0.index.find_link(&link.hashed()).await?.ok_or(Error::LinkExpired)?;
        let open = session.visit.is_none() && self.0.clock.now() < session.link_until;
        if open { Ok(session) } else { Err(Error::LinkExpired) }
    }

    /// Spends a link. Returns the cookie of the visit that it opens.
    ///
    /// # Errors
    /// As [`Sessions::look_at`].
    pub async fn open(&self, link: &str, request_id: Option<RequestId>) -> Result<SessionSecret, Error> {
        let session = self.look_at(link).await?;
        let link = SessionSecret::parse(link).map_err(|_| Error::LinkExpired)?;
        let cookie = SessionSecret::generate(&*self.0.random);
        let now = self.0.clock.now();
        let actor = Arc::new(session.actor.clone());
        let event = self.event(EventType::SessionOpened, &session, actor, request_id);
        let until = now + self.0.settings.lifetime;
        if !self.0.index.open_link(&link.hashed(), &cookie.hashed(), now, until, &event).await? {
            return Err(Error::LinkExpired);
        }
        tracing::info!(org = %session.org, session = %session.id, "connect session opened");
        Ok(cookie)
    }

    /// Whether a visit came by this link.
    ///
    /// # Errors
    /// What the database failed with.
    pub async fn came_by(&self, session: &ConnectSession, link: &str) -> Result<bool, Error> {
        let Ok(link) = SessionSecret::parse(link) else { return Ok(false) };
        let found = self.0.index.find_link(&link.hashed()).await?;
        Ok(found.is_some_and(|found| found.id == session.id))
    }

    /// The visitor with this cookie.
    ///
    /// # Errors
    /// [`Error::LinkExpired`] if the visit is over, or what the database failed with.
    pub async fn visit(&self, cookie: &SessionSecret) -> Result<VisitOpen, Error> {
        let session = self.0.index.find_visit(&cookie.hashed()).await?.ok_or(Error::LinkExpired)?;
        let now = self.0.clock.now();
        let visit = session.visit.ok_or(Error::LinkExpired)?;
        if now >= visit.until || now >= visit.seen_at + self.0.settings.idle {
            return Err(Error::LinkExpired);
        }
        if now >= visit.seen_at + SEEN_TO.min(self.0.settings.idle / 4) {
            self.0.index.see_visitor(session.id, now).await?;
        }
        let visitor = Visitor::new(session.org.clone(), session.actor.clone(), session.providers.clone());
        Ok(VisitOpen { visitor, session })
    }

    /// Counts one more key that a visitor tries.
    ///
    /// # Errors
    /// [`Error::RateLimited`] if there were too many, or what the database failed with.
    pub async fn count_attempt(&self, session: &ConnectSession) -> Result<(), Error> {
        if self.0.index.count_attempt(session.id, MOST_ATTEMPTS).await? {
            return Ok(());
        }
        let left = session.visit.map_or(Duration::ZERO, |visit| until(self.0.clock.now(), visit.until));
        Err(Error::RateLimited { retry_after: left })
    }

    /// Leaves word for the next page.
    ///
    /// # Errors
    /// What the database failed with.
    pub async fn leave_notice(&self, session: &ConnectSession, notice: &Notice) -> Result<(), Error> {
        Ok(self.0.index.keep_notice(session.id, Some(notice)).await?)
    }

    /// Forgets what the page has told now.
    ///
    /// # Errors
    /// What the database failed with.
    pub async fn clear_notice(&self, session: &ConnectSession) -> Result<(), Error> {
        if session.notice.is_some() {
            self.0.index.keep_notice(session.id, None).await?;
        }
        Ok(())
    }

    /// Ends a visit.
    ///
    /// # Errors
    /// What the database failed with.
    pub async fn sign_out(&self, session: &ConnectSession) -> Result<(), Error> {
        Ok(self.0.index.end_visit(session.id).await?)
    }

    fn event(
        &self,
        r#type: EventType,
        session: &ConnectSession,
        actor: Arc<Actor>,
        request_id: Option<RequestId>,
    ) -> Event {
        let org = Some(session.org.clone());
        Event { request_id, ..Event::new(&*self.0.clock, &*self.0.random, org, r#type, actor) }
    }
}

fn until(now: Timestamp, then: Timestamp) -> Duration {
    Duration::try_from(then.duration_since(now)).unwrap_or(Duration::ZERO)
}

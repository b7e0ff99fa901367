//! `/portal/activity`: the audit log in words.

use askama::Template;

use super::{
    frame::{Frame, Place},
    moment::Moment,
    text::{Span, Texts, fill, spans},
};

/// One page of the log.
#[derive(Template)]
#[template(path = "portal/activity.html")]
pub(in crate::http) struct Activity<'a> {
    /// With a visitor.
    pub(in crate::http) frame: Frame<'a>,
    /// What happened, the latest first.
    pub(in crate::http) lines: Vec<Line>,
    /// The cursor of the next page, if there is one. The link is `?cursor=…`.
    pub(in crate::http) next: Option<String>,
    /// Whether this is the first page.
    pub(in crate::http) latest: bool,
}

/// One thing that happened.
#[derive(Debug, Clone)]
pub(in crate::http) struct Line {
    /// When.
    pub(in crate::http) at: Moment,
    /// By whom.
    pub(in crate::http) actor: Who,
    /// What: the event type's name in the API. One that is not known here is shown as it is.
    pub(in crate::http) what: String,
    /// To which connection: the provider's name and the label, or the connection's name.
    pub(in crate::http) connection: Option<String>,
    /// How many times, where one line stands for many.
    pub(in crate::http) count: u64,
}

/// Who did something.
#[derive(Debug, Clone)]
pub(in crate::http) enum Who {
    /// Someone in the portal, by name or id.
    Person(String),
    /// An API token of that name or id.
    Token(String),
    /// Someone at the command line.
    Operator,
    /// The service itself.
    Service,
}

impl Activity<'_> {
    const PLACE: Option<Place> = Some(Place::Activity);

    fn next_link(&self) -> Option<String> {
        let cursor = self.next.as_deref()?;
        let query: String =
            url::form_urlencoded::Serializer::new(String::new()).append_pair("cursor", cursor).finish();
        Some(format!("{}/portal/activity?{query}", self.frame.site.base))
    }
}

impl Line {
    /// The sentence.
    pub(super) fn words(&self, t: &Texts) -> Vec<Span> {
        let actor = match &self.actor {
            Who::Person(name) => name.clone(),
            Who::Token(name) => fill(t.actor_token, &[("name", name)]),
            Who::Operator => t.actor_operator.to_owned(),
            Who::Service => t.actor_service.to_owned(),
        };
        let values = [
            ("actor", actor.as_str()),
            ("connection", self.connection.as_deref().unwrap_or("–")),
            ("what", &self.what),
        ];
        // A number is no name, so it does not stand out.
        spans(&self.text(t).replace("{count}", &self.count.to_string()), &values)
    }

    fn text(&self, t: &Texts) -> &'static str {
        match self.what.as_str() {
            "connection.created" => t.created,
            "connection.updated" => t.updated,
            "connection.unchanged" => t.unchanged,
            "connection.verified" => t.verified,
            "connection.needs_reconnect" => t.needs_reconnect,
            "connection.rolled_back" => t.rolled_back,
            "connection.disconnected" => t.disconnected,
            "credentials.read" if self.count > 1 => t.read_many,
            "credentials.read" => t.read_once,
            "session.created" => t.session_created,
            "session.opened" => t.session_opened,
            "vault.enabled" => t.vault_enabled,
            "vault.disabled" => t.vault_disabled,
            "vault.tested" => t.vault_tested,
            "vault.token_created" => t.vault_token_created,
            "token.created" => t.token_created,
            "token.revoked" => t.token_revoked,
            _ => t.something_else,
        }
    }

    /// The colour of its dot.
    fn class(&self) -> &'static str {
        match self.what.as_str() {
            "connection.created" | "connection.verified" | "vault.enabled" => "good",
            "connection.needs_reconnect" => "needs",
            "connection.updated" | "connection.rolled_back" => "accent",
            _ => "off",
        }
    }
}

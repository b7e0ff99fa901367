//! `/portal`: every provider and connection as a card.

use askama::Template;

use super::{
    frame::{Frame, Place},
    moment::Moment,
    notice::Notice,
    provider::{ProviderView, State},
};

/// With how many cards there is no searching: they can be seen at once.
const SEEN_AT_ONCE: usize = 8;

/// The list.
#[derive(Template)]
#[template(path = "portal/integrations.html")]
pub(in crate::http) struct Integrations<'a> {
    /// With a visitor.
    pub(in crate::http) frame: Frame<'a>,
    /// What just happened, and to which provider.
    pub(in crate::http) notice: Option<(Notice, ProviderView)>,
    /// The connections, and the providers that have none, in any order.
    pub(in crate::http) cards: Vec<Card>,
}

/// A connection, or a provider that has none.
#[derive(Debug, Clone)]
pub(in crate::http) struct Card {
    /// The name in `/portal/connections/{connection}`: the connection's, or the provider's.
    pub(in crate::http) connection: String,
    /// Whose keys it holds, or would.
    pub(in crate::http) provider: ProviderView,
    /// What people call it.
    pub(in crate::http) label: Option<String>,
    /// How it stands.
    pub(in crate::http) state: State,
    /// When the provider last took the key.
    pub(in crate::http) verified_at: Option<Moment>,
}

impl Integrations<'_> {
    const PLACE: Option<Place> = Some(Place::Integrations);

    fn searchable(&self) -> bool {
        self.cards.len() > SEEN_AT_ONCE
    }

    /// What needs someone first; names in order.
    fn groups(&self) -> Vec<(State, Vec<&Card>)> {
        let of = |state| {
            let mut cards: Vec<&Card> = self.cards.iter().filter(|card| card.state == state).collect();
            cards.sort_by_key(|card| (card.provider.display_name.to_lowercase(), &card.connection));
            (state, cards)
        };
        State::ALL.into_iter().map(of).filter(|(_, cards)| !cards.is_empty()).collect()
    }
}

impl Card {
    /// What tells it from other connections of its provider.
    fn own_name(&self) -> Option<&str> {
        let name = (self.connection != self.provider.name).then_some(self.connection.as_str());
        self.label.as_deref().or(name)
    }

    /// What it is called where there is no card: the provider, and its own name.
    pub(in crate::http) fn called(&self) -> String {
        let provider = &self.provider.display_name;
        self.own_name().map_or_else(|| provider.clone(), |name| format!("{provider} ({name})"))
    }

    /// What a search looks into.
    fn searched(&self) -> String {
        let label = self.label.as_deref().unwrap_or_default();
        format!("{} {label} {}", self.provider.display_name, self.connection).to_lowercase()
    }

    fn go(&self, frame: &Frame) -> &'static str {
        match self.state {
            State::NeedsReconnect => frame.t.go_reconnect,
            State::Connected | State::LacksKey => frame.t.go_manage,
            State::NotConnected => frame.t.go_connect,
        }
    }
}

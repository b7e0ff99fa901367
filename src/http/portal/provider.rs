//! A provider, a connection's state and the tile that stands for it.

use url::Url;

use super::{frame::Frame, text::Texts};
use crate::{
    broker::portal::{InVault, Integration},
    domain::{
        connection::Status,
        provider::{Category, Provider},
    },
};

/// What pages show of a provider.
#[derive(Debug, Clone)]
pub(in crate::http) struct ProviderView {
    /// Its name in the API; the tile's colour hangs on it.
    pub(in crate::http) name: String,
    /// Its name for people.
    pub(in crate::http) display_name: String,
    /// What kind of service it is.
    pub(in crate::http) category: Category,
    /// Where a person finds the key. A link only if it is http or https.
    pub(in crate::http) docs_url: Option<String>,
    /// Whether a key can be tried.
    pub(in crate::http) verifies: bool,
    /// Whether any other fields may be there too.
    pub(in crate::http) free_fields: bool,
}

impl From<&Provider> for ProviderView {
    fn from(provider: &Provider) -> Self {
        Self {
            name: provider.name.to_string(),
            display_name: provider.display_name.clone(),
            category: provider.category,
            docs_url: provider.docs_url.clone(),
            verifies: provider.verification().is_some(),
            free_fields: provider.free_fields,
        }
    }
}

/// How many colours `portal.css` has for tiles.
pub(super) const TILES: u32 = 10;

impl ProviderView {
    /// Two letters that stand for it.
    pub(super) fn monogram(&self) -> String {
        monogram(&self.display_name)
    }

    /// Its colour's number, the same for ever.
    pub(super) fn tile(&self) -> u32 {
        crc32fast::hash(self.name.as_bytes()) % TILES
    }

    /// The address and the host of its documentation.
    pub(super) fn docs(&self) -> Option<(String, String)> {
        let url = Url::parse(self.docs_url.as_deref()?).ok()?;
        let host = url.host_str()?.to_owned();
        matches!(url.scheme(), "http" | "https").then(|| (url.into(), host))
    }

    pub(super) fn kind(&self, t: &Texts) -> &'static str {
        match self.category {
            Category::AiProvider => t.category_ai,
            Category::Voice => t.category_voice,
            Category::BotChannel => t.category_channel,
            Category::WorkflowConnection => t.category_workflow,
        }
    }
}

/// The first letters of the first two words, or of the only one.
pub(super) fn monogram(name: &str) -> String {
    let mut words = name.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let (first, second) = (words.next().unwrap_or("?"), words.next());
    let mut letters = first.chars();
    let start = letters.next().into_iter().flat_map(char::to_uppercase);
    match second.and_then(|word| word.chars().next()) {
        Some(letter) => start.chain(letter.to_uppercase()).collect(),
        None => start.chain(letters.next()).collect(),
    }
}

/// A connection's state, as a person sees it. The order is that of the groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::http) enum State {
    /// The provider refuses the key.
    NeedsReconnect,
    /// The organization's own vault lacks a key of it.
    LacksKey,
    /// All is well.
    Connected,
    /// Never connected, or disconnected.
    NotConnected,
}

impl State {
    /// How a provider stands, and maybe the connection to it.
    pub(in crate::http) fn of(integration: &Integration) -> Self {
        let lacks_key = integration.vault.as_ref().is_some_and(InVault::lacks_key);
        match integration.connection.as_ref().map(|connection| connection.status) {
            None | Some(Status::Disconnected) => Self::NotConnected,
            Some(Status::Active) if lacks_key => Self::LacksKey,
            Some(Status::Active) => Self::Connected,
            Some(Status::NeedsReconnect) => Self::NeedsReconnect,
        }
    }

    pub(super) const ALL: [Self; 4] =
        [Self::NeedsReconnect, Self::LacksKey, Self::Connected, Self::NotConnected];

    pub(super) fn words(self, frame: &Frame) -> &'static str {
        match self {
            Self::NeedsReconnect => frame.t.state_needs_reconnect,
            Self::LacksKey => frame.t.state_lacks_key,
            Self::Connected => frame.t.state_connected,
            Self::NotConnected => frame.t.state_not_connected,
        }
    }

    pub(super) const fn class(self) -> &'static str {
        match self {
            Self::NeedsReconnect | Self::LacksKey => "needs",
            Self::Connected => "good",
            Self::NotConnected => "off",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn monograms_are_two_letters() {
        for (name, letters) in [
            ("Vapi", "Va"),
            ("xAI Grok", "XG"),
            ("OpenAI (EU)", "OE"),
            ("SMTP", "SM"),
            ("ß", "SS"),
            ("", "?"),
            ("<b>", "B"),
        ] {
            assert_eq!(monogram(name), letters, "{name}");
        }
    }

    #[test]
    fn only_http_is_a_link() {
        let mut provider = ProviderView {
            name: "x".into(),
            display_name: "X".into(),
            category: Category::Voice,
            docs_url: None,
            verifies: true,
            free_fields: false,
        };
        for (url, host) in [
            ("https://docs.example/keys", Some("docs.example")),
            ("http://docs.example", Some("docs.example")),
            ("javascript:alert(1)//docs.example", None),
            ("data:text/html,x", None),
            ("docs.example", None),
        ] {
            provider.docs_url = Some(url.into());
            assert_eq!(provider.docs().map(|(_, host)| host).as_deref(), host, "{url}");
        }
    }
}

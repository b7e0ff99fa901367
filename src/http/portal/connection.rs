//! `/portal/connections/{connection}`: the form, and how the connection stands.
//!
//! Its forms go, by POST, to the page itself (connect, replace) and below it to `test`, `rollback` and
//! `disconnect`. Each sends `csrf` and, where the page was given one, `version`.

use askama::Template;

use super::{
    field::{FREE_NAME, FREE_ROWS, FREE_VALUE, FieldView, FreeRow, StoredField},
    frame::{self, Frame, Place},
    moment::Moment,
    notice::Notice,
    provider::{ProviderView, State},
    text::fill,
    vault::key::KeyView,
};

/// One connection, or the place for one.
#[derive(Template)]
#[template(path = "portal/connection.html")]
pub(in crate::http) struct ConnectionPage<'a> {
    /// With a visitor.
    pub(in crate::http) frame: Frame<'a>,
    /// Whose keys it holds, or would.
    pub(in crate::http) provider: ProviderView,
    /// Its name in the URL.
    pub(in crate::http) connection: String,
    /// How it stands.
    pub(in crate::http) state: State,
    /// What people call it.
    pub(in crate::http) label: Option<String>,
    /// What came of what was just done.
    pub(in crate::http) notice: Option<Notice>,
    /// What the key opens, if it was just tried: as name and value.
    pub(in crate::http) opens: Vec<(String, String)>,
    /// What is known of the stored key; nothing where there is none.
    pub(in crate::http) stored: Option<Stored>,
    /// The catalogue's fields, with what was sent for those that are no secret.
    pub(in crate::http) fields: Vec<FieldView>,
    /// What was sent beside them, where the provider has free fields.
    pub(in crate::http) free: Vec<FreeRow>,
    /// Its keys in the organization's own vault, if they are there, or are to be.
    pub(in crate::http) vault: Option<Keys>,
    /// What the vault's function was seen to do, in the words of the API.
    pub(in crate::http) detail: Option<String>,
    /// The version that the page shows. What is sent from it is to change that one only.
    pub(in crate::http) version: Option<String>,
}

/// What is known of a stored key.
#[derive(Debug, Clone, Default)]
pub(in crate::http) struct Stored {
    /// What may be shown of it.
    pub(in crate::http) fields: Vec<StoredField>,
    /// When the provider last took it.
    pub(in crate::http) verified_at: Option<Moment>,
    /// When it was entered.
    pub(in crate::http) connected_at: Option<Moment>,
    /// By whom.
    pub(in crate::http) connected_by: Option<String>,
    /// Whether there is one before it.
    pub(in crate::http) can_roll_back: bool,
}

/// A connection's keys in the organization's own vault.
#[derive(Debug, Clone)]
pub(in crate::http) struct Keys {
    /// What the function is to have; nothing before the account is connected.
    pub(in crate::http) names: Vec<KeyView>,
    /// When that was last looked at.
    pub(in crate::http) tested_at: Option<Moment>,
    /// Whether the visitor may see the vault itself.
    pub(in crate::http) whole: bool,
}

impl ConnectionPage<'_> {
    const PLACE: Option<Place> = Some(Place::Integrations);

    fn say(&self, text: &str) -> String {
        self.frame.of(text, &self.provider.display_name)
    }

    /// Where the page is, and its forms go.
    fn path(&self) -> String {
        format!("{}/portal/connections/{}", self.frame.site.base, self.connection)
    }

    fn title(&self) -> String {
        match self.state {
            State::NotConnected => self.say(self.frame.t.connect_title),
            State::NeedsReconnect | State::LacksKey | State::Connected => self.provider.display_name.clone(),
        }
    }

    /// A failure comes first, so that it is also what a screen reader says first.
    fn document_title(&self) -> String {
        let failure = self.notice.filter(|notice| notice.is_about_form());
        failure.map_or_else(|| self.title(), |notice| notice.title(&self.frame, &self.provider))
    }

    fn own_name(&self) -> Option<&str> {
        let name = (self.connection != self.provider.name).then_some(self.connection.as_str());
        self.label.as_deref().or(name)
    }

    fn form_title(&self) -> String {
        let t = self.frame.t;
        match self.state {
            State::NotConnected => self.say(t.connect_title),
            State::NeedsReconnect => self.say(t.reconnect_title),
            State::Connected | State::LacksKey => t.replace_title.to_owned(),
        }
    }

    fn form_intro(&self) -> String {
        let t = self.frame.t;
        self.say(match self.state {
            _ if self.vault.is_some() => t.in_vault_intro,
            State::NeedsReconnect => t.reconnect_intro,
            State::Connected | State::LacksKey => t.replace_intro,
            State::NotConnected if self.provider.verifies => t.connect_intro,
            State::NotConnected => t.connect_intro_unchecked,
        })
    }

    /// Keys in the vault are entered there.
    fn has_form(&self) -> bool {
        self.vault.is_none() || self.state == State::NotConnected
    }

    /// A key that works is not in anybody's way, so its form stays folded until it is wanted.
    fn is_folded(&self) -> bool {
        self.state == State::Connected
    }

    fn is_unfolded(&self) -> bool {
        self.notice.is_some_and(Notice::is_about_form)
            || self.fields.iter().any(|field| field.fault.is_some())
    }

    fn submit(&self) -> &'static str {
        match self.state {
            State::NotConnected => self.frame.t.connect,
            State::NeedsReconnect | State::LacksKey | State::Connected => self.frame.t.replace,
        }
    }

    fn busy(&self) -> String {
        let t = self.frame.t;
        self.say(match &self.vault {
            Some(_) => t.registering,
            None if self.provider.verifies => t.checking,
            None => t.storing,
        })
    }

    /// The rows for free fields: what was sent, and empty ones.
    fn rows(&self) -> Vec<Row> {
        if !self.provider.free_fields {
            return Vec::new();
        }
        let count = FREE_ROWS.max(self.free.len() + 1);
        let rows = self.free.iter().cloned().chain(std::iter::repeat_with(FreeRow::default));
        let t = self.frame.t;
        let row = |(index, row): (usize, FreeRow)| {
            let number = (index + 1).to_string();
            Row {
                name_label: fill(t.free_name, &[("number", &number)]),
                value_label: fill(t.free_value, &[("number", &number)]),
                fault: row.fault.map(|fault| fault.words(t)),
                name: row.name,
                number,
            }
        };
        rows.take(count).enumerate().map(row).collect()
    }

    /// What is wrong with what was sent: the input, what it is called, and what to do about it.
    fn faults(&self) -> Vec<(String, String, String)> {
        let faulty = self.fields.iter().filter(|field| field.fault.is_some());
        let fields = faulty.map(|field| {
            (format!("field-{}", field.name), field.label.clone(), field.fault_words(self.frame.t))
        });
        let rows = self.rows().into_iter().filter_map(|row| {
            Some((format!("free-name-{}", row.number), row.name_label, row.fault?.to_owned()))
        });
        fields.chain(rows).collect()
    }

    fn test_about(&self) -> String {
        let t = self.frame.t;
        self.say(if self.vault.is_some() { t.in_vault_test_about } else { t.test_about })
    }

    fn disconnect_warning(&self) -> String {
        let t = self.frame.t;
        self.say(if self.vault.is_some() { t.in_vault_disconnect_warning } else { t.disconnect_warning })
    }

    /// Where to put right what the notice is about, without anything stored yet.
    fn first_input(&self) -> String {
        let wanted = self.fields.iter().find(|field| field.fault.is_some());
        let secret = self.fields.iter().find(|field| field.secret);
        match wanted.or(secret).or(self.fields.first()) {
            _ if self.vault.is_some() => "#label".to_owned(),
            Some(field) => format!("#field-{}", field.name),
            None => "#free-name-1".to_owned(),
        }
    }

    /// The way back to the app, with the news where there are some.
    fn back(&self) -> Option<String> {
        let url = self.frame.return_url()?;
        let connected = self.notice.is_some_and(Notice::is_connected);
        Some(if connected { frame::returning(url, &self.connection) } else { url.to_owned() })
    }

    /// Whether a popup stays open, for what there is to read.
    fn tells_keys(&self) -> bool {
        self.notice.is_some_and(Notice::tells_keys)
    }

    /// Who is told, in a popup, that the account is connected.
    fn told(&self) -> Option<String> {
        let connected = self.notice.is_some_and(Notice::is_connected);
        self.frame.return_url().filter(|_| connected).and_then(frame::origin)
    }
}

/// A free field's inputs.
struct Row {
    number: String,
    name_label: String,
    value_label: String,
    name: String,
    fault: Option<&'static str>,
}

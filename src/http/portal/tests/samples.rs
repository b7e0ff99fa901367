//! Every page in every state that looks different, for the checks and for the eye.

mod vault;

use std::time::Duration;

use crate::{
    domain::{
        connection::Shown,
        provider::{Catalogue, Provider},
        vault::Trouble,
    },
    http::portal::{
        Page,
        activity::{Activity, Line, Who},
        branding::Branding,
        connection::{ConnectionPage, Stored},
        field::{Fault, FieldView, FreeRow, StoredField},
        frame::{Frame, Site, Visitor},
        integrations::{Card, Integrations},
        moment::Moment,
        notice::Notice,
        opening::Opening,
        provider::{ProviderView, State},
        stop::{Stop, Why},
        text::Language,
        vault::notice::VaultNotice,
    },
};

/// A page under its name.
pub(super) type Sample = (String, String);

/// Makes the pages.
pub(super) struct Samples {
    site: Site,
    visitor: Visitor,
    language: Language,
    /// Stands for everything that strangers write, if there is one.
    hostile: Option<&'static str>,
}

impl Samples {
    pub(super) fn new(language: Language, hostile: Option<&'static str>, accent: Option<&str>) -> Self {
        let write = |text: &str| hostile.unwrap_or(text).to_owned();
        let branding = Branding {
            app_name: write("Northwind"),
            logo_url: hostile.map(str::to_owned),
            accent: accent.map(|colour| colour.parse().unwrap()),
        };
        let visitor = Visitor {
            actor: Some(write("Ada Lovelace")),
            csrf: write("9f3cTOKEN"),
            return_url: Some(write("https://app.example/settings?tab=keys")),
        };
        Self { site: Site::new(branding, ""), visitor, language, hostile }
    }

    pub(super) fn site(&self) -> &Site {
        &self.site
    }

    fn write(&self, text: &str) -> String {
        self.hostile.unwrap_or(text).to_owned()
    }

    fn frame(&self) -> Frame<'_> {
        Frame::new(&self.site, self.language, Some(&self.visitor))
    }

    fn bare(&self) -> Frame<'_> {
        Frame::new(&self.site, self.language, None)
    }

    pub(super) fn all(&self) -> Vec<Sample> {
        let mut pages = vec![
            (
                "opening".into(),
                Opening { frame: self.bare(), actor: Some(self.write("Ada")), instead_of: None }.html(),
            ),
            ("opening-nameless".into(), Opening { frame: self.bare(), actor: None, instead_of: None }.html()),
            (
                "opening-instead".into(),
                Opening { frame: self.bare(), actor: None, instead_of: Some(self.write("Bob")) }.html(),
            ),
            ("integrations".into(), self.integrations(&["vapi", "slack"], true).html()),
            ("integrations-few".into(), self.integrations(&["vapi", "slack", "openai"], false).html()),
            ("integrations-none".into(), self.integrations(&[], false).html()),
            ("activity".into(), self.activity(EVENTS).html()),
            ("activity-empty".into(), self.activity(&[]).html()),
        ];
        pages.extend(self.vaults());
        pages.extend(self.connections());
        pages.extend(Notice::ALL.iter().enumerate().map(|(number, notice)| {
            let mut page = self.connection("vapi", State::Connected);
            page.notice = Some(*notice);
            (format!("notice-{number:02}"), page.html())
        }));
        pages.extend(self.stops());
        pages
    }

    fn connections(&self) -> Vec<Sample> {
        let mut rejected = self.connection("twilio", State::NotConnected);
        rejected.notice = Some(Notice::KeyRejected);
        rejected.fields[0].value = Some(self.write("AC00000000000000000000000000000001"));
        let mut wrong = self.connection("twilio", State::NotConnected);
        wrong.notice = Some(Notice::WrongFormat);
        wrong.fields[0].value = Some(self.write("AC123"));
        wrong.fields[0].fault = Some(Fault::Format);
        wrong.fields[1].fault = Some(Fault::Missing);
        let mut unreachable = self.connection("vapi", State::NotConnected);
        unreachable.notice = Some(Notice::Unreachable);
        let mut connected = self.connection("vapi", State::Connected);
        connected.notice = Some(Notice::Connected);
        connected.opens = [("Organization", "Northwind Labs"), ("Assistants", "12"), ("Phone numbers", "3")]
            .map(|(name, value)| (self.write(name), self.write(value)))
            .into();
        let mut registered = self.in_vault("vapi", State::Connected);
        registered.notice = Some(Notice::Registered);
        let mut troubled = self.in_vault("slack", State::Connected);
        troubled.notice = Some(Notice::Vault(VaultNotice::Trouble(Trouble::Unauthorized)));
        troubled.detail = Some(self.write("it answered 403"));
        let mut custom = self.connection("custom", State::NotConnected);
        custom.free = vec![
            FreeRow { name: self.write("webhookSecret"), fault: None },
            FreeRow { name: self.write("not a name"), fault: Some(Fault::Unnamed) },
        ];
        let mut testless = self.connection("smtp", State::Connected);
        testless.fields[0].fault = Some(Fault::TooLong);
        testless.fields[0].value = Some(self.write("smtp.example.com"));
        [
            ("connect", self.connection("vapi", State::NotConnected)),
            ("connect-unchecked", self.connection("smtp", State::NotConnected)),
            ("connect-rejected", rejected),
            ("connect-wrong", wrong),
            ("connect-unreachable", unreachable),
            ("connect-custom", custom),
            ("connected", self.connection("vapi", State::Connected)),
            ("connected-now", connected),
            ("connected-untested", testless),
            ("vault-connect", self.in_vault("telegram", State::NotConnected)),
            ("vault-registered", registered),
            ("vault-lacks-key", self.in_vault("slack", State::LacksKey)),
            ("vault-reconnect", self.in_vault("openai", State::NeedsReconnect)),
            ("vault-troubled", troubled),
            ("reconnect", self.connection("telegram", State::NeedsReconnect)),
        ]
        .map(|(name, page)| (name.to_owned(), page.html()))
        .into()
    }

    fn stops(&self) -> Vec<Sample> {
        let id = || self.write("0192f3c4-7a51-7c3e-8a41-7e6d5b4c9f3c");
        [
            ("stop-link", self.bare(), Why::LinkGone),
            ("stop-session", self.bare(), Why::SessionOver),
            ("stop-signed-out", self.bare(), Why::SignedOut),
            ("stop-too-many", self.bare(), Why::TooMany(Duration::from_secs(61))),
            ("stop-not-found", self.frame(), Why::NotFound),
            ("stop-forbidden", self.frame(), Why::Forbidden),
            ("stop-unavailable", self.frame(), Why::Unavailable { request_id: id() }),
            ("stop-failure", self.bare(), Why::Failure { request_id: id() }),
        ]
        .map(|(name, frame, why)| (name.to_owned(), Stop { frame, why }.html()))
        .into()
    }

    fn provider(&self, provider: &Provider) -> ProviderView {
        let mut view = ProviderView::from(provider);
        if self.hostile.is_some() {
            view.name = self.write("");
            view.display_name = self.write("");
            view.docs_url = Some(format!("https://docs.example/{}", self.write("")));
        }
        view
    }

    /// All of the catalogue, or `few` of it; connected are those that were named.
    fn integrations(&self, few: &[&str], all: bool) -> Integrations<'_> {
        let catalogue = Catalogue::builtin().unwrap();
        let wanted = catalogue.iter().filter(|it| all || few.contains(&it.name.as_str()));
        let cards = wanted.map(|provider| {
            let known = few.contains(&provider.name.as_str());
            let state = match provider.name.as_str() {
                "slack" => State::NeedsReconnect,
                "vapi" if few.len() == 3 => State::LacksKey,
                _ if known => State::Connected,
                _ => State::NotConnected,
            };
            Card {
                connection: self.write(provider.name.as_str()),
                label: known.then(|| self.write("Support team, Berlin")),
                verified_at: known.then(moment),
                provider: self.provider(provider),
                state,
            }
        });
        let cards = cards.collect();
        let gone = self.provider(catalogue.iter().next().unwrap());
        let notice = (!all && !few.is_empty()).then_some((Notice::Disconnected, gone));
        Integrations { frame: self.frame(), notice, cards }
    }

    fn connection(&self, name: &str, state: State) -> ConnectionPage<'_> {
        let catalogue = Catalogue::builtin().unwrap();
        let provider = catalogue.iter().find(|it| it.name.as_str() == name).unwrap();
        let mut fields: Vec<FieldView> = provider.fields.iter().map(FieldView::from).collect();
        for field in &mut fields {
            if self.hostile.is_some() {
                for text in [&mut field.name, &mut field.label] {
                    *text = self.write("");
                }
                for text in [&mut field.description, &mut field.example, &mut field.pattern] {
                    *text = Some(self.write(""));
                }
            }
            // What must never get out.
            if field.secret {
                field.value = Some("SECRET-VALUE".into());
            }
        }
        let shown = |field: &FieldView| StoredField {
            label: field.label.clone(),
            shown: if field.secret {
                Shown::Hint((field.name != "password").then(|| self.write("…9f3c")))
            } else {
                Shown::Value(self.write("5d2b1e0a-6c1f-4f7e-9a35-0c2a6f3b9d10"))
            },
        };
        let connected = state != State::NotConnected;
        let stored = connected.then(|| Stored {
            fields: fields.iter().map(shown).collect(),
            verified_at: provider.verification().map(|_| moment()),
            connected_at: Some(moment()),
            connected_by: Some(self.write("Ada Lovelace")),
            can_roll_back: name == "vapi",
        });
        ConnectionPage {
            frame: self.frame(),
            provider: self.provider(provider),
            connection: self.write(name),
            state,
            label: connected.then(|| self.write("Main account")),
            notice: None,
            opens: Vec::new(),
            stored,
            fields,
            free: Vec::new(),
            vault: None,
            detail: None,
            version: connected.then(|| self.write("0192f3c4")),
        }
    }

    fn activity(&self, events: &[(&str, u64)]) -> Activity<'_> {
        let line = |(index, (what, count)): (usize, &(&str, u64))| Line {
            at: moment(),
            actor: match index % 4 {
                0 => Who::Person(self.write("Ada Lovelace")),
                1 => Who::Token(self.write("backend")),
                2 => Who::Service,
                _ => Who::Operator,
            },
            what: self.hostile.filter(|_| *what == "else").unwrap_or(what).to_owned(),
            connection: what.starts_with('c').then(|| self.write("Vapi")),
            count: *count,
        };
        let lines: Vec<Line> = events.iter().enumerate().map(line).collect();
        let next = (!lines.is_empty()).then(|| self.write("MDE5Mg=="));
        Activity { frame: self.frame(), latest: lines.is_empty(), lines, next }
    }
}

const EVENTS: &[(&str, u64)] = &[
    ("connection.created", 1),
    ("credentials.read", 42),
    ("connection.needs_reconnect", 1),
    ("token.created", 1),
    ("connection.updated", 1),
    ("credentials.read", 1),
    ("connection.verified", 1),
    ("token.revoked", 1),
    ("connection.rolled_back", 1),
    ("session.created", 1),
    ("vault.tested", 1),
    ("vault.enabled", 1),
    ("connection.disconnected", 1),
    ("connection.unchanged", 1),
    ("vault.disabled", 1),
    ("vault.token_created", 1),
    ("session.opened", 1),
    ("else", 1),
];

fn moment() -> Moment {
    "2026-11-21T21:17:00Z".parse::<jiff::Timestamp>().unwrap().into()
}

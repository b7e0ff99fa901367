//! What came of what someone did with the vault, in words that help.

use std::time::Duration;

use super::{Vault, answered, trouble::words};
use crate::{
    domain::vault::Trouble,
    http::portal::{frame::Frame, moment::minutes, notice::Tone, text::fill},
};

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum VaultNotice {
    /// The URL was set.
    Saved,
    /// The function answered.
    Answered,
    /// Keys are read from it.
    Enabled,
    /// Keys are read from the store again.
    Disabled,
    /// Its URL and token are erased.
    Forgotten,
    /// It gave no keys.
    Trouble(Trouble),
    /// The URL is not one that a vault may have.
    UrlRefused,
    /// There is another token than the page showed.
    OtherToken,
    /// Another change is under way.
    UnderWay,
    /// There is no token yet.
    NoToken,
    /// There is no URL yet.
    NoUrl,
    /// The store, or the database, does not answer.
    StoreDown,
    /// The store refuses until an operator acts.
    StoreRefused,
    /// Too many attempts; that is how long to wait.
    TooManyAttempts(Duration),
}

impl VaultNotice {
    #[cfg(test)]
    pub(in crate::http::portal) const ALL: [Self; 17] = [
        Self::Saved,
        Self::Answered,
        Self::Enabled,
        Self::Disabled,
        Self::Forgotten,
        Self::Trouble(Trouble::ConnectionFailed),
        Self::Trouble(Trouble::Unauthorized),
        Self::Trouble(Trouble::KeyNotFound),
        Self::Trouble(Trouble::BadResponse),
        Self::UrlRefused,
        Self::OtherToken,
        Self::UnderWay,
        Self::NoToken,
        Self::NoUrl,
        Self::StoreDown,
        Self::StoreRefused,
        Self::TooManyAttempts(Duration::from_secs(90)),
    ];

    pub(in crate::http::portal) const fn tone(self) -> Tone {
        match self {
            Self::Saved | Self::Answered | Self::Enabled | Self::Disabled | Self::Forgotten => Tone::Good,
            Self::OtherToken => Tone::Neutral,
            _ => Tone::Bad,
        }
    }

    pub(in crate::http::portal) fn title(self, frame: &Frame<'_>) -> &'static str {
        self.texts(frame).0
    }

    /// The words, which for an answer are those of the test that got it.
    pub(in crate::http::portal) fn body(self, frame: &Frame<'_>, vault: &Vault) -> String {
        match (self, &vault.last_test) {
            (Self::Answered, Some(test)) => answered(test, frame),
            _ => self.words(frame),
        }
    }

    /// The words where there is no vault to be seen.
    pub(in crate::http::portal) fn words(self, frame: &Frame<'_>) -> String {
        let text = self.texts(frame).1;
        match self {
            Self::TooManyAttempts(wait) => fill(text, &[("minutes", &minutes(wait))]),
            Self::Trouble(trouble) => format!("{text} {}", words(trouble, frame.t).remedy),
            _ => frame.say(text),
        }
    }

    fn texts(self, frame: &Frame<'_>) -> (&'static str, &'static str) {
        let t = frame.t;
        match self {
            Self::Saved => (t.vault_saved_title, t.vault_saved_body),
            Self::Answered => (t.vault_tested_title, t.vault_tested_body),
            Self::Enabled => (t.vault_turned_on_title, t.vault_turned_on_body),
            Self::Disabled => (t.vault_turned_off_title, t.vault_turned_off_body),
            Self::Forgotten => (t.vault_forgotten_title, t.vault_forgotten_body),
            Self::Trouble(trouble) => {
                let words = words(trouble, t);
                (words.title, words.cause)
            }
            Self::UrlRefused => (t.vault_url_refused_title, t.vault_url_refused_body),
            Self::OtherToken => (t.vault_other_token_title, t.vault_other_token_body),
            Self::UnderWay => (t.vault_under_way_title, t.vault_under_way_body),
            Self::NoToken => (t.vault_no_token_title, t.vault_no_token_body),
            Self::NoUrl => (t.vault_no_url_title, t.vault_no_url_body),
            Self::StoreDown => (t.store_down_title, t.store_down_body),
            Self::StoreRefused => (t.store_refused_title, t.store_refused_body),
            Self::TooManyAttempts(_) => (t.attempts_title, t.attempts_body),
        }
    }
}

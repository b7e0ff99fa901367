//! A key that the organization's own vault is to hold, as a row of a list.

use crate::{broker::portal::ListedKey, http::portal::frame::Frame};

/// One key.
#[derive(Debug, Clone)]
pub(in crate::http) struct KeyView {
    /// The environment variable's name.
    pub(in crate::http) name: String,
    /// What it is, in the catalogue's words.
    pub(in crate::http) about: String,
    /// Whether its connection can't be used without it.
    pub(in crate::http) required: bool,
    /// Whether the function has it, as far as the last test tells.
    pub(in crate::http) found: Option<bool>,
}

impl From<&ListedKey> for KeyView {
    fn from(listed: &ListedKey) -> Self {
        Self {
            name: listed.key.name.to_string(),
            about: listed.key.description.clone(),
            required: listed.key.required,
            found: listed.found,
        }
    }
}

impl KeyView {
    /// Its look, and what is said of it.
    pub(in crate::http::portal) fn standing(&self, frame: &Frame<'_>) -> (&'static str, &'static str) {
        match self.found {
            Some(true) => ("good", frame.t.key_found),
            Some(false) if self.required => ("needs", frame.t.key_lacking),
            Some(false) => ("off", frame.t.key_left_out),
            None => ("off", frame.t.key_untested),
        }
    }
}

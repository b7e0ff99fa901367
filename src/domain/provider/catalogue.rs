//! Every provider: the built-in entries, and what a file of the operator's adds to them or overrides.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::{Provider, builtin, entry::Entry};
use crate::domain::id::ProviderName;

/// The most entries that may extend one another in a row.
const LONGEST_LINE: usize = 4;

/// Every provider, by name.
#[derive(Debug, Clone)]
pub struct Catalogue(BTreeMap<ProviderName, Provider>);

/// An entry that can't be used, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct UnusableEntry {
    /// On which line of its file, counted from 1.
    pub line: Option<usize>,
    /// What is wrong, with the provider's name where it is known.
    pub reason: String,
}

/// A file of further entries.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    providers: BTreeMap<Spanned<String>, Entry>,
}

impl Catalogue {
    /// The providers that keybroker knows by itself.
    ///
    /// # Errors
    /// If an entry is unusable: its file says something that its type does not allow.
    pub fn builtin() -> Result<Self, UnusableEntry> {
        Self::extended("")
    }

    /// As [`Catalogue::extended`], of a file's bytes.
    ///
    /// # Errors
    /// If it is no text, or an entry is unusable.
    pub fn extended_by(bytes: &[u8]) -> Result<Self, UnusableEntry> {
        let text = str::from_utf8(bytes).map_err(|error| UnusableEntry {
            line: Some(line_of(bytes, error.valid_up_to())),
            reason: "it is not UTF-8".into(),
        })?;
        Self::extended(text)
    }

    /// The built-in providers with what `text`, TOML with a table `providers`, adds and overrides.
    ///
    /// Of an entry that exists, each key given replaces the built-in's; in the tables `verify` and `headers`
    /// each key of theirs.
    ///
    /// # Errors
    /// If an entry is unusable.
    pub fn extended(text: &str) -> Result<Self, UnusableEntry> {
        let file: File = toml::from_str(text).map_err(|error| unreadable(&error, text))?;
        let mut entries = BTreeMap::new();
        for (name, text) in builtin::ENTRIES {
            let entry = toml::from_str(text).map_err(|error| {
                let UnusableEntry { line, reason } = unreadable(&error, text);
                UnusableEntry { line, reason: format!("built-in provider {name}: {reason}") }
            })?;
            entries.insert((*name).to_owned(), entry);
        }
        let mut lines = BTreeMap::new();
        for (name, entry) in file.providers {
            lines.insert(name.get_ref().clone(), line_of(text.as_bytes(), name.span().start));
            let name = name.into_inner();
            let entry = match entries.remove(&name) {
                Some(builtin) => entry.over(builtin),
                None => entry,
            };
            entries.insert(name, entry);
        }
        let provider = |name: &String| {
            let unusable = |reason: String| UnusableEntry {
                line: lines.get(name).copied(),
                reason: format!("provider {name}: {reason}"),
            };
            let entry = whole(name, &entries, LONGEST_LINE).map_err(unusable)?;
            let name: ProviderName = name.parse().map_err(|rule| unusable(format!("{rule}")))?;
            Ok((name.clone(), entry.provider(name).map_err(unusable)?))
        };
        entries.keys().map(provider).collect::<Result<_, _>>().map(Self)
    }

    /// The provider of that name.
    #[must_use]
    pub fn get(&self, name: &ProviderName) -> Option<&Provider> {
        self.0.get(name)
    }

    /// Every provider, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Provider> {
        self.0.values()
    }
}

/// An entry with what it extends.
fn whole(name: &str, entries: &BTreeMap<String, Entry>, left: usize) -> Result<Entry, String> {
    let entry = entries.get(name).ok_or_else(|| format!("it extends {name}, which there is not"))?.clone();
    match &entry.extends {
        None => Ok(entry),
        Some(_) if left == 0 => Err("it extends too many others in a row, or itself".into()),
        Some(base) => whole(base, entries, left - 1).map(|base| entry.over(base)),
    }
}

fn unreadable(error: &toml::de::Error, text: &str) -> UnusableEntry {
    let line = error.span().map(|span| line_of(text.as_bytes(), span.start));
    UnusableEntry { line, reason: error.message().trim().replace('\n', "; ") }
}

fn line_of(text: &[u8], position: usize) -> usize {
    text.iter().take(position).filter(|byte| **byte == b'\n').count() + 1
}

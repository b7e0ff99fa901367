//! The first pass: every row is checked, and nothing is touched.

use std::{
    collections::{HashMap, HashSet},
    io::Read,
};

use anyhow::Context;

use super::{
    journal::{Fingerprint, Journal},
    lines::Lines,
    refused::Refused,
    row::{self, Refusal},
};
use crate::domain::provider::Catalogue;

/// What is in the file.
#[derive(Default)]
pub(super) struct Survey {
    /// How many rows there are.
    pub rows: u64,
    /// How many an earlier run did.
    pub done: u64,
    /// The lines of those that can't be imported.
    pub refused: HashSet<u64>,
}

impl Survey {
    /// How many are left to do.
    pub(super) fn to_do(&self) -> u64 {
        self.rows - self.done - self.refused.len() as u64
    }
}

/// Reads the whole file, and notes the rows that are wrong.
pub(super) fn survey(
    mut lines: Lines<impl Read>,
    catalogue: &Catalogue,
    journal: &Journal,
    refused: &mut Refused,
) -> anyhow::Result<Survey> {
    let mut survey = Survey::default();
    // Hashes and not names, so that many rows take little memory.
    let mut seen: HashMap<Fingerprint, u64> = HashMap::new();
    while let Some(line) = lines.next().context("the file can't be read")? {
        survey.rows += 1;
        let checked = row::read(line.text, catalogue).and_then(|row| {
            let connection = journal.connection(row.name());
            if let Some(earlier) = seen.get(&connection) {
                return Err(Refusal {
                    org: Some(row.name().org().clone()),
                    connection: Some(row.name().connection().clone()),
                    reason: format!("line {earlier} is for the same connection"),
                });
            }
            Ok(connection)
        });
        match checked {
            Ok(connection) => {
                seen.insert(connection, line.number);
                let row = journal.row(line.text.unwrap_or_default());
                survey.done += u64::from(journal.is_done(connection, row));
            }
            Err(refusal) => {
                survey.refused.insert(line.number);
                if let Some(text) = refused.note(line.number, &refusal)? {
                    eprintln!("{text}");
                }
            }
        }
    }
    Ok(survey)
}

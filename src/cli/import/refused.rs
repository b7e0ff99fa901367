//! The rows that were refused: a file of them, and the first few on standard error.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use anyhow::Context;
use serde_json::json;

use super::row::Refusal;

/// So many are told of on standard error; all of them are in the file.
const MOST_TOLD: u64 = 20;

/// Takes note of refused rows.
pub(super) struct Refused {
    path: PathBuf,
    /// Made with the first one.
    file: Option<File>,
    count: u64,
}

impl Refused {
    /// None yet. What an earlier run refused is forgotten.
    pub(super) fn new(path: &Path) -> anyhow::Result<Self> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(error).with_context(|| format!("{} can't be removed", path.display()))
            }
            _ => Ok(Self { path: path.to_owned(), file: None, count: 0 }),
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Notes one, and gives what a person should be told of it.
    pub(super) fn note(&mut self, line: u64, refusal: &Refusal) -> anyhow::Result<Option<String>> {
        let Refusal { org, connection, reason } = refusal;
        let path = self.path.display();
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                let made = File::options().append(true).create_new(true).mode(0o600).open(&self.path);
                none.insert(made.with_context(|| format!("{path} can't be made"))?)
            }
        };
        let entry = json!({"line": line, "org": org, "connection": connection, "reason": reason});
        file.write_all(format!("{entry}\n").as_bytes())
            .with_context(|| format!("{path} can't be written"))?;
        self.count += 1;
        Ok(match self.count {
            ..=MOST_TOLD => Some(format!("line {line}: {reason}")),
            count if count == MOST_TOLD + 1 => Some(format!("more rows are refused; see {path}")),
            _ => None,
        })
    }
}

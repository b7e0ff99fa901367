//! Which rows are done, kept beside the file, so that an interrupted import goes on where it was.
//!
//! A line for each finished row: the connection and the row's text, both only as keyed hashes. The key
//! is on the first line; the file is for its owner only, as the input should be. A row counts as done
//! if it is the last that was done for its connection.

use std::{
    collections::HashMap,
    fs::{self, File, TryLockError},
    io::{self, BufRead, BufReader, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use aws_lc_rs::hmac;

use crate::domain::{clock::Random, secret::SecretName};

const MAGIC: &str = "keybroker import 1";

/// A keyed hash, of 16 bytes.
pub(super) type Fingerprint = u128;

/// The rows that are done.
pub(super) struct Journal {
    path: PathBuf,
    /// Locked as long as it is open: one import of a file at a time. A dry run has none.
    file: Option<File>,
    key: hmac::Key,
    done: HashMap<Fingerprint, Fingerprint>,
}

/// What a journal holds.
struct Content {
    key: hmac::Key,
    done: HashMap<Fingerprint, Fingerprint>,
}

impl Journal {
    /// A journal in which nothing is done, and which is nowhere kept.
    pub(super) fn of_dry_run(random: &dyn Random) -> Self {
        Self { path: PathBuf::new(), file: None, key: key(salt(random)), done: HashMap::new() }
    }

    /// The journal that is there; else, or if it is for another target, a new one.
    ///
    /// `target` says what is imported into: what was done elsewhere is not done here. With `restart` nothing
    /// is done.
    pub(super) fn open(
        path: &Path,
        target: &str,
        restart: bool,
        random: &dyn Random,
    ) -> anyhow::Result<Self> {
        let shown = path.display();
        let file = File::options().read(true).append(true).create(true).mode(0o600).open(path);
        let file =
            file.with_context(|| format!("{shown} can't be made, where the rows are noted that are done"))?;
        lock(&file, path)?;
        let read = Self::read(&file, target).with_context(|| format!("{shown} can't be read"))?;
        let Content { key, done } = match read {
            Some(content) if !restart => content,
            read => {
                let length = file.metadata().map_or(0, |about| about.len());
                if read.is_none() && length > 0 && !restart {
                    eprintln!("{shown} is of an import into another database; starting from the first row");
                }
                begin(&file, target, random).with_context(|| format!("{shown} can't be written"))?
            }
        };
        Ok(Self { path: path.to_owned(), file: Some(file), key, done })
    }

    /// Nothing if there is nothing in it, or what is there is for another target.
    fn read(file: &File, target: &str) -> anyhow::Result<Option<Content>> {
        let mut input = BufReader::new(file);
        let mut header = String::new();
        input.read_line(&mut header)?;
        let fields = header.strip_prefix(MAGIC).and_then(two_fingerprints);
        let Some((salt, of_target)) = fields.filter(|_| header.ends_with('\n')) else {
            // Killed while it wrote the very first line; or a file that is not ours to remove.
            if MAGIC.starts_with(&header) || header.starts_with(MAGIC) {
                return Ok(None);
            }
            bail!("it is no progress file of keybroker; move it out of the way");
        };
        let key = key(salt);
        if of_target != fingerprint(&key, &[target.as_bytes()]) {
            return Ok(None);
        }
        let mut done = HashMap::new();
        let (mut line, mut whole) = (String::new(), header.len());
        while input.read_line(&mut line)? > 0 && line.ends_with('\n') {
            done.extend(two_fingerprints(&line));
            whole += line.len();
            line.clear();
        }
        // A last line that was cut short would spoil the next one.
        file.set_len(whole as u64)?;
        Ok(Some(Content { key, done }))
    }

    /// What a connection is known by.
    pub(super) fn connection(&self, name: &SecretName) -> Fingerprint {
        // No organization holds a slash, so two names never make the same text.
        let (org, connection) = (name.org().as_str(), name.connection().as_str());
        fingerprint(&self.key, &[org.as_bytes(), b"/", connection.as_bytes()])
    }

    /// What a row's text is known by.
    pub(super) fn row(&self, text: &[u8]) -> Fingerprint {
        fingerprint(&self.key, &[text])
    }

    pub(super) fn is_done(&self, connection: Fingerprint, row: Fingerprint) -> bool {
        self.done.get(&connection) == Some(&row)
    }

    /// Notes that a row is done.
    pub(super) fn note(&mut self, connection: Fingerprint, row: Fingerprint) -> anyhow::Result<()> {
        if let Some(file) = &mut self.file {
            let written = file.write_all(format!("{connection:032x} {row:032x}\n").as_bytes());
            written.with_context(|| format!("{} can't be written", self.path.display()))?;
        }
        self.done.insert(connection, row);
        Ok(())
    }

    /// Whether there is anything that the next import can skip.
    pub(super) fn is_empty(&self) -> bool {
        self.done.is_empty()
    }

    /// Removes the journal: the next import begins with the first row.
    pub(super) fn close(mut self) -> anyhow::Result<()> {
        self.remove().with_context(|| format!("{} can't be removed", self.path.display()))
    }

    fn remove(&mut self) -> io::Result<()> {
        // Removed before it is unlocked.
        let Some(_file) = self.file.take() else { return Ok(()) };
        fs::remove_file(&self.path)
    }
}

/// One in which nothing is done leaves no file behind.
impl Drop for Journal {
    fn drop(&mut self) {
        if self.is_empty() {
            let _ = self.remove(); // it would do no harm
        }
    }
}

/// Writes the first line of a new journal.
fn begin(mut file: &File, target: &str, random: &dyn Random) -> io::Result<Content> {
    let salt = salt(random);
    let key = key(salt);
    file.set_len(0)?;
    writeln!(file, "{MAGIC} {salt:032x} {:032x}", fingerprint(&key, &[target.as_bytes()]))?;
    Ok(Content { key, done: HashMap::new() })
}

fn salt(random: &dyn Random) -> Fingerprint {
    let mut salt = [0; 16];
    random.fill(&mut salt);
    Fingerprint::from_be_bytes(salt)
}

fn key(salt: Fingerprint) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, &salt.to_be_bytes())
}

fn fingerprint(key: &hmac::Key, parts: &[&[u8]]) -> Fingerprint {
    let mut context = hmac::Context::with_key(key);
    for part in parts {
        context.update(part);
    }
    let tag = context.sign();
    let (first, _) = tag.as_ref().split_first_chunk().expect("SHA-256 has 32 bytes");
    Fingerprint::from_be_bytes(*first)
}

fn two_fingerprints(text: &str) -> Option<(Fingerprint, Fingerprint)> {
    let (one, other) = text.trim().split_once(' ')?;
    let read = |text: &str| Fingerprint::from_str_radix(text, 16).ok().filter(|_| text.len() == 32);
    Some((read(one)?, read(other)?))
}

fn lock(file: &File, path: &Path) -> anyhow::Result<()> {
    match file.try_lock() {
        // Unless that import ended, and removed the file, right before it was locked here.
        Ok(()) if fs::metadata(path)?.ino() == file.metadata()?.ino() => Ok(()),
        Ok(()) => bail!("another import of this file has just ended; run the command again"),
        Err(TryLockError::WouldBlock) => {
            bail!("another import of this file is under way: it holds {}", path.display())
        }
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("{} can't be locked", path.display()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::clock::SystemRandom;

    fn name(org: &str) -> SecretName {
        SecretName::new(org.parse().unwrap(), "vapi".parse().unwrap())
    }

    #[test]
    fn what_is_done_is_known_again_even_after_a_cut_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.progress");
        let open = |target| Journal::open(&path, target, false, &SystemRandom);
        let mut journal = open("here").unwrap();
        assert!(open("here").is_err(), "two first imports of one file");
        drop(journal);
        assert!(!path.exists(), "nothing is done yet");
        journal = open("here").unwrap();
        let done = |journal: &Journal, org: &str, text: &[u8]| {
            journal.is_done(journal.connection(&name(org)), journal.row(text))
        };
        for (org, text) in [("a", b"one"), ("b", b"two"), ("a", b"new")] {
            let (connection, row) = (journal.connection(&name(org)), journal.row(text));
            journal.note(connection, row).unwrap();
        }
        assert!(open("here").is_err(), "two imports of one file");
        drop(journal);
        let text = fs::read(&path).unwrap();
        fs::write(&path, &text[..text.len() - 3]).unwrap();

        let mut journal = open("here").unwrap();
        assert!(done(&journal, "a", b"one") && done(&journal, "b", b"two"));
        let (connection, row) = (journal.connection(&name("a")), journal.row(b"new"));
        assert!(!journal.is_done(connection, row), "its line was cut");
        journal.note(connection, row).unwrap();
        drop(journal);
        let journal = open("here").unwrap();
        assert!(done(&journal, "a", b"new") && !done(&journal, "a", b"one"), "the last one counts");
        drop(journal);
        let again = Journal::open(&path, "here", true, &SystemRandom).unwrap();
        assert!(!done(&again, "a", b"new"), "it starts again");
        drop(again);
        fs::write(&path, &text).unwrap();
        assert!(done(&open("here").unwrap(), "b", b"two"));
        assert!(!done(&open("elsewhere").unwrap(), "b", b"two"), "elsewhere nothing is done");
    }

    #[test]
    fn a_file_that_is_not_ours_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.progress");
        for (text, ours) in
            [("", true), ("keybroker imp", true), ("keybroker import 1 12", true), ("50 %\n", false)]
        {
            fs::write(&path, text).unwrap();
            assert_eq!(Journal::open(&path, "here", false, &SystemRandom).is_ok(), ours, "{text:?}");
        }
        assert_eq!(fs::read(&path).unwrap(), b"50 %\n");
    }
}

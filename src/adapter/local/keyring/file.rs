//! The master key file, read and made.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use super::{KEY_LEN, Keyring, MasterKey};
use crate::domain::clock::Random;

/// More than any master key file has, in bytes: what is larger is another file.
const LARGEST_FILE: usize = 64 * 1024;

/// A master key file that can't be used. Repeats nothing of what is in it.
#[derive(Debug, thiserror::Error)]
#[error("the master key file {} {problem}", path.display())]
pub struct KeyringError {
    path: PathBuf,
    problem: Problem,
}

#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("does not exist; put 32 random bytes in base64 there: openssl rand -base64 32")]
    Missing,
    #[error("can't be read: {0}")]
    Unreadable(io::Error),
    #[error("is larger than 64 KiB, which no master key file is")]
    TooLarge,
    #[error("holds no key; put 32 random bytes in base64 there: openssl rand -base64 32")]
    Empty,
    #[error("has no key in line {0}: each line is 32 bytes in base64, or starts with #")]
    BadLine(usize),
    #[error("is there already; a key is never replaced, since it may have secrets under it")]
    Exists,
    #[error("can't be written: {0}")]
    Unwritable(io::Error),
}

impl Keyring {
    /// Reads a master key file. One that others may read is used all the same, with a warning: secrets
    /// mounted into a container often are.
    ///
    /// # Errors
    /// If the file is missing, can't be read, or holds anything but keys.
    pub fn read(path: &Path) -> Result<Self, KeyringError> {
        let failed = |problem| KeyringError { path: path.to_owned(), problem };
        let unreadable = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => failed(Problem::Missing),
            _ => failed(Problem::Unreadable(error)),
        };
        let file = File::open(path).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        warn_if_shared(path, &metadata);
        // Room for all of it from the start: growing would leave an unwiped copy behind. The length in
        // the metadata is no guide: that of a pipe is 0.
        let mut content = Zeroizing::new(Vec::with_capacity(2 * LARGEST_FILE));
        file.take(LARGEST_FILE as u64 + 1).read_to_end(&mut content).map_err(unreadable)?;
        if content.len() > LARGEST_FILE {
            return Err(failed(Problem::TooLarge));
        }
        Self::parse(&content).map_err(failed)
    }

    /// Makes a master key file with one new key, readable by its owner only. After a crash there is a
    /// whole file or none.
    ///
    /// # Errors
    /// If there is a file already, or it can't be written.
    pub fn generate_file(path: &Path, random: &dyn Random) -> Result<(), KeyringError> {
        let failed = |problem| KeyringError { path: path.to_owned(), problem };
        let mut tail = [0; 8];
        random.fill(&mut tail);
        let mut draft = path.as_os_str().to_owned();
        draft.push(format!(".{:016x}", u64::from_be_bytes(tail)));
        let draft = PathBuf::from(draft);
        let made = write_key(&draft, random).and_then(|()| publish(&draft, path));
        // The draft's other name is the file itself; if there is none, its key was never used.
        let _ = fs::remove_file(&draft);
        made.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => failed(Problem::Exists),
            _ => failed(Problem::Unwritable(error)),
        })
    }

    fn parse(content: &[u8]) -> Result<Self, Problem> {
        let mut keys = content
            .split(|byte| *byte == b'\n')
            .map(<[u8]>::trim_ascii)
            .enumerate()
            .filter(|(_, line)| !line.is_empty() && !line.starts_with(b"#"))
            .map(|(index, line)| parse_key(line).ok_or(Problem::BadLine(index + 1)));
        let sealing = keys.next().ok_or(Problem::Empty)??;
        Ok(Self { sealing, earlier: keys.collect::<Result<_, _>>()? })
    }
}

fn parse_key(line: &[u8]) -> Option<MasterKey> {
    // Base64 is decoded by threes, so 32 bytes may need room for 33.
    let mut bytes = Zeroizing::new([0; KEY_LEN + 1]);
    let length = STANDARD.decode_slice(line, &mut *bytes).ok()?;
    let key = bytes[..length].first_chunk().filter(|_| length == KEY_LEN)?;
    Some(MasterKey::new(key))
}

fn write_key(path: &Path, random: &dyn Random) -> io::Result<()> {
    let mut key = Zeroizing::new([0; KEY_LEN]);
    random.fill(&mut *key);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    let mut line = Zeroizing::new(STANDARD.encode(*key));
    line.push('\n');
    file.write_all(line.as_bytes())?;
    file.sync_all()
}

/// Gives the draft its name. By a link, since a rename would replace a key that another process made
/// in the meantime.
fn publish(draft: &Path, path: &Path) -> io::Result<()> {
    fs::hard_link(draft, path)?;
    match path.parent() {
        Some(folder) if cfg!(unix) && !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}

#[cfg(unix)]
fn warn_if_shared(path: &Path, metadata: &fs::Metadata) {
    use std::os::unix::fs::PermissionsExt;

    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let mode = format!("{mode:03o}");
        tracing::warn!(path = %path.display(), mode, "others may use the master key file; chmod 600 it");
    }
}

#[cfg(not(unix))]
fn warn_if_shared(_: &Path, _: &fs::Metadata) {}

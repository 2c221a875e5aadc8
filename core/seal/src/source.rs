//! Where a keyring comes from.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::OFlags;
use zeroize::Zeroizing;

use crate::command;
use crate::error::KeyringError;
use crate::keyring::{Keyring, MAX_KEYRING_BYTES};

/// Where a keyring comes from.
#[derive(Clone)]
pub enum Source {
    /// A file, which only its owner and its group may have rights on.
    File(PathBuf),
    /// An environment variable that holds the keyring itself.
    Env(OsString),
    /// The same, as it was when [`Source::captured`] was called.
    Captured(OsString, Option<Arc<Zeroizing<Vec<u8>>>>),
    /// A program and its arguments, run without a shell; it prints the keyring, and has 10 s for it.
    Command(Vec<OsString>),
}

impl Source {
    /// Reads the form that settings have: `env:NAME`, `command:PROGRAM ARGUMENT…` (parted by white space), else a file's path.
    ///
    /// # Errors
    /// [`KeyringError::BadSource`].
    pub fn parse(text: &OsStr) -> Result<Source, KeyringError> {
        let bad = |problem| KeyringError::BadSource { problem };
        let bytes = text.as_bytes();
        if bytes.contains(&0) {
            return Err(bad("it has a NUL inside"));
        }
        if let Some(name) = bytes.strip_prefix(b"env:") {
            if name.is_empty() || name.contains(&b'=') {
                return Err(bad("env: is followed by no variable's name"));
            }
            return Ok(Source::Env(OsString::from_vec(name.to_vec())));
        }
        if let Some(line) = bytes.strip_prefix(b"command:") {
            let words = line
                .split(u8::is_ascii_whitespace)
                .filter(|word| !word.is_empty());
            let words: Vec<OsString> = words.map(|word| OsString::from_vec(word.to_vec())).collect();
            if words.is_empty() {
                return Err(bad("command: is followed by no program"));
            }
            return Ok(Source::Command(words));
        }
        if bytes.is_empty() {
            return Err(bad("it is empty"));
        }
        Ok(Source::File(PathBuf::from(text)))
    }

    /// With the environment as it is now, for a process whose environment is emptied later.
    pub fn captured(self) -> Source {
        match self {
            Source::Env(name) => {
                let value = std::env::var_os(&name).map(|value| Arc::new(Zeroizing::new(value.into_vec())));
                Source::Captured(name, value)
            }
            other => other,
        }
    }

    /// Reads the keyring.
    ///
    /// # Errors
    /// [`KeyringError`].
    pub fn load(&self) -> Result<Keyring, KeyringError> {
        let place = self.to_string();
        let json = match self {
            Source::File(path) => read_file(path, &place)?,
            Source::Env(name) => std::env::var_os(name)
                .map(|value| Zeroizing::new(value.into_vec()))
                .ok_or_else(|| unset(&place))?,
            Source::Captured(_, Some(value)) => return Keyring::parse(value, &place),
            Source::Captured(_, None) => return Err(unset(&place)),
            Source::Command(words) => command::output(words, &place)?,
        };
        Keyring::parse(&json, &place)
    }
}

/// As messages name it: without arguments, which may be secrets.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::File(path) => write!(f, "{}", path.display()),
            Source::Env(name) | Source::Captured(name, _) => {
                write!(f, "in the environment variable {}", name.to_string_lossy())
            }
            Source::Command(words) => {
                let program = words.first().map(|word| word.to_string_lossy());
                write!(f, "command {}", program.unwrap_or_default())
            }
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({self})")
    }
}

fn unset(place: &str) -> KeyringError {
    KeyringError::Unreadable {
        place: place.to_owned(),
        problem: "it is not set".to_owned(),
    }
}

/// Tells one content of a file from another without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    file: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// `None`: it can't be looked at.
    pub fn of(path: &Path) -> Option<Stamp> {
        std::fs::metadata(path)
            .ok()
            .map(|metadata| Stamp::from(&metadata))
    }
}

impl From<&Metadata> for Stamp {
    fn from(metadata: &Metadata) -> Stamp {
        Stamp {
            file: (metadata.dev(), metadata.ino()),
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

const RIGHTS_OF_OTHERS: u32 = 0o007;

fn read_file(path: &Path, place: &str) -> Result<Zeroizing<Vec<u8>>, KeyringError> {
    let unreadable = |problem: String| KeyringError::Unreadable {
        place: place.to_owned(),
        problem,
    };
    // A pipe that nobody writes to must not hold up the caller.
    let file = File::options()
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
        .open(path)
        .map_err(|error| unreadable(error.to_string()))?;
    // Of the open file: what stands at the path may be another a moment later.
    let metadata = file.metadata().map_err(|error| unreadable(error.to_string()))?;
    if !metadata.is_file() {
        return Err(unreadable("it is no regular file".to_owned()));
    }
    let mode = metadata.mode() & 0o7777;
    if mode & RIGHTS_OF_OTHERS != 0 {
        return Err(KeyringError::Exposed {
            place: place.to_owned(),
            mode,
        });
    }
    let mut json = Zeroizing::new(Vec::with_capacity(
        MAX_KEYRING_BYTES.min(metadata.len() as usize) + 1,
    ));
    // One more than allowed, so that what is too long is noticed.
    file.take(MAX_KEYRING_BYTES as u64 + 1)
        .read_to_end(&mut json)
        .map_err(|error| unreadable(error.to_string()))?;
    Ok(json)
}

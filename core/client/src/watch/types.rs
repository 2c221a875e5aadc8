//! What is watched, and what is seen.

use bytes::Bytes;

use crate::error::Error;
use crate::kv::KeyValue;

/// What to watch, and from when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchOptions {
    pub(super) start: Vec<u8>,
    pub(super) single: bool,
    pub(super) from_revision: i64,
    pub(super) with_previous: bool,
    pub(super) with_reserved: bool,
}

impl WatchOptions {
    /// One key.
    pub fn key(key: impl AsRef<[u8]>) -> WatchOptions {
        let start = key.as_ref().to_vec();
        WatchOptions {
            start,
            single: true,
            from_revision: 0,
            with_previous: false,
            with_reserved: false,
        }
    }

    /// Every key that begins with `prefix`; empty: every key below the client's prefix.
    pub fn prefix(prefix: impl AsRef<[u8]>) -> WatchOptions {
        WatchOptions {
            single: false,
            ..WatchOptions::key(prefix)
        }
    }

    /// Begin with the changes of this revision, even if it is past; 0: with the first after the watch has reached
    /// the server.
    pub fn from_revision(mut self, revision: i64) -> WatchOptions {
        self.from_revision = revision;
        self
    }

    /// Have each change carry what the key was before.
    pub fn with_previous(mut self) -> WatchOptions {
        self.with_previous = true;
        self
    }

    /// Have cfgstore's own keys, which are left out otherwise, seen too.
    pub fn with_reserved(mut self) -> WatchOptions {
        self.with_reserved = true;
        self
    }
}

/// Whether a key was written or deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// Created or overwritten.
    Put,
    /// Deleted, by a client or with its lease.
    Delete,
}

/// One change of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Put or delete.
    pub kind: ChangeKind,
    /// The key, below the client's prefix.
    pub key: Bytes,
    /// The new value, the one that was put if it was sealed; empty for a delete.
    pub value: Bytes,
    /// Why a sealed value could not be opened; then `value` is what is stored. `None`: there is nothing wrong.
    pub unopened: Option<Box<Error>>,
    /// What it was before, if asked for and still known.
    pub previous: Option<KeyValue>,
    /// Revision of this change.
    pub revision: i64,
    /// Number of changes since the key was created; 0 for a delete.
    pub version: i64,
    /// Revision in which the key was created; 0 for a delete.
    pub create_revision: i64,
    /// The lease it dies with; 0: none.
    pub lease: i64,
}

/// Every change of one revision, in the order in which they were made. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeBatch {
    /// The revision.
    pub revision: i64,
    /// Its changes.
    pub changes: Vec<Change>,
}

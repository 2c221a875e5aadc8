//! Why a snapshot file cannot be used.

use std::io;
use std::path::PathBuf;

use cfgstore_store::LoadError;
use thiserror::Error;

/// Why a snapshot file cannot be used. Nothing was changed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The file cannot be opened or read.
    #[error("cannot read {}: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Not a snapshot at all, or damaged at its very beginning.
    #[error("{} is no etcd snapshot: {fault}", .path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What is not as it should be.
        fault: &'static str,
    },
    /// The end is missing.
    #[error("{} is cut short: it has {found} bytes of {expected}; take another snapshot", .path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        found: u64,
        /// What it should be at least.
        expected: u64,
    },
    /// The content does not match the SHA-256 at its end.
    #[error("{} does not match its checksum: it was damaged or changed; take another snapshot", .path.display())]
    HashMismatch {
        /// The file.
        path: PathBuf,
    },
    /// There is no SHA-256 at the end: the file was copied from etcd's data folder.
    #[error(
        "{} has no checksum, as when it was copied from a data folder; --skip-hash-check uses it all the same",
        .path.display()
    )]
    HashMissing {
        /// The file.
        path: PathBuf,
    },
    /// A page is not as it must be.
    #[error("{} is damaged at page {page}: {fault}; take another snapshot", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Number of the page.
        page: u64,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// The pages are whole, but what they hold is not what etcd writes.
    #[error("{} holds what etcd does not write: {fault}", .path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What it is.
        fault: String,
    },
    /// The records do not form a state.
    #[error("{} holds no usable state: {source}", .path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// Why.
        source: LoadError,
    },
}

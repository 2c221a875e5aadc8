//! Why a server did not start.

use std::io;
use std::path::{Path, PathBuf};

use cfgstore_client::trust::Planted;
use cfgstore_mirror::PublishError;
use cfgstore_replica::OpenError;
use thiserror::Error;

/// Why a server did not start: what happened, to what, and what to do next. Nothing was changed beyond
/// folders made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// A setting is out of range, contradicts another or is not supported.
    #[error("{setting}: {reason}")]
    Config {
        /// The setting, spelled as its flag.
        setting: &'static str,
        /// Why it is refused, and what would be accepted.
        reason: String,
    },
    /// Another process has the data folder.
    #[error(
        "the data folder {} is in use by {}: stop it first, or give --data-dir another folder",
        .data_dir.display(), holder(*.pid)
    )]
    InUse {
        /// The data folder.
        data_dir: PathBuf,
        /// The process that has it, if it could be told.
        pid: Option<u32>,
    },
    /// The data folder, or a file in it, may not be written.
    #[error("no right to {action} {}: check its owner and mode, or give --data-dir another folder", .path.display())]
    Denied {
        /// What was attempted.
        action: &'static str,
        /// The folder or file.
        path: PathBuf,
    },
    /// The data folder, or what leads there, may be another user's trap.
    #[error("the data folder is not trusted: {0}")]
    Planted(#[source] Planted),
    /// The disk is full.
    #[error("no space left to {action} {}: free space on its file system", .path.display())]
    DiskFull {
        /// What was attempted.
        action: &'static str,
        /// The folder or file.
        path: PathBuf,
    },
    /// Any other failure of the operating system.
    #[error("cannot {action} {}: {source}", .path.display())]
    Io {
        /// What was attempted.
        action: &'static str,
        /// The folder or file.
        path: PathBuf,
        /// What the system answered.
        #[source]
        source: io::Error,
    },
    /// The path of a unix socket does not fit into a socket address.
    #[error(
        "the socket path {} is {length} bytes long, {MAX_SOCKET_PATH_BYTES} are possible: use a shorter --data-dir, or give --socket a short path",
        .path.display()
    )]
    SocketPathTooLong {
        /// The path.
        path: PathBuf,
        /// Its length in bytes.
        length: usize,
    },
    /// Another process listens on an address.
    #[error("{address} is in use by another process: stop it, or give --listen-client-urls another address")]
    AddressInUse {
        /// The URL.
        address: String,
    },
    /// An address cannot be listened on for another reason.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The URL.
        address: String,
        /// What the system answered.
        #[source]
        source: io::Error,
    },
    /// The member could not be opened.
    #[error(transparent)]
    Member(OpenError),
    /// The mirror could not be opened.
    #[error("the mirror cannot be opened: {0}")]
    Mirror(#[from] PublishError),
    /// A thread or a runtime could not be started.
    #[error("cannot start {what}: {source}")]
    Thread {
        /// What was to be started.
        what: &'static str,
        /// What the system answered.
        #[source]
        source: io::Error,
    },
}

/// What fits into `sockaddr_un`, with the terminating zero that not every client can do without.
pub(crate) const MAX_SOCKET_PATH_BYTES: usize = 107;

fn holder(pid: Option<u32>) -> String {
    match pid {
        Some(pid) => format!("process {pid}"),
        None => "another process".to_owned(),
    }
}

impl StartError {
    /// Sorts a failed `action` on `path` into what an operator does about it.
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> StartError {
        let path = path.to_path_buf();
        match source.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                StartError::Denied { action, path }
            }
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                StartError::DiskFull { action, path }
            }
            _ => StartError::Io { action, path, source },
        }
    }
}

impl From<OpenError> for StartError {
    fn from(error: OpenError) -> StartError {
        match error {
            OpenError::Io { action, path, source } => StartError::io(action, &path, source),
            other => StartError::Member(other),
        }
    }
}

//! What can go wrong for a reader and for the publisher, each with what to do next.

use std::io;
use std::path::{Path, PathBuf};

/// Why a mirror, or one snapshot of it, could not be read.
///
/// None of these ends a reader: the snapshot it already holds stays valid, and the next call tries again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// No mirror at this path: no folder, or a folder without a control page.
    #[error("no mirror at {path}: start the host agent, or check the path", path = .path.display())]
    NotFound {
        /// The path that does not exist.
        path: PathBuf,
    },
    /// The mirror exists, but its publisher has not published anything yet.
    #[error("the mirror at {path} holds no generation yet: wait for its publisher", path = .path.display())]
    NotPublished {
        /// The mirror's folder.
        path: PathBuf,
    },
    /// The file is not one of ours.
    #[error("{path} is not a cfgstore mirror file: it starts with other bytes", path = .path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The file is one of ours, in a format this program does not read.
    #[error(
        "{path} has mirror format {found}, this program reads {supported}: bring both to one release",
        path = .path.display()
    )]
    OtherVersion {
        /// The file.
        path: PathBuf,
        /// The format version it states.
        found: u32,
        /// The format version this program reads.
        supported: u32,
    },
    /// The file is shorter (or longer) than it says.
    #[error(
        "{path} is {actual_bytes} bytes long where {expected_bytes} are stated: wait for the next generation",
        path = .path.display()
    )]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Its stated (or least possible) length.
        expected_bytes: u64,
        /// Its length.
        actual_bytes: u64,
    },
    /// The file's content contradicts itself or a checksum.
    #[error(
        "{path} is damaged at byte {offset} ({what}): restart the host agent, which publishes a new one",
        path = .path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where in the file.
        offset: u64,
        /// Which check failed.
        what: &'static str,
    },
    /// This process has no right to read the path.
    #[error("no right to read {path}: run as a member of the mirror's group", path = .path.display())]
    Denied {
        /// The path.
        path: PathBuf,
    },
    /// The path's owner or rights let somebody else than its publisher change it, so it is not believed.
    #[error("{path} is not trusted: {why}", path = .path.display())]
    Untrusted {
        /// The path.
        path: PathBuf,
        /// Which rule it breaks.
        why: &'static str,
    },
    /// A file of the current generation has been removed by somebody else than the publisher.
    #[error("{path} of the current generation is missing: restart the host agent", path = .path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The publisher replaced the generation again and again while this reader opened it.
    #[error("the mirror at {path} moved on {attempts} times while it was opened: try again", path = .path.display())]
    Busy {
        /// The mirror's folder.
        path: PathBuf,
        /// How many generations were tried.
        attempts: u32,
    },
    /// Any other failure of the operating system.
    #[error("cannot {operation} {path}: {source}", path = .path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// What was tried.
        operation: &'static str,
        /// What the system answered.
        source: io::Error,
    },
}

impl ReadError {
    pub(crate) fn io(path: &Path, operation: &'static str, source: io::Error) -> Self {
        let path = path.to_path_buf();
        match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => ReadError::NotFound { path },
            io::ErrorKind::PermissionDenied => ReadError::Denied { path },
            _ => ReadError::Io {
                path,
                operation,
                source,
            },
        }
    }

    pub(crate) fn damaged(path: &Path, offset: u64, what: &'static str) -> Self {
        ReadError::Damaged {
            path: path.to_path_buf(),
            offset,
            what,
        }
    }
}

/// Why a generation was not published. The last published generation is still served unless said otherwise.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// Another process publishes to this folder.
    #[error(
        "the mirror {path} already has a publisher (process {pid}): stop it first",
        path = .path.display(), pid = PidText(*.pid)
    )]
    Locked {
        /// The mirror's folder.
        path: PathBuf,
        /// The process that holds it, as it wrote down itself; `None` when that cannot be read.
        pid: Option<u32>,
    },
    /// The file system of the mirror is full. Publish again later: the generation before is still served.
    #[error(
        "no space for {needed_bytes} bytes in {path}: enlarge that file system (mount option size=) or shrink the data",
        path = .path.display()
    )]
    NoSpace {
        /// The mirror's folder.
        path: PathBuf,
        /// The size of the file that did not fit.
        needed_bytes: u64,
    },
    /// The data is larger than the configured or possible limit.
    #[error("the mirror would be {needed} {unit}, the limit is {limit}: raise the limit or shrink the data")]
    TooLarge {
        /// The size that was asked for.
        needed: u64,
        /// The limit.
        limit: u64,
        /// What is counted: `bytes`, `entries`, `bytes in one value`…
        unit: &'static str,
    },
    /// Changes came before a full copy, or the published copy was found unreadable. Call `publish_full`.
    #[error("there is no complete generation in {path} to change: publish a full copy first", path = .path.display())]
    NoBase {
        /// The mirror's folder.
        path: PathBuf,
    },
    /// The given revision is older than the published one.
    #[error("revision {given} is older than the published revision {published}: publish a full copy instead")]
    RevisionBackwards {
        /// The revision that was given.
        given: i64,
        /// The revision that is published.
        published: i64,
    },
    /// The folder is no longer where it was (removed or replaced). Retire this publisher and open a new one.
    #[error("the mirror folder {path} was removed or replaced: open the publisher again", path = .path.display())]
    Removed {
        /// The mirror's folder.
        path: PathBuf,
    },
    /// The folder holds files that are not a mirror's; nothing in it was touched.
    #[error("{path} is not empty and not a mirror: give an empty folder", path = .path.display())]
    NotAMirror {
        /// The folder.
        path: PathBuf,
    },
    /// The folder belongs to another user, or is not a folder.
    #[error("{path} cannot be used as a mirror folder: {why}", path = .path.display())]
    Unusable {
        /// The path.
        path: PathBuf,
        /// Which rule it breaks.
        why: &'static str,
    },
    /// This process has no right to write there.
    #[error("no right to write {path}: check its owner and rights", path = .path.display())]
    Denied {
        /// The path.
        path: PathBuf,
    },
    /// The published copy could not be read back.
    #[error("the published generation cannot be read back: {0}")]
    ReadBack(#[from] ReadError),
    /// Any other failure of the operating system.
    #[error("cannot {operation} {path}: {source}", path = .path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// What was tried.
        operation: &'static str,
        /// What the system answered.
        source: io::Error,
    },
}

impl PublishError {
    pub(crate) fn io(path: &Path, operation: &'static str, source: io::Error) -> Self {
        let path = path.to_path_buf();
        match source.kind() {
            io::ErrorKind::PermissionDenied => PublishError::Denied { path },
            _ => PublishError::Io {
                path,
                operation,
                source,
            },
        }
    }
}

struct PidText(Option<u32>);

impl std::fmt::Display for PidText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(pid) => write!(f, "{pid}"),
            None => f.write_str("unknown"),
        }
    }
}

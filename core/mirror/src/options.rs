//! How and what to publish.

use std::path::PathBuf;

use crate::Entry;

/// Where a mirror lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A folder of its own under `root` (a tmpfs), found through the symbolic link `link`. The folder's name is random; a
    /// publisher goes on in the folder that the link leads to, and makes a new one only if there is none or it is not its own.
    /// If `link` is a real folder instead, that folder is used.
    Linked {
        /// The link, e.g. `<data_dir>/mirror`. Its folder must exist.
        link: PathBuf,
        /// Where folders are made, e.g. `/dev/shm`.
        root: PathBuf,
    },
    /// This folder; made if it is not there (its parent must be).
    Folder(PathBuf),
}

/// When a publish of changes writes a new base (all keys) instead of a delta (what changed since the base).
///
/// A delta holds *everything* that changed since its base, so writing the n-th delta costs what all n changes weigh; a base
/// costs the whole mirror, and each reader checks its tables once more. The defaults keep the total near its minimum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RewritePolicy {
    /// A mirror of up to this many bytes is always written whole: one file is quicker to read than two. Default 16 KiB, so that
    /// the file that a change makes has a copy where readers find it at once, of this mirror as of a larger one.
    pub small_bytes: u64,
    /// A delta may grow to the base's size divided by this. Default 8.
    pub max_delta_divisor: u64,
    /// All deltas written on one base may together weigh this many times the base. Default 4.
    pub max_written_factor: u64,
}

impl Default for RewritePolicy {
    fn default() -> Self {
        RewritePolicy {
            small_bytes: 16 * 1024,
            max_delta_divisor: 8,
            max_written_factor: 4,
        }
    }
}

/// How to publish. Start from [`PublisherOptions::linked`] or [`PublisherOptions::folder`].
#[derive(Clone, Debug)]
pub struct PublisherOptions {
    /// Where the mirror lives.
    pub place: Place,
    /// Mode of the files readers open. Default 0640: configuration holds secrets. Must not let group or others write.
    pub file_mode: u32,
    /// Mode of the folder. Default 0750. Must not let group or others write.
    pub folder_mode: u32,
    /// Group of the folder and its files, so that e.g. a web server may read them. Default: left to the system.
    pub gid: Option<u32>,
    /// When to write a base.
    pub rewrite: RewritePolicy,
    /// Largest file, in bytes. Default 1 GiB. While a base is replaced, the old and the new one exist together.
    pub max_bytes: u64,
}

impl PublisherOptions {
    /// A folder under `/dev/shm`, found through `link`.
    pub fn linked(link: impl Into<PathBuf>) -> Self {
        Self::at(Place::Linked {
            link: link.into(),
            root: PathBuf::from("/dev/shm"),
        })
    }

    /// An explicit folder.
    pub fn folder(dir: impl Into<PathBuf>) -> Self {
        Self::at(Place::Folder(dir.into()))
    }

    fn at(place: Place) -> Self {
        PublisherOptions {
            place,
            file_mode: 0o640,
            folder_mode: 0o750,
            gid: None,
            rewrite: RewritePolicy::default(),
            max_bytes: 1 << 30,
        }
    }
}

/// What a full copy is a copy of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Names the store whose revisions these are (the cluster id).
    pub source_id: u64,
    /// The revision the entries show.
    pub revision: i64,
    /// Whether the entries come from the last copy on disk, unconfirmed by a member.
    pub restored: bool,
}

/// One change since the published generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    /// The key now has this value.
    Put(Entry<'a>),
    /// The key is gone. Deleting a key that is not there is no error.
    Delete {
        /// The key.
        key: &'a [u8],
        /// The revision that deleted it.
        mod_revision: i64,
    },
}

/// What kind of file a publish wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// All keys.
    Base,
    /// What changed since a base.
    Delta,
}

/// What a publish did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// The new generation.
    pub generation: u64,
    /// What was written.
    pub kind: FileKind,
    /// Size of the file written.
    pub bytes_written: u64,
    /// A new base was due and did not fit into the file system; a delta was written instead. Worth a warning.
    pub rewrite_deferred: bool,
}

//! What can go wrong with a member: what happened, to what, and what to do next.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use thiserror::Error;

/// A setting that contradicts another or is out of range.
#[derive(Clone, Debug, Error)]
#[error("setting {setting} {reason}")]
pub struct ConfigError {
    /// Name(s) of the setting.
    pub setting: &'static str,
    /// Why it is refused.
    pub reason: String,
}

/// Damage found in a file, with the place and what was expected there.
#[derive(Clone, Debug, Error)]
#[error("{} is damaged at offset {offset}: {expected}", .file.display())]
pub struct Damage {
    /// The damaged file.
    pub file: PathBuf,
    /// Byte offset of the first bad structure.
    pub offset: u64,
    /// What was expected there and what was found instead.
    pub expected: String,
}

/// Why a member without data could not become one of its cluster.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum BootstrapError {
    /// The list of first members does not name this one.
    #[error(
        "member {name:?} is not in the initial cluster, which names {}: give it one of these names, or add it to the list \
         of every member",
        .listed.join(", ")
    )]
    NotListed {
        /// This member's name.
        name: String,
        /// The names in the list.
        listed: Vec<String>,
    },
    /// The list says other peer URLs of this member than its own setting.
    #[error(
        "the initial cluster says that member {name:?} has the peer URLs {}, but its own setting says {}: they must be the same",
        .listed.join(","), if .own.is_empty() { "none".to_owned() } else { .own.join(",") }
    )]
    PeerUrlsDiffer {
        /// This member's name.
        name: String,
        /// Peer URLs in the list.
        listed: Vec<String>,
        /// This member's `peer_urls`.
        own: Vec<String>,
    },
    /// Two members of the list have the same name.
    #[error("the initial cluster names member {name:?} more than once, with other URLs in between")]
    DuplicateName {
        /// The name.
        name: String,
    },
    /// Two members of the list have the same peer URL.
    #[error("the initial cluster gives peer URL {url} to more than one member")]
    DuplicateUrl {
        /// The URL.
        url: String,
    },
    /// A member of the list has no name or no peer URL.
    #[error("the initial cluster has no peer URL, or no name, for member {name:?}")]
    Incomplete {
        /// Its name.
        name: String,
    },
    /// The folder was set up for another cluster, or as another member, but holds no data yet.
    #[error(
        "the data folder was set up for member {folder_member:016x} of cluster {folder_cluster:016x}, but the settings make \
         this member {member_id:016x} of cluster {cluster_id:016x}. The folder holds no data yet: remove it, or put the \
         settings back"
    )]
    OtherFolder {
        /// Cluster id in the folder.
        folder_cluster: u64,
        /// Member id in the folder.
        folder_member: u64,
        /// Cluster id by the settings.
        cluster_id: u64,
        /// Member id by the settings.
        member_id: u64,
    },
    /// This member is part of a running cluster already, but its data folder is empty: it was lost.
    #[error(
        "member {member_id:016x} ({name:?}) has already been bootstrapped, but its data folder is empty. It must not come \
         back under its old id, since it could vote twice: remove it with `cfgctl member remove {member_id:016x}`, add it \
         again with `cfgctl member add`, and start it with the initial cluster state `existing` (see the deploy guide)"
    )]
    AlreadyBootstrapped {
        /// Its id.
        member_id: u64,
        /// Its name.
        name: String,
    },
    /// The cluster does not know a member with these peer URLs.
    #[error(
        "cluster {cluster_id:016x} has no member with the peer URLs {}: add it first, with `cfgctl member add {name} \
         --peer-urls={}`",
        .peer_urls.join(","), .peer_urls.join(",")
    )]
    NotAdded {
        /// The cluster that was asked.
        cluster_id: u64,
        /// This member's name.
        name: String,
        /// Its peer URLs.
        peer_urls: Vec<String>,
    },
    /// No member of the existing cluster answered.
    #[error(
        "no member of the existing cluster answered within {waited_ms} ms: {}. Start the others first, and check the initial \
         cluster and the network",
        .answers.join("; ")
    )]
    NoAnswer {
        /// How long was tried.
        waited_ms: u64,
        /// What became of asking each.
        answers: Vec<String>,
    },
}

/// Why [`Member::open`](crate::Member::open) refused to start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The settings contradict each other.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The member has no data, and could not become one of its cluster.
    #[error(transparent)]
    Bootstrap(#[from] BootstrapError),
    /// A file or folder could not be read, created or written.
    #[error("cannot {action} {}: {source}", .path.display())]
    Io {
        /// What was attempted.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// The folder that a state was to be restored to holds something.
    #[error("{} is not empty; restore to a folder that is, or does not exist", .0.display())]
    NotEmpty(PathBuf),
    /// The address for other members can't be listened on.
    #[error(
        "cannot listen for other members on {address}: {source}. Choose another address, or end who uses it"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// Another process, or another member in this one, uses the folder.
    #[error("{} is in use by another process; end that one first", .0.display())]
    InUse(PathBuf),
    /// The write-ahead log is damaged before its end, so acknowledged data is missing.
    #[error(
        "the write-ahead log is damaged before its end, so acknowledged writes may be missing: {0}. This member will not \
         start, since it could answer wrongly. Way out: restore the data folder from a backup; or, in a cluster, remove \
         this member and let it rejoin empty under a new id; the last resort is described in docs/wal-format.md"
    )]
    LogDamaged(Damage),
    /// The log was purged, and no valid checkpoint or snapshot covers what was purged.
    #[error(
        "the log starts after index {purged_index}, but no valid checkpoint or snapshot reaches that far ({found}). Way out: \
         restore the data folder from a backup; or, in a cluster, remove this member and let it rejoin empty under a new id"
    )]
    StateMissing {
        /// Last index purged from the log.
        purged_index: u64,
        /// What was found instead.
        found: String,
    },
    /// The checkpoint or snapshot is newer than the log: the log's end has been lost.
    #[error(
        "the checkpoint covers log index {applied_index}, but the log ends at {last_index}: log files are missing from the end. \
         Way out: put the missing files of the wal folder back, or restore the data folder from a backup"
    )]
    LogTooShort {
        /// Index the checkpoint or snapshot covers.
        applied_index: u64,
        /// Last index of the log.
        last_index: u64,
    },
    /// A file is not one of ours.
    #[error("{} is not a cfgstore {kind} file: it starts with other bytes. Move it away if it does not belong there", .file.display())]
    Foreign {
        /// The file.
        file: PathBuf,
        /// What it should have been.
        kind: &'static str,
    },
    /// A file was written by a newer version of cfgstore.
    #[error(
        "{} has {kind} format version {found}, this program reads up to {supported}: start the newer version of cfgstore that wrote it",
        .file.display()
    )]
    NewerFormat {
        /// The file.
        file: PathBuf,
        /// What kind of file it is.
        kind: &'static str,
        /// Version found.
        found: u32,
        /// Newest version this program reads.
        supported: u32,
    },
    /// A file belongs to another cluster or member.
    #[error(
        "{} belongs to another member (cluster {found_cluster:016x}, member {found_member:016x}; this folder is cluster \
         {cluster:016x}, member {member:016x}): files of different data folders have been mixed",
        .file.display()
    )]
    OtherMember {
        /// The file.
        file: PathBuf,
        /// Cluster id in the file.
        found_cluster: u64,
        /// Member id in the file.
        found_member: u64,
        /// Cluster id of the folder.
        cluster: u64,
        /// Member id of the folder.
        member: u64,
    },
    /// The identity file is damaged.
    #[error(
        "the member's identity is unreadable: {0}. Restore the file from a backup; without it the folder cannot be used safely"
    )]
    IdentityDamaged(Damage),
    /// `wal/` holds a log but the identity file is missing.
    #[error("{} is missing although the folder holds a log: restore it from a backup", .0.display())]
    IdentityMissing(PathBuf),
    /// Raft could not start on what was recovered.
    #[error("Raft could not start: {0}")]
    Raft(String),
    /// The member did not reach a serving state in time.
    #[error("the member did not become ready within {waited_ms} ms: {state}")]
    NotReady {
        /// How long was waited.
        waited_ms: u64,
        /// What it was doing.
        state: String,
    },
}

/// Why a proposal failed. [`ProposeError::maybe_committed`] says whether it may have been applied all the same.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProposeError {
    /// There is no leader, or another member is it; nothing was written.
    #[error("no leader: this member cannot take writes now, retry or ask another member")]
    NoLeader {
        /// The leader, if known.
        leader_id: Option<u64>,
    },
    /// The queue of waiting proposals is full; nothing was written.
    #[error("too many requests: the queue of waiting writes is full, retry later")]
    TooManyRequests,
    /// The command is larger than `max_request_bytes`; nothing was written.
    #[error("the request is {size_bytes} bytes when encoded, the limit is {limit_bytes}")]
    TooLarge {
        /// Encoded size.
        size_bytes: usize,
        /// The limit.
        limit_bytes: usize,
    },
    /// The disk is too full to prepare the next log segment; nothing was written, reads go on.
    #[error("no space: the disk is too full to grow the log; free space, writes resume by themselves")]
    NoSpace,
    /// The member is shutting down; nothing was written.
    #[error("the member is shutting down")]
    ShuttingDown,
    /// Leadership or the member was lost while the proposal was in flight; it may or may not be applied.
    #[error("the outcome of the write is unknown: {reason}")]
    Unavailable {
        /// What happened.
        reason: String,
    },
    /// No outcome within the time limit; it may or may not be applied.
    #[error("the write was not finished within {timeout_ms} ms; it may still be applied")]
    Timeout {
        /// The limit.
        timeout_ms: u64,
    },
}

impl ProposeError {
    /// True when the command may have been applied, or may still be, although this error was returned.
    pub fn maybe_committed(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Timeout { .. })
    }
}

/// Why a read barrier or a lease renewal failed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReadError {
    /// There is no leader, or another member is it.
    #[error("no leader: this member cannot confirm a linearizable read now, retry or ask another member")]
    NoLeader {
        /// The leader, if known.
        leader_id: Option<u64>,
    },
    /// Too many reads wait for confirmation.
    #[error("too many requests: the queue of waiting reads is full, retry later")]
    TooManyRequests,
    /// The member is shutting down.
    #[error("the member is shutting down")]
    ShuttingDown,
    /// Leadership could not be confirmed.
    #[error("the read could not be confirmed: {reason}")]
    Unavailable {
        /// What happened.
        reason: String,
    },
    /// Leadership was not confirmed within the time limit.
    #[error("the read was not confirmed within {timeout_ms} ms")]
    Timeout {
        /// The limit.
        timeout_ms: u64,
    },
}

/// Why [`Member::shutdown`](crate::Member::shutdown) could not end everything cleanly. The member has ended all the
/// same, and nothing acknowledged is lost: the next start replays the log.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum ShutdownError {
    /// The final checkpoint failed.
    #[error("the final checkpoint failed, the next start replays the log instead: {0}")]
    Checkpoint(String),
    /// A task or thread did not end as expected.
    #[error("{0}")]
    Task(String),
}

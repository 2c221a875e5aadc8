//! What a member says about itself.

/// A moment's view of a member, cheap to take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberStatus {
    /// Identity of the cluster, drawn when it was created; never 0.
    pub cluster_id: u64,
    /// Identity of this member, never reused; never 0.
    pub member_id: u64,
    /// The member's name.
    pub name: String,
    /// The leader this member knows of.
    pub leader_id: Option<u64>,
    /// True when this member is the leader.
    pub is_leader: bool,
    /// True when this member only learns and has no vote.
    pub is_learner: bool,
    /// Raft term.
    pub term: u64,
    /// Index of the last entry in the log, 0 when empty.
    pub last_log_index: u64,
    /// Index of the last entry known to be committed, 0 when none.
    pub committed_index: u64,
    /// Index of the last entry applied to the state, 0 when none.
    pub applied_index: u64,
    /// Index up to which the newest snapshot file reaches, 0 when none.
    pub snapshot_index: u64,
    /// Index up to which the log has been purged, 0 when none.
    pub purged_index: u64,
    /// Bytes on disk: log segments (preallocated ones included), checkpoint and snapshots.
    pub db_size_bytes: u64,
    /// Bytes of `db_size_bytes` that hold live data (keys and values kept).
    pub db_size_in_use_bytes: u64,
    /// Syncs of the log since the member was opened: each made one group of writes durable.
    pub log_syncs: u64,
    /// Bytes written to the log since the member was opened, padding included.
    pub log_bytes_written: u64,
    /// Writes are refused until space returns on the disk.
    pub no_space: bool,
}

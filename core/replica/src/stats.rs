//! Counters of one member since it was opened, for metrics.

/// A histogram as Prometheus has it. `counts` has one element more than `bounds_secs`: those above the last bound.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    /// Upper bounds, ascending, in seconds.
    pub bounds_secs: &'static [f64],
    /// Observations in each bucket, not cumulated.
    pub counts: Vec<u64>,
    /// Sum of all observations, in seconds.
    pub sum_secs: f64,
}

/// Counters of one member since it was opened.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MemberStats {
    /// Changes of the leader seen.
    pub leader_changes: u64,
    /// Commands handed to Raft and not answered yet.
    pub proposals_pending: u64,
    /// Commands whose outcome was an error of Raft, not of the state machine.
    pub proposals_failed: u64,
    /// Confirmations of leadership for reads that failed.
    pub read_indexes_failed: u64,
    /// Confirmations that took longer than a second.
    pub read_indexes_slow: u64,
    /// Entries whose application took longer than 100 ms.
    pub slow_applies: u64,
    /// Heartbeats that could not be sent.
    pub heartbeat_send_failures: u64,
    /// Learners promoted while this member led.
    pub learner_promotions: u64,
    /// Snapshots being installed now.
    pub snapshot_installs_in_progress: u64,
    /// Leases granted, revoked and renewed, as this member saw it.
    pub leases_granted: u64,
    /// See `leases_granted`.
    pub leases_revoked: u64,
    /// See `leases_granted`.
    pub leases_renewed: u64,
    /// fdatasync of the log.
    pub wal_fsync: Histogram,
    /// Writes of a checkpoint.
    pub backend_commit: Histogram,
    /// Writes of a snapshot file.
    pub snapshot_save: Histogram,
    /// Application of an entry.
    pub apply: Histogram,
    /// One element per other member.
    pub peers: Vec<PeerStats>,
}

/// Counters of the connection to one other member.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PeerStats {
    /// The other member.
    pub id: u64,
    /// Whether it answered lately.
    pub active: bool,
    /// From a heartbeat or an append to its answer.
    pub round_trip: Histogram,
    /// Bytes of messages sent and received.
    pub sent_bytes: u64,
    /// See `sent_bytes`.
    pub received_bytes: u64,
    /// Calls that failed.
    pub sent_failures: u64,
}

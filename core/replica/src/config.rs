//! Settings of one member, their defaults, limits and the contradictions that are refused.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::cluster::Bootstrap;
use crate::error::ConfigError;
use crate::fatal::FatalHook;

/// Settings of one [`Member`](crate::Member). Build it with [`MemberConfig::new`] and change what differs.
///
/// Every limit bounds something that would otherwise grow with load or with time.
#[derive(Clone, Debug)]
pub struct MemberConfig {
    /// Folder that holds `identity`, `wal/`, `checkpoint/` and `snapshot/`. Created when missing. One process
    /// at a time may use it; locking the folder is the caller's duty.
    pub data_dir: PathBuf,
    /// Human-readable name of this member, stored in the membership. At most 256 bytes.
    pub name: String,
    /// Addresses other members reach this one at; empty for a group of one.
    pub peer_urls: Vec<String>,
    /// Addresses clients reach this member at; may be empty.
    pub client_urls: Vec<String>,
    /// Where this member listens for the others; empty for a group of one that is never to grow.
    pub listen_peers: Vec<SocketAddr>,
    /// How a member without data comes by its cluster.
    pub bootstrap: Bootstrap,
    /// Most learners at once.
    pub max_learners: usize,
    /// Refuse changes of the membership that would put the majority at risk (etcd's `--strict-reconfig-check`).
    pub strict_reconfig_check: bool,

    /// Size of one log segment file, preallocated. Two exist at least: the one written and a spare.
    pub segment_size_bytes: u64,
    /// Largest encoded command accepted by [`Member::propose`](crate::Member::propose).
    pub max_request_bytes: usize,
    /// A Raft entry is closed once it holds this many commands.
    pub max_batch_commands: usize,
    /// A Raft entry is closed once its commands reach this size (one command may exceed it alone).
    pub max_batch_bytes: usize,
    /// Commands that may wait for a place in an entry; more are refused with `TooManyRequests`.
    pub max_queued_commands: usize,
    /// Bytes that may wait for a place in an entry; more are refused with `TooManyRequests`.
    pub max_queued_bytes: usize,
    /// How long a proposal waits for its outcome before it fails with `Timeout` (outcome unknown).
    pub propose_timeout_ms: u64,
    /// How long a read barrier waits before it fails with `Timeout`.
    pub read_timeout_ms: u64,
    /// Log entries kept in memory for lagging members, beyond those not yet applied. Older ones are read from disk.
    pub entry_cache_bytes: usize,

    /// A checkpoint (sled) is taken after this many log entries …
    pub checkpoint_log_entries: u64,
    /// … or after this many log bytes, whichever comes first.
    pub checkpoint_log_bytes: u64,
    /// A snapshot file is written, and older log purged, once the log grew by this many bytes since the last
    /// one, or by the size of the last snapshot, whichever is larger (so writing stays proportionate).
    pub snapshot_log_bytes: u64,
    /// The leader keeps log for followers that answer but lag, as far as it is not more than this; those that lag
    /// further are sent a snapshot. What lies after the older of the two snapshot files is kept in any case.
    pub max_log_bytes_for_followers: u64,

    /// Shortest time without a leader's heartbeat before an election starts.
    pub election_timeout_min_ms: u64,
    /// Longest such time; the actual one is drawn between the two.
    pub election_timeout_max_ms: u64,
    /// Interval of a leader's heartbeats.
    pub heartbeat_interval_ms: u64,

    /// What happens when the process must not go on; by default it is aborted. For tests.
    pub fatal: FatalHook,

    /// Addresses to use instead of peer URLs.
    #[cfg(test)]
    pub(crate) reach: std::collections::BTreeMap<String, String>,
    /// Told the addresses of `listen_peers` as soon as they are taken.
    #[cfg(test)]
    pub(crate) bound: Option<tokio::sync::mpsc::UnboundedSender<Vec<SocketAddr>>>,
}

impl MemberConfig {
    /// Defaults for a member whose files live in `data_dir`.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            name: "default".to_owned(),
            peer_urls: Vec::new(),
            client_urls: Vec::new(),
            listen_peers: Vec::new(),
            bootstrap: Bootstrap::Alone,
            max_learners: 1,
            strict_reconfig_check: true,
            segment_size_bytes: 16 << 20,
            max_request_bytes: 2 << 20,
            max_batch_commands: 1024,
            max_batch_bytes: 1 << 20,
            max_queued_commands: 16_384,
            max_queued_bytes: 64 << 20,
            propose_timeout_ms: 7_000,
            read_timeout_ms: 7_000,
            entry_cache_bytes: 8 << 20,
            checkpoint_log_entries: 20_000,
            checkpoint_log_bytes: 16 << 20,
            snapshot_log_bytes: 64 << 20,
            max_log_bytes_for_followers: 256 << 20,
            election_timeout_min_ms: 1_000,
            election_timeout_max_ms: 2_000,
            heartbeat_interval_ms: 200,
            fatal: FatalHook::default(),
            #[cfg(test)]
            reach: std::collections::BTreeMap::new(),
            #[cfg(test)]
            bound: None,
        }
    }

    /// Refuses settings that contradict each other, naming both.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let refuse = |setting: &'static str, reason: String| Err(ConfigError { setting, reason });
        if self.name.len() > 256 {
            return refuse(
                "name",
                format!("is {} bytes long, at most 256 are allowed", self.name.len()),
            );
        }
        if self.heartbeat_interval_ms == 0 {
            return refuse("heartbeat_interval_ms", "must be at least 1".into());
        }
        if self.election_timeout_min_ms < 5 * self.heartbeat_interval_ms {
            return refuse(
                "election_timeout_min_ms",
                format!(
                    "is {}, but must be at least 5 times heartbeat_interval_ms ({}), or a single late heartbeat would \
                     depose the leader",
                    self.election_timeout_min_ms, self.heartbeat_interval_ms
                ),
            );
        }
        if self.election_timeout_max_ms <= self.election_timeout_min_ms {
            return refuse(
                "election_timeout_max_ms",
                format!(
                    "is {}, but must be greater than election_timeout_min_ms ({}), or members would all campaign at once",
                    self.election_timeout_max_ms, self.election_timeout_min_ms
                ),
            );
        }
        if self.max_request_bytes == 0 || self.max_batch_commands == 0 || self.max_batch_bytes == 0 {
            return refuse(
                "max_request_bytes, max_batch_commands, max_batch_bytes",
                "must be at least 1".into(),
            );
        }
        if self.max_request_bytes > (1 << 30) || self.segment_size_bytes > (1 << 31) {
            return refuse(
                "max_request_bytes, segment_size_bytes",
                "must be at most 1 GiB and 2 GiB".into(),
            );
        }
        let least_segment = 4 * (self.max_request_bytes + self.max_batch_bytes) as u64 + (64 << 10);
        if self.segment_size_bytes < least_segment {
            return refuse(
                "segment_size_bytes",
                format!(
                    "is {}, but must be at least {least_segment}: four times max_request_bytes + max_batch_bytes, so that \
                     what is in flight always fits",
                    self.segment_size_bytes
                ),
            );
        }
        if self.max_queued_bytes < self.max_request_bytes || self.max_queued_commands == 0 {
            return refuse(
                "max_queued_bytes",
                format!(
                    "is {}, but must hold at least one request of max_request_bytes",
                    self.max_queued_bytes
                ),
            );
        }
        if self.checkpoint_log_entries == 0 || self.checkpoint_log_bytes == 0 || self.snapshot_log_bytes == 0
        {
            return refuse(
                "checkpoint_log_entries, checkpoint_log_bytes, snapshot_log_bytes",
                "must be at least 1".into(),
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_consistent() {
        MemberConfig::new("x").validate().unwrap();
    }

    #[test]
    fn contradictions_name_the_setting() {
        let check = |change: fn(&mut MemberConfig), setting: &str| {
            let mut config = MemberConfig::new("x");
            change(&mut config);
            let error = config.validate().unwrap_err();
            assert!(error.setting.contains(setting), "{error}");
        };
        check(|c| c.heartbeat_interval_ms = 500, "election_timeout_min_ms");
        check(|c| c.heartbeat_interval_ms = 0, "heartbeat_interval_ms");
        check(|c| c.election_timeout_max_ms = 1_000, "election_timeout_max_ms");
        check(|c| c.segment_size_bytes = 1 << 20, "segment_size_bytes");
        check(|c| c.max_queued_bytes = 10, "max_queued_bytes");
        check(|c| c.name = "n".repeat(257), "name");
        check(|c| c.snapshot_log_bytes = 0, "snapshot_log_bytes");
    }
}

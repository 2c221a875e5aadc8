//! Counters of one member since it was opened, for metrics.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

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
    /// Snapshots of a leader that took the place of this member's state.
    pub snapshots_installed: u64,
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
    /// Snapshots sent to it.
    pub snapshots_sent: TransferStats,
    /// Snapshots received from it.
    pub snapshots_received: TransferStats,
}

/// Counters of the snapshots that went one way between two members.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TransferStats {
    /// Transfers that ended well: the receiver has installed the snapshot, or found that it does not need it.
    pub succeeded: u64,
    /// Transfers that failed, or were given up. Each is tried again.
    pub failed: u64,
    /// Transfers under way.
    pub in_progress: u64,
    /// How long those took that ended well.
    pub took: Histogram,
}

/// `first`, and each bound twice the one before: the buckets etcd's histograms have.
const fn doubling<const N: usize>(first: f64) -> [f64; N] {
    let mut bounds = [first; N];
    let mut bucket = 1;
    while bucket < N {
        bounds[bucket] = bounds[bucket - 1] * 2.0;
        bucket += 1;
    }
    bounds
}

/// Buckets for what a disk does: 1 ms to 8.192 s.
pub(crate) static DISK_BOUNDS: [f64; 14] = doubling(0.001);
/// Buckets for an answer over the network: 0.1 ms to 3.2768 s.
pub(crate) static ROUND_TRIP_BOUNDS: [f64; 16] = doubling(0.0001);
/// Buckets for applying an entry: 0.1 ms to 52.4288 s.
pub(crate) static APPLY_BOUNDS: [f64; 20] = doubling(0.0001);

/// Buckets for sending a snapshot: 0.1 s to 51.2 s.
pub(crate) static TRANSFER_BOUNDS: [f64; 10] = doubling(0.1);

/// Records a histogram from any thread.
#[derive(Debug)]
pub(crate) struct Recorder {
    bounds: &'static [f64],
    counts: Box<[AtomicU64]>,
    sum_nanos: AtomicU64,
}

impl Recorder {
    /// An empty one; `bounds` in seconds, ascending.
    pub(crate) fn new(bounds: &'static [f64]) -> Self {
        Self {
            bounds,
            counts: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(),
            sum_nanos: AtomicU64::new(0),
        }
    }

    /// Counts one observation.
    pub(crate) fn record(&self, took: Duration) {
        let secs = took.as_secs_f64();
        let bucket = self.bounds.partition_point(|bound| *bound < secs);
        self.counts[bucket].fetch_add(1, Relaxed);
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.sum_nanos.fetch_add(nanos, Relaxed);
    }

    /// What was recorded so far.
    pub(crate) fn read(&self) -> Histogram {
        Histogram {
            bounds_secs: self.bounds,
            counts: self.counts.iter().map(|count| count.load(Relaxed)).collect(),
            sum_secs: Duration::from_nanos(self.sum_nanos.load(Relaxed)).as_secs_f64(),
        }
    }
}

/// What is counted about the connection to one other member.
#[derive(Debug)]
pub(crate) struct PeerCounters {
    /// It answered the last call.
    pub(crate) active: AtomicBool,
    pub(crate) round_trip: Recorder,
    pub(crate) sent_bytes: AtomicU64,
    pub(crate) received_bytes: AtomicU64,
    pub(crate) sent_failures: AtomicU64,
    pub(crate) snapshots_sent: TransferCounters,
    pub(crate) snapshots_received: TransferCounters,
}

/// What is counted about snapshots that go one way between two members.
#[derive(Debug)]
pub(crate) struct TransferCounters {
    failed: AtomicU64,
    in_progress: AtomicU64,
    took: Recorder,
}

impl Default for TransferCounters {
    fn default() -> Self {
        Self {
            failed: AtomicU64::new(0),
            in_progress: AtomicU64::new(0),
            took: Recorder::new(&TRANSFER_BOUNDS),
        }
    }
}

impl TransferCounters {
    /// Counts a transfer that begins.
    pub(crate) fn begin(&self) -> Transfer<'_> {
        Transfer {
            counters: self,
            _in_progress: InProgress::new(&self.in_progress),
            begun: Instant::now(),
            succeeded: false,
        }
    }

    fn read(&self) -> TransferStats {
        let took = self.took.read();
        TransferStats {
            succeeded: took.counts.iter().sum(),
            failed: self.failed.load(Relaxed),
            in_progress: self.in_progress.load(Relaxed),
            took,
        }
    }
}

/// A transfer under way. It has failed when it is dropped without having been told that it succeeded.
pub(crate) struct Transfer<'a> {
    counters: &'a TransferCounters,
    _in_progress: InProgress<'a>,
    begun: Instant,
    succeeded: bool,
}

impl Transfer<'_> {
    pub(crate) fn succeeded(mut self) {
        self.succeeded = true;
    }
}

impl Drop for Transfer<'_> {
    fn drop(&mut self) {
        if self.succeeded {
            self.counters.took.record(self.begun.elapsed());
        } else {
            self.counters.failed.fetch_add(1, Relaxed);
        }
    }
}

impl Default for PeerCounters {
    fn default() -> Self {
        Self {
            active: AtomicBool::new(false),
            round_trip: Recorder::new(&ROUND_TRIP_BOUNDS),
            sent_bytes: AtomicU64::new(0),
            received_bytes: AtomicU64::new(0),
            sent_failures: AtomicU64::new(0),
            snapshots_sent: TransferCounters::default(),
            snapshots_received: TransferCounters::default(),
        }
    }
}

impl PeerCounters {
    /// Counts a call that was answered.
    pub(crate) fn answered(&self, took: Duration, sent_bytes: usize, received_bytes: usize) {
        self.active.store(true, Relaxed);
        self.round_trip.record(took);
        self.sent_bytes.fetch_add(sent_bytes as u64, Relaxed);
        self.received_bytes.fetch_add(received_bytes as u64, Relaxed);
    }

    /// Counts a call that failed.
    pub(crate) fn failed(&self) {
        self.active.store(false, Relaxed);
        self.sent_failures.fetch_add(1, Relaxed);
    }

    fn read(&self, id: u64) -> PeerStats {
        PeerStats {
            id,
            active: self.active.load(Relaxed),
            round_trip: self.round_trip.read(),
            sent_bytes: self.sent_bytes.load(Relaxed),
            received_bytes: self.received_bytes.load(Relaxed),
            sent_failures: self.sent_failures.load(Relaxed),
            snapshots_sent: self.snapshots_sent.read(),
            snapshots_received: self.snapshots_received.read(),
        }
    }
}

/// What a member counts, each where it happens.
#[derive(Debug)]
pub(crate) struct Counters {
    pub(crate) leader_changes: AtomicU64,
    pub(crate) proposals_pending: AtomicU64,
    pub(crate) proposals_failed: AtomicU64,
    pub(crate) read_indexes_failed: AtomicU64,
    pub(crate) read_indexes_slow: AtomicU64,
    pub(crate) slow_applies: AtomicU64,
    pub(crate) heartbeat_send_failures: AtomicU64,
    pub(crate) learner_promotions: AtomicU64,
    pub(crate) snapshot_installs_in_progress: AtomicU64,
    pub(crate) snapshots_installed: AtomicU64,
    pub(crate) leases_granted: AtomicU64,
    pub(crate) leases_revoked: AtomicU64,
    pub(crate) leases_renewed: AtomicU64,
    pub(crate) wal_fsync: Recorder,
    pub(crate) backend_commit: Recorder,
    pub(crate) snapshot_save: Recorder,
    pub(crate) apply: Recorder,
    peers: Mutex<BTreeMap<u64, Arc<PeerCounters>>>,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            leader_changes: AtomicU64::new(0),
            proposals_pending: AtomicU64::new(0),
            proposals_failed: AtomicU64::new(0),
            read_indexes_failed: AtomicU64::new(0),
            read_indexes_slow: AtomicU64::new(0),
            slow_applies: AtomicU64::new(0),
            heartbeat_send_failures: AtomicU64::new(0),
            learner_promotions: AtomicU64::new(0),
            snapshot_installs_in_progress: AtomicU64::new(0),
            snapshots_installed: AtomicU64::new(0),
            leases_granted: AtomicU64::new(0),
            leases_revoked: AtomicU64::new(0),
            leases_renewed: AtomicU64::new(0),
            wal_fsync: Recorder::new(&DISK_BOUNDS),
            backend_commit: Recorder::new(&DISK_BOUNDS),
            snapshot_save: Recorder::new(&DISK_BOUNDS),
            apply: Recorder::new(&APPLY_BOUNDS),
            peers: Mutex::default(),
        }
    }
}

/// Counts one for as long as it lives: for gauges of what is under way.
#[derive(Debug)]
pub(crate) struct InProgress<'a>(&'a AtomicU64);

impl<'a> InProgress<'a> {
    pub(crate) fn new(gauge: &'a AtomicU64) -> Self {
        gauge.fetch_add(1, Relaxed);
        Self(gauge)
    }
}

impl Drop for InProgress<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// Entries whose application takes longer than this are counted as slow.
const SLOW_APPLY: Duration = Duration::from_millis(100);

impl Counters {
    /// The counters of the connection to another member, made at the first call.
    pub(crate) fn peer(&self, id: u64) -> Arc<PeerCounters> {
        self.lock().entry(id).or_default().clone()
    }

    /// Forgets the connections to all but these members, so that those removed don't pile up.
    pub(crate) fn keep_peers(&self, kept: impl Fn(u64) -> bool) {
        self.lock().retain(|id, _| kept(*id));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, Arc<PeerCounters>>> {
        // Nothing panics halfway through a change of it.
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts an entry that was applied.
    pub(crate) fn applied(&self, took: Duration) {
        self.apply.record(took);
        if took > SLOW_APPLY {
            self.slow_applies.fetch_add(1, Relaxed);
        }
    }

    /// Everything counted so far.
    pub(crate) fn read(&self) -> MemberStats {
        let get = |counter: &AtomicU64| counter.load(Relaxed);
        MemberStats {
            leader_changes: get(&self.leader_changes),
            proposals_pending: get(&self.proposals_pending),
            proposals_failed: get(&self.proposals_failed),
            read_indexes_failed: get(&self.read_indexes_failed),
            read_indexes_slow: get(&self.read_indexes_slow),
            slow_applies: get(&self.slow_applies),
            heartbeat_send_failures: get(&self.heartbeat_send_failures),
            learner_promotions: get(&self.learner_promotions),
            snapshot_installs_in_progress: get(&self.snapshot_installs_in_progress),
            snapshots_installed: get(&self.snapshots_installed),
            leases_granted: get(&self.leases_granted),
            leases_revoked: get(&self.leases_revoked),
            leases_renewed: get(&self.leases_renewed),
            wal_fsync: self.wal_fsync.read(),
            backend_commit: self.backend_commit.read(),
            snapshot_save: self.snapshot_save.read(),
            apply: self.apply.read(),
            peers: self.lock().iter().map(|(id, peer)| peer.read(*id)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_observation_falls_into_the_bucket_whose_bound_it_does_not_exceed() {
        let recorder = Recorder::new(&DISK_BOUNDS);
        for (millis, bucket) in [(0, 0), (1, 0), (2, 1), (3, 2), (8192, 13), (8193, 14)] {
            let before = recorder.read().counts[bucket];
            recorder.record(Duration::from_millis(millis));
            assert_eq!(recorder.read().counts[bucket], before + 1, "{millis} ms");
        }
        let histogram = recorder.read();
        assert_eq!(histogram.counts.len(), histogram.bounds_secs.len() + 1);
        assert!(
            (histogram.sum_secs - 16.391).abs() < 1e-9,
            "{}",
            histogram.sum_secs
        );
    }

    #[test]
    fn what_is_under_way_is_counted_until_it_ends() {
        let counters = Counters::default();
        let one = InProgress::new(&counters.snapshot_installs_in_progress);
        assert_eq!(counters.read().snapshot_installs_in_progress, 1);
        drop(one);
        assert_eq!(counters.read().snapshot_installs_in_progress, 0);
    }

    #[test]
    fn a_transfer_that_is_given_up_has_failed() {
        let counters = TransferCounters::default();
        let transfer = counters.begin();
        assert_eq!(counters.read().in_progress, 1);
        transfer.succeeded();
        drop(counters.begin());
        let stats = counters.read();
        assert_eq!((stats.succeeded, stats.failed, stats.in_progress), (1, 1, 0));
    }

    #[test]
    fn peers_are_kept_apart_and_forgotten_when_removed() {
        let counters = Counters::default();
        counters.peer(1).sent_bytes.fetch_add(5, Relaxed);
        counters.peer(2).active.store(true, Relaxed);
        let stats = counters.read();
        assert_eq!(stats.peers.len(), 2);
        assert_eq!((stats.peers[0].sent_bytes, stats.peers[1].sent_bytes), (5, 0));
        counters.keep_peers(|id| id == 2);
        assert_eq!(counters.read().peers.len(), 1);
    }
}

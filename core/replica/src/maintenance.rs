//! Checkpoints, snapshots and the purge of the log: decided by a task, done by a thread of its own.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use openraft::Instant as _;
use openraft::async_runtime::watch::WatchReceiver;
use tokio::sync::oneshot;

use crate::MemberConfig;
use crate::checkpoint::{self, Checkpoint};
use crate::position::Position;
use crate::progress::{self, Progress};
use crate::raft::log_store::LogStore;
use crate::raft::state_machine::Published;
use crate::raft::types::Raft;
use crate::restart::{Attached, Start};
use crate::snapshot::{KEPT, SnapshotDir, SnapshotInfo};
use crate::stats::Counters;

enum Job {
    Work {
        position: Position,
        snapshot: bool,
        done: oneshot::Sender<Done>,
    },
    Close {
        position: Position,
        done: mpsc::Sender<Result<(), String>>,
    },
}

/// What a piece of work came to.
struct Done {
    snapshot: Option<SnapshotInfo>,
}

struct Shared {
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    data_dir: PathBuf,
    segment_size_bytes: u64,
    checkpoint_bytes: AtomicU64,
    snapshots: SnapshotDir,
    published: Published,
    log: LogStore,
    counters: Arc<Counters>,
    checkpoint_log_entries: u64,
    checkpoint_log_bytes: u64,
    snapshot_log_bytes: u64,
    max_log_bytes_for_followers: u64,
    /// A follower that has not answered for this long is not waited for.
    follower_silence: Duration,
    /// Bytes of log entries since the newest snapshot when the member started.
    log_bytes_at_start: u64,
}

/// Handle of the thread. Clones share it.
#[derive(Clone)]
pub(crate) struct Maintenance(Arc<Shared>);

impl Maintenance {
    pub(crate) fn start(
        config: &MemberConfig,
        start: Start,
        snapshots: SnapshotDir,
        published: Published,
        log: LogStore,
        counters: Arc<Counters>,
    ) -> io::Result<Maintenance> {
        let (sender, receiver) = mpsc::channel();
        let after_snapshot = snapshots.newest().map_or(0, |info| info.log_id.index + 1);
        let log_bytes_at_start = log.writer().index().lock().bytes_from(after_snapshot);
        let shared = Arc::new(Shared {
            jobs: Mutex::new(Some(sender)),
            thread: Mutex::new(None),
            data_dir: config.data_dir.clone(),
            segment_size_bytes: config.segment_size_bytes,
            checkpoint_bytes: AtomicU64::new(0),
            snapshots,
            published,
            log,
            counters,
            checkpoint_log_entries: config.checkpoint_log_entries,
            checkpoint_log_bytes: config.checkpoint_log_bytes,
            snapshot_log_bytes: config.snapshot_log_bytes,
            max_log_bytes_for_followers: config.max_log_bytes_for_followers,
            follower_silence: Duration::from_millis(10 * config.election_timeout_max_ms),
            log_bytes_at_start,
        });
        let worker = Worker {
            shared: shared.clone(),
            start,
        };
        let thread = std::thread::Builder::new()
            .name("cfgstore-checkpoint".into())
            .spawn(move || worker.run(&receiver))?;
        *shared.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok(Maintenance(shared))
    }

    /// Bytes that log, checkpoint and snapshots take on disk.
    pub(crate) fn disk_bytes(&self) -> u64 {
        // One more is prepared to become the next segment.
        let segments = self.0.log.writer().index().lock().file_count() as u64 + 1;
        let log = segments * self.0.segment_size_bytes;
        let snapshots: u64 = self
            .0
            .snapshots
            .list()
            .iter()
            .map(|info| info.file.size_bytes)
            .sum();
        log + snapshots + self.0.checkpoint_bytes.load(Relaxed)
    }

    /// The snapshots there are, oldest first.
    #[cfg(test)]
    pub(crate) fn snapshots(&self) -> Vec<SnapshotInfo> {
        self.0.snapshots.list()
    }

    /// Decides when something is due, for as long as the member lives. Runs as a task.
    pub(crate) async fn run(self, raft: Raft) {
        let shared = &self.0;
        let mut applied = shared.published.applied_index();
        let mut checkpoint_index = *applied.borrow();
        let mut checkpoint_bytes = 0;
        let mut snapshot_bytes_base: Option<u64> = None;
        self.purge(&raft).await;
        while applied.changed().await.is_ok() {
            let index = *applied.borrow_and_update();
            let appended = shared.log.appended_bytes();
            let since_snapshot = match snapshot_bytes_base {
                Some(base) => appended - base,
                None => appended + shared.log_bytes_at_start,
            };
            let last_size = shared.snapshots.newest().map_or(0, |info| info.file.size_bytes);
            let snapshot = since_snapshot >= shared.snapshot_log_bytes.max(last_size);
            let checkpoint = index.saturating_sub(checkpoint_index) >= shared.checkpoint_log_entries
                || appended - checkpoint_bytes >= shared.checkpoint_log_bytes;
            if !snapshot && !checkpoint {
                continue;
            }
            checkpoint_index = index;
            checkpoint_bytes = appended;
            let position = shared.published.position();
            let (done, finished) = oneshot::channel();
            self.send(Job::Work {
                position,
                snapshot,
                done,
            });
            let Ok(Done { snapshot: written }) = finished.await else {
                return;
            };
            if snapshot {
                // Also after a failure: a full disk is tried again after as much log once more, not at every entry.
                snapshot_bytes_base = Some(appended);
            }
            if written.is_some() && raft.trigger().snapshot().await.is_err() {
                return;
            }
            self.purge(&raft).await;
        }
    }

    /// Purges the log up to the oldest snapshot kept, so that a damaged newest one is no loss, and not past what a member
    /// that lags a little still needs: it would have to be sent a whole snapshot.
    async fn purge(&self, raft: &Raft) {
        let snapshots = self.0.snapshots.list();
        let Some(oldest) = snapshots.first().filter(|_| snapshots.len() >= KEPT) else {
            return;
        };
        let needed = needed_by_followers(raft, self.0.follower_silence);
        let upto = {
            let index = self.0.log.writer().index().lock();
            let bytes = |from| index.bytes_from(from);
            purge_upto(
                oldest.log_id.index,
                needed,
                bytes,
                self.0.max_log_bytes_for_followers,
            )
        };
        if let Some(upto) = upto
            && let Err(error) = raft.trigger().purge_log(upto).await
        {
            tracing::debug!(%error, "Raft ended before the log could be purged");
        }
    }

    fn send(&self, job: Job) {
        if let Some(jobs) = &*self.0.jobs.lock().unwrap_or_else(PoisonError::into_inner) {
            // The thread only ends when told to, or by a panic that has been reported already.
            let _ = jobs.send(job);
        }
    }

    /// Takes a last checkpoint and ends the thread. Blocks.
    pub(crate) fn close(&self, position: Position) -> Result<(), String> {
        let (done, finished) = mpsc::channel();
        self.send(Job::Close { position, done });
        self.0.jobs.lock().unwrap_or_else(PoisonError::into_inner).take();
        let result = finished
            .recv()
            .unwrap_or_else(|_| Err("the checkpoint thread is gone".to_owned()));
        let thread = self
            .0
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            return Err("the checkpoint thread panicked".to_owned());
        }
        result
    }
}

/// First entry that a follower still needs, of those that have answered lately. `None` when there is none, or when this
/// member does not lead.
fn needed_by_followers(raft: &Raft, silence: Duration) -> Option<u64> {
    let receiver = raft.metrics();
    let metrics = receiver.borrow_watched();
    let heard = metrics.heartbeat.as_ref()?;
    let is_live = |id: &u64| {
        let answered = heard.get(id).and_then(Option::as_ref);
        answered.is_some_and(|at| at.elapsed() < silence)
    };
    metrics
        .replication
        .as_ref()?
        .iter()
        .filter(|(id, _)| **id != metrics.id && is_live(id))
        .map(|(_, matched)| matched.as_ref().map_or(0, |log_id| log_id.index + 1))
        .min()
}

/// Up to which entry the log may be purged: `oldest_snapshot`, unless a follower needs entries before that which are not
/// more than `limit_bytes`.
fn purge_upto(
    oldest_snapshot: u64,
    needed: Option<u64>,
    bytes_from: impl Fn(u64) -> u64,
    limit_bytes: u64,
) -> Option<u64> {
    match needed {
        Some(needed) if needed <= oldest_snapshot && bytes_from(needed) <= limit_bytes => {
            needed.checked_sub(1)
        }
        _ => Some(oldest_snapshot),
    }
}

/// The thread's side.
struct Worker {
    shared: Arc<Shared>,
    start: Start,
}

impl Worker {
    fn run(mut self, jobs: &mpsc::Receiver<Job>) {
        self.measure();
        while let Ok(job) = jobs.recv() {
            match job {
                Job::Work {
                    position,
                    snapshot,
                    done,
                } => {
                    // A failure is logged where it happens; the log has everything, and the next attempt comes.
                    let _ = self.checkpoint(&position);
                    self.note_progress(&position);
                    let snapshot = if snapshot { self.snapshot(&position) } else { None };
                    self.measure();
                    let _ = done.send(Done { snapshot });
                }
                Job::Close { position, done } => {
                    // One that no start needed so far is not worth the time it takes to open.
                    let result = match self.start.checkpoint {
                        Attached::Later => Ok(()),
                        _ => self.checkpoint(&position),
                    };
                    self.note_progress(&position);
                    if let Attached::Open(checkpoint) = std::mem::take(&mut self.start.checkpoint) {
                        checkpoint.close();
                    }
                    let _ = done.send(result);
                    return;
                }
            }
        }
    }

    fn checkpoint(&mut self, position: &Position) -> Result<(), String> {
        let dir = self.start.dir.clone();
        let mut attempt = || {
            let mut checkpoint = match std::mem::take(&mut self.start.checkpoint) {
                Attached::Open(checkpoint) => *checkpoint,
                Attached::Later => {
                    match Checkpoint::attach(&self.start.dir, self.start.owner, &position.state)? {
                        Some(checkpoint) => checkpoint,
                        None => Checkpoint::create(&self.start.dir, self.start.owner)?,
                    }
                }
                Attached::None => Checkpoint::create(&self.start.dir, self.start.owner)?,
            };
            // A member that restarted with less than it had applied before reaches that again first.
            if checkpoint.log_id().map(|log_id| log_id.index) <= position.log_id.map(|log_id| log_id.index) {
                let started = Instant::now();
                checkpoint.update(position)?;
                self.shared.counters.backend_commit.record(started.elapsed());
                self.start.progress.checkpoint = checkpoint.log_id();
                self.start.progress.checkpoint_bytes = checkpoint.held_bytes();
            }
            self.start.checkpoint = Attached::Open(Box::new(checkpoint));
            Ok::<(), checkpoint::CheckpointError>(())
        };
        attempt().map_err(|error| {
            // It was dropped on the way, and the next attempt builds it anew.
            tracing::error!(%error, "taking a checkpoint failed; it is built anew next time");
            self.start.progress.checkpoint = None;
            if error.is_out_of_space()
                && let Err(error) = checkpoint::remove(&dir)
            {
                tracing::warn!(%error, "the checkpoint's space could not be given back");
            }
            error.to_string()
        })
    }

    /// Tells the next start how far this member has got.
    fn note_progress(&mut self, position: &Position) {
        let progress = Progress {
            applied: position.log_id,
            ..self.start.progress
        };
        let disk = self.shared.snapshots.disk();
        match progress::write(disk, &self.shared.data_dir, &progress) {
            Ok(()) => self.start.progress = progress,
            Err(error) => tracing::warn!(%error, "the next start will not know how far this member had got"),
        }
    }

    fn snapshot(&self, position: &Position) -> Option<SnapshotInfo> {
        let started = Instant::now();
        match self.shared.snapshots.write(position) {
            Ok(info) => {
                self.shared.counters.snapshot_save.record(started.elapsed());
                info
            }
            Err(error) => {
                tracing::error!(%error, "writing a snapshot failed; the log is kept until one succeeds");
                None
            }
        }
    }

    fn measure(&self) {
        let bytes = checkpoint::folder_bytes(&self.shared.data_dir.join("checkpoint"));
        self.shared.checkpoint_bytes.store(bytes, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_kept_for_a_follower_that_lags_a_little() {
        // Each entry has 10 bytes; the log ends with entry 200.
        let bytes_from = |from: u64| (201 - from) * 10;
        let upto = |needed, limit| purge_upto(100, needed, bytes_from, limit);
        assert_eq!(upto(None, 0), Some(100), "no follower");
        assert_eq!(upto(Some(150), 0), Some(100), "it needs less than is kept anyway");
        assert_eq!(upto(Some(60), 2_000), Some(59));
        assert_eq!(upto(Some(60), 1_400), Some(100), "it lags too much");
        assert_eq!(upto(Some(0), 10_000), None, "all of it is needed");
    }
}

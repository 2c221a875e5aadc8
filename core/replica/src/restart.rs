//! What a start begins with: the checkpoint, or the newest snapshot and the log after it, whichever is cheaper.

use std::path::PathBuf;
use std::sync::Arc;

use cfgstore_store::Store;

use crate::MemberConfig;
use crate::checkpoint::{self, Checkpoint};
use crate::error::OpenError;
use crate::position::Position;
use crate::progress::{self, Progress};
use crate::raft::types::StoredMembership;
use crate::snapshot::{self, SnapshotDir, SnapshotInfo};
use crate::wal::format::{BaseState, LogId};
use crate::wal::index::next_index;
use crate::wal::log::{Log, Owner};

/// What is known of the checkpoint on disk.
#[derive(Default)]
pub(crate) enum Attached {
    /// There is none that can be used.
    #[default]
    None,
    /// There is one, which the start did not need. It is opened when it is brought up to date.
    Later,
    Open(Box<Checkpoint>),
}

/// What a start found, for the maintenance thread to go on with.
pub(crate) struct Start {
    pub(crate) checkpoint: Attached,
    pub(crate) dir: PathBuf,
    pub(crate) owner: Owner,
    pub(crate) progress: Progress,
}

/// Nanoseconds that reading a byte of a snapshot, and building the state from it, takes. These are measurements
/// (`cargo bench -p cfgstore-replica --bench restart`) that only have to be right in relation to each other.
const SNAPSHOT_BYTE: u64 = 1;
/// The same for a byte of the log, and what each of its entries takes besides.
const LOG_BYTE: u64 = 2;
const LOG_ENTRY: u64 = 3_000;
/// The same for a byte of the checkpoint, and what opening it takes before that.
const CHECKPOINT_BYTE: u64 = 7;
const CHECKPOINT_OPEN: u64 = 3_000_000;

/// A place that a start can begin from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct From {
    bytes: u64,
    /// What of the log has to be applied after it.
    log_entries: u64,
    log_bytes: u64,
}

impl From {
    fn log_nanos(self) -> u64 {
        (self.log_bytes * LOG_BYTE).saturating_add(self.log_entries * LOG_ENTRY)
    }
}

/// Whether beginning with the snapshot (or with nothing, and the whole log) takes less time than with the checkpoint.
fn is_snapshot_cheaper(snapshot: From, checkpoint: From) -> bool {
    let by_snapshot = (snapshot.bytes * SNAPSHOT_BYTE).saturating_add(snapshot.log_nanos());
    let by_checkpoint = (checkpoint.bytes * CHECKPOINT_BYTE)
        .saturating_add(CHECKPOINT_OPEN)
        .saturating_add(checkpoint.log_nanos());
    by_snapshot < by_checkpoint
}

/// Finds a valid state on disk that the log can continue: the newest snapshot, the checkpoint, an older snapshot, or the
/// empty state when the log goes back to its beginning.
pub(crate) fn load(
    config: &MemberConfig,
    owner: Owner,
    snapshots: &SnapshotDir,
    log: &Log,
) -> Result<(Store, Position, Start), OpenError> {
    let progress = progress::read(snapshots.disk(), &config.data_dir, owner);
    let start = Start {
        checkpoint: Attached::None,
        dir: config.data_dir.join("checkpoint"),
        owner,
        progress: progress.unwrap_or(Progress {
            owner,
            applied: None,
            checkpoint: None,
            checkpoint_bytes: 0,
        }),
    };
    let mut finding = Finding {
        snapshots,
        purged: log.state.purged,
        start,
        found: Vec::new(),
        newer_checkpoint: None,
    };
    if finding.prefers_snapshot(log)
        && let Some((store, position)) = finding.newest_snapshot()
    {
        finding.start.checkpoint = Attached::Later;
        return Ok((store, position, finding.start));
    }
    let newest_snapshot = snapshots.newest().map_or(0, |info| info.log_id.index + 1);
    if let Some((store, position)) = finding.checkpoint(newest_snapshot) {
        return Ok((store, position, finding.start));
    }
    match finding.any_snapshot(log.state)? {
        Some((store, position)) => Ok((store, position, finding.start)),
        None => {
            let (store, position) = empty();
            Ok((store, position, finding.start))
        }
    }
}

fn empty() -> (Store, Position) {
    let store = Store::new();
    let position = position(&store, None, StoredMembership::default());
    (store, position)
}

struct Finding<'a> {
    snapshots: &'a SnapshotDir,
    purged: Option<LogId>,
    start: Start,
    /// What was found and could not be used.
    found: Vec<String>,
    /// The format of a checkpoint that only a newer version can read.
    newer_checkpoint: Option<u32>,
}

impl Finding<'_> {
    /// Whether the log continues a state that ends before this index.
    fn covers(&self, index_after: u64) -> bool {
        index_after >= next_index(self.purged)
    }

    /// Without knowing what the checkpoint holds, it is tried first.
    fn prefers_snapshot(&self, log: &Log) -> bool {
        let Some(checkpoint) = self.start.progress.checkpoint else {
            return false;
        };
        let index = log.index.lock();
        let from = |bytes, index_after: u64| From {
            bytes,
            log_entries: next_index(log.state.last).saturating_sub(index_after),
            log_bytes: index.bytes_from(index_after),
        };
        let snapshot = match self.snapshots.newest() {
            Some(info) => from(info.file.size_bytes, info.log_id.index + 1),
            None => from(0, 0),
        };
        is_snapshot_cheaper(
            snapshot,
            from(self.start.progress.checkpoint_bytes, checkpoint.index + 1),
        )
    }

    fn newest_snapshot(&mut self) -> Option<(Store, Position)> {
        match self.snapshots.newest() {
            Some(info) => self.snapshot(&info),
            None => self.purged.is_none().then(empty),
        }
    }

    fn snapshot(&mut self, info: &SnapshotInfo) -> Option<(Store, Position)> {
        match snapshot::load(
            self.snapshots.disk(),
            &info.file.path,
            self.start.owner.cluster_id,
        ) {
            Ok((store, log_id, membership)) if self.covers(log_id.index + 1) => {
                let position = position(&store, Some(log_id), membership);
                Some((store, position))
            }
            Ok((_, log_id, _)) => {
                self.found
                    .push(format!("a snapshot up to index {}", log_id.index));
                None
            }
            Err(error) => {
                tracing::error!(%error, "a snapshot cannot be used");
                self.found.push(error.to_string());
                if matches!(error, snapshot::SnapshotError::Damaged(_)) {
                    self.snapshots.set_aside(&info.file.path);
                }
                None
            }
        }
    }

    /// The checkpoint, if it is not older than `newest_snapshot`.
    fn checkpoint(&mut self, newest_snapshot: u64) -> Option<(Store, Position)> {
        match checkpoint::load(&self.start.dir, self.start.owner) {
            Ok(Some(loaded)) => {
                let after = next_index(loaded.log_id);
                self.found
                    .push(format!("a checkpoint up to index {}", after.saturating_sub(1)));
                self.start.checkpoint = Attached::Open(Box::new(loaded.checkpoint));
                (self.covers(after) && after >= newest_snapshot).then(|| {
                    let position = position(&loaded.store, loaded.log_id, loaded.membership);
                    (loaded.store, position)
                })
            }
            Ok(None) => None,
            Err(error) => {
                if let checkpoint::CheckpointError::Newer(version) = error {
                    self.newer_checkpoint = Some(version);
                }
                tracing::error!(%error, folder = %self.start.dir.display(), "the checkpoint cannot be used and is built anew");
                self.found
                    .push(format!("a checkpoint that cannot be used: {error}"));
                None
            }
        }
    }

    /// The newest snapshot that can be used; none when the log goes back to its beginning.
    fn any_snapshot(&mut self, log: BaseState) -> Result<Option<(Store, Position)>, OpenError> {
        for info in self.snapshots.list().into_iter().rev() {
            if let Some(state) = self.snapshot(&info) {
                return Ok(Some(state));
            }
        }
        match log.purged {
            None => Ok(None),
            Some(purged) => Err(self.newer_format().unwrap_or(OpenError::StateMissing {
                purged_index: purged.index,
                found: if self.found.is_empty() {
                    "neither was found".to_owned()
                } else {
                    self.found.join("; ")
                },
            })),
        }
    }

    /// Whether what is missing may be there, only not for this version.
    fn newer_format(&self) -> Option<OpenError> {
        let of = |file: &PathBuf, kind, found, supported| OpenError::NewerFormat {
            file: file.clone(),
            kind,
            found,
            supported,
        };
        let snapshot = self.snapshots.newer();
        let snapshot = snapshot.map(|(file, found)| of(file, "snapshot", *found, snapshot::FORMAT_VERSION));
        let checkpoint = self.newer_checkpoint;
        snapshot.or(checkpoint.map(|found| {
            of(
                &self.start.dir,
                "checkpoint",
                found,
                checkpoint::format::FORMAT_VERSION,
            )
        }))
    }
}

fn position(store: &Store, log_id: Option<LogId>, membership: StoredMembership) -> Position {
    Position {
        log_id,
        membership: Arc::new(membership),
        state: Arc::new(store.state()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cheaper_start_is_chosen() {
        let from = |bytes, log_entries, log_bytes| From {
            bytes,
            log_entries,
            log_bytes,
        };
        // A million keys, and some log since the last snapshot.
        let checkpoint = from(350 << 20, 1_000, 1 << 20);
        assert!(is_snapshot_cheaper(
            from(300 << 20, 20_000, 100 << 20),
            checkpoint
        ));
        // A few keys that are written again and again: all of the time goes into the log.
        let checkpoint = from(1 << 20, 1_000, 1 << 20);
        assert!(!is_snapshot_cheaper(from(1 << 20, 400_000, 60 << 20), checkpoint));
        // Nearly nothing at all.
        let checkpoint = from(1_000, 0, 0);
        assert!(is_snapshot_cheaper(from(0, 10, 1_000), checkpoint));
    }
}

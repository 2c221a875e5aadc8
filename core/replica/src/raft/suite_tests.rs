//! openraft's own suite for storage implementations, run on ours.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};

use crate::disk::sim::SimDisk;
use crate::fatal::FatalHook;
use crate::lease::Lessor;
use crate::position::Position;
use crate::raft::log_store::LogStore;
use crate::raft::state_machine::{Published, StateMachine, Surroundings};
use crate::raft::types::{StoredMembership, TypeConfig};
use crate::snapshot::SnapshotDir;
use crate::wal::log::{Owner, Place};
use crate::wal::recover;
use crate::wal::writer::Writer;

/// Every store is on the same disk, so that one can be given the snapshot of another.
#[derive(Default)]
struct Builder {
    disk: SimDisk,
    stores: AtomicU64,
}

/// Ends the log's threads.
struct Guard {
    writer: Writer,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.writer.close();
    }
}

impl StoreBuilder<TypeConfig, LogStore, StateMachine, Guard> for Builder {
    async fn build(&self) -> Result<(Guard, LogStore, StateMachine), StorageError<TypeConfig>> {
        let disk = Arc::new(self.disk.clone());
        let dir = PathBuf::from(format!("/{}", self.stores.fetch_add(1, Relaxed)));
        let owner = Owner {
            cluster_id: 1,
            member_id: 2,
        };
        let place = Place {
            disk: disk.clone(),
            dir: dir.join("wal"),
            owner,
            segment_size_bytes: 64 << 10,
        };
        let fatal = FatalHook::new(|message| panic!("{message}"));
        let (log, _) = recover::open(place).unwrap();
        let state = log.state;
        let writer = Writer::start(log, Arc::default(), fatal.clone()).unwrap();
        let log = LogStore::new(writer.clone(), state);
        let snapshots = SnapshotDir::open(disk, dir.join("snapshot"), 1).unwrap();
        let store = cfgstore_store::Store::new();
        let position = Position {
            log_id: None,
            membership: Arc::new(StoredMembership::default()),
            state: Arc::new(store.state()),
        };
        let published = Published::new(position);
        let surroundings = Surroundings {
            lessor: Lessor::default(),
            snapshots,
            log: None,
            entry_cache_bytes: 0,
            pending: None,
            counters: Arc::default(),
            fatal,
        };
        let machine = StateMachine::new(store, published, surroundings);
        Ok((Guard { writer }, log, machine))
    }
}

// The suite sleeps now and then; with the clock paused that takes no time.
#[tokio::test(start_paused = true)]
async fn openraft_suite() {
    Suite::test_all(Builder::default()).await.unwrap();
}

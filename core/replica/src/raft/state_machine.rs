//! openraft's state machine: applies committed entries to the store and publishes the result.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use arc_swap::ArcSwap;
use cfgstore_store::{Command, Outcome, State, Store};
use futures_util::{Stream, StreamExt};
use openraft::alias::SnapshotOf;
use openraft::storage::{EntryResponder, RaftSnapshotBuilder, RaftStateMachine};
use openraft::{EntryPayload, OptionalSend};
use tokio::sync::watch;

use crate::fatal::FatalHook;
use crate::lease::Lessor;
use crate::pending::Pending;
use crate::position::Position;
use crate::raft::log_store::LogStore;
use crate::raft::types::{
    Batch, BatchReply, Batches, LogId, Payload, SnapshotMeta, StoredMembership, TypeConfig, from_wal_id,
    to_wal_id,
};
use crate::snapshot::{self, SnapshotDir, SnapshotFile, SnapshotInfo};
use crate::stats::{Counters, InProgress};

/// What others see of the state machine. Clones share it.
#[derive(Clone)]
pub(crate) struct Published(Arc<PublishedInner>);

struct PublishedInner {
    state: ArcSwap<State>,
    position: Mutex<Position>,
    revision: watch::Sender<i64>,
    /// Index of the last entry applied, for whoever decides when to take a checkpoint.
    applied_index: watch::Sender<u64>,
}

impl Published {
    pub(crate) fn new(position: Position) -> Self {
        let revision = watch::Sender::new(position.state.revision());
        let applied_index = watch::Sender::new(position.index());
        let state = ArcSwap::new(position.state.clone());
        Self(Arc::new(PublishedInner {
            state,
            position: Mutex::new(position),
            revision,
            applied_index,
        }))
    }

    /// The newest state: one atomic load.
    pub(crate) fn state(&self) -> Arc<State> {
        self.0.state.load_full()
    }

    /// The newest state with its place in the log.
    pub(crate) fn position(&self) -> Position {
        self.lock().clone()
    }

    /// Told of each new revision, after the state was published.
    pub(crate) fn revision(&self) -> watch::Receiver<i64> {
        self.0.revision.subscribe()
    }

    /// Told of each entry applied, after the state was published.
    pub(crate) fn applied_index(&self) -> watch::Receiver<u64> {
        self.0.applied_index.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, Position> {
        // Nothing panics halfway through a change of it.
        self.0.position.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, position: Position) {
        let revision = position.state.revision();
        let index = position.index();
        self.0.state.store(position.state.clone());
        *self.lock() = position;
        self.0
            .revision
            .send_if_modified(|seen| std::mem::replace(seen, revision) != revision);
        self.0.applied_index.send_replace(index);
    }
}

/// The state machine. Only openraft's worker task changes it.
pub(crate) struct StateMachine {
    store: Store,
    log_id: Option<LogId>,
    membership: Arc<StoredMembership>,
    published: Published,
    around: Surroundings,
}

/// What the state machine works with.
pub(crate) struct Surroundings {
    pub(crate) lessor: Lessor,
    /// Told of what is applied; `None` where nobody proposes.
    pub(crate) pending: Option<Pending>,
    pub(crate) snapshots: SnapshotDir,
    /// The log whose cache is trimmed behind what is applied.
    pub(crate) log: Option<LogStore>,
    pub(crate) entry_cache_bytes: usize,
    pub(crate) counters: Arc<Counters>,
    pub(crate) fatal: FatalHook,
}

impl StateMachine {
    /// The state machine at a recovered position.
    pub(crate) fn new(store: Store, published: Published, around: Surroundings) -> Self {
        let position = published.position();
        Self {
            store,
            log_id: position.log_id.map(from_wal_id),
            membership: position.membership,
            published,
            around,
        }
    }

    fn position(&self) -> Position {
        Position {
            log_id: self.log_id.as_ref().map(to_wal_id),
            membership: self.membership.clone(),
            state: Arc::new(self.store.state()),
        }
    }

    fn apply_batch(&mut self, batch: &Batch) -> BatchReply {
        let commands = &batch.0.commands;
        let mut outcomes = Vec::with_capacity(commands.len());
        for (caller, command) in commands {
            #[cfg(test)]
            assert!(
                caller.client.as_deref() != Some("test: break the state machine"),
                "broken on request"
            );
            let result = self.store.apply(batch.0.time_unix_ms, caller, command);
            let revision = match &result {
                Ok(Outcome::Put(put)) => put.revision,
                Ok(Outcome::DeleteRange(delete)) => delete.revision,
                Ok(Outcome::Txn(txn)) => txn.revision,
                Ok(_) | Err(_) => self.store.state().revision(),
            };
            outcomes.push((result, revision));
        }
        BatchReply { outcomes }
    }

    /// Applies one entry, and returns the reply to each of its batches. A panic in here means that an invariant of the state
    /// machine is broken: going on could serve wrong data, and the same entry would break it again on every member.
    fn apply_entry(&mut self, log_id: LogId, payload: &Payload) -> io::Result<Vec<BatchReply>> {
        let applied = catch_unwind(AssertUnwindSafe(|| match payload {
            EntryPayload::Blank => Vec::new(),
            EntryPayload::Normal(Batches(content)) => {
                let batches = content.batches.iter();
                batches.map(|batch| self.apply_batch(batch)).collect()
            }
            EntryPayload::Membership(membership) => {
                self.around
                    .counters
                    .keep_peers(|id| membership.get_node(&id).is_some());
                self.membership = Arc::new(StoredMembership::new(Some(log_id), membership.clone()));
                Vec::new()
            }
        }));
        let replies = applied.map_err(|_| {
            let message = format!(
                "applying log entry {} panicked; the state machine cannot go on",
                log_id.index
            );
            self.around.fatal.call(&message);
            io::Error::other(message)
        })?;
        self.log_id = Some(log_id);
        Ok(replies)
    }

    fn tell_lessor(&self, batch: &Batch, reply: &BatchReply) {
        for ((_, command), (result, _)) in batch.0.commands.iter().zip(&reply.outcomes) {
            match (command, result) {
                (_, Ok(Outcome::LeaseGrant { id, ttl_secs })) => {
                    self.around.counters.leases_granted.fetch_add(1, Relaxed);
                    self.around.lessor.granted(*id, *ttl_secs);
                }
                (Command::LeaseRevoke(revoke), Ok(_)) => {
                    self.around.counters.leases_revoked.fetch_add(1, Relaxed);
                    self.around.lessor.revoked(revoke.id);
                }
                _ => {}
            }
        }
    }

    fn trim_log(&self) {
        let (Some(log), Some(log_id)) = (&self.around.log, &self.log_id) else {
            return;
        };
        // In a group of one nobody will ever ask for an applied entry again.
        let alone = self.membership.membership().nodes().count() <= 1;
        log.trim(
            log_id.index,
            if alone { 0 } else { self.around.entry_cache_bytes },
        );
    }
}

impl RaftStateMachine<TypeConfig> for StateMachine {
    type SnapshotData = SnapshotFile;
    type SnapshotBuilder = SnapshotBuilder;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        Ok((self.log_id, (*self.membership).clone()))
    }

    async fn apply<Strm>(&mut self, mut entries: Strm) -> io::Result<()>
    where
        Strm: Stream<Item = io::Result<EntryResponder<TypeConfig>>> + Unpin + OptionalSend,
    {
        while let Some(next) = entries.next().await {
            let (entry, responder) = match next {
                Ok(next) => next,
                Err(error) => {
                    self.around
                        .fatal
                        .call(&format!("a committed log entry cannot be read back: {error}"));
                    return Err(error);
                }
            };
            let started = Instant::now();
            let replies = self.apply_entry(entry.log_id, &entry.payload)?;
            let batches: &[Batch] = match &entry.payload {
                EntryPayload::Normal(Batches(content)) => &content.batches,
                EntryPayload::Blank | EntryPayload::Membership(_) => &[],
            };
            // Whoever sees the state sees what it says of leases; and whoever gets an answer finds its effect in the state.
            for (batch, reply) in batches.iter().zip(&replies) {
                self.tell_lessor(batch, reply);
            }
            self.published.publish(self.position());
            self.around.counters.applied(started.elapsed());
            if let Some(pending) = &self.around.pending {
                let term = entry.log_id.leader_id.term;
                if batches.is_empty() {
                    pending.applied(term, None, 0, BatchReply::default());
                }
                for (Batch(batch), reply) in batches.iter().zip(replies) {
                    pending.applied(term, batch.origin, batch.time_unix_ms, reply);
                }
            }
            if let Some(responder) = responder {
                // Proposers are answered above, on whichever member they are.
                responder.send(BatchReply::default());
            }
        }
        self.trim_log();
        Ok(())
    }

    /// Snapshots are written by the maintenance thread, which then asks openraft to take note of the newest one. Only
    /// when a lagging member needs one right now is it built here.
    async fn try_create_snapshot_builder(&mut self, force: bool) -> Option<SnapshotBuilder> {
        let task = if force {
            BuilderTask::Write(self.position())
        } else {
            BuilderTask::Announce(self.around.snapshots.newest()?)
        };
        Some(SnapshotBuilder {
            snapshots: self.around.snapshots.clone(),
            task,
        })
    }

    async fn get_snapshot_builder(&mut self) -> SnapshotBuilder {
        SnapshotBuilder {
            snapshots: self.around.snapshots.clone(),
            task: BuilderTask::Write(self.position()),
        }
    }

    async fn install_snapshot(&mut self, _meta: &SnapshotMeta, file: SnapshotFile) -> io::Result<()> {
        let counters = self.around.counters.clone();
        let _in_progress = InProgress::new(&counters.snapshot_installs_in_progress);
        let snapshots = self.around.snapshots.clone();
        let installed = tokio::task::spawn_blocking(move || install(&snapshots, &file))
            .await
            .map_err(io::Error::other)?;
        let (store, log_id, membership) = installed?;
        self.store = store;
        self.log_id = Some(from_wal_id(log_id));
        self.membership = Arc::new(membership);
        let position = self.position();
        let term = log_id.term;
        self.published.publish(position);
        self.around.counters.snapshots_installed.fetch_add(1, Relaxed);
        if let Some(pending) = &self.around.pending {
            pending.snapshot_installed(term);
        }
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<SnapshotOf<TypeConfig, SnapshotFile>>> {
        let (snapshots, position) = (self.around.snapshots.clone(), self.position());
        let opened = tokio::task::spawn_blocking(move || {
            if let Some(opened) = snapshots.open_newest()? {
                return Ok(Some(opened));
            }
            // All of them turned out to be damaged; Raft counts on there being one.
            snapshots.write(&position).map_err(io::Error::other)?;
            snapshots.open_newest()
        });
        let opened = opened.await.map_err(io::Error::other)??;
        Ok(opened.map(to_snapshot))
    }
}

/// Gives a received file its place among the snapshots, and returns what it holds. From then on a start begins with it,
/// whatever the log still holds.
fn install(snapshots: &SnapshotDir, file: &SnapshotFile) -> io::Result<snapshot::Loaded> {
    if let Some(loaded) = file.take_loaded() {
        snapshots.adopt(file, loaded.1, Arc::new(loaded.2.clone()))?;
        return Ok(loaded);
    }
    // A file that is somebody else's is copied.
    let (store, log_id, membership) =
        snapshot::load(snapshots.disk(), &file.path, snapshots.cluster_id()).map_err(io::Error::other)?;
    let position = Position {
        log_id: Some(log_id),
        membership: Arc::new(membership.clone()),
        state: Arc::new(store.state()),
    };
    snapshots.write(&position).map_err(io::Error::other)?;
    Ok((store, log_id, membership))
}

fn to_snapshot(info: SnapshotInfo) -> SnapshotOf<TypeConfig, SnapshotFile> {
    let meta = SnapshotMeta {
        last_log_id: Some(from_wal_id(info.log_id)),
        last_membership: (*info.membership).clone(),
    };
    openraft::Snapshot {
        meta,
        snapshot: info.file,
    }
}

enum BuilderTask {
    Write(Position),
    Announce(SnapshotInfo),
}

/// Makes a snapshot of the state as it was when the builder was made.
pub(crate) struct SnapshotBuilder {
    snapshots: SnapshotDir,
    task: BuilderTask,
}

impl RaftSnapshotBuilder<TypeConfig> for SnapshotBuilder {
    type SnapshotData = SnapshotFile;

    async fn build_snapshot(&mut self) -> io::Result<SnapshotOf<TypeConfig, SnapshotFile>> {
        let position = match &self.task {
            BuilderTask::Announce(info) => return Ok(to_snapshot(info.clone())),
            BuilderTask::Write(position) => position.clone(),
        };
        let snapshots = self.snapshots.clone();
        let written = tokio::task::spawn_blocking(move || snapshots.write(&position))
            .await
            .map_err(io::Error::other)?;
        match written.map_err(io::Error::other)? {
            Some(info) => Ok(to_snapshot(info)),
            // Nothing was applied yet: a snapshot of nothing needs no file, and nobody is ever sent one.
            None => Ok(openraft::Snapshot {
                meta: SnapshotMeta::default(),
                snapshot: SnapshotFile::default(),
            }),
        }
    }
}

//! The public face of a member.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use cfgstore_store::{Caller, Command, CommandError, Outcome, State};
use openraft::ServerState;
use openraft::async_runtime::watch::WatchReceiver;
use tokio::sync::{Mutex, oneshot, watch};
use tokio::task::JoinHandle;

use crate::barrier::Barrier;
use crate::disk::{Disk, RealDisk};
use crate::error::{OpenError, ProposeError, ReadError, ShutdownError};
use crate::identity;
use crate::leadership::Leadership;
use crate::lease::Lessor;
use crate::lease_calls::{LeaseCalls, Question};
use crate::maintenance::Maintenance;
use crate::membership::pass_on::Changes;
use crate::membership::{self, Change};
use crate::peer::leader_service::Space;
use crate::propose::{Origin, Proposer};
use crate::raft::log_store::LogStore;
use crate::raft::state_machine::Published;
use crate::raft::types::Raft;
use crate::raft_thread::Running;
use crate::stats::{Counters, InProgress};
use crate::wal::log::Owner;
use crate::{MemberConfig, MemberInfo, MemberStats, MemberStatus, MembershipError};

/// What became of a proposed command once this member applied it.
#[derive(Debug)]
pub struct Applied {
    /// The state machine's verdict; an error changed nothing.
    pub result: Result<Outcome, CommandError>,
    /// Revision of the store after the command.
    pub revision: i64,
    /// Raft term of the entry that carried it.
    pub term: u64,
}

/// One member of a cluster, or a cluster of its own. Clones are handles of the same member.
///
/// It has four threads of its own: one is for Raft, the state machine and other members, one writes the log, one
/// prepares and removes log files, one takes checkpoints and snapshots. Answers are handed out on the tokio runtime it was
/// opened on (a current-thread one will do). [`Member::shutdown`] ends it and waits for that; dropping the last handle
/// ends it in the background.
#[derive(Clone)]
pub struct Member(Arc<Running>);

pub(crate) struct Inner {
    pub(crate) config: MemberConfig,
    pub(crate) owner: Owner,
    pub(crate) counters: Arc<Counters>,
    /// Where other members are answered.
    pub(crate) listening: Vec<SocketAddr>,
    /// Becomes true when this member learns that it was removed.
    pub(crate) removed: watch::Sender<bool>,
    pub(crate) changes: Changes,
    pub(crate) raft: Raft,
    pub(crate) log: LogStore,
    pub(crate) published: Published,
    pub(crate) proposer: Proposer,
    pub(crate) barrier: Barrier,
    pub(crate) lessor: Lessor,
    pub(crate) maintenance: Maintenance,
    pub(crate) tasks: std::sync::Mutex<Vec<JoinHandle<()>>>,
    /// Set once the member has been shut down; also makes a second caller wait for the first.
    pub(crate) ended: Mutex<Option<Result<(), ShutdownError>>>,
    pub(crate) space: Space,
    pub(crate) leadership: Leadership,
    pub(crate) lease_calls: LeaseCalls,
}

impl Member {
    /// Opens the member in `config.data_dir`, or creates one there: a group of one, with a new cluster id and member id.
    ///
    /// Returns once everything acknowledged before the last end is applied and, in a group of one, writes are taken. A
    /// member that joins an existing cluster is waited for until the leader has brought it in (10 minutes at most).
    /// The caller makes sure that no other process uses the folder.
    pub async fn open(config: MemberConfig) -> Result<Member, OpenError> {
        Self::open_on(Arc::new(RealDisk), config).await
    }

    async fn open_on(disk: Arc<dyn Disk>, config: MemberConfig) -> Result<Member, OpenError> {
        Running::start(disk, config)
            .await
            .map(|running| Member(Arc::new(running)))
    }

    /// Proposes a command and waits until this member has applied it. Durable on a quorum when this returns `Ok`.
    ///
    /// Commands proposed concurrently share log entries and disk syncs. Dropping the future does not withdraw the
    /// command.
    pub async fn propose(&self, caller: Caller, command: Command) -> Result<Applied, ProposeError> {
        let inner = &self.0;
        if inner.space.is_short() {
            return Err(ProposeError::NoSpace);
        }
        let receiver = inner.proposer.enqueue(caller, command, Origin::Client)?;
        let _pending = InProgress::new(&inner.counters.proposals_pending);
        let timeout_ms = inner.config.propose_timeout_ms;
        let outcome = match tokio::time::timeout(Duration::from_millis(timeout_ms), receiver).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(ProposeError::Unavailable {
                reason: "the member ended meanwhile".to_owned(),
            }),
            Err(_) => Err(ProposeError::Timeout { timeout_ms }),
        };
        if outcome.is_err() {
            inner.counters.proposals_failed.fetch_add(1, Relaxed);
        }
        outcome
    }

    /// Waits until [`Member::state`] holds every write that any client saw acknowledged before this call (Raft's
    /// ReadIndex). Concurrent calls share one round.
    pub async fn read_barrier(&self) -> Result<(), ReadError> {
        let receiver = self.0.barrier.enqueue()?;
        self.read_answer(receiver).await
    }

    async fn read_answer<T>(
        &self,
        receiver: oneshot::Receiver<Result<T, ReadError>>,
    ) -> Result<T, ReadError> {
        let timeout_ms = self.0.config.read_timeout_ms;
        match tokio::time::timeout(Duration::from_millis(timeout_ms), receiver).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(ReadError::ShuttingDown),
            Err(_) => match self.0.leadership.present() {
                Some(_) => Err(ReadError::Timeout { timeout_ms }),
                None => Err(ReadError::NoLeader { leader_id: None }),
            },
        }
    }

    /// The newest state this member has applied: one atomic load. It never changes; hold it for as long as needed.
    pub fn state(&self) -> Arc<State> {
        self.0.published.state()
    }

    /// Told of each new revision, after [`Member::state`] holds it. Intermediate revisions may be skipped.
    pub fn applied(&self) -> watch::Receiver<i64> {
        self.0.published.revision()
    }

    /// The Raft term this member is in. Cheap enough for the header of every response.
    pub fn term(&self) -> u64 {
        self.0.raft.metrics().borrow_watched().current_term
    }

    /// Whether there is a leader: this member, with a majority that answers it, or one that this member has heard from within
    /// the longest election timeout. As cheap.
    pub fn has_leader(&self) -> bool {
        self.0.leadership.present().is_some()
    }

    /// Whether this member was added as a learner, and was not promoted yet. As cheap, unless it is one.
    ///
    /// A member added as a voter is none, though it has no vote until it has caught up.
    pub fn is_learner(&self) -> bool {
        if self.0.raft.metrics().borrow_watched().state != ServerState::Learner {
            return false;
        }
        let own = self.0.owner.member_id;
        let members = self.members();
        members
            .iter()
            .find(|member| member.id == own)
            .is_none_or(|member| member.is_learner)
    }

    /// What the member says about itself right now.
    pub fn status(&self) -> MemberStatus {
        let inner = &self.0;
        // Before the metrics are borrowed: they must not be borrowed twice at once.
        let is_learner = self.is_learner();
        let leader_id = inner.leadership.present();
        let receiver = inner.raft.metrics();
        let metrics = receiver.borrow_watched();
        let index =
            |log_id: &Option<crate::raft::types::LogId>| log_id.as_ref().map_or(0, |log_id| log_id.index);
        let wal = inner.log.writer().stats();
        MemberStatus {
            cluster_id: inner.owner.cluster_id,
            member_id: inner.owner.member_id,
            name: inner.config.name.clone(),
            leader_id,
            is_leader: leader_id == Some(inner.owner.member_id),
            is_learner,
            term: metrics.current_term,
            last_log_index: metrics.last_log_index.unwrap_or(0),
            committed_index: index(&metrics.local_committed),
            applied_index: inner.published.position().index(),
            snapshot_index: index(&metrics.snapshot),
            purged_index: index(&metrics.purged),
            db_size_bytes: inner.maintenance.disk_bytes(),
            db_size_in_use_bytes: inner.published.state().size_bytes(),
            log_syncs: wal.frames.load(Relaxed),
            log_bytes_written: wal.bytes.load(Relaxed),
            no_space: wal.no_space.load(Relaxed),
        }
    }

    /// Gives a lease its full time to live again; returns that, or 0 when the lease does not exist (any more).
    pub async fn lease_keep_alive(&self, id: i64) -> Result<i64, ReadError> {
        let receiver = self.0.lease_calls.ask(Question::Renew, vec![id])?;
        let answers = self.read_answer(receiver).await?;
        Ok(answers.first().copied().unwrap_or(0))
    }

    /// Seconds a lease has left, rounded up. `None` when it does not exist, or when this member is not the leader.
    pub fn lease_remaining_secs(&self, id: i64) -> Option<i64> {
        self.0.lessor.remaining_secs(id)
    }

    /// The members of the cluster as this one knows them, in the order of their ids.
    pub fn members(&self) -> Vec<MemberInfo> {
        membership::members(&self.0.published.position().membership)
    }

    /// Adds a member: as a learner, or as a voter, which it becomes when it has caught up. It is started with
    /// [`Bootstrap::Existing`](crate::Bootstrap::Existing) afterwards.
    ///
    /// Like all changes of the membership this goes to the leader, from whichever member it is asked, and returns once
    /// this member has applied it.
    pub async fn add_member(
        &self,
        peer_urls: Vec<String>,
        learner: bool,
    ) -> Result<MemberInfo, MembershipError> {
        let id = identity::random_u64().map_err(|_| MembershipError::Busy)?;
        let change = Change::Add {
            id,
            peer_urls: peer_urls.clone(),
            learner,
        };
        self.0.changes.change(change).await?;
        Ok(MemberInfo {
            id,
            peer_urls,
            is_learner: learner,
            ..MemberInfo::default()
        })
    }

    /// Removes a member for good: its id never comes back. A member that is removed while it runs ends.
    pub async fn remove_member(&self, id: u64) -> Result<(), MembershipError> {
        self.0.changes.change(Change::Remove { id }).await
    }

    /// Gives a member other peer URLs.
    pub async fn update_member(&self, id: u64, peer_urls: Vec<String>) -> Result<(), MembershipError> {
        self.0.changes.change(Change::Update { id, peer_urls }).await
    }

    /// Makes a learner a voter, once it has caught up.
    pub async fn promote_member(&self, id: u64) -> Result<(), MembershipError> {
        self.0.changes.change(Change::Promote { id }).await
    }

    /// Lets another voter lead, and returns once it does. Only the leader can be asked (as in etcd).
    pub async fn move_leader(&self, id: u64) -> Result<(), MembershipError> {
        self.0.changes.move_leader(id).await
    }

    /// Waits until this member learns that it was removed from the cluster, for good. It takes no more work then, and
    /// should be shut down.
    pub async fn removed(&self) {
        let mut removed = self.0.removed.subscribe();
        // The sender lives as long as this handle.
        let _ = removed.wait_for(|removed| *removed).await;
    }

    /// Where this member listens for others: `listen_peers`, with the ports the system chose where they were 0.
    pub fn peer_addresses(&self) -> Vec<SocketAddr> {
        self.0.listening.clone()
    }

    /// Counters since the member was opened.
    pub fn stats(&self) -> MemberStats {
        self.0.counters.read()
    }

    /// Seconds that leases have left, rounded up, in the order asked; `None` for one that does not exist. The leader
    /// knows them, and is asked.
    pub async fn lease_times(&self, ids: &[i64]) -> Result<Vec<Option<i64>>, ReadError> {
        let receiver = self.0.lease_calls.ask(Question::Times, ids.to_vec())?;
        let answers = self.read_answer(receiver).await?;
        Ok(answers
            .into_iter()
            .map(|left| (left >= 0).then_some(left))
            .collect())
    }

    /// Ends the member: refuses new work, finishes what is under way, takes a checkpoint, closes all files. Afterwards
    /// the folder can be opened again, in this process or another. A second call waits for the first and returns the
    /// same.
    pub async fn shutdown(&self) -> Result<(), ShutdownError> {
        let mut ended = self.0.ended.lock().await;
        if let Some(result) = &*ended {
            return result.clone();
        }
        let result = self.0.end().await;
        *ended = Some(result.clone());
        result
    }
}

impl Inner {
    /// Runs on the Raft thread.
    pub(crate) async fn end(&self) -> Result<(), ShutdownError> {
        self.proposer.close();
        self.barrier.close();
        self.lease_calls.close();
        // Bounded: a disk that hangs must not keep the process from ending. What is lost then was not acknowledged.
        let limit = Duration::from_millis(self.config.propose_timeout_ms);
        if tokio::time::timeout(limit, self.proposer.drained())
            .await
            .is_err()
        {
            tracing::warn!("some writes were still under way when the member ended");
        }
        for task in self
            .tasks
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .drain(..)
        {
            task.abort();
        }
        let raft = self.raft.shutdown().await;
        self.proposer.fail_queued();
        let maintenance = self.maintenance.clone();
        let writer = self.log.writer().clone();
        let position = self.published.position();
        let closed = tokio::task::spawn_blocking(move || {
            let checkpoint = maintenance.close(position);
            writer.close();
            checkpoint
        });
        let checkpoint = closed
            .await
            .map_err(|error| ShutdownError::Task(error.to_string()))?;
        raft.map_err(|error| ShutdownError::Task(format!("the Raft task ended abnormally: {error}")))?;
        checkpoint.map_err(ShutdownError::Checkpoint)
    }
}

#[cfg(test)]
mod cluster_tests;
#[cfg(test)]
mod install_tests;
#[cfg(test)]
mod tests;

//! The leader's side: makes changes, and finishes what only time can finish.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::{ChangeMembershipError, ClientWriteError, RaftError};
use openraft::metrics::RaftMetrics;
use openraft::raft::Precondition;
use openraft::{ChangeMembers, Instant as _};
use tokio::sync::Mutex;

use super::Change;
use super::plan::{Circumstances, Plan, plan, promotion};
use crate::MemberConfig;
use crate::cluster::MembershipError;
use crate::raft::types::{LogId, MemberNode, Raft, StoredMembership, TypeConfig};
use crate::stats::Counters;

/// Entries that a learner may lag behind the leader when it becomes a voter: what may be under way under load.
const READY_LAG: u64 = 256;
/// A learner is promoted on request once it has this share of the leader's log, in percent (etcd's rule).
const READY_PERCENT: u64 = 90;

/// Makes changes of the membership, while this member leads. Clones share it.
#[derive(Clone)]
pub(crate) struct Lead {
    raft: Raft,
    counters: Arc<Counters>,
    max_learners: usize,
    strict: bool,
    /// A member that has not answered for this long counts as down.
    silence: Duration,
    /// A new leader waits for so long to hear from all before it takes one for down.
    first_word: Duration,
    timeout: Duration,
    /// One change at a time.
    changing: Arc<Mutex<()>>,
}

/// A change that was made: the entry that made it, as far as one was needed.
pub(crate) type Made = Result<u64, MembershipError>;

/// Why a step was not made.
enum Failed {
    /// Nothing was changed, and trying again may help.
    Again(MembershipError),
    For(MembershipError),
}

impl Lead {
    pub(crate) fn new(config: &MemberConfig, raft: Raft, counters: Arc<Counters>) -> Self {
        Self {
            raft,
            counters,
            max_learners: config.max_learners,
            strict: config.strict_reconfig_check,
            silence: Duration::from_millis(2 * config.election_timeout_max_ms),
            first_word: Duration::from_millis(config.election_timeout_min_ms),
            timeout: Duration::from_millis(config.propose_timeout_ms),
            changing: Arc::default(),
        }
    }

    /// Makes a change; the index of the entry that made it, or of one after which it was so already.
    pub(crate) async fn make(&self, change: &Change) -> Made {
        let timeout = MembershipError::Timeout {
            timeout_ms: self.timeout.as_millis() as u64,
        };
        let mut last = None;
        let making = async {
            let _one = self.changing.lock().await;
            let began = Instant::now();
            loop {
                match self.step(change).await {
                    Ok(index) => return Ok(index),
                    Err(Failed::For(error @ MembershipError::Unhealthy))
                        if began.elapsed() < self.first_word && self.has_yet_to_hear() =>
                    {
                        last = Some(error);
                    }
                    Err(Failed::For(error)) => return Err(error),
                    Err(Failed::Again(error)) => last = Some(error),
                }
                self.something_new().await;
            }
        };
        match tokio::time::timeout(self.timeout, making).await {
            Ok(made) => made,
            Err(_) => Err(last.unwrap_or(timeout)),
        }
    }

    /// Waits for news of Raft, but not for long.
    async fn something_new(&self) {
        let mut receiver = self.raft.metrics();
        // Raft's end shows in the next step.
        let _ = tokio::time::timeout(Duration::from_millis(50), receiver.changed()).await;
    }

    /// Whether there is a member that has never answered this leader, as all when it was just elected.
    fn has_yet_to_hear(&self) -> bool {
        let metrics = self.metrics();
        let answered = |id| metrics.heartbeat.as_ref()?.get(&id)?.as_ref();
        let mut voters = metrics.membership_config.membership().voter_ids();
        voters.any(|id| id != metrics.id && answered(id).is_none())
    }

    fn metrics(&self) -> RaftMetrics<TypeConfig> {
        self.raft.metrics().borrow_watched().clone()
    }

    async fn step(&self, change: &Change) -> Result<u64, Failed> {
        let metrics = self.metrics();
        if metrics.running_state.is_err() {
            return Err(Failed::For(MembershipError::ShuttingDown));
        }
        if metrics.current_leader != Some(metrics.id) {
            return Err(Failed::For(MembershipError::NotLeader));
        }
        let stored = &metrics.membership_config;
        if stored.membership().get_joint_config().len() > 1 {
            // A leader ended halfway; what it began is finished first.
            self.flatten(stored).await?;
            return Err(Failed::Again(MembershipError::Busy));
        }
        let now = self.circumstances(&metrics);
        match plan(stored.membership(), change, &now).map_err(Failed::For)? {
            Plan::Nothing => Ok(stored.log_id().as_ref().map_or(0, |log_id| log_id.index)),
            Plan::Change(changes) => {
                let index = self.change(stored, changes).await?;
                if matches!(change, Change::Promote { .. }) {
                    self.counters.learner_promotions.fetch_add(1, Relaxed);
                }
                Ok(index)
            }
            Plan::MoveLeader(to) => self.move_leader(to).await.map_err(Failed::For),
        }
    }

    fn circumstances(&self, metrics: &RaftMetrics<TypeConfig>) -> Circumstances {
        let heard = metrics.heartbeat.iter().flatten().filter_map(|(id, at)| {
            let at = at.as_ref()?;
            (at.elapsed() < self.silence).then_some(*id)
        });
        let last = metrics.last_log_index.unwrap_or(0);
        let ready = metrics.replication.iter().flatten().filter_map(|(id, matched)| {
            let matched = matched.as_ref()?.index;
            (u128::from(matched) * 100 >= u128::from(last) * u128::from(READY_PERCENT)).then_some(*id)
        });
        Circumstances {
            leader: metrics.id,
            max_learners: self.max_learners,
            strict: self.strict,
            heard: heard.chain([metrics.id]).collect(),
            ready: ready.collect(),
        }
    }

    /// Asks Raft for a change of exactly this membership.
    async fn change(
        &self,
        of: &StoredMembership,
        changes: ChangeMembers<u64, MemberNode>,
    ) -> Result<u64, Failed> {
        let precondition = Precondition::LastMembershipLogId {
            last_membership_log_id: *of.log_id(),
        };
        let changed = self
            .raft
            .change_membership_if(changes, false, [precondition])
            .await;
        match changed {
            Ok(response) => Ok(response.log_id.index),
            Err(error) => Err(failed(&error)),
        }
    }

    /// Finishes a change of voters of which only the first half was made.
    async fn flatten(&self, joint: &StoredMembership) -> Result<u64, Failed> {
        self.change(joint, ChangeMembers::AddVoterIds(BTreeSet::new()))
            .await
    }

    async fn move_leader(&self, to: u64) -> Made {
        let ended = |_| MembershipError::ShuttingDown;
        let mut receiver = self.raft.metrics();
        self.raft.trigger().transfer_leader(to).await.map_err(ended)?;
        loop {
            let (leader, applied) = {
                let metrics = receiver.borrow_watched();
                (metrics.current_leader, index(&metrics.last_applied))
            };
            match leader {
                Some(leader) if leader == to => return Ok(applied),
                _ => receiver
                    .changed()
                    .await
                    .map_err(|_| MembershipError::ShuttingDown)?,
            }
        }
    }

    /// Finishes what was begun, for as long as the member lives: changes of which a former leader made only half, and
    /// voters that have caught up. Runs as a task.
    pub(crate) async fn keep_up(self, interval: Duration) {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let metrics = self.metrics();
            if metrics.running_state.is_err() {
                return;
            }
            if metrics.current_leader == Some(metrics.id) {
                self.finish(&metrics).await;
            }
        }
    }

    async fn finish(&self, metrics: &RaftMetrics<TypeConfig>) {
        let stored = &metrics.membership_config;
        let is_joint = stored.membership().get_joint_config().len() > 1;
        let caught_up = || self.caught_up(metrics);
        if !is_joint && caught_up().is_none() {
            return;
        }
        // Whoever makes a change now may be about to finish it by itself.
        let Ok(_one) = self.changing.try_lock() else {
            return;
        };
        let finished = if is_joint {
            self.flatten(stored).await
        } else if let Some((id, node)) = caught_up() {
            let promoted = self.change(stored, promotion(id, node)).await;
            if promoted.is_ok() {
                tracing::info!(
                    member = format!("{id:016x}"),
                    "a member has caught up and votes from now on"
                );
            }
            promoted
        } else {
            return;
        };
        if let Err(Failed::For(error) | Failed::Again(error)) = finished {
            tracing::debug!(%error, "a change of the membership is finished later");
        }
    }

    /// A member that was added as a voter, has started, answers, and has all but the newest entries.
    fn caught_up<'a>(&self, metrics: &'a RaftMetrics<TypeConfig>) -> Option<(u64, &'a MemberNode)> {
        let last = metrics.last_log_index.unwrap_or(0);
        let (replication, heard) = (metrics.replication.as_ref()?, metrics.heartbeat.as_ref()?);
        let is_ready = |id: &u64| {
            let matched = replication.get(id).and_then(Option::as_ref);
            let answered = heard.get(id).and_then(Option::as_ref);
            matched.is_some_and(|matched| matched.index + READY_LAG >= last)
                && answered.is_some_and(|at| at.elapsed() < self.silence)
        };
        metrics
            .membership_config
            .membership()
            .nodes()
            .find(|(id, node)| node.promote_when_ready && node.life != 0 && is_ready(id))
            .map(|(id, node)| (*id, node))
    }
}

fn index(log_id: &Option<LogId>) -> u64 {
    log_id.as_ref().map_or(0, |log_id| log_id.index)
}

fn failed(error: &RaftError<TypeConfig, ClientWriteError<TypeConfig>>) -> Failed {
    let RaftError::APIError(error) = error else {
        return Failed::For(MembershipError::ShuttingDown);
    };
    match error {
        ClientWriteError::ForwardToLeader(_) => Failed::For(MembershipError::NotLeader),
        // Asking again finds out what became of it.
        ClientWriteError::LogEntryDiscarded(_) => Failed::For(MembershipError::NotLeader),
        ClientWriteError::PreconditionFailed(_) => Failed::Again(MembershipError::Busy),
        ClientWriteError::ChangeMembershipError(error) => match error {
            ChangeMembershipError::InProgress(_) | ChangeMembershipError::UncommittedLeaderLog(_) => {
                Failed::Again(MembershipError::Busy)
            }
            // The plan was made for this membership, so none of these is expected.
            other => {
                tracing::error!(error = %other, "a planned change of the membership was refused");
                Failed::For(MembershipError::Busy)
            }
        },
    }
}

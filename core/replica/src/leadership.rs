//! Who leads, as this member knows it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use openraft::Instant as _;
use openraft::async_runtime::watch::WatchReceiver;

use crate::raft::types::Raft;

/// A leader of one term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Leader {
    pub(crate) term: u64,
    pub(crate) id: u64,
}

/// When the leader was last heard from. Raft itself keeps to a leader until there is another, though it be long dead.
#[derive(Clone)]
pub(crate) struct Contact {
    started: Instant,
    /// Milliseconds after `started`, plus one; 0: never.
    heard: Arc<AtomicU64>,
}

impl Contact {
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            heard: Arc::default(),
        }
    }

    /// The leader was heard from now.
    pub(crate) fn note(&self) {
        self.heard
            .store(self.started.elapsed().as_millis() as u64 + 1, Relaxed);
    }

    fn within(&self, limit: Duration) -> bool {
        let heard = self.heard.load(Relaxed);
        heard > 0 && self.started.elapsed().as_millis() as u64 + 1 - heard <= limit.as_millis() as u64
    }
}

/// What this member knows of the leader. Clones share it.
#[derive(Clone)]
pub(crate) struct Leadership {
    raft: Raft,
    own_id: u64,
    contact: Contact,
    /// A leader that is silent for this long is none.
    silence: Duration,
}

impl Leadership {
    pub(crate) fn new(raft: Raft, own_id: u64, contact: Contact, silence: Duration) -> Self {
        Self {
            raft,
            own_id,
            contact,
            silence,
        }
    }

    pub(crate) fn raft(&self) -> &Raft {
        &self.raft
    }

    pub(crate) fn own_id(&self) -> u64 {
        self.own_id
    }

    /// The leader of the newest term, heard from lately or not.
    pub(crate) fn newest(&self) -> Option<Leader> {
        let receiver = self.raft.server_metrics();
        let metrics = receiver.borrow_watched();
        let term = metrics.vote.leader_id.term;
        metrics.current_leader.map(|id| Leader { term, id })
    }

    /// The leader, if it still is one: this member with a quorum that answers, or one that this member hears from.
    pub(crate) fn present(&self) -> Option<u64> {
        let receiver = self.raft.metrics();
        let metrics = receiver.borrow_watched();
        let leader = metrics.current_leader?;
        let present = if leader == self.own_id {
            let alone = metrics.membership_config.voter_ids().take(2).count() < 2;
            let acknowledged = metrics.last_quorum_acked.as_ref();
            alone || acknowledged.is_none_or(|at| at.elapsed() <= self.silence)
        } else {
            self.contact.within(self.silence)
        };
        present.then_some(leader)
    }

    /// Waits until the leader may be another one, at most for `limit`.
    pub(crate) async fn changed(&self, limit: Duration) {
        let before = self.newest();
        let mut receiver = self.raft.server_metrics();
        let change = async {
            while self.newest() == before {
                if receiver.changed().await.is_err() {
                    // Raft has ended: there will be no other.
                    return std::future::pending().await;
                }
            }
        };
        // Both outcomes mean: look again.
        let _ = tokio::time::timeout(limit, change).await;
    }
}

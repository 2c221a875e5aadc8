//! Linearizable reads: one confirmation of leadership serves all reads that queued while the one before it was under way,
//! those of this member's clients and those that other members ask for.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cfgstore_proto::cfgstore::peer::v1 as pb;
use openraft::ReadPolicy;
use openraft::errors::{LinearizableReadError, RaftError};
use tokio::sync::{Notify, Semaphore, oneshot};
use tokio::time::Instant;

use crate::deliver::Deliver;
use crate::error::ReadError;
use crate::leadership::Leadership;
use crate::peer::convert;
use crate::peer::leader;
use crate::peer::link::Peers;
use crate::raft::state_machine::Published;
use crate::raft::types::{LogId, TypeConfig};
use crate::stats::Counters;

/// Reads that may wait for a confirmation at once.
const MAX_WAITING: usize = 65_536;
/// Confirmed rounds that wait until this member has applied enough.
const MAX_ROUNDS: usize = 16;
/// A confirmation that takes longer is counted as slow.
const SLOW: Duration = Duration::from_secs(1);

type Waiter = oneshot::Sender<Result<(), ReadError>>;
type Asker = oneshot::Sender<Result<LogId, ReadError>>;

#[derive(Default)]
struct Waiting {
    /// Reads of this member's clients.
    waiters: Vec<Waiter>,
    /// Those who ask this member as the leader.
    askers: Vec<Asker>,
    closed: bool,
}

/// The queue of reads. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Barrier {
    waiting: Arc<Mutex<Waiting>>,
    wake: Arc<Notify>,
}

/// What the task works with.
pub(crate) struct Confirm {
    pub(crate) leadership: Leadership,
    pub(crate) peers: Peers,
    pub(crate) published: Published,
    pub(crate) deliver: Deliver,
    pub(crate) counters: Arc<Counters>,
    /// How long another member may take to answer.
    pub(crate) limit: Duration,
    /// How long to wait after a failure.
    pub(crate) backoff: Duration,
}

impl Barrier {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing panics halfway through a change of it.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a read; the receiver is told once the state holds every write acknowledged before this call. Without a
    /// leader it waits.
    pub(crate) fn enqueue(&self) -> Result<oneshot::Receiver<Result<(), ReadError>>, ReadError> {
        let (sender, receiver) = oneshot::channel();
        self.add(|waiting| waiting.waiters.push(sender))?;
        Ok(receiver)
    }

    /// Asks this member as the leader: for the entry that a state must hold to have every write acknowledged before this
    /// call. An error when it isn't the leader.
    pub(crate) fn ask(&self) -> Result<oneshot::Receiver<Result<LogId, ReadError>>, ReadError> {
        let (sender, receiver) = oneshot::channel();
        self.add(|waiting| waiting.askers.push(sender))?;
        Ok(receiver)
    }

    fn add(&self, add: impl FnOnce(&mut Waiting)) -> Result<(), ReadError> {
        let mut waiting = self.lock();
        if waiting.closed {
            return Err(ReadError::ShuttingDown);
        }
        if waiting.waiters.len() + waiting.askers.len() >= MAX_WAITING {
            return Err(ReadError::TooManyRequests);
        }
        add(&mut waiting);
        let first = waiting.waiters.len() + waiting.askers.len() == 1;
        drop(waiting);
        if first {
            self.wake.notify_one();
        }
        Ok(())
    }

    /// Takes no further reads and answers those waiting.
    pub(crate) fn close(&self) {
        let (waiters, askers) = {
            let mut waiting = self.lock();
            waiting.closed = true;
            (
                std::mem::take(&mut waiting.waiters),
                std::mem::take(&mut waiting.askers),
            )
        };
        answer(waiters, &Err(ReadError::ShuttingDown));
        answer(askers, &Err(ReadError::ShuttingDown));
    }

    /// They are tried again, in front.
    fn put_back(&self, mut waiters: Vec<Waiter>) {
        waiters.retain(|waiter| !waiter.is_closed());
        let mut waiting = self.lock();
        if waiting.closed {
            drop(waiting);
            answer(waiters, &Err(ReadError::ShuttingDown));
            return;
        }
        waiters.append(&mut waiting.waiters);
        waiting.waiters = waiters;
    }

    /// Confirms reads until the task is dropped.
    pub(crate) async fn run(self, confirm: Confirm) {
        let rounds = Arc::new(Semaphore::new(MAX_ROUNDS));
        loop {
            let wake = self.wake.notified();
            let (waiters, askers) = {
                let mut waiting = self.lock();
                (
                    std::mem::take(&mut waiting.waiters),
                    std::mem::take(&mut waiting.askers),
                )
            };
            if waiters.is_empty() && askers.is_empty() {
                wake.await;
                continue;
            }
            let Ok(round) = rounds.clone().acquire_owned().await else {
                return;
            };
            let started = Instant::now();
            let confirmed = confirm.index(askers).await;
            if started.elapsed() > SLOW {
                confirm.counters.read_indexes_slow.fetch_add(1, Relaxed);
            }
            let index = match confirmed {
                Ok(index) => index,
                Err(error) => {
                    tracing::debug!(%error, "reads are confirmed again");
                    confirm.counters.read_indexes_failed.fetch_add(1, Relaxed);
                    self.put_back(waiters);
                    confirm.leadership.changed(confirm.backoff).await;
                    continue;
                }
            };
            let mut applied = confirm.published.applied_index();
            if *applied.borrow() >= index {
                confirm.deliver.run(move || answer(waiters, &Ok(())));
                continue;
            }
            let deliver = confirm.deliver.clone();
            tokio::spawn(async move {
                // The sender lives as long as the state machine; without one, nobody is answered.
                if applied.wait_for(|applied| *applied >= index).await.is_ok() {
                    deliver.run(move || answer(waiters, &Ok(())));
                }
                drop(round);
            });
        }
    }
}

impl Confirm {
    /// Index of the entry that the state must hold. Answers those who ask this member as the leader.
    async fn index(&self, askers: Vec<Asker>) -> Result<u64, ReadError> {
        match self.leadership.newest() {
            Some(leader) if leader.id != self.leadership.own_id() => {
                let error = ReadError::NoLeader {
                    leader_id: Some(leader.id),
                };
                answer(askers, &Err(error));
                self.ask_leader(leader.id).await
            }
            // Without a leader it is this member that can't say.
            Some(_) | None => {
                let linearizer = self
                    .leadership
                    .raft()
                    .get_read_linearizer(ReadPolicy::ReadIndex)
                    .await;
                let confirmed = linearizer
                    .map(|linearizer| *linearizer.read_log_id().log_id())
                    .map_err(read_error);
                answer(askers, &confirmed);
                confirmed.map(|log_id| log_id.index)
            }
        }
    }

    async fn ask_leader(&self, leader: u64) -> Result<u64, ReadError> {
        let ask = |mut client: leader::Client, request| async move { client.read_index(request).await };
        let response = leader::call(&self.peers, leader, self.limit, pb::ReadIndexRequest {}, ask).await;
        let response = response.map_err(|status| ReadError::Unavailable {
            reason: status.message().to_owned(),
        })?;
        match response.index {
            Some(log_id) => Ok(convert::to_log_id(log_id).index),
            None => Err(ReadError::NoLeader {
                leader_id: (response.leader != 0).then_some(response.leader),
            }),
        }
    }
}

fn answer<T: Clone>(waiters: Vec<oneshot::Sender<Result<T, ReadError>>>, result: &Result<T, ReadError>) {
    for waiter in waiters {
        // The reader may have given up waiting.
        let _ = waiter.send(result.clone());
    }
}

fn read_error(error: RaftError<TypeConfig, LinearizableReadError<TypeConfig>>) -> ReadError {
    match error {
        RaftError::APIError(LinearizableReadError::ForwardToLeader(forward)) => ReadError::NoLeader {
            leader_id: forward.leader_id,
        },
        RaftError::APIError(LinearizableReadError::QuorumNotEnough(error)) => ReadError::Unavailable {
            reason: error.to_string(),
        },
        RaftError::Fatal(fatal) => ReadError::Unavailable {
            reason: fatal.to_string(),
        },
    }
}

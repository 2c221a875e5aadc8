//! Linearizable reads: one confirmation of leadership serves all reads that queued while the one before it was under way.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openraft::ReadPolicy;
use openraft::errors::{LinearizableReadError, RaftError};
use tokio::sync::{Notify, oneshot};

use crate::deliver::Deliver;
use crate::error::ReadError;
use crate::raft::types::{Raft, TypeConfig};

/// Reads that may wait for a confirmation at once.
const MAX_WAITING: usize = 65_536;

type Waiter = oneshot::Sender<Result<(), ReadError>>;

#[derive(Default)]
struct Waiting {
    waiters: Vec<Waiter>,
    closed: bool,
}

/// The queue of reads. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Barrier {
    waiting: Arc<Mutex<Waiting>>,
    wake: Arc<Notify>,
}

impl Barrier {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing panics halfway through a change of it.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a read; the receiver is told once the state holds every write acknowledged before this call.
    pub(crate) fn enqueue(&self) -> Result<oneshot::Receiver<Result<(), ReadError>>, ReadError> {
        let (sender, receiver) = oneshot::channel();
        let mut waiting = self.lock();
        if waiting.closed {
            return Err(ReadError::ShuttingDown);
        }
        if waiting.waiters.len() >= MAX_WAITING {
            return Err(ReadError::TooManyRequests);
        }
        waiting.waiters.push(sender);
        let first = waiting.waiters.len() == 1;
        drop(waiting);
        if first {
            self.wake.notify_one();
        }
        Ok(receiver)
    }

    /// Takes no further reads and answers those waiting.
    pub(crate) fn close(&self) {
        let waiters = {
            let mut waiting = self.lock();
            waiting.closed = true;
            std::mem::take(&mut waiting.waiters)
        };
        answer(waiters, &Err(ReadError::ShuttingDown));
    }

    /// Confirms reads until the task is dropped.
    pub(crate) async fn run(self, raft: Raft, deliver: Deliver) {
        loop {
            let wake = self.wake.notified();
            let waiters = std::mem::take(&mut self.lock().waiters);
            if waiters.is_empty() {
                wake.await;
                continue;
            }
            let confirmed = raft.ensure_linearizable(ReadPolicy::ReadIndex).await;
            deliver.run(move || answer(waiters, &confirmed.map(|_| ()).map_err(read_error)));
        }
    }
}

fn answer(waiters: Vec<Waiter>, result: &Result<(), ReadError>) {
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

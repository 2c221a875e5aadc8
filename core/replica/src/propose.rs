//! Proposals: many commands become one log entry. While an entry is on its way the next one fills; nothing waits for a
//! timer.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use cfgstore_store::{Caller, Command};
use openraft::errors::ClientWriteError;
use openraft::raft::ClientWriteResult;
use tokio::sync::{Notify, oneshot};

use crate::deliver::Deliver;
use crate::error::ProposeError;
use crate::member::Applied;
use crate::raft::codec::BatchBuilder;
use crate::raft::types::{BatchReply, CallbackResponder, Raft, TypeConfig};

/// Entries on their way at once: one being synced while the next is handed to the log.
const IN_FLIGHT: usize = 2;

type Reply = oneshot::Sender<Result<Applied, ProposeError>>;

/// Limits of the queue, from the settings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QueueLimits {
    pub(crate) request_bytes: usize,
    pub(crate) batch_commands: usize,
    pub(crate) batch_bytes: usize,
    pub(crate) queued_commands: usize,
    pub(crate) queued_bytes: usize,
}

struct Filling {
    builder: BatchBuilder,
    replies: Vec<Reply>,
}

#[derive(Default)]
struct Queue {
    /// Entries to be; only the last one still grows.
    batches: VecDeque<Filling>,
    commands: usize,
    bytes: usize,
    in_flight: usize,
    /// No client's proposals any more.
    closed: bool,
    /// Stamp of the last entry: time never goes back from one entry to the next.
    last_time_unix_ms: i64,
}

/// The queue of proposals. Clones share it.
#[derive(Clone)]
pub(crate) struct Proposer {
    queue: Arc<Mutex<Queue>>,
    wake: Arc<Notify>,
    /// Told when an entry has been answered, for whoever waits for the queue to empty.
    idle: Arc<Notify>,
    limits: QueueLimits,
}

/// Who proposes. The member's own commands (expiry of leases) are not refused when clients have filled the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Client,
    Member,
}

impl Proposer {
    pub(crate) fn new(limits: QueueLimits) -> Self {
        Self {
            queue: Arc::default(),
            wake: Arc::default(),
            idle: Arc::default(),
            limits,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Nothing panics halfway through a change of it.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a command; its outcome arrives on the receiver. A dropped sender means that the outcome is unknown.
    pub(crate) fn enqueue(
        &self,
        caller: Caller,
        command: Command,
        origin: Origin,
    ) -> Result<oneshot::Receiver<Result<Applied, ProposeError>>, ProposeError> {
        let mut queue = self.lock();
        if queue.closed {
            return Err(ProposeError::ShuttingDown);
        }
        let full = queue.commands >= self.limits.queued_commands || queue.bytes >= self.limits.queued_bytes;
        if full && origin == Origin::Client {
            return Err(ProposeError::TooManyRequests);
        }
        let has_room = |filling: &Filling| {
            filling.builder.len() < self.limits.batch_commands
                && filling.builder.size_bytes() < self.limits.batch_bytes
        };
        if !queue.batches.back().is_some_and(has_room) {
            queue.batches.push_back(Filling {
                builder: BatchBuilder::new(),
                replies: Vec::new(),
            });
        }
        let (sender, receiver) = oneshot::channel();
        let Some(filling) = queue.batches.back_mut() else {
            unreachable!("one was pushed above")
        };
        let size = match filling.builder.push(caller, command, self.limits.request_bytes) {
            Ok(size) => size,
            Err(size_bytes) => {
                if filling.replies.is_empty() {
                    queue.batches.pop_back();
                }
                return Err(ProposeError::TooLarge {
                    size_bytes,
                    limit_bytes: self.limits.request_bytes,
                });
            }
        };
        filling.replies.push(sender);
        queue.commands += 1;
        queue.bytes += size;
        let wake = queue.in_flight < IN_FLIGHT;
        drop(queue);
        if wake {
            self.wake.notify_one();
        }
        Ok(receiver)
    }

    /// Takes no further client proposals.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
    }

    /// Waits until everything queued has been answered.
    pub(crate) async fn drained(&self) {
        loop {
            let idle = self.idle.notified();
            {
                let queue = self.lock();
                if queue.batches.is_empty() && queue.in_flight == 0 {
                    return;
                }
            }
            idle.await;
        }
    }

    /// Hands entries to Raft until Raft ends. Runs as a task.
    pub(crate) async fn run(self, raft: Raft, deliver: Deliver) {
        loop {
            let wake = self.wake.notified();
            while let Some((filling, in_flight)) = self.take() {
                let time = self.stamp();
                let batch = filling.builder.finish(time);
                let replies = filling.replies;
                let deliver = deliver.clone();
                let respond = move |result: ClientWriteResult<TypeConfig>| {
                    deliver.run(move || answer(result, replies));
                    drop(in_flight);
                };
                if let Err(fatal) = raft
                    .client_write_ff(batch, Some(CallbackResponder(Box::new(respond))))
                    .await
                {
                    // The responder is gone with the message, and its waiters know that the outcome is unknown.
                    tracing::debug!(%fatal, "Raft takes no more proposals");
                    self.fail_queued();
                    return;
                }
            }
            wake.await;
        }
    }

    fn take(&self) -> Option<(Filling, InFlight)> {
        let mut queue = self.lock();
        if queue.in_flight >= IN_FLIGHT {
            return None;
        }
        let filling = queue.batches.pop_front()?;
        queue.commands -= filling.replies.len();
        queue.bytes = if queue.batches.is_empty() {
            0
        } else {
            queue.bytes.saturating_sub(filling.builder.size_bytes())
        };
        queue.in_flight += 1;
        Some((filling, InFlight(self.clone())))
    }

    fn stamp(&self) -> i64 {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |elapsed| elapsed.as_millis() as i64);
        let mut queue = self.lock();
        queue.last_time_unix_ms = queue.last_time_unix_ms.max(now);
        queue.last_time_unix_ms
    }

    /// Ends with what nobody will take up any more: it was never handed to Raft.
    pub(crate) fn fail_queued(&self) {
        let batches = {
            let mut queue = self.lock();
            queue.closed = true;
            queue.commands = 0;
            queue.bytes = 0;
            std::mem::take(&mut queue.batches)
        };
        for reply in batches.into_iter().flat_map(|filling| filling.replies) {
            // The proposer may have given up waiting.
            let _ = reply.send(Err(ProposeError::ShuttingDown));
        }
        self.idle.notify_waiters();
    }
}

/// One of the entries on their way; when it is answered, or dropped, there is a place for the next.
struct InFlight(Proposer);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.lock().in_flight -= 1;
        self.0.wake.notify_one();
        self.0.idle.notify_waiters();
    }
}

fn answer(result: ClientWriteResult<TypeConfig>, replies: Vec<Reply>) {
    match result {
        Ok(response) => {
            let term = response.log_id.leader_id.term;
            let BatchReply { outcomes } = response.data;
            for ((result, revision), reply) in outcomes.into_iter().zip(replies) {
                // The proposer may have given up waiting.
                let _ = reply.send(Ok(Applied {
                    result,
                    revision,
                    term,
                }));
            }
        }
        Err(error) => {
            let error = match error {
                ClientWriteError::ForwardToLeader(forward) => ProposeError::NoLeader {
                    leader_id: forward.leader_id,
                },
                // Discarded here only: a third member may hold the entry, lead next and commit it. It is dead for certain
                // once an entry of a later term has been applied without it having been.
                ClientWriteError::LogEntryDiscarded(_) => ProposeError::Unavailable {
                    reason: "the leader changed while the write was on its way".to_owned(),
                },
                // Neither is ever asked for with commands; were it all the same, nothing was appended.
                ClientWriteError::ChangeMembershipError(_) | ClientWriteError::PreconditionFailed(_) => {
                    ProposeError::NoLeader { leader_id: None }
                }
            };
            for reply in replies {
                let _ = reply.send(Err(error.clone()));
            }
        }
    }
}

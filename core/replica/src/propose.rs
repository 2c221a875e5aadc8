//! The queue of proposals: many commands become one log entry. While entries are on their way the next one fills; nothing
//! waits for a timer. `forward` takes from the queue, `pending` holds what is on its way.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use cfgstore_store::{Caller, Command};
use tokio::sync::{Notify, oneshot};

use crate::error::ProposeError;
use crate::member::Applied;
use crate::raft::codec::{self, BatchBuilder};
use crate::raft::types::{Batch, BatchOrigin, BatchReply};

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

/// Commands that become one entry, and who waits for them.
pub(crate) struct Proposal {
    content: Content,
    replies: Vec<Reply>,
    /// When the first command came.
    since: Instant,
}

enum Content {
    Collecting(BatchBuilder),
    /// It was on its way before, in vain.
    Closed(Batch),
}

impl Proposal {
    fn new() -> Self {
        Self {
            content: Content::Collecting(BatchBuilder::new()),
            replies: Vec::new(),
            since: Instant::now(),
        }
    }

    fn size_bytes(&self) -> usize {
        match &self.content {
            Content::Collecting(builder) => builder.size_bytes(),
            Content::Closed(batch) => batch.0.encoded.len(),
        }
    }

    /// Closes the batch, or renames it when it was closed before.
    pub(crate) fn close(mut self, time_unix_ms: i64, origin: BatchOrigin) -> (Proposal, Batch) {
        let batch = match self.content {
            Content::Collecting(builder) => builder.finish(time_unix_ms, origin),
            Content::Closed(batch) => codec::rename(&batch, time_unix_ms, origin),
        };
        self.content = Content::Closed(batch.clone());
        (self, batch)
    }

    /// Whether anyone still waits for an answer.
    pub(crate) fn is_awaited(&self) -> bool {
        self.replies.iter().any(|reply| !reply.is_closed())
    }

    /// Number of commands.
    pub(crate) fn len(&self) -> usize {
        self.replies.len()
    }

    /// Tells everyone what became of it.
    pub(crate) fn answer(self, result: Result<(BatchReply, u64), ProposeError>) {
        // Any proposer may have given up waiting.
        match result {
            Ok((BatchReply { outcomes }, term)) => {
                for ((result, revision), reply) in outcomes.into_iter().zip(self.replies) {
                    let _ = reply.send(Ok(Applied {
                        result,
                        revision,
                        term,
                    }));
                }
            }
            Err(error) => {
                for reply in self.replies {
                    let _ = reply.send(Err(error.clone()));
                }
            }
        }
    }
}

#[derive(Default)]
struct Queue {
    /// Entries to be; only the last one still grows.
    proposals: VecDeque<Proposal>,
    commands: usize,
    bytes: usize,
    in_flight: usize,
    /// No client's proposals any more.
    closed: bool,
    /// Stamp of the last entry: time never goes back from one entry to the next.
    last_time_unix_ms: i64,
}

impl Queue {
    fn taken(&mut self, proposal: &Proposal) {
        self.commands -= proposal.len();
        self.bytes = if self.proposals.is_empty() {
            0
        } else {
            self.bytes.saturating_sub(proposal.size_bytes())
        };
    }
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
        let has_room = |proposal: &Proposal| {
            matches!(proposal.content, Content::Collecting(_))
                && proposal.len() < self.limits.batch_commands
                && proposal.size_bytes() < self.limits.batch_bytes
        };
        if !queue.proposals.back().is_some_and(has_room) {
            queue.proposals.push_back(Proposal::new());
        }
        let (sender, receiver) = oneshot::channel();
        let Some(Proposal {
            content: Content::Collecting(builder),
            replies,
            ..
        }) = queue.proposals.back_mut()
        else {
            unreachable!("one was pushed above")
        };
        let size = match builder.push(caller, command, self.limits.request_bytes) {
            Ok(size) => size,
            Err(size_bytes) => {
                if replies.is_empty() {
                    queue.proposals.pop_back();
                }
                return Err(ProposeError::TooLarge {
                    size_bytes,
                    limit_bytes: self.limits.request_bytes,
                });
            }
        };
        replies.push(sender);
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
        self.wake.notify_one();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Waits until everything queued has been answered.
    pub(crate) async fn drained(&self) {
        loop {
            let idle = self.idle.notified();
            {
                let queue = self.lock();
                if queue.proposals.is_empty() && queue.in_flight == 0 {
                    return;
                }
            }
            idle.await;
        }
    }

    /// Waits until there may be something to take.
    pub(crate) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// The next entry, unless enough are on their way.
    pub(crate) fn take(&self) -> Option<(Proposal, InFlight)> {
        let mut queue = self.lock();
        if queue.in_flight >= IN_FLIGHT {
            return None;
        }
        let proposal = queue.proposals.pop_front()?;
        queue.taken(&proposal);
        queue.in_flight += 1;
        Some((proposal, InFlight(self.clone())))
    }

    /// Puts back, in front, what was on its way and was not written, unless nobody waits for it any more. In the order
    /// in which they were taken.
    pub(crate) fn put_back(&self, proposals: Vec<Proposal>) {
        let mut queue = self.lock();
        for proposal in proposals.into_iter().rev().filter(Proposal::is_awaited) {
            queue.commands += proposal.len();
            queue.bytes += proposal.size_bytes();
            queue.proposals.push_front(proposal);
        }
        drop(queue);
        self.wake.notify_one();
    }

    /// When the longest waiting command came.
    pub(crate) fn oldest(&self) -> Option<Instant> {
        self.lock().proposals.front().map(|proposal| proposal.since)
    }

    /// Takes what has waited since `limit` or longer: nobody could be found to write it.
    pub(crate) fn expired(&self, limit: Instant) -> Vec<Proposal> {
        let mut queue = self.lock();
        let mut expired = Vec::new();
        while queue
            .proposals
            .front()
            .is_some_and(|proposal| proposal.since <= limit)
            && let Some(proposal) = queue.proposals.pop_front()
        {
            queue.taken(&proposal);
            expired.push(proposal);
        }
        drop(queue);
        self.idle.notify_waiters();
        expired
    }

    /// The time for the next entry, in milliseconds since 1970; it never goes back.
    pub(crate) fn stamp(&self) -> i64 {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |elapsed| elapsed.as_millis() as i64);
        self.stamp_at_least(now)
    }

    /// An entry of another leader carries this time, so no later one of this member may carry an earlier one.
    pub(crate) fn stamp_at_least(&self, time_unix_ms: i64) -> i64 {
        let mut queue = self.lock();
        queue.last_time_unix_ms = queue.last_time_unix_ms.max(time_unix_ms);
        queue.last_time_unix_ms
    }

    /// Ends with what nobody will take up any more: it was never handed to Raft.
    pub(crate) fn fail_queued(&self) {
        let proposals = {
            let mut queue = self.lock();
            queue.closed = true;
            queue.commands = 0;
            queue.bytes = 0;
            std::mem::take(&mut queue.proposals)
        };
        for proposal in proposals {
            proposal.answer(Err(ProposeError::ShuttingDown));
        }
        self.idle.notify_waiters();
    }
}

/// One of the entries on their way; when it is answered, or dropped, there is a place for the next.
pub(crate) struct InFlight(Proposer);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.lock().in_flight -= 1;
        self.0.wake.notify_one();
        self.0.idle.notify_waiters();
    }
}

//! A watch that a task of the client's background thread runs.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::blocking::LONGEST_WAIT;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::Event;
use crate::watch::{ChangeBatch, Watch};

/// Batches kept for a reader that does not take them; then the task stops reading, and the server waits.
const MAX_QUEUED: usize = 1024;

pub(super) struct BackgroundWatch {
    shared: Arc<Shared>,
    task: AbortHandle,
}

struct Shared {
    queue: Mutex<Queue>,
    arrived: Condvar,
    taken: Notify,
    /// Set while the queue has something.
    pending: Event,
}

#[derive(Default)]
struct Queue {
    batches: VecDeque<ChangeBatch>,
    failed: Option<Error>,
    /// The failure was reported; it is reported again on demand, but no longer announced.
    failure_seen: bool,
    /// Position of the watch behind the batches.
    position: i64,
}

impl BackgroundWatch {
    pub fn new(watch: Watch, runtime: &Handle) -> Result<BackgroundWatch> {
        let pending = Event::new().map_err(|error| {
            Error::new(
                ErrorKind::Exhausted,
                format!("cannot set up a watch: {error}; are descriptors used up?"),
            )
        })?;
        let queue = Queue {
            position: watch.position(),
            ..Queue::default()
        };
        let shared = Arc::new(Shared {
            queue: Mutex::new(queue),
            arrived: Condvar::new(),
            taken: Notify::new(),
            pending,
        });
        let task = runtime.spawn(run(watch, shared.clone())).abort_handle();
        Ok(BackgroundWatch { shared, task })
    }

    pub fn fd(&self) -> BorrowedFd<'_> {
        self.shared.pending.as_fd()
    }

    pub fn position(&self) -> i64 {
        let queue = self.shared.lock();
        queue
            .batches
            .front()
            .map_or(queue.position, |batch| batch.revision)
    }

    pub fn next(&mut self, timeout: Option<Duration>) -> Result<Option<ChangeBatch>> {
        let deadline = Instant::now() + timeout.unwrap_or(LONGEST_WAIT).min(LONGEST_WAIT);
        let mut queue = self.shared.lock();
        loop {
            if let Some(batch) = queue.batches.pop_front() {
                self.shared.announce(&queue);
                self.shared.taken.notify_one();
                return Ok(Some(batch));
            }
            if let Some(error) = queue.failed.clone() {
                queue.failure_seen = true;
                if !is_over(&error) {
                    queue.failed = None;
                    self.shared.taken.notify_one();
                }
                self.shared.announce(&queue);
                return Err(error);
            }
            let now = Instant::now();
            if now >= deadline {
                return Ok(None);
            }
            let waited = self.shared.arrived.wait_timeout(queue, deadline - now);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for BackgroundWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings the flag in line with the queue. Called with the queue locked, so the two never disagree.
    fn announce(&self, queue: &Queue) {
        self.pending
            .set(!queue.batches.is_empty() || (queue.failed.is_some() && !queue.failure_seen));
    }
}

fn is_over(error: &Error) -> bool {
    error.kind != ErrorKind::Unavailable
}

async fn run(mut watch: Watch, shared: Arc<Shared>) {
    loop {
        let arrived = std::future::poll_fn(|cx| {
            let arrived = watch.poll_next(cx);
            // It also moves on without changes, with the server's first answer and its progress reports.
            shared.lock().position = watch.position();
            arrived
        })
        .await;
        {
            let mut queue = shared.lock();
            match arrived {
                Ok(batch) => queue.batches.push_back(batch),
                Err(error) => {
                    queue.failure_seen = false;
                    queue.failed = Some(error);
                }
            }
            shared.announce(&queue);
            shared.arrived.notify_all();
        }
        loop {
            // Made before looking, so that no notification falls between.
            let taken = shared.taken.notified();
            let (full, failed) = {
                let queue = shared.lock();
                (queue.batches.len() >= MAX_QUEUED, queue.failed.clone())
            };
            match failed {
                Some(error) if is_over(&error) => return,
                None if !full => break,
                _ => taken.await,
            }
        }
    }
}

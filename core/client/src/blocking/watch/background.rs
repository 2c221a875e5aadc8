//! A watch that a task of the client's background thread runs.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicI64, Ordering};
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
    /// From where another watch would go on. Set with the queue locked and read without: a forked child finds the lock as it was in
    /// the moment of the fork, perhaps held by a thread that it does not have.
    resume_at: AtomicI64,
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
            resume_at: AtomicI64::new(queue.position),
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
        self.shared.resume_at.load(Ordering::Relaxed)
    }

    pub fn next(&mut self, timeout: Option<Duration>) -> Result<Option<ChangeBatch>> {
        let deadline = Instant::now() + timeout.unwrap_or(LONGEST_WAIT).min(LONGEST_WAIT);
        let mut queue = self.shared.lock();
        loop {
            if let Some(batch) = queue.batches.pop_front() {
                self.shared.note_resume_at(&queue);
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

    fn note_resume_at(&self, queue: &Queue) {
        let front = queue.batches.front();
        let resume_at = front.map_or(queue.position, |batch| batch.revision);
        self.resume_at.store(resume_at, Ordering::Relaxed);
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
        std::future::poll_fn(|cx| {
            let arrived = watch.poll_next(cx);
            // It also moves on without changes, with the server's first answer and its progress reports. Together with what has
            // arrived: whoever goes on from the position must not miss that.
            let mut queue = shared.lock();
            queue.position = watch.position();
            let arrived = arrived.map(|arrived| {
                match arrived {
                    Ok(batch) => queue.batches.push_back(batch),
                    Err(error) => {
                        queue.failure_seen = false;
                        queue.failed = Some(error);
                    }
                }
                shared.announce(&queue);
                shared.arrived.notify_all();
            });
            shared.note_resume_at(&queue);
            arrived
        })
        .await;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::WatchOptions;
    use crate::{Address, Client, Options};

    /// As a forked child finds it, if the client's thread held it.
    #[test]
    fn the_position_is_known_while_the_queue_is_locked() {
        let runtime = crate::blocking::driver::new_runtime().unwrap();
        let options = Options {
            address: Address::Unix("/nonexistent/cfgstore.sock".into()),
            ..Options::default()
        };
        let watch = Client::new(options)
            .unwrap()
            .watch(WatchOptions::prefix("").from_revision(7))
            .unwrap();
        // Nothing runs it: the queue stays as it is.
        let watch = BackgroundWatch::new(watch, runtime.handle()).unwrap();
        let shared = watch.shared.clone();
        let locked = shared.lock();
        let (told, hears) = std::sync::mpsc::channel();
        std::thread::spawn(move || told.send(watch.position()));
        assert_eq!(hears.recv_timeout(Duration::from_secs(20)), Ok(7));
        drop(locked);
    }
}

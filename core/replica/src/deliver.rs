//! The way of answers from the Raft thread to the runtime that waits for them: many at once.
//!
//! Waking a task of another thread's runtime costs a system call. So the answers to a whole batch cross as one message,
//! and a task over there hands them out.

use tokio::sync::mpsc;

type Work = Box<dyn FnOnce() + Send>;

/// The sending side. Clones share it.
#[derive(Clone)]
pub(crate) struct Deliver(mpsc::UnboundedSender<Work>);

impl Deliver {
    /// Starts the task on the runtime of the caller. What waits in between is bounded by what is in flight.
    pub(crate) fn to_this_runtime() -> Deliver {
        let (sender, mut receiver) = mpsc::unbounded_channel::<Work>();
        tokio::spawn(async move {
            while let Some(work) = receiver.recv().await {
                work();
            }
        });
        Deliver(sender)
    }

    /// Has the work done on the other runtime; here, when that has ended.
    pub(crate) fn run(&self, work: impl FnOnce() + Send + 'static) {
        if let Err(mpsc::error::SendError(work)) = self.0.send(Box::new(work)) {
            work();
        }
    }
}

//! A watch that runs only while it is called.

use std::os::fd::BorrowedFd;
use std::task::Poll;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::time::{Instant, timeout_at};

use crate::blocking::LONGEST_WAIT;
use crate::blocking::driver::{new_runtime, run_woken, settle};
use crate::blocking::pollable::Pollable;
use crate::error::Result;
use crate::watch::{ChangeBatch, Watch};

/// It has a runtime of its own: were it shared, another call would read the watch's bytes from the socket, and an
/// event loop waiting on that socket would never hear of them.
pub(super) struct OnCallWatch {
    /// Before `runtime`: its connection ends while the runtime is there.
    watch: Watch,
    pollable: Pollable,
    runtime: Runtime,
    /// Nothing more could be done when it last ran: what there is to do from then on, the descriptor tells.
    is_settled: bool,
}

impl OnCallWatch {
    pub fn new(watch: Watch) -> Result<OnCallWatch> {
        let mut made = OnCallWatch {
            watch,
            pollable: Pollable::new()?,
            runtime: new_runtime()?,
            is_settled: false,
        };
        made.update();
        Ok(made)
    }

    pub fn fd(&self) -> BorrowedFd<'_> {
        self.pollable.fd()
    }

    pub fn position(&self) -> i64 {
        self.watch.position()
    }

    pub fn next(&mut self, timeout: Option<Duration>) -> Result<Option<ChangeBatch>> {
        let timeout = timeout.unwrap_or(LONGEST_WAIT).min(LONGEST_WAIT);
        if !self.watch.has_something_to_take() {
            if timeout.is_zero() && self.has_nothing_to_do() {
                return Ok(None);
            }
            self.drive(timeout);
        }
        let taken = self.watch.take();
        self.update();
        taken.transpose()
    }

    /// Asks with one system call what running would find out with many. While it connects, its descriptor only says when to try again.
    fn has_nothing_to_do(&self) -> bool {
        self.is_settled && self.watch.is_open() && !self.pollable.is_readable()
    }

    /// Runs until there is something to take or the time is up, and then until nothing more can be done without
    /// waiting.
    fn drive(&mut self, timeout: Duration) {
        let deadline = Instant::now() + timeout;
        let OnCallWatch {
            watch,
            pollable,
            runtime,
            is_settled,
        } = self;
        *is_settled = runtime.block_on(async {
            let is_settled = settle_watch(watch, pollable).await;
            if watch.has_something_to_take() || timeout.is_zero() {
                return is_settled;
            }
            let arrived = std::future::poll_fn(|cx| {
                watch.fill(cx);
                if watch.has_something_to_take() {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            });
            // The time being up is no failure.
            let _ = timeout_at(deadline, arrived).await;
            settle_watch(watch, pollable).await
        });
    }

    fn update(&mut self) {
        self.pollable.set_connection(self.watch.connection());
        self.pollable.set_pending(self.watch.announces_something());
        self.pollable.set_timer(self.watch.wants_driving_after());
    }
}

/// Takes in whatever the socket has, until it has nothing more: what is left unread there wakes an event loop,
/// what is left half-way inside would not. False: something is left, as the watch takes in no more.
async fn settle_watch(watch: &mut Watch, pollable: &mut Pollable) -> bool {
    settle().await;
    loop {
        let moved = std::future::poll_fn(|cx| Poll::Ready(watch.fill(cx))).await;
        pollable.set_connection(watch.connection());
        if watch.is_full() {
            // The flag is set while there is something to take, so the rest is not forgotten.
            return false;
        }
        if moved {
            // Lets the connection write what taking in has made it want to say.
            run_woken().await;
        } else if pollable.socket_is_readable() {
            settle().await;
        } else {
            return true;
        }
    }
}

impl Drop for OnCallWatch {
    fn drop(&mut self) {
        self.pollable.shut_down();
    }
}

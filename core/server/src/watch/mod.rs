//! Watches: from the store's history to the streams of clients.
//!
//! A watch is *synced* or *behind*. The [`Hub`] walks each new stretch of history once and hands every event
//! to the synced watches that want it, found by key, not by asking each. What it hands over waits in the
//! bounded queue of the stream; a watch whose stream has no room falls behind. A watch that is behind is
//! served by its own stream, which reads history at the pace its client takes it, and gives the watch back to
//! the hub when it has caught up.
//!
//! Invariants:
//! * A watch sees every event it asked for once, in order, or a compaction notice.
//! * The hub has handed out everything up to its revision `dispatched`; a synced watch has all of that in its
//!   queue.
//! * The events of one revision are in one response (or in the fragments that the client allowed).

mod catch_up;
mod fragment;
mod hub;
#[cfg(test)]
mod hub_tests;
mod index;
mod queue;
mod range_tree;
mod service;
mod spec;
mod stream;

pub(crate) use hub::Hub;
pub(crate) use service::WatchService;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::context::Context;

/// Hands out events as long as the server lives.
pub(crate) async fn run(ctx: Arc<Context>) {
    let mut applied = ctx.member.applied();
    loop {
        while ctx.hub.dispatch(&ctx.member.state()) {
            tokio::task::yield_now().await;
        }
        if applied.changed().await.is_err() {
            return;
        }
    }
}

/// Locks; a panic elsewhere while it was held is not made worse by another one here.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

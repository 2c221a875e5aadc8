//! What waits to be sent on one stream.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::task::Waker;

use cfgstore_proto::etcdserverpb::WatchResponse;
use cfgstore_proto::mvccpb::Event;

use super::lock;

/// Events that may wait on one stream. A watch whose events have no room falls behind and is served from
/// history, so this bounds memory, not what a client sees.
pub(super) const MAX_QUEUED_EVENTS: usize = 1_024;

/// One thing to send, or to do, in its turn.
#[derive(Debug)]
pub(super) enum Item {
    /// A response to a request, or a progress notification.
    Response(WatchResponse),
    /// Events of one watch, all it has up to `revision`.
    Events {
        watch_id: i64,
        hub_id: u64,
        revision: i64,
        events: Vec<Event>,
    },
    /// From here on the watch has to be served from history, beginning at `next_revision`.
    Behind {
        watch_id: i64,
        hub_id: u64,
        next_revision: i64,
    },
}

/// The queue between the hub and one stream.
#[derive(Debug, Default)]
pub(super) struct Queue(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    items: VecDeque<Item>,
    events: usize,
    waker: Option<Waker>,
}

impl Queue {
    /// Adds events, or gives them back if there is no room.
    pub fn push_events(&self, item: Item) -> Result<(), Item> {
        let count = match &item {
            Item::Events { events, .. } => events.len(),
            _ => 0,
        };
        let mut inner = lock(&self.0);
        if inner.events + count > MAX_QUEUED_EVENTS {
            return Err(item);
        }
        inner.events += count;
        inner.push(item);
        Ok(())
    }

    /// Adds what is bounded by other means: one per request, or one per watch.
    pub fn push(&self, item: Item) {
        assert!(!matches!(item, Item::Events { .. }));
        lock(&self.0).push(item);
    }

    pub fn pop(&self) -> Option<Item> {
        let mut inner = lock(&self.0);
        let item = inner.items.pop_front()?;
        if let Item::Events { events, .. } = &item {
            inner.events -= events.len();
        }
        Some(item)
    }

    pub fn is_empty(&self) -> bool {
        lock(&self.0).items.is_empty()
    }

    /// Has `waker` woken by the next item; `false` if there is one already.
    pub fn wait(&self, waker: &Waker) -> bool {
        let mut inner = lock(&self.0);
        if !inner.items.is_empty() {
            return false;
        }
        match &mut inner.waker {
            Some(known) => known.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
        true
    }
}

impl Inner {
    fn push(&mut self, item: Item) {
        self.items.push_back(item);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

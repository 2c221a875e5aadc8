//! Hands new events to the watches that are up to date.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use cfgstore_proto::mvccpb::Event;
use cfgstore_store::{Record, State};
use tokio::sync::oneshot;

use super::index::Index;
use super::lock;
use super::queue::{Item, Queue};
use super::spec::{self, Spec};

/// Events handed out before the hub lets other tasks run.
const SLICE_EVENTS: usize = 4_096;
/// Bytes of values handed out before what has been gathered is sent: bounds a response of many small
/// revisions.
const SLICE_BYTES: usize = 1 << 20;

/// Hands new events to the watches that are up to date, and wakes who waits for a key's deletion.
#[derive(Debug, Clone)]
pub(crate) struct Hub(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    /// Everything up to this revision has been handed out.
    dispatched: i64,
    last_id: u64,
    index: Index,
    synced: HashMap<u64, Synced>,
    deletions: HashMap<Bytes, HashMap<u64, oneshot::Sender<()>>>,
    /// Watches, synced or not.
    watches: usize,
    max_watches: usize,
    /// Events handed to watches so far.
    events: u64,
    /// Ids of the watches that the present event matches; kept for its memory.
    matched: Vec<u64>,
}

/// A watch that is up to date.
#[derive(Debug)]
struct Synced {
    spec: Arc<Spec>,
    watch_id: i64,
    /// Older events are not for this watch.
    min_revision: i64,
    queue: Arc<Queue>,
    /// Its events of the present slice.
    gathered: Vec<Event>,
}

/// What a hub has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counts {
    /// Watches, those that are behind among them.
    pub watches: usize,
    /// Watches that are served from history until they have caught up.
    pub behind: usize,
    /// Events handed to watches that were up to date.
    pub events: u64,
}

impl Hub {
    /// A hub that has handed out everything up to `revision`.
    pub fn new(revision: i64, max_watches: usize) -> Hub {
        Hub(Arc::new(Mutex::new(Inner {
            dispatched: revision,
            last_id: 0,
            index: Index::default(),
            synced: HashMap::new(),
            deletions: HashMap::new(),
            watches: 0,
            max_watches,
            events: 0,
            matched: Vec::new(),
        })))
    }

    /// Counts one more watch, unless there are as many as allowed: that number is the error.
    pub(super) fn admit(&self) -> Result<Admission, usize> {
        let mut inner = lock(&self.0);
        if inner.watches >= inner.max_watches {
            return Err(inner.max_watches);
        }
        inner.watches += 1;
        inner.last_id += 1;
        Ok(Admission {
            id: inner.last_id,
            hub: self.clone(),
        })
    }

    /// Takes over a watch that has had, or does not want, everything before `min_revision`. `false`, if
    /// events after that have been handed out already: then it has to catch up first.
    pub(super) fn sync(
        &self,
        id: &Admission,
        spec: &Arc<Spec>,
        watch_id: i64,
        min_revision: i64,
        queue: &Arc<Queue>,
    ) -> bool {
        let mut inner = lock(&self.0);
        if min_revision <= inner.dispatched {
            return false;
        }
        inner.index.insert(spec.keys(), id.id);
        let synced = Synced {
            spec: spec.clone(),
            watch_id,
            min_revision,
            queue: queue.clone(),
            gathered: Vec::new(),
        };
        inner.synced.insert(id.id, synced);
        true
    }

    /// Whether the watch is up to date at the revision handed out so far, and wants to hear of that revision.
    /// Answers that revision.
    pub(super) fn progress(&self, id: &Admission) -> Option<i64> {
        let inner = lock(&self.0);
        let synced = inner.synced.get(&id.id)?;
        // A watch from a future revision hears of nothing before it.
        let from = synced.spec.start_revision.max(synced.min_revision - 1);
        (inner.dispatched >= from).then_some(inner.dispatched)
    }

    /// The revision up to which all events were handed to the watches that keep up.
    pub fn dispatched(&self) -> i64 {
        lock(&self.0).dispatched
    }

    /// Resolves when `key` is deleted after this call.
    pub fn deletion(&self, key: &Bytes) -> Deletion {
        let mut inner = lock(&self.0);
        inner.last_id += 1;
        let id = inner.last_id;
        let (deleted, waiting) = oneshot::channel();
        let key = Bytes::copy_from_slice(key);
        inner
            .deletions
            .entry(key.clone())
            .or_default()
            .insert(id, deleted);
        Deletion {
            hub: self.clone(),
            key,
            id,
            waiting,
        }
    }

    /// What there is at this moment.
    pub fn counts(&self) -> Counts {
        let inner = lock(&self.0);
        Counts {
            watches: inner.watches,
            behind: inner.watches - inner.synced.len(),
            events: inner.events,
        }
    }

    /// Hands out the events up to `state`, or some thousand of them: `true` says that there are more.
    pub fn dispatch(&self, state: &State) -> bool {
        lock(&self.0).dispatch(state)
    }
}

impl Inner {
    fn dispatch(&mut self, state: &State) -> bool {
        if state.revision() <= self.dispatched {
            return false;
        }
        if self.synced.is_empty() && self.deletions.is_empty() {
            self.dispatched = state.revision();
            return false;
        }
        let from = self.dispatched + 1;
        let Ok(changes) = state.changes(from) else {
            // Compacted in the same moment. Each watch finds that out by itself.
            let ids: Vec<u64> = self.synced.keys().copied().collect();
            ids.into_iter().for_each(|id| self.fall_behind(id, from));
            self.deletions.clear();
            self.dispatched = state.revision();
            return false;
        };
        let mut touched = Vec::new();
        let (mut events, mut bytes, mut scanned) = (0, 0, 0);
        let mut reached = from;
        for record in changes {
            let full = events >= SLICE_EVENTS || bytes >= SLICE_BYTES || scanned >= 2 * SLICE_EVENTS;
            if full && record.mod_revision() != reached {
                self.send(&touched, reached);
                return true;
            }
            reached = record.mod_revision();
            scanned += 1;
            let gathered = self.gather(state, &record, &mut touched);
            events += gathered;
            bytes += gathered * record.value().len();
        }
        self.send(&touched, state.revision());
        false
    }

    /// Gives the event to the watches that want it, and says how many those are.
    fn gather(&mut self, state: &State, record: &Record, touched: &mut Vec<u64>) -> usize {
        if record.is_tombstone()
            && let Some(waiting) = self.deletions.remove(record.key())
        {
            // Who no longer waits needs no word.
            waiting.into_values().for_each(|deleted| {
                let _ = deleted.send(());
            });
        }
        let mut matched = std::mem::take(&mut self.matched);
        matched.clear();
        self.index.watching(record.key(), |id| matched.push(id));
        // Made once, shared by all watches: a clone is three counts.
        let (mut plain, mut with_prev) = (None, None);
        let mut count = 0;
        for id in &matched {
            let Some(synced) = self.synced.get_mut(id) else {
                continue;
            };
            if record.mod_revision() < synced.min_revision || !synced.spec.wants(record) {
                continue;
            }
            let made = if synced.spec.prev_kv {
                &mut with_prev
            } else {
                &mut plain
            };
            let event = made.get_or_insert_with(|| spec::event(state, record, synced.spec.prev_kv));
            if synced.gathered.is_empty() {
                touched.push(*id);
            }
            synced.gathered.push(event.clone());
            count += 1;
        }
        self.matched = matched;
        self.events += count as u64;
        count
    }

    /// Sends what was gathered; everything up to `revision` has then been handed out.
    fn send(&mut self, touched: &[u64], revision: i64) {
        for &id in touched {
            let Some(synced) = self.synced.get_mut(&id) else {
                continue;
            };
            let events = std::mem::take(&mut synced.gathered);
            let first = events.first().map_or(revision, spec::revision);
            let item = Item::Events {
                watch_id: synced.watch_id,
                hub_id: id,
                revision,
                events,
            };
            if synced.queue.push_events(item).is_err() {
                self.fall_behind(id, first);
            }
        }
        self.dispatched = revision;
    }

    /// Leaves the watch to its stream, which goes on with it at `next_revision`.
    fn fall_behind(&mut self, id: u64, next_revision: i64) {
        if let Some(synced) = self.forget(id) {
            let next_revision = next_revision.max(synced.min_revision);
            synced.queue.push(Item::Behind {
                watch_id: synced.watch_id,
                hub_id: id,
                next_revision,
            });
        }
    }

    fn forget(&mut self, id: u64) -> Option<Synced> {
        let synced = self.synced.remove(&id)?;
        self.index.remove(synced.spec.keys(), id);
        Some(synced)
    }
}

/// One watch's right to be there, and its name in the hub. The hub forgets the watch when this is dropped.
#[derive(Debug)]
pub(super) struct Admission {
    id: u64,
    hub: Hub,
}

impl Admission {
    pub fn id(&self) -> u64 {
        self.id
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let mut inner = lock(&self.hub.0);
        inner.watches -= 1;
        inner.forget(self.id);
    }
}

/// Waits for the deletion of a key.
#[derive(Debug)]
pub(crate) struct Deletion {
    hub: Hub,
    key: Bytes,
    id: u64,
    waiting: oneshot::Receiver<()>,
}

impl Future for Deletion {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // An error says that the hub could not tell (the history was compacted): look again.
        Pin::new(&mut self.waiting).poll(cx).map(|_| ())
    }
}

impl Drop for Deletion {
    fn drop(&mut self) {
        let mut inner = lock(&self.hub.0);
        if let Some(waiting) = inner.deletions.get_mut(&self.key) {
            waiting.remove(&self.id);
            if waiting.is_empty() {
                inner.deletions.remove(&self.key);
            }
        }
    }
}

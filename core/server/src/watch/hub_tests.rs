//! The hub against a store without a server around it.

use std::sync::Arc;

use cfgstore_proto::etcdserverpb::WatchCreateRequest;
use cfgstore_store::{
    Caller, Command, Compact, DeleteRange, Put, State, StateHeader, StateLoader, Store, codec,
};

use super::catch_up::{CatchUp, catch_up};
use super::hub::{Admission, Hub};
use super::queue::{Item, MAX_QUEUED_EVENTS, Queue};
use super::spec::{self, Spec};

fn apply(store: &mut Store, command: Command) {
    store.apply(0, &Caller::default(), &command).unwrap();
}

fn put(store: &mut Store, key: &'static str) {
    apply(
        store,
        Command::Put(Put {
            key: key.into(),
            value: "v".into(),
            ..Default::default()
        }),
    );
}

fn delete(store: &mut Store, key: &'static str) {
    apply(
        store,
        Command::DeleteRange(DeleteRange {
            key: key.into(),
            ..Default::default()
        }),
    );
}

struct Watch {
    admission: Admission,
    spec: Arc<Spec>,
    queue: Arc<Queue>,
}

impl Watch {
    fn new(hub: &Hub, key: &'static str) -> Watch {
        let request = WatchCreateRequest {
            key: key.into(),
            ..Default::default()
        };
        Watch {
            admission: hub.admit().unwrap(),
            spec: Arc::new(Spec::new(&request)),
            queue: Arc::default(),
        }
    }

    fn sync(&self, hub: &Hub, min_revision: i64) -> bool {
        hub.sync(&self.admission, &self.spec, 7, min_revision, &self.queue)
    }

    /// The revisions of the events in the queue, and where the watch fell behind, if it did.
    fn take(&self) -> (Vec<i64>, Option<i64>) {
        let mut revisions = Vec::new();
        while let Some(item) = self.queue.pop() {
            match item {
                Item::Events {
                    watch_id,
                    hub_id,
                    revision,
                    events,
                } => {
                    assert_eq!((watch_id, hub_id), (7, self.admission.id()));
                    revisions.extend(events.iter().map(spec::revision));
                    assert!(revisions.last().is_some_and(|last| *last <= revision));
                }
                Item::Behind { next_revision, .. } => {
                    assert!(
                        self.queue.pop().is_none(),
                        "nothing comes after it has fallen behind"
                    );
                    return (revisions, Some(next_revision));
                }
                Item::Response(_) => panic!("the hub makes no responses"),
            }
        }
        (revisions, None)
    }
}

#[test]
fn a_watch_is_taken_over_only_if_nothing_is_missed() {
    let mut store = Store::new();
    let hub = Hub::new(1, 10);
    put(&mut store, "k");
    let early = Watch::new(&hub, "k");
    assert!(early.sync(&hub, 2));
    assert!(!hub.dispatch(&store.state()));
    let late = Watch::new(&hub, "k");
    assert!(!late.sync(&hub, 2), "revision 2 has been handed out");
    assert!(late.sync(&hub, 4));
    put(&mut store, "k");
    put(&mut store, "k");
    hub.dispatch(&store.state());
    assert_eq!(early.take(), (vec![2, 3, 4], None));
    assert_eq!(late.take(), (vec![4], None));
}

#[test]
fn a_long_history_is_handed_out_in_slices_of_whole_revisions() {
    let mut store = Store::new();
    let hub = Hub::new(1, 10);
    let watch = Watch::new(&hub, "k");
    assert!(watch.sync(&hub, 2));
    for _ in 0..20_000 {
        put(&mut store, "k");
    }
    let mut seen = Vec::new();
    let mut slices = 1;
    let mut next = 2;
    loop {
        let more = hub.dispatch(&store.state());
        // More than the queue holds: the watch falls behind, and is given back as its stream would.
        let (revisions, behind) = watch.take();
        seen.extend(revisions);
        if let Some(from) = behind {
            assert_eq!(from, next.max(seen.len() as i64 + 2));
            let reached = hub_revision(&hub);
            seen.extend(from..=reached);
            next = reached + 1;
            assert!(watch.sync(&hub, next));
        }
        if !more {
            break;
        }
        slices += 1;
    }
    assert!(slices > 3, "{slices}");
    assert_eq!(seen, (2..=20_001).collect::<Vec<_>>());
}

/// How far the hub is, told by a watch that wants everything.
fn hub_revision(hub: &Hub) -> i64 {
    let probe = Watch::new(hub, "probe");
    let mut revision = 1;
    while !probe.sync(hub, revision) {
        revision += 1;
    }
    revision - 1
}

#[test]
fn a_full_queue_makes_a_watch_fall_behind_at_the_first_event_without_room() {
    let mut store = Store::new();
    let hub = Hub::new(1, 10);
    let watch = Watch::new(&hub, "k");
    assert!(watch.sync(&hub, 2));
    for _ in 0..MAX_QUEUED_EVENTS + 3 {
        put(&mut store, "k");
        hub.dispatch(&store.state());
    }
    let (revisions, behind) = watch.take();
    assert_eq!(revisions.len(), MAX_QUEUED_EVENTS);
    assert_eq!(behind, Some(revisions.last().unwrap() + 1));
    assert!(
        hub.progress(&watch.admission).is_none(),
        "a watch that is behind has no progress to tell"
    );
}

#[test]
fn compaction_in_the_same_moment_leaves_no_gap() {
    let mut store = Store::new();
    let hub = Hub::new(1, 10);
    let (present, future) = (Watch::new(&hub, "k"), Watch::new(&hub, "k"));
    assert!(present.sync(&hub, 2) && future.sync(&hub, 100));
    for _ in 0..10 {
        put(&mut store, "k");
    }
    apply(&mut store, Command::Compact(Compact { revision: 8 }));
    hub.dispatch(&store.state());
    // Each goes on where it was; its stream then finds what is compacted.
    assert_eq!(present.take(), (vec![], Some(2)));
    assert_eq!(future.take(), (vec![], Some(100)));
}

#[tokio::test]
async fn a_deletion_wakes_who_waits_for_it() {
    let mut store = Store::new();
    put(&mut store, "a");
    put(&mut store, "b");
    let hub = Hub::new(store.state().revision(), 10);
    let (mut a, mut b) = (
        Box::pin(hub.deletion(&"a".into())),
        Box::pin(hub.deletion(&"b".into())),
    );
    drop(hub.deletion(&"a".into()));
    put(&mut store, "a");
    delete(&mut store, "a");
    hub.dispatch(&store.state());
    tokio::select! {
        biased;
        () = &mut b => panic!("b was not deleted"),
        () = &mut a => {}
    }
    delete(&mut store, "b");
    apply(&mut store, Command::Compact(Compact { revision: 6 }));
    put(&mut store, "c");
    apply(&mut store, Command::Compact(Compact { revision: 7 }));
    hub.dispatch(&store.state());
    // Not seen, but told all the same: whoever waits has to look.
    b.await;
}

#[test]
fn what_is_dropped_makes_room() {
    let hub = Hub::new(1, 2);
    let (one, _two) = (hub.admit().unwrap(), hub.admit().unwrap());
    assert_eq!(hub.admit().unwrap_err(), 2);
    drop(one);
    hub.admit().unwrap();
}

/// The same state as a member has it that was sent it whole.
fn sent(state: &State) -> State {
    let mut loader = StateLoader::new(StateHeader::of(state)).unwrap();
    let mut bytes = Vec::new();
    for record in state.records_in_seq_order() {
        bytes.clear();
        codec::encode_record(&record, &mut bytes);
        loader.record(codec::decode_record(&bytes).unwrap()).unwrap();
    }
    loader.finish().unwrap().state()
}

/// A watch with what its stream does: serves it from history while it is behind.
struct Follower {
    watch: Watch,
    seen: Vec<i64>,
    next: i64,
    behind: bool,
    compacted: Option<i64>,
}

impl Follower {
    /// One that wants everything from `next` on, and is not handed over to the hub yet.
    fn new(hub: &Hub, key: &'static str, next: i64) -> Follower {
        Follower {
            watch: Watch::new(hub, key),
            seen: Vec::new(),
            next,
            behind: true,
            compacted: None,
        }
    }

    fn take(&mut self) {
        let (revisions, behind) = self.watch.take();
        self.next = revisions.last().map_or(self.next, |last| last + 1);
        self.seen.extend(revisions);
        if let Some(next) = behind {
            (self.next, self.behind) = (next, true);
        }
    }

    /// Catches up with `state`, and is handed over to the hub, unless it learns of a compaction.
    fn catch_up(&mut self, hub: &Hub, state: &State) {
        while self.behind && self.compacted.is_none() {
            match catch_up(state, &self.watch.spec, self.next) {
                CatchUp::Read {
                    events,
                    next_revision,
                } => {
                    self.seen.extend(events.iter().map(spec::revision));
                    self.next = next_revision;
                    self.behind = self.next <= state.revision() || !self.watch.sync(hub, self.next);
                }
                CatchUp::Compacted { compact_revision } => self.compacted = Some(compact_revision),
            }
        }
    }
}

/// A member lags, its leader sends it a snapshot, and its state jumps: watches that were up to date, and those that
/// were not, go on without a gap and without a repetition, or learn of the compaction that came with it.
#[test]
fn a_jump_of_the_state_leaves_no_watch_with_a_gap() {
    const BEFORE: i64 = 10;
    for (last, compactions) in [(30, 0..=30), (6_000, 0..=0), (6_000, 4_000..=4_000)] {
        for compact in compactions {
            let mut store = Store::new();
            let hub = Hub::new(1, 10);
            let mut up_to_date = Follower::new(&hub, "k", 2);
            up_to_date.catch_up(&hub, &store.state());
            let mut never_begun = Follower::new(&hub, "k", 2);
            while store.state().revision() < BEFORE {
                put(&mut store, "k");
                hub.dispatch(&store.state());
            }
            up_to_date.take();
            assert_eq!(up_to_date.seen, (2..=BEFORE).collect::<Vec<_>>());

            // What the leader did meanwhile. The member's own state saw nothing of it.
            let mut leader = Store::new();
            while leader.state().revision() < last {
                put(&mut leader, "k");
            }
            if compact > 0 {
                apply(&mut leader, Command::Compact(Compact { revision: compact }));
            }
            let state = sent(&leader.state());
            while hub.dispatch(&state) {
                // Sooner or later a stream gets to it, in the middle of the jump or not.
                if last % 7 == compact % 7 {
                    up_to_date.take();
                }
            }
            for (follower, first) in [(&mut up_to_date, BEFORE + 1), (&mut never_begun, 2)] {
                follower.take();
                follower.catch_up(&hub, &state);
                let context = format!("from {first} to {last}, compacted at {compact}");
                match follower.compacted {
                    None => {
                        assert!(compact <= first, "{context}: it had no notice");
                        assert_eq!(follower.seen, (2..=last).collect::<Vec<_>>(), "{context}");
                    }
                    Some(told) => {
                        assert!(compact > first, "{context}: nothing that it needed was compacted");
                        assert_eq!(told, compact, "{context}");
                        assert_eq!(follower.seen, (2..first).collect::<Vec<_>>(), "{context}");
                    }
                }
            }
            // The watches that are left go on with what comes after.
            put(&mut leader, "k");
            hub.dispatch(&leader.state());
            up_to_date.take();
            let expected = up_to_date.compacted.is_none().then_some(last + 1);
            assert_eq!(
                up_to_date.seen.last().copied().filter(|seen| *seen > last),
                expected
            );
        }
    }
}

/// Who waits for a lock's predecessor must not wait for ever when its deletion is part of a jump.
#[tokio::test]
async fn a_deletion_within_a_jump_wakes_who_waits_for_it() {
    for compacted in [false, true] {
        let mut store = Store::new();
        put(&mut store, "held");
        let hub = Hub::new(store.state().revision(), 10);
        let deletion = hub.deletion(&"held".into());
        delete(&mut store, "held");
        put(&mut store, "other");
        if compacted {
            apply(&mut store, Command::Compact(Compact { revision: 4 }));
        }
        hub.dispatch(&sent(&store.state()));
        deletion.await;
    }
}

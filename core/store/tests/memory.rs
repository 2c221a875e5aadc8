//! What keys and old revisions cost in memory, measured by counting what the allocator hands out.
//!
//! One test in a process of its own, since the counts are global.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use cfgstore_store::*;

struct Counting;

static BYTES: AtomicUsize = AtomicUsize::new(0);
static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: passes every call on to `System`, and only counts beside it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.fetch_add(layout.size(), Relaxed);
        ALLOCATIONS.fetch_add(1, Relaxed);
        // SAFETY: the caller keeps `alloc`'s contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        BYTES.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as above; `pointer` came from `System` through `alloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const KEY_BYTES: usize = 20;
const VALUE_BYTES: usize = 100;
const COUNT: usize = 100_000;

/// Fewer for the change log, which is bounded as a whole.
const CHANGES: usize = 20_000;

/// The most that a live key, or an old revision, may cost over its key and value, in bytes.
const LIMIT_BYTES: usize = 155;

fn apply(store: &mut Store, command: Command) {
    store.apply(0, &Caller::default(), &command).unwrap();
}

/// As if from a network buffer far larger than the key and value in it.
fn put(store: &mut Store, number: usize) {
    let mut buffer = vec![b'v'; 64 * 1024];
    // A multiplication by an odd number permutes the numbers: every key once, in no order.
    let scrambled = (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    buffer[..KEY_BYTES].copy_from_slice(format!("{scrambled:020}").as_bytes());
    let buffer = bytes::Bytes::from(buffer);
    let key = buffer.slice(..KEY_BYTES);
    let value = buffer.slice(KEY_BYTES..KEY_BYTES + VALUE_BYTES);
    apply(
        store,
        Command::Put(Put {
            key,
            value,
            ..Put::default()
        }),
    );
}

/// What `f` left allocated, per item.
fn cost_per_item(f: impl FnOnce()) -> usize {
    left_allocated(f) / COUNT
}

fn left_allocated(f: impl FnOnce()) -> usize {
    let before = BYTES.load(Relaxed);
    f();
    BYTES.load(Relaxed) - before
}

fn count_allocations(f: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.load(Relaxed);
    f();
    ALLOCATIONS.load(Relaxed) - before
}

/// Keys and old revisions alone. What the change log takes comes on top, and is bounded as a whole.
fn without_change_log() -> Store {
    let mut store = Store::new();
    let retention = Some(Retention {
        count: 0,
        max_age_secs: 0,
        floor_revision: 0,
    });
    let prefix = Default::default();
    apply(
        &mut store,
        Command::SetRetention(SetRetention { prefix, retention }),
    );
    store
}

/// What is counted of the change log is what it takes, when it shares its records with the rest of the state, and when it
/// has them alone.
fn change_log_takes_what_it_counts() {
    let mut store = Store::new();
    let with = left_allocated(|| (0..CHANGES).for_each(|number| put(&mut store, number)));
    let without = left_allocated(|| {
        let mut store = without_change_log();
        (0..CHANGES).for_each(|number| put(&mut store, number));
        std::mem::forget(store);
    });
    let (with, without) = (with / CHANGES, without / CHANGES);
    let counted = store.state().change_log_bytes() as usize / CHANGES;
    println!(
        "a change costs {} bytes beside its record, and counts {counted}",
        with - without
    );
    assert_eq!(store.state().change_count(), CHANGES);
    assert!(with - without <= counted);

    let all = DeleteRange {
        key: "\0".into(),
        range_end: "\0".into(),
        prev_kv: false,
    };
    apply(&mut store, Command::DeleteRange(all));
    let revision = store.state().revision();
    apply(&mut store, Command::Compact(Compact { revision }));
    let delete = DeleteRange {
        key: "x".into(),
        ..DeleteRange::default()
    };
    apply(&mut store, Command::DeleteRange(delete));
    let counted = store.state().change_log_bytes() as usize;
    let before = BYTES.load(Relaxed);
    let retention = Some(Retention {
        count: 0,
        max_age_secs: 0,
        floor_revision: 0,
    });
    apply(
        &mut store,
        Command::SetRetention(SetRetention {
            prefix: Default::default(),
            retention,
        }),
    );
    let alone = before - BYTES.load(Relaxed);
    println!("put and deleted, {alone} bytes of {counted} counted");
    assert!(alone <= counted);
}

#[test]
fn memory_is_proportionate_and_reads_do_not_copy() {
    let mut live = without_change_log();
    let cost = cost_per_item(|| (0..COUNT).for_each(|number| put(&mut live, number)));
    println!(
        "a live key costs {} bytes over its key and value",
        cost - KEY_BYTES - VALUE_BYTES
    );
    assert!(cost - KEY_BYTES - VALUE_BYTES <= LIMIT_BYTES, "{cost}");

    // Compacted, none of it in the log.
    apply(
        &mut live,
        Command::DeleteRange(DeleteRange {
            key: "x".into(),
            ..DeleteRange::default()
        }),
    );
    let mut compacted = without_change_log();
    let cost = cost_per_item(|| {
        (0..COUNT).for_each(|number| put(&mut compacted, number));
        apply(
            &mut compacted,
            Command::Compact(Compact {
                revision: COUNT as i64 + 1,
            }),
        );
    });
    println!(
        "a live key costs {} bytes when compacted",
        cost - KEY_BYTES - VALUE_BYTES
    );
    assert!(cost - KEY_BYTES - VALUE_BYTES <= LIMIT_BYTES, "{cost}");
    drop(compacted);

    // Old revisions, while a reader holds the state of now and then, as it does in a server.
    let mut old = without_change_log();
    (0..1000).for_each(|number| put(&mut old, number));
    let mut held = old.state();
    let cost = cost_per_item(|| {
        for number in 0..COUNT {
            put(&mut old, number % 1000);
            if number % 64 == 0 {
                held = old.state();
            }
        }
    });
    println!(
        "an old revision costs {} bytes over its value",
        cost - VALUE_BYTES
    );
    assert!(cost - VALUE_BYTES <= LIMIT_BYTES, "{cost}");

    // Compaction gives it back. What is left is a thousand keys, in a tree that has not grown.
    drop(held);
    let revision = old.state().revision();
    apply(&mut old, Command::Compact(Compact { revision }));
    let left = BYTES.load(Relaxed);
    drop(old);
    let cost = (left - BYTES.load(Relaxed)) / 1000;
    assert!(cost - KEY_BYTES - VALUE_BYTES <= LIMIT_BYTES, "{cost}");

    reads_allocate_little(&live.state());
    drop(live);
    change_log_takes_what_it_counts();
}

fn reads_allocate_little(state: &State) {
    let everything = || Range {
        key: "0".into(),
        range_end: ":".into(),
        ..Range::default()
    };
    let count_only = Range {
        count_only: true,
        ..everything()
    };
    let counted = count_allocations(|| assert_eq!(state.range(&count_only).unwrap().count, COUNT as i64));
    let page = Range {
        limit: 10,
        ..everything()
    };
    let paged = count_allocations(|| assert_eq!(state.range(&page).unwrap().records.len(), 10));
    let key = state.range(&page).unwrap().records[0].key_bytes();
    let got = count_allocations(|| assert!(state.get(&key).is_some()));
    let old = Range {
        revision: 2,
        ..count_only
    };
    let counted_old = count_allocations(|| assert_eq!(state.range(&old).unwrap().count, 1));
    println!(
        "allocations: get {got}, count {counted}, count at an old revision {counted_old}, page of ten {paged}"
    );
    // The tree's iterators keep their path on the heap; nothing may depend on the number of keys.
    assert_eq!(got, 0);
    assert!(counted <= 8 && counted_old <= 16 && paged <= 16);
}

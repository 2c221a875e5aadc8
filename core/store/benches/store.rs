//! Nanoseconds per operation on a store of 100,000 keys: `cargo bench -p cfgstore-store`.
//!
//! A state is taken and held for every 64 commands, as a server publishes one per batch, so that the cost of copying
//! what readers still share is in the figures.

use std::hint::black_box;
use std::time::Instant;

use bytes::Bytes;
use cfgstore_store::*;

const KEYS: usize = 100_000;
const BATCH: usize = 64;

fn key(number: usize) -> Bytes {
    let scrambled = (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    Bytes::from(format!("{scrambled:020}"))
}

fn put_command(number: usize) -> Command {
    Command::Put(Put {
        key: key(number),
        value: vec![b'v'; 100].into(),
        ..Put::default()
    })
}

/// Time this thread has spent on a CPU, where Linux tells: it does not count what other programs take.
fn cpu_ns() -> Option<u64> {
    std::fs::read_to_string("/proc/thread-self/schedstat")
        .ok()?
        .split(' ')
        .next()?
        .parse()
        .ok()
}

/// The best of three rounds: the least disturbed one.
fn measure<T>(name: &str, count: usize, mut setup: impl FnMut() -> T, mut run: impl FnMut(&mut T)) {
    let best = (0..3)
        .map(|_| {
            let mut subject = setup();
            let (cpu, wall) = (cpu_ns(), Instant::now());
            run(&mut subject);
            let wall_ns = wall.elapsed().as_nanos() as u64;
            cpu_ns().zip(cpu).map_or(wall_ns, |(end, start)| end - start) as f64 / count as f64
        })
        .fold(f64::INFINITY, f64::min);
    println!("{name:<44} {best:>10.0} ns");
}

fn apply_all(store: &mut Store, commands: &[Command]) {
    let mut held = store.state();
    for batch in commands.chunks(BATCH) {
        for command in batch {
            store
                .apply(0, &Caller::default(), command)
                .expect("a valid command");
        }
        held = store.state();
    }
    black_box(held);
}

fn main() {
    let commands: Vec<Command> = (0..KEYS).map(put_command).collect();
    measure("put of a new key", KEYS, Store::new, |store| {
        apply_all(store, &commands)
    });

    let mut store = Store::new();
    apply_all(&mut store, &commands);
    measure(
        "put of an existing key",
        KEYS,
        || store.clone(),
        |store| apply_all(store, &commands),
    );
    let no_history = Command::SetRetention(SetRetention {
        prefix: Bytes::new(),
        retention: Some(Retention {
            count: 0,
            max_age_secs: 0,
            floor_revision: 0,
        }),
    });
    let mut without_history = store.clone();
    apply_all(&mut without_history, std::slice::from_ref(&no_history));
    measure(
        "put of an existing key, no history",
        KEYS,
        || without_history.clone(),
        |store| apply_all(store, &commands),
    );
    let mut full = store.clone();
    (0..10).for_each(|_| apply_all(&mut full, &commands));
    measure(
        "put of an existing key, history full",
        KEYS,
        || full.clone(),
        |store| apply_all(store, &commands),
    );
    let changes = full.state().change_count();
    measure(
        "forgetting a history, per change",
        changes,
        || full.clone(),
        |store| apply_all(store, std::slice::from_ref(&no_history)),
    );
    drop(full);
    measure(
        "put of an existing key, each published",
        KEYS,
        || store.clone(),
        |store| {
            for command in &commands {
                let held = store.state();
                store
                    .apply(0, &Caller::default(), command)
                    .expect("a valid command");
                black_box(held);
            }
        },
    );

    let state = store.state();
    let keys: Vec<Bytes> = (0..KEYS).map(key).collect();
    measure(
        "get",
        KEYS,
        || (),
        |()| {
            for key in &keys {
                black_box(state.get(key));
            }
        },
    );
    measure(
        "range of one key",
        KEYS,
        || (),
        |()| {
            for key in &keys {
                let range = Range {
                    key: key.clone(),
                    ..Range::default()
                };
                black_box(state.range(&range).expect("a valid range"));
            }
        },
    );
    let some = |count_only, limit, revision| Range {
        key: "0".into(),
        range_end: ":".into(),
        count_only,
        limit,
        revision,
        ..Range::default()
    };
    let range_all = |range: Range| move |(): &mut ()| drop(black_box(state.range(&range)));
    let range_all_at_old = {
        let mut changed = store.clone();
        apply_all(&mut changed, &commands);
        apply_all(&mut changed, &commands);
        let state = changed.state();
        move |(): &mut ()| drop(black_box(state.range(&some(false, 0, KEYS as i64 + 1))))
    };
    measure(
        "range over all keys, per key",
        KEYS,
        || (),
        range_all(some(false, 0, 0)),
    );
    measure(
        "range over all at an old revision, per key",
        KEYS,
        || (),
        range_all_at_old,
    );

    let mut hot = Store::new();
    let hot_key = put_command(0);
    apply_all(&mut hot, &vec![hot_key; 1_000_000]);
    let state = hot.state();
    measure(
        "get at an old revision among a million",
        10_000,
        || (),
        |()| {
            for number in 0..10_000i64 {
                black_box(
                    state
                        .get_at(&keys[0], 2 + number * 97)
                        .expect("a readable revision"),
                );
            }
        },
    );
    measure(
        "event, over a million",
        1_000_000,
        || (),
        |()| {
            black_box(state.events(1).expect("nothing is compacted").count());
        },
    );
    measure(
        "compaction, per record",
        1_000_000,
        || hot.clone(),
        |store| {
            let compact = Command::Compact(Compact { revision: 1_000_001 });
            store
                .apply(0, &Caller::default(), &compact)
                .expect("a valid revision");
        },
    );
    let header = StateHeader::of(&store.state());
    let records: Vec<Record> = store.state().records_in_seq_order().collect();
    measure(
        "load of a snapshot, per record",
        records.len(),
        || (),
        |()| {
            let mut loader = StateLoader::new(header).expect("a good header");
            for record in &records {
                loader
                    .record(codec::RecordView::of(record))
                    .expect("a good record");
            }
            black_box(loader.finish().expect("a good state"));
        },
    );
}

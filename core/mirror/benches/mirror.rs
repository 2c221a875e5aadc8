//! What reading and publishing cost: `cargo bench -p cfgstore-mirror`. Figures are medians of rounds, on a folder under
//! /dev/shm; CPU is that of this process. A word on the command line runs only the parts whose name contains it.

use std::hint::black_box;
use std::time::{Duration, Instant};

use cfgstore_mirror::{Change, Entry, FileKind, Origin, Publisher, PublisherOptions, Reader, Snapshot};

const ROUNDS: usize = 9;

fn main() {
    let filter = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    let runs = |name: &str| filter.as_ref().is_none_or(|filter| name.contains(&**filter));
    if runs("tiny") {
        bench("tiny: 10 keys of 200 bytes", 10, 200, 4_000);
    }
    if runs("small") {
        bench("small: 100 keys of 200 bytes", 100, 200, 4_000);
    }
    if runs("medium") {
        bench("medium: 2,000 keys of 200 bytes", 2_000, 200, 4_000);
    }
    if runs("large") {
        bench("large: 100,000 keys of 1,000 bytes", 100_000, 1_000, 4_000);
    }
}

fn bench(title: &str, keys: usize, value_size: usize, publishes: usize) {
    println!("{title}");
    let dir = tempfile::tempdir_in("/dev/shm").expect("/dev/shm is writable");
    let mut publisher = Publisher::open(PublisherOptions::folder(dir.path().join("m"))).expect("opens");
    let names: Vec<Vec<u8>> = (0..keys)
        .map(|i| format!("/shop/prod/section-{}/setting-{i:06}", i % 97).into_bytes())
        .collect();
    let order = shuffled(keys);
    // Copies made in the order of use, so that the caller's keys come from its cache, as a program's usually do.
    let present: Vec<Vec<u8>> = order.iter().map(|i| names[*i].clone()).collect();
    let absent: Vec<Vec<u8>> = present.iter().map(|name| [name, &b"?"[..]].concat()).collect();
    let value = vec![b'v'; value_size];
    let entry = |i: usize, revision: i64| Entry {
        key: &names[i],
        value: &value,
        create_revision: 2,
        mod_revision: revision,
        version: 1,
    };
    let origin = Origin {
        source_id: 1,
        revision: 2,
        restored: false,
    };

    let cpu = cpu_time();
    publisher
        .publish_full(origin, (0..keys).map(|i| entry(i, 2)))
        .expect("published");
    println!(
        "  first full copy          {:>10.1} us CPU",
        micros(cpu_time() - cpu)
    );
    let mut reader = Reader::open(publisher.dir()).expect("opens");
    let cpu = cpu_time();
    let snapshot = reader.snapshot().expect("maps");
    println!(
        "  reader maps a base       {:>10.1} us CPU",
        micros(cpu_time() - cpu)
    );
    let cpu = cpu_time();
    read(&snapshot, &present);
    println!(
        "  first get of each key    {:>10.1} ns CPU (verifies the value)",
        nanos_each(cpu_time() - cpu, keys)
    );
    let size = snapshot.size_bytes() - (keys * value_size) as u64;
    println!(
        "  one random load          {:>10.1} ns, from {} KiB, the size of the tables",
        random_load(size),
        size >> 10
    );
    gets("base", &snapshot, &present, &absent);

    let (mut delta_cpu, mut base_cpu) = (Vec::new(), Vec::new());
    let (mut delta_follow_cpu, mut base_follow_cpu) = (Vec::new(), Vec::new());
    let started = cpu_time();
    let mut mapping = Duration::ZERO;
    let mut last_delta = None;
    for n in 0..publishes {
        let key = order[n % keys];
        let revision = 3 + n as i64;
        let cpu = cpu_time();
        let published = publisher
            .publish_changes(revision, [Change::Put(entry(key, revision))])
            .expect("published");
        let used = cpu_time() - cpu;
        let cpu = cpu_time();
        let snapshot = reader.snapshot().expect("maps");
        let mapped = cpu_time() - cpu;
        mapping += mapped;
        match published.kind {
            FileKind::Base => {
                base_cpu.push(used);
                base_follow_cpu.push(mapped);
            }
            FileKind::Delta => {
                delta_cpu.push(used);
                delta_follow_cpu.push(mapped);
                last_delta = Some(snapshot);
            }
        }
    }
    let total = cpu_time() - started - mapping;
    println!(
        "  publish one key, mean    {:>10.1} us CPU over {publishes}",
        micros(total) / publishes as f64
    );
    for (name, samples) in [("delta", &mut delta_cpu), ("base ", &mut base_cpu)] {
        if !samples.is_empty() {
            samples.sort();
            println!(
                "    as a {name}             {:>10.1} us CPU median of {}",
                micros(samples[samples.len() / 2]),
                samples.len()
            );
        }
    }
    println!(
        "  reader follows, mean     {:>10.1} us CPU",
        micros(mapping) / publishes as f64
    );
    for (name, samples) in [("delta", &mut delta_follow_cpu), ("base ", &mut base_follow_cpu)] {
        if !samples.is_empty() {
            samples.sort();
            println!(
                "    a {name}                {:>10.1} us CPU median",
                micros(samples[samples.len() / 2])
            );
        }
    }
    if let Some(snapshot) = last_delta {
        read(&snapshot, &present);
        gets("base+delta", &snapshot, &present, &absent);
    }
}

fn read(snapshot: &Snapshot, keys: &[Vec<u8>]) {
    for key in keys {
        black_box(snapshot.get(key).expect("readable"));
    }
}

fn gets(name: &str, snapshot: &Snapshot, present: &[Vec<u8>], absent: &[Vec<u8>]) {
    const HOT: usize = 1_000;
    let cases = [
        ("hit ", present),
        ("miss", absent),
        ("hit ", &present[..HOT.min(present.len())]),
    ];
    for (what, keys) in cases.into_iter().take(if present.len() > HOT { 3 } else { 2 }) {
        let repeat = 400_000 / keys.len().min(400_000);
        let mut rounds: Vec<f64> = (0..ROUNDS)
            .map(|_| {
                let started = Instant::now();
                for _ in 0..repeat {
                    read(snapshot, keys);
                }
                nanos_each(started.elapsed(), repeat * keys.len())
            })
            .collect();
        rounds.sort_by(f64::total_cmp);
        let (best, median) = (rounds[0], rounds[ROUNDS / 2]);
        println!(
            "  get {what} {name:<10} {median:>13.1} ns, best {best:.1}, over {} keys in random order",
            keys.len()
        );
    }
    let started = Instant::now();
    let count = snapshot
        .iter()
        .map(|entry| entry.expect("readable").value.len())
        .fold(0, |sum, _| sum + 1);
    println!(
        "  iterate   {name:<12}   {:>10.1} ns per key",
        nanos_each(started.elapsed(), count)
    );
}

/// What this machine takes for one load that depends on the one before, from so many bytes: the yardstick for a get, which
/// needs two (index, record) when the tables are not in the processor's cache.
fn random_load(size_bytes: u64) -> f64 {
    let order = shuffled(size_bytes as usize / 64);
    let mut next = vec![[0usize; 8]; order.len()];
    for (at, to) in order.iter().zip(order.iter().cycle().skip(1)) {
        next[*at][0] = *to;
    }
    const LOADS: usize = 1_000_000;
    let started = Instant::now();
    let mut at = 0;
    for _ in 0..LOADS {
        at = next[at][0];
    }
    black_box(at);
    nanos_each(started.elapsed(), LOADS)
}

/// 0..count in an order that no prefetcher guesses, the same in each run.
fn shuffled(count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for i in (1..count).rev() {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        order.swap(i, (state >> 33) as usize % (i + 1));
    }
    order
}

fn cpu_time() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: writes one timespec.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn nanos_each(time: Duration, count: usize) -> f64 {
    time.as_secs_f64() * 1e9 / count as f64
}

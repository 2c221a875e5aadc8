//! php-fpm under load, with changes, for long: memory and descriptors stay as they are.
//!
//! `make test` runs it for some seconds, which a leak with each request does not survive; `make soak` for half an hour, for what
//! leaks seldom.

use cfgstore_tests::{Fpm, FpmOptions, HttpConnection, Remote, descriptors, memory_kib};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const WORKERS: usize = 4;
/// All together; a pool that can't keep up serves less.
const REQUESTS_PER_SECOND: u32 = 1000;
/// What is to be found: so many bytes lost with each request.
const LEAK_BYTES: u64 = 300;
/// What the memory of one worker may grow by without a leak: values that a change has replaced wait a minute to be freed.
const WORKER_NOISE_KIB: u64 = 512;
/// The same of a server: what its allocator and its checkpoint keep, and history until the next compaction.
const SERVER_NOISE_KIB: u64 = 12 << 10;
/// What may come and go: a connection, the log's next file.
const DESCRIPTORS_NOISE: usize = 6;
const SAMPLES: u32 = 90;

/// What one process used, over time.
struct Process {
    name: String,
    pid: i32,
    noise_kib: u64,
    memory_kib: Vec<u64>,
    descriptors: Vec<usize>,
}

impl Process {
    fn new(name: String, pid: i32, noise_kib: u64) -> Process {
        Process {
            name,
            pid,
            noise_kib,
            memory_kib: Vec::new(),
            descriptors: Vec::new(),
        }
    }

    fn sample(&mut self) {
        self.memory_kib.push(memory_kib(self.pid));
        self.descriptors.push(descriptors(self.pid));
    }

    /// Says what it used at first and at last, and what is wrong with that, if anything is.
    fn fault(&self) -> Option<String> {
        let (memory, descriptors) = (
            first_and_last(&self.memory_kib),
            first_and_last(&self.descriptors),
        );
        let told = format!(
            "{} ({}): memory {} -> {} KiB, descriptors {} -> {}",
            self.name, self.pid, memory.0, memory.1, descriptors.0, descriptors.1
        );
        println!("{told}");
        let grown = memory.1 > memory.0 + self.noise_kib || descriptors.1 > descriptors.0 + DESCRIPTORS_NOISE;
        (grown || memory.0 == 0 || descriptors.0 == 0).then_some(told)
    }
}

/// The medians of the first and the last third of what was sampled after the warm-up, which is a quarter.
fn first_and_last<T: Copy + Ord>(samples: &[T]) -> (T, T) {
    let warm = &samples[samples.len() / 4..];
    let third = warm.len() / 3;
    (median(&warm[..third]), median(&warm[warm.len() - third..]))
}

fn median<T: Copy + Ord>(samples: &[T]) -> T {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable();
    sorted[sorted.len() / 2]
}

#[test]
fn memory_and_descriptors_stay_flat_under_load() {
    let remote = Remote::start();
    let fpm = Fpm::start(
        &remote.host,
        &FpmOptions {
            workers: WORKERS,
            settings: vec![remote.setting()],
            ..FpmOptions::default()
        },
    );
    assert_eq!(fpm.get("/soak.php?n=0").body, "ok");
    let agents = remote.host.servers();
    assert_eq!(agents.len(), 1, "one agent");
    let workers = fpm.workers();
    let mut processes: Vec<_> = workers
        .iter()
        .map(|&pid| Process::new("worker".to_owned(), pid, WORKER_NOISE_KIB))
        .collect();
    processes.push(Process::new("agent".to_owned(), agents[0], SERVER_NOISE_KIB));
    processes.push(Process::new(
        "member".to_owned(),
        remote.member().pid(),
        SERVER_NOISE_KIB,
    ));
    processes.push(Process::new(
        "fpm".to_owned(),
        fpm.master().pid(),
        WORKER_NOISE_KIB,
    ));

    // Between the first and the last third lie so many requests of each worker that the leak shows beyond the noise.
    let shown_by = (WORKER_NOISE_KIB << 10).div_ceil(LEAK_BYTES) * 2 * WORKERS as u64;
    let (served, end) = (AtomicU64::new(0), Instant::now() + soak_time());
    let is_over = || Instant::now() >= end && served.load(Ordering::Relaxed) >= shown_by;
    std::thread::scope(|scope| {
        let load: Vec<_> = (0..WORKERS)
            .map(|_| scope.spawn(|| request_until(&fpm, &served, is_over)))
            .collect();
        // Spread over requests, so that a slow machine takes as many.
        let every = soak_time() / SAMPLES;
        while !load.iter().any(|thread| thread.is_finished()) {
            processes.iter_mut().for_each(Process::sample);
            std::thread::sleep(every);
        }
        for thread in load {
            thread.join().expect("the load");
        }
    });
    println!(
        "{} requests in {} s",
        served.load(Ordering::Relaxed),
        (Instant::now() - end + soak_time()).as_secs()
    );
    assert_eq!(fpm.workers(), workers, "no worker has died");
    assert_eq!(remote.host.servers(), agents, "nor the agent");
    let faults: Vec<_> = processes.iter().filter_map(Process::fault).collect();
    assert!(faults.is_empty(), "what grows: {faults:#?}");
}

fn request_until(fpm: &Fpm, served: &AtomicU64, is_over: impl Fn() -> bool) {
    let mut connection = HttpConnection::open(fpm.port()).expect("connect");
    let every = Duration::from_secs(1) * WORKERS as u32 / rate();
    let mut next = Instant::now();
    while !is_over() {
        let n = served.fetch_add(1, Ordering::Relaxed);
        let response = connection.get(&format!("/soak.php?n={n}")).expect("request");
        assert_eq!((response.status, &response.body[..]), (200, "ok"), "request {n}");
        // What a delay took is not made up for.
        next = (next + every).max(Instant::now());
        std::thread::sleep(next - Instant::now());
    }
}

/// 20 seconds; half an hour under `make soak`.
fn soak_time() -> Duration {
    Duration::from_secs(u64::from(number("CFGSTORE_SOAK_SECONDS").unwrap_or(20)))
}

fn rate() -> u32 {
    number("CFGSTORE_SOAK_RATE").unwrap_or(REQUESTS_PER_SECOND)
}

fn number(variable: &str) -> Option<u32> {
    std::env::var(variable)
        .ok()
        .map(|text| text.parse().expect("a number"))
}

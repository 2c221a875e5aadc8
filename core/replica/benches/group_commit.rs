//! Group commit, measured: puts per second and syncs of the log with 1, 32 and 256 concurrent proposers on one
//! current-thread runtime, as an embedded member runs. `cargo bench -p cfgstore-replica --bench group_commit`
//!
//! Arguments (after `--`): seconds per load, value size in bytes, folder.

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use cfgstore_replica::{Member, MemberConfig};
use cfgstore_store::{Caller, Command, Put};

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with("--"))
        .collect();
    let number = |position: usize, default: usize| {
        arguments
            .get(position)
            .map_or(default, |text| text.parse().expect("a number"))
    };
    let (seconds, value_bytes) = (number(0, 3), number(1, 256));
    let parent = arguments.get(2).map_or_else(std::env::temp_dir, PathBuf::from);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    println!(
        "{value_bytes}-byte values, 100,000 keys, {seconds} s each, in {}",
        parent.display()
    );
    println!(
        "{:>9} {:>10} {:>9} {:>10} {:>9} {:>9} {:>12}",
        "proposers", "puts/s", "p50 us", "p99 us", "syncs/s", "puts/sync", "cpu us/put"
    );
    for proposers in [1, 32, 256] {
        let dir = tempfile::tempdir_in(&parent).expect("a folder");
        runtime.block_on(tokio::task::LocalSet::new().run_until(measure(
            dir.path().into(),
            proposers,
            seconds as u64,
            value_bytes,
        )));
    }
}

async fn measure(dir: PathBuf, proposers: usize, seconds: u64, value_bytes: usize) {
    let mut config = MemberConfig::new(dir);
    config.name = "bench".into();
    let member = Member::open(config).await.expect("a member");
    // The first segment is not zero-filled; begin when the second is in use, as a long-lived member does.
    let latencies_us = Rc::new(RefCell::new(Vec::<u32>::new()));
    let run = |deadline: Instant| {
        let tasks: Vec<_> = (0..proposers)
            .map(|proposer| {
                let (member, latencies_us) = (member.clone(), latencies_us.clone());
                tokio::task::spawn_local(async move {
                    let mut n = proposer;
                    while Instant::now() < deadline {
                        n = n
                            .wrapping_mul(6_364_136_223_846_793_005)
                            .wrapping_add(1_442_695_040_888_963_407);
                        let key = format!("bench/key/{:06}", (n >> 33) % 100_000);
                        let command = Command::Put(Put {
                            key: key.into(),
                            value: vec![b'v'; value_bytes].into(),
                            ..Put::default()
                        });
                        let started = Instant::now();
                        let applied = member
                            .propose(Caller::default(), command)
                            .await
                            .expect("an acknowledged put");
                        applied.result.expect("an applied put");
                        latencies_us
                            .borrow_mut()
                            .push(started.elapsed().as_micros() as u32);
                    }
                })
            })
            .collect();
        async move {
            for task in tasks {
                task.await.expect("a proposer that ends");
            }
        }
    };
    run(Instant::now() + Duration::from_millis(700)).await;
    latencies_us.borrow_mut().clear();

    let (syncs, cpu, started) = (member.status().log_syncs, cpu_time(), Instant::now());
    run(started + Duration::from_secs(seconds)).await;
    let elapsed = started.elapsed().as_secs_f64();
    let cpu = cpu_time() - cpu;
    let syncs = member.status().log_syncs - syncs;
    let mut sorted = latencies_us.borrow().clone();
    sorted.sort_unstable();
    let puts = sorted.len();
    println!(
        "{proposers:>9} {:>10.0} {:>9} {:>10} {:>9.0} {:>9.1} {:>12.1}",
        puts as f64 / elapsed,
        sorted[puts / 2],
        sorted[puts * 99 / 100],
        syncs as f64 / elapsed,
        puts as f64 / syncs as f64,
        cpu.as_secs_f64() * 1e6 / puts as f64,
    );
    member.shutdown().await.expect("a clean end");
}

/// Processor time of this process, all threads.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("/proc");
    let after_name = stat.rsplit(')').next().expect("a process name");
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().expect("utime") + fields[12].parse::<u64>().expect("stime");
    Duration::from_millis(ticks * 10)
}

//! `make bench-cluster`: one load over three members of cfgstored and three of Debian's etcd, in turns within one run.
//!
//! Figures are of this machine in this minute: the ratios are what can be compared. The load generator shares the
//! machine with the servers; its own CPU time is printed, and is the same for both.

mod calls;
mod restart;
mod usage;
mod watching;
mod wire;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use calls::Operation;
use cfgstore_tests::{Cluster, Kind};

/// How much is run.
struct Plan {
    rounds: usize,
    /// Of one operation with one number of clients.
    each: Duration,
    keys: u64,
    restarts: usize,
}

const SHORT: Plan = Plan {
    rounds: 2,
    each: Duration::from_millis(1_000),
    keys: 200_000,
    restarts: 2,
};
const FULL: Plan = Plan {
    rounds: 4,
    each: Duration::from_secs(4),
    keys: 1_000_000,
    restarts: 3,
};

const MEMBERS: usize = 3;
const CLIENTS: [usize; 3] = [1, 32, 256];
const KINDS: [Kind; 2] = [Kind::Cfgstored, Kind::Etcd];

/// Sums over all rounds of one line of the table.
#[derive(Default)]
struct Line {
    operations: u64,
    failed: u64,
    elapsed: Duration,
    servers: Duration,
    own: Duration,
    /// In microseconds.
    latencies: Vec<u32>,
}

impl Line {
    fn per_second(&self) -> f64 {
        self.operations as f64 / self.elapsed.as_secs_f64()
    }

    fn microseconds(&self, cpu: Duration) -> f64 {
        cpu.as_secs_f64() * 1e6 / self.operations.max(1) as f64
    }

    fn percentile(&self, share: f64) -> f64 {
        let last = self.latencies.len().saturating_sub(1);
        let index = (last as f64 * share) as usize;
        f64::from(self.latencies.get(index).copied().unwrap_or(0)) / 1000.0
    }
}

/// Lines by operation and clients, one per kind; and memory per kind in MiB.
#[derive(Default)]
struct Table {
    lines: BTreeMap<(usize, usize), [Line; 2]>,
    memory: [u64; 2],
}

fn main() -> ExitCode {
    let plan = match std::env::args().nth(1).as_deref() {
        None | Some("short") => SHORT,
        Some("full") => FULL,
        Some(other) => {
            eprintln!("bench-cluster: {other:?} is no mode: use short or full");
            return ExitCode::FAILURE;
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("runtime");
    let mut table = Table::default();
    for round in 0..plan.rounds {
        for (side, kind) in KINDS.into_iter().enumerate() {
            eprintln!("round {} of {}: {}", round + 1, plan.rounds, name(kind));
            let cluster = Cluster::start(MEMBERS, kind);
            measure(&cluster, side, &plan, &runtime, &mut table);
        }
    }
    table.print();
    restarts(&plan, &runtime);
    ExitCode::SUCCESS
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Cfgstored => "cfgstored",
        Kind::Etcd => "etcd",
    }
}

/// One round of everything over one cluster.
fn measure(
    cluster: &Cluster,
    side: usize,
    plan: &Plan,
    runtime: &tokio::runtime::Runtime,
    table: &mut Table,
) {
    let pids: Vec<i32> = cluster
        .running()
        .iter()
        .filter_map(|&index| cluster.member(index).pid())
        .collect();
    let mut endpoints = cluster.endpoints();
    // One client alone talks to the leader, with both.
    endpoints.rotate_left(cluster.leader());
    runtime
        .block_on(calls::fill(&endpoints[0]))
        .expect("first writes");
    for (operation, &kind) in Operation::ALL.iter().enumerate() {
        for clients in CLIENTS {
            let (servers, own) = (usage::cpu(&pids), usage::own_cpu());
            let calls = runtime
                .block_on(calls::run(kind, &endpoints, clients, plan.each))
                .expect("calls");
            let line = &mut table.lines.entry((operation, clients)).or_default()[side];
            line.servers += usage::cpu(&pids) - servers;
            line.own += usage::own_cpu() - own;
            line.operations += calls.latencies.len() as u64;
            line.failed += calls.failed;
            line.elapsed += plan.each;
            line.latencies.extend(calls.latencies);
        }
    }
    let (mut servers, mut own) = (Duration::ZERO, Duration::ZERO);
    let begun = || (servers, own) = (usage::cpu(&pids), usage::own_cpu());
    let delivered = runtime
        .block_on(watching::run(&endpoints, plan.each, begun))
        .expect("watches");
    let line = &mut table
        .lines
        .entry((Operation::ALL.len(), watching::WATCHERS))
        .or_default()[side];
    line.servers += usage::cpu(&pids) - servers;
    line.own += usage::own_cpu() - own;
    line.operations += delivered.events;
    line.elapsed += delivered.elapsed;
    table.memory[side] = table.memory[side].max(usage::resident(&pids));
}

impl Table {
    fn print(&mut self) {
        println!(
            "{:<18}{:>8}  {:<10}{:>9}{:>9}{:>9}{:>9}{:>10}{:>10}{:>8}",
            "operation",
            "clients",
            "server",
            "per s",
            "p50 ms",
            "p99 ms",
            "p99.9 ms",
            "CPU µs/op",
            "own µs/op",
            "failed"
        );
        for ((operation, clients), lines) in &mut self.lines {
            let name_of = Operation::ALL
                .get(*operation)
                .map_or("watch event", |operation| operation.name());
            for (line, kind) in lines.iter_mut().zip(KINDS) {
                line.latencies.sort_unstable();
                println!(
                    "{name_of:<18}{clients:>8}  {:<10}{:>9.0}{:>9.2}{:>9.2}{:>9.2}{:>10.1}{:>10.1}{:>8}",
                    name(kind),
                    line.per_second(),
                    line.percentile(0.5),
                    line.percentile(0.99),
                    line.percentile(0.999),
                    line.microseconds(line.servers),
                    line.microseconds(line.own),
                    line.failed,
                );
            }
            let [ours, theirs] = lines;
            let cpu = ours.microseconds(ours.servers) / theirs.microseconds(theirs.servers);
            let target = match clients {
                256 if cpu > 0.5 => "  (target 0.50: MISSED)",
                256 => "  (target 0.50: met)",
                _ => "",
            };
            println!(
                "{:<28}ratio: throughput {:.2}, CPU per operation {cpu:.2}{target}",
                "",
                ours.per_second() / theirs.per_second(),
            );
        }
        println!(
            "memory of three, at most: cfgstored {} MiB, etcd {} MiB, ratio {:.2}",
            self.memory[0],
            self.memory[1],
            self.memory[0] as f64 / self.memory[1].max(1) as f64
        );
    }
}

/// The median of several restarts of one member of each kind, in turns.
fn restarts(plan: &Plan, runtime: &tokio::runtime::Runtime) {
    let mut clusters = KINDS.map(|kind| {
        eprintln!("restart: {} keys into {}", plan.keys, name(kind));
        let cluster = Cluster::start(1, kind);
        let filled = runtime.block_on(restart::fill(cluster.member(0).client_url(), plan.keys));
        filled.expect("keys");
        cluster
    });
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..plan.restarts {
        for (cluster, times) in clusters.iter_mut().zip(&mut times) {
            times.push(restart::time(cluster, runtime));
        }
    }
    let [ours, theirs] = times.map(|mut times| {
        times.sort_unstable();
        times[times.len() / 2].as_secs_f64()
    });
    let verdict = if ours <= theirs { "met" } else { "MISSED" };
    println!(
        "restart with {} keys, to the first linearizable read: cfgstored {ours:.2} s, etcd {theirs:.2} s, ratio {:.2}  (target 1.00: {verdict})",
        plan.keys,
        ours / theirs
    );
}

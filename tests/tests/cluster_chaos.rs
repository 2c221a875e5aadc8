//! Faults in an order that nobody thought of: one seed says which.

use cfgstore_tests::{Cluster, Kind, Load, LoadOptions};
use rand::rngs::StdRng;
use rand::seq::IteratorRandom;
use rand::{Rng, SeedableRng};

/// Faults of one run; `CFGSTORE_CHAOS_STEPS` is another number.
const STEPS: usize = 8;

#[test]
fn whatever_happens_to_a_minority_no_promise_is_broken() {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .map(|value| value.parse().expect("a number"))
    };
    let seed = number("CFGSTORE_SEED").unwrap_or_else(rand::random);
    let steps = number("CFGSTORE_CHAOS_STEPS").map_or(STEPS, |steps| steps as usize);
    println!("again: CFGSTORE_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut cluster = Cluster::with_flags(3, Kind::under_test(), &["--snapshot-count=200"]);
    let load = Load::start(&cluster.endpoints(), LoadOptions::default());
    load.wait_for_writes(50);
    for step in 0..steps {
        let index = random.random_range(0..3);
        let fault = random.random_range(0..5);
        println!("step {step}: fault {fault} to {}", cluster.member(index).name());
        match fault {
            0 => {
                cluster.kill(index);
                load.wait_for_writes(random.random_range(0..300));
                cluster.start_member(index);
            }
            1 => {
                cluster.stop(index);
                cluster.start_member(index);
            }
            2 => {
                cluster.pause(index);
                load.wait_for_writes(random.random_range(0..300));
                cluster.resume(index);
            }
            3 => {
                let leader = cluster.leader();
                let to = cluster
                    .running()
                    .into_iter()
                    .filter(|&to| to != leader)
                    .choose(&mut random);
                let id = cluster.id(to.expect("a follower"));
                // Refused when it lost its lead meanwhile.
                let _ = cluster.client(leader).move_leader(id);
            }
            _ => {
                // All of them at once, with whatever is in flight.
                for index in 0..3 {
                    cluster.kill(index);
                }
                for index in 0..3 {
                    cluster.start_member(index);
                }
            }
        }
        for index in 0..3 {
            cluster.wait_serving(index);
        }
        load.wait_for_writes(50);
    }
    load.finish();
}

//! Power is cut at every single write, sync and change of a folder of a random workload; what was acknowledged must be
//! there afterwards, what was not may be, and the log must go on working.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::test_support::{Model, commit, open};
use crate::disk::sim::{SimDisk, Survival};
use crate::wal::log::Log;

const SURVIVALS: [Survival; 4] = [
    Survival::Nothing,
    Survival::Everything,
    Survival::Prefix,
    Survival::Coins,
];

/// Works until power fails or `commits` are done. Returns what was acknowledged, and what may be there besides.
fn work(
    disk: &SimDisk,
    mut log: Log,
    mut model: Model,
    commits: usize,
    rng: &mut StdRng,
) -> (Model, Option<Model>) {
    for _ in 0..commits {
        let records = model.random_records(rng);
        let mut after = model.clone();
        after.apply(&records);
        if commit(disk, &mut log, &records).is_err() {
            return (model, Some(after));
        }
        model = after;
    }
    (model, None)
}

fn check(disk: &SimDisk, acknowledged: &Model, possible: Option<&Model>, context: &str) -> (Log, Model) {
    let (log, _) = open(disk).unwrap_or_else(|error| panic!("{context}: {error}"));
    let found = Model::of(&log);
    assert!(
        found == *acknowledged || Some(&found) == possible,
        "{context}: found {:?} with {} entries; acknowledged {:?} with {} entries",
        found.state,
        found.entries.len(),
        acknowledged.state,
        acknowledged.entries.len(),
    );
    (log, found)
}

/// One life: created, worked on, cut at `cut`, found again, worked on, cut again anywhere, found again.
fn life(seed: u64, cut: u64, survival: Survival) {
    let context = format!("seed {seed}, cut before operation {cut}, {survival:?} survives");
    let mut rng = StdRng::seed_from_u64(seed);
    let disk = SimDisk::default();
    disk.cut_at(cut);
    let (acknowledged, possible) = match open(&disk) {
        Ok((log, _)) => work(&disk, log, Model::default(), 40, &mut rng),
        Err(_) => (Model::default(), None),
    };
    // What follows differs from cut to cut.
    let mut rng = StdRng::seed_from_u64(seed ^ (cut << 32));
    let mut disk = disk.crash(survival, &mut rng);
    // Power may fail while the log is being recovered, too.
    let mut recovered = (acknowledged, possible);
    for attempt in 0..3 {
        let recovering = disk.crash(Survival::Everything, &mut rng);
        recovering.cut_at(rng.random_range(1..8));
        if open(&recovering).is_ok() {
            break;
        }
        disk = recovering.crash(SURVIVALS[(attempt + cut as usize) % 4], &mut rng);
        let context = format!("{context}, then again while recovering");
        let (log, found) = check(&disk, &recovered.0, recovered.1.as_ref(), &context);
        drop(log);
        recovered = (found, None);
    }
    let (log, found) = check(&disk, &recovered.0, recovered.1.as_ref(), &context);
    disk.cut_at(disk.operations() + rng.random_range(1..60));
    let (acknowledged, possible) = work(&disk, log, found, 10, &mut rng);
    let disk = disk.crash(SURVIVALS[rng.random_range(0..4)], &mut rng);
    check(
        &disk,
        &acknowledged,
        possible.as_ref(),
        &format!("{context}, second life"),
    );
}

#[test]
fn nothing_acknowledged_is_lost_wherever_power_fails() {
    for seed in 0..6 {
        let disk = SimDisk::default();
        let (log, _) = open(&disk).unwrap();
        work(&disk, log, Model::default(), 40, &mut StdRng::seed_from_u64(seed));
        let operations = disk.operations();
        assert!(operations > 80, "the workload is too small to mean anything");
        for cut in 1..=operations {
            for survival in SURVIVALS {
                life(seed, cut, survival);
            }
        }
    }
}

#[test]
fn nothing_acknowledged_is_lost_when_any_operation_fails() {
    for seed in 100..104 {
        for fail in 1..150 {
            let mut rng = StdRng::seed_from_u64(seed);
            let disk = SimDisk::default();
            disk.fail_at(fail);
            let (acknowledged, possible) = match open(&disk) {
                Ok((log, _)) => work(&disk, log, Model::default(), 40, &mut rng),
                Err(_) => (Model::default(), None),
            };
            // The process ends itself after such a failure; the disk keeps what it likes.
            let disk = disk.crash(SURVIVALS[fail as usize % 4], &mut rng);
            check(
                &disk,
                &acknowledged,
                possible.as_ref(),
                &format!("seed {seed}, operation {fail} fails"),
            );
        }
    }
}

/// What a start finds after a kill may still be in the system's cache only. Once the log is open, others act on it, so it
/// must survive a power cut right after.
#[test]
fn what_a_start_found_after_a_kill_survives_power_loss() {
    for seed in 200..203 {
        for cut in 1..150 {
            let mut rng = StdRng::seed_from_u64(seed);
            let disk = SimDisk::default();
            disk.cut_at(cut);
            let (acknowledged, possible) = match open(&disk) {
                Ok((log, _)) => work(&disk, log, Model::default(), 40, &mut rng),
                Err(_) => (Model::default(), None),
            };
            let context = format!("seed {seed}, killed before operation {cut}");
            let disk = disk.kill();
            let (log, found) = check(&disk, &acknowledged, possible.as_ref(), &context);
            drop(log);
            let disk = disk.crash(Survival::Nothing, &mut rng);
            check(&disk, &found, None, &format!("{context}, then power lost"));
        }
    }
}

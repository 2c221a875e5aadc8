//! What is written is read back, and what is damaged is refused.

mod support;

use std::fs;

use cfgstore_backup::{EtcdSnapshot, SnapshotError, SnapshotFile, TRAILER_BYTES};
use cfgstore_store::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use support::*;

#[track_caller]
fn assert_kept(store: &Store) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("snapshot.db");
    let bytes = save(&store.state(), &path);
    assert_eq!(fs::metadata(&path).unwrap().len(), bytes);
    let loaded = SnapshotFile::open(&path, false).unwrap().load().unwrap();
    assert_eq!(loaded.detached_keys, 0);
    // Not assert_eq: it would print megabytes.
    assert!(content(&loaded.store.state()) == content(&store.state()));
}

#[test]
fn everything_is_kept() {
    assert_kept(&varied());
    assert_kept(&Store::new());
    let mut leases = Store::new();
    apply(
        &mut leases,
        Command::LeaseGrant(LeaseGrant { id: 1, ttl_secs: 5 }),
    );
    assert_kept(&leases);
}

#[test]
fn a_state_of_which_nothing_is_left_is_kept() {
    let mut store = Store::new();
    apply(&mut store, Command::Put(put("k", "v", 0)));
    apply(&mut store, Command::DeleteRange(delete("k")));
    apply(&mut store, Command::Compact(Compact { revision: 3 }));
    assert_kept(&store);
}

/// Enough for branches above branches; every size of value around that of a page.
#[test]
fn trees_of_several_levels_are_kept() {
    let mut store = Store::new();
    for number in 0..60_000usize {
        apply(
            &mut store,
            Command::Put(put(&format!("{number}"), vec![1; number % 400], 0)),
        );
    }
    for bytes in 3900..4200 {
        apply(&mut store, Command::Put(put("k", vec![2; bytes], 0)));
    }
    assert_kept(&store);
}

#[test]
fn the_size_is_known_before_anything_is_written() {
    let snapshot = EtcdSnapshot::new(varied().state(), source());
    let mut file = Vec::new();
    snapshot.write_to(&mut file).unwrap();
    assert_eq!(file.len() as u64, snapshot.file_bytes());
    assert_eq!(snapshot.file_bytes(), snapshot.database_bytes() + TRAILER_BYTES);
    let mut database = Vec::new();
    snapshot.write_database(&mut database).unwrap();
    assert!(file.starts_with(&database));
}

#[test]
fn other_files_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    assert!(matches!(
        SnapshotFile::open(&path, false),
        Err(SnapshotError::Io { .. })
    ));
    for foreign in [&b""[..], b"short", &[0; 4096], &[0xff; 100_000]] {
        fs::write(&path, foreign).unwrap();
        let refused = SnapshotFile::open(&path, true);
        assert!(
            matches!(refused, Err(SnapshotError::Foreign { .. })),
            "{:?}",
            foreign.len()
        );
    }
    assert!(matches!(
        SnapshotFile::open(folder.path(), true),
        Err(SnapshotError::Io { .. })
    ));

    save(&varied().state(), &path);
    let good = fs::read(&path).unwrap();
    let database = good.len() - TRAILER_BYTES as usize;
    fs::write(&path, &good[..database]).unwrap();
    assert!(matches!(
        SnapshotFile::open(&path, false),
        Err(SnapshotError::HashMissing { .. })
    ));
    let loaded = SnapshotFile::open(&path, true).unwrap().load().unwrap();
    assert!(content(&loaded.store.state()) == content(&varied().state()));

    // As copied from a data folder: longer than what is in use, and with the newer meta page only.
    let mut longer = good[..database].to_vec();
    longer.resize(database + 65536, 0);
    longer[20] ^= 1;
    fs::write(&path, &longer).unwrap();
    SnapshotFile::open(&path, true).unwrap().load().unwrap();
    longer[4096 + 20] ^= 1;
    fs::write(&path, &longer).unwrap();
    assert!(matches!(
        SnapshotFile::open(&path, true),
        Err(SnapshotError::Foreign { .. })
    ));
}

#[test]
fn a_file_cut_short_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    save(&varied().state(), &path);
    let good = fs::read(&path).unwrap();
    for len in (0..good.len() - TRAILER_BYTES as usize).step_by(4096 / 3) {
        fs::write(&path, &good[..len]).unwrap();
        for skip_hash_check in [false, true] {
            let refused = SnapshotFile::open(&path, skip_hash_check);
            assert!(
                matches!(
                    refused,
                    Err(SnapshotError::Truncated { .. } | SnapshotError::Foreign { .. })
                ),
                "{len} bytes"
            );
        }
    }
}

/// With its checksum, every changed bit is noticed; without, what is wrong is found or is just another value, and
/// nothing panics or runs away.
#[test]
fn damage_is_refused_and_never_panics() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    save(&small().state(), &path);
    let good = fs::read(&path).unwrap();
    let mut random = StdRng::seed_from_u64(1);
    let mut refused = 0;
    const ROUNDS: usize = 1000;
    for round in 0..ROUNDS {
        let mut bad = good.clone();
        for _ in 0..random.random_range(1..4) {
            let place = random.random_range(0..bad.len());
            // The structure is at the beginning of pages.
            let place = if round % 2 == 0 {
                place / 4096 * 4096 + place % 200
            } else {
                place
            };
            let place = place.min(bad.len() - 1);
            bad[place] = match round % 3 {
                0 => bad[place] ^ (1 << (place % 8)),
                1 => 0xff,
                _ => random.random(),
            };
        }
        fs::write(&path, &bad).unwrap();
        if bad != good {
            assert!(SnapshotFile::open(&path, false).is_err(), "round {round}");
        }
        if let Ok(file) = SnapshotFile::open(&path, true) {
            let _ = file.status();
            refused += usize::from(file.load().is_err());
        } else {
            refused += 1;
        }
    }
    assert!(
        refused > ROUNDS / 10,
        "only {refused} of {ROUNDS} damaged files were refused"
    );
}

fn set(file: &mut [u8], at: usize, bytes: &[u8]) {
    file[at..at + bytes.len()].copy_from_slice(bytes);
}

/// The numbers in a file are not believed: neither does memory follow them, nor is a circle walked forever.
#[test]
fn circles_and_giant_pages_are_refused() {
    const PAGE: usize = 4096;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    save(&small().state(), &path);
    let good = fs::read(&path).unwrap();
    let load = || SnapshotFile::open(&path, true).unwrap().load().map(drop);
    let damaged_by = |expected: &str| match load() {
        Err(SnapshotError::Damaged { fault, .. }) => assert!(fault.contains(expected), "{fault}"),
        other => panic!("{other:?}"),
    };

    // The only branch is the root of the keys; its first child is itself.
    let branch = (3..good.len() / PAGE)
        .find(|page| good[page * PAGE..][..10] == [&(*page as u64).to_le_bytes()[..], &[1, 0]].concat())
        .unwrap();
    let mut circle = good.clone();
    set(
        &mut circle,
        branch * PAGE + 16 + 8,
        &(branch as u64).to_le_bytes(),
    );
    fs::write(&path, &circle).unwrap();
    damaged_by("several places");

    // A leaf that is there twice.
    let mut twice = good.clone();
    let first_child = good[branch * PAGE + 16 + 8..][..8].to_vec();
    set(&mut twice, branch * PAGE + 16 + 16 + 8, &first_child);
    fs::write(&path, &twice).unwrap();
    damaged_by("keys");

    // 16 Mi pages, of which a leaf claims 4 GiB: a file full of holes makes it look possible.
    let mut giant = good[..good.len() - TRAILER_BYTES as usize].to_vec();
    for meta in [0, PAGE] {
        set(&mut giant, meta + 56, &(1u64 << 24).to_le_bytes());
        let checksum = giant[meta + 16..meta + 72]
            .iter()
            .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
                (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
            });
        set(&mut giant, meta + 72, &checksum.to_le_bytes());
    }
    set(&mut giant, 3 * PAGE + 12, &(1u32 << 20).to_le_bytes());
    fs::write(&path, &giant).unwrap();
    let truncated = SnapshotFile::open(&path, true);
    assert!(matches!(truncated, Err(SnapshotError::Truncated { .. })));
    fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(1 << 36)
        .unwrap();
    damaged_by("more than 1 GiB");
}

/// With a second level of pages, and little besides structure.
fn small() -> Store {
    let mut store = Store::new();
    apply(
        &mut store,
        Command::LeaseGrant(LeaseGrant { id: 7, ttl_secs: 60 }),
    );
    for number in 0..200 {
        apply(
            &mut store,
            Command::Put(put(&format!("k{}", number % 50), "v", 7 * (number % 2))),
        );
    }
    apply(&mut store, Command::DeleteRange(delete("k3")));
    apply(&mut store, Command::Compact(Compact { revision: 100 }));
    apply(&mut store, Command::Put(put("large", vec![1; 10_000], 0)));
    store
}

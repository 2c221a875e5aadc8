//! The checkpoint: after any sequence of changes it holds what the state holds, and notices when it does not.

use std::sync::Arc;

use cfgstore_store::{
    Alarm, AlarmChange, AlarmKind, Caller, Command, Compact, DeleteRange, LeaseGrant, LeaseRevoke, Put,
    State, Store,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::format::{LEASE_PREFIX, RECORD_PREFIX};
use super::*;
use crate::raft::types::StoredMembership;

const OWNER: Owner = Owner {
    cluster_id: 1,
    member_id: 2,
};

fn position(store: &Store, index: u64) -> Position {
    Position {
        log_id: Some(LogId {
            term: 1,
            leader: 2,
            index,
        }),
        membership: Arc::new(StoredMembership::default()),
        state: Arc::new(store.state()),
    }
}

fn items(state: &State) -> (StateHeader, Vec<Vec<u8>>) {
    let mut items = Vec::new();
    for lease in state.leases() {
        items.push(Vec::new());
        codec::encode_lease(lease, items.last_mut().unwrap());
    }
    for alarm in state.alarms() {
        items.push(Vec::new());
        codec::encode_alarm(alarm, items.last_mut().unwrap());
    }
    for record in state.records_in_seq_order() {
        items.push(Vec::new());
        codec::encode_record(&record, items.last_mut().unwrap());
    }
    (StateHeader::of(state), items)
}

fn apply(store: &mut Store, command: Command) {
    // Random commands may be refused; that is no change.
    let _ = store.apply(0, &Caller::default(), &command);
}

fn random_command(store: &Store, rng: &mut StdRng) -> Command {
    let key = format!("key/{}", rng.random_range(0..50)).into();
    match rng.random_range(0..24) {
        0 => Command::Compact(Compact {
            revision: rng.random_range(1..=store.state().revision()),
        }),
        1 | 2 => Command::DeleteRange(DeleteRange {
            key,
            ..DeleteRange::default()
        }),
        3 => Command::LeaseGrant(LeaseGrant {
            id: rng.random_range(1..6),
            ttl_secs: rng.random_range(1..100),
        }),
        4 => Command::LeaseRevoke(LeaseRevoke {
            id: rng.random_range(1..6),
        }),
        5..9 => Command::Alarm(AlarmChange {
            alarm: Alarm {
                kind: AlarmKind::NoSpace,
                member_id: rng.random_range(0..2),
            },
            raised: rng.random_ratio(1, 4),
        }),
        _ => {
            let lease = if rng.random_ratio(1, 4) {
                rng.random_range(1..6)
            } else {
                0
            };
            let len = if rng.random_ratio(1, 10) {
                rng.random_range(0..30_000)
            } else {
                rng.random_range(0..200)
            };
            Command::Put(Put {
                key,
                value: vec![rng.random(); len].into(),
                lease,
                ..Put::default()
            })
        }
    }
}

#[test]
fn it_follows_random_histories() {
    for seed in 0..3 {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("checkpoint");
        let mut rng = StdRng::seed_from_u64(seed);
        let mut store = Store::new();
        let mut checkpoint = Checkpoint::create(&path, OWNER).unwrap();
        for index in 1..25 {
            for _ in 0..rng.random_range(0..40) {
                let command = random_command(&store, &mut rng);
                apply(&mut store, command);
            }
            checkpoint.update(&position(&store, index)).unwrap();
            if index % 4 == 0 {
                checkpoint.close();
                let loaded = load(&path, OWNER).unwrap().unwrap();
                assert_eq!(loaded.log_id.unwrap().index, index);
                assert!(
                    items(&loaded.store.state()) == items(&store.state()),
                    "seed {seed}, index {index}"
                );
                checkpoint = loaded.checkpoint;
            }
        }
        assert!(std::fs::read_dir(path.join("blobs")).is_ok_and(|mut blobs| blobs.next().is_none()));
    }
}

/// A checkpoint of a small state, closed.
fn small(path: &Path) -> Store {
    let mut store = Store::new();
    apply(
        &mut store,
        Command::LeaseGrant(LeaseGrant { id: 9, ttl_secs: 10 }),
    );
    for n in 0..30_u8 {
        let value = vec![n; 1000 * usize::from(n % 7)];
        apply(
            &mut store,
            Command::Put(Put {
                key: vec![n].into(),
                value: value.into(),
                ..Put::default()
            }),
        );
    }
    let mut checkpoint = Checkpoint::create(path, OWNER).unwrap();
    checkpoint.update(&position(&store, 7)).unwrap();
    checkpoint.close();
    store
}

fn change(path: &Path, change: impl FnOnce(&sled::Db)) {
    let db = sled::open(path).unwrap();
    change(&db);
    db.flush().unwrap();
}

#[test]
fn missing_surplus_and_changed_items_are_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("checkpoint");
    let first = |db: &sled::Db, prefix: u8| db.scan_prefix([prefix]).next().unwrap().unwrap();
    type Breakage<'a> = (&'static str, &'a dyn Fn(&sled::Db));
    let changes: [Breakage<'_>; 7] = [
        ("a lease is missing", &|db| {
            drop(db.remove(first(db, LEASE_PREFIX).0).unwrap())
        }),
        ("a record is missing", &|db| {
            drop(db.remove(first(db, RECORD_PREFIX).0).unwrap())
        }),
        ("the last record is missing", &|db| {
            drop(
                db.remove(db.scan_prefix([RECORD_PREFIX]).last().unwrap().unwrap().0)
                    .unwrap(),
            );
        }),
        ("the manifest is missing", &|db| {
            drop(db.remove(MANIFEST_KEY).unwrap())
        }),
        ("an item is surplus", &|db| {
            let key = lease_key(77);
            drop(
                db.insert(key, seal(&key, &first(db, LEASE_PREFIX).1[4..]))
                    .unwrap(),
            );
        }),
        ("a value is another's", &|db| {
            let (key, _) = first(db, RECORD_PREFIX);
            let value = db.scan_prefix([RECORD_PREFIX]).last().unwrap().unwrap().1;
            drop(db.insert(key, value).unwrap());
        }),
        ("a bit is flipped", &|db| {
            let (key, value) = first(db, RECORD_PREFIX);
            let mut value = value.to_vec();
            *value.last_mut().unwrap() ^= 1;
            drop(db.insert(key, value).unwrap());
        }),
    ];
    for (name, damage) in changes {
        let store = small(&path);
        let loaded = load(&path, OWNER).unwrap().unwrap();
        assert!(items(&loaded.store.state()) == items(&store.state()));
        drop(loaded);
        change(&path, damage);
        assert!(
            matches!(load(&path, OWNER), Err(CheckpointError::Damaged(_))),
            "{name}"
        );
    }
}

#[test]
fn another_members_and_a_newer_one_are_not_used() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("checkpoint");
    small(&path);
    let other = Owner {
        member_id: 3,
        ..OWNER
    };
    assert!(matches!(load(&path, other), Err(CheckpointError::OtherMember)));
    change(&path, |db| {
        let manifest = db.get(MANIFEST_KEY).unwrap().unwrap();
        let mut content = manifest[4..].to_vec();
        content[0] = 4;
        db.insert(MANIFEST_KEY, seal(MANIFEST_KEY, &content)).unwrap();
    });
    assert!(matches!(load(&path, OWNER), Err(CheckpointError::Newer(4))));
    assert!(load(&dir.path().join("none"), OWNER).unwrap().is_none());
}

#[test]
fn version_1_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("checkpoint");
    let store = small(&path);
    change(&path, |db| {
        let manifest = db.get(MANIFEST_KEY).unwrap().unwrap();
        let mut content = manifest[4..].to_vec();
        content[0] = 1;
        content.truncate(content.len() - 4);
        db.insert(MANIFEST_KEY, seal(MANIFEST_KEY, &content)).unwrap();
    });
    let loaded = load(&path, OWNER).unwrap().unwrap();
    assert!(items(&loaded.store.state()) == items(&store.state()));
}

#[test]
fn a_change_larger_than_a_batch_is_all_or_unusable() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("checkpoint");
    let mut store = small(&path);
    let loaded = load(&path, OWNER).unwrap().unwrap();
    let mut checkpoint = loaded.checkpoint;
    for n in 0..12_u8 {
        apply(
            &mut store,
            Command::Put(Put {
                key: vec![n].into(),
                value: vec![n; 1 << 20].into(),
                ..Put::default()
            }),
        );
    }
    let position = position(&store, 9);
    let mut update = Update::new(&checkpoint.db, OWNER, checkpoint.held.take(), &position);
    update.leases().unwrap();
    update.add_records().unwrap();
    assert!(update.split, "it was larger than a batch");
    drop(update);
    drop(checkpoint);
    assert!(
        matches!(load(&path, OWNER), Err(CheckpointError::Damaged(_))),
        "the end of the change is missing"
    );

    let mut checkpoint = Checkpoint::create(&path, OWNER).unwrap();
    checkpoint.update(&position).unwrap();
    checkpoint.close();
    assert!(items(&load(&path, OWNER).unwrap().unwrap().store.state()) == items(&store.state()));
    assert!(
        dir.path().join("checkpoint.damaged").exists(),
        "the old one is kept for inspection"
    );
}

#[test]
fn one_that_has_outgrown_its_content_is_built_anew() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("checkpoint");
    let mut store = small(&path);
    let mut checkpoint = load(&path, OWNER).unwrap().unwrap().checkpoint;
    let waste = path.join("waste");
    std::fs::write(&waste, vec![1; REBUILD_MIN_BYTES as usize]).unwrap();
    apply(
        &mut store,
        Command::Put(Put {
            key: "new".into(),
            value: "value".into(),
            ..Put::default()
        }),
    );
    checkpoint.update(&position(&store, 8)).unwrap();
    assert!(!waste.exists());
    assert!(checkpoint.disk_bytes() < REBUILD_MIN_BYTES);
    checkpoint.close();
    assert!(items(&load(&path, OWNER).unwrap().unwrap().store.state()) == items(&store.state()));
}

#[test]
fn a_full_disk_is_told_from_damage() {
    let full = || std::io::Error::from(std::io::ErrorKind::StorageFull);
    let path = PathBuf::from("x");
    assert!(
        CheckpointError::Io {
            action: "sync",
            path,
            source: full()
        }
        .is_out_of_space()
    );
    assert!(
        CheckpointError::Sled {
            action: "flush",
            source: sled::Error::Io(full())
        }
        .is_out_of_space()
    );
    assert!(!CheckpointError::Damaged(String::new()).is_out_of_space());
}

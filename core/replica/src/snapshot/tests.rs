//! Snapshot files: what is written is read back, and nothing else is.

use std::sync::Arc;

use bytes::Bytes;
use cfgstore_store::{
    Alarm, AlarmChange, AlarmKind, Caller, Command, Compact, DeleteRange, LeaseGrant, Put, StateHeader, Store,
};
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;
use crate::disk::DiskFile;
use crate::disk::sim::{SimDisk, Survival};

const CLUSTER: u64 = 0xc1;

fn log_id(index: u64) -> LogId {
    LogId {
        term: 3,
        leader: 7,
        index,
    }
}

/// A state with leases, deleted keys, old revisions and a value larger than a block.
fn position(index: u64) -> Position {
    let mut store = Store::new();
    let mut apply = |command| drop(store.apply(0, &Caller::default(), &command).unwrap());
    apply(Command::LeaseGrant(LeaseGrant { id: 5, ttl_secs: 60 }));
    for n in 0..40_u8 {
        let lease = if n == 3 { 5 } else { 0 };
        apply(Command::Put(Put {
            key: vec![b'k', n % 10].into(),
            value: vec![n; 20].into(),
            lease,
            ..Put::default()
        }));
    }
    apply(Command::Put(Put {
        key: "large".into(),
        value: vec![1; BLOCK_BYTES + 1].into(),
        ..Put::default()
    }));
    apply(Command::DeleteRange(DeleteRange {
        key: Bytes::from_static(b"k\x02"),
        ..DeleteRange::default()
    }));
    apply(Command::Compact(Compact { revision: 20 }));
    for member_id in [4, 7] {
        let kind = AlarmKind::NoSpace;
        apply(Command::Alarm(AlarmChange {
            alarm: Alarm { kind, member_id },
            raised: true,
        }));
    }
    Position {
        log_id: Some(log_id(index)),
        membership: Arc::new(StoredMembership::default()),
        state: Arc::new(store.state()),
    }
}

fn dir(disk: &SimDisk) -> SnapshotDir {
    SnapshotDir::open(Arc::new(disk.clone()), PathBuf::from("/snapshot"), CLUSTER).unwrap()
}

fn items(state: &cfgstore_store::State) -> (StateHeader, Vec<Vec<u8>>) {
    let mut items = Vec::new();
    for lease in state.leases() {
        items.push(Vec::new());
        cfgstore_store::codec::encode_lease(lease, items.last_mut().unwrap());
    }
    for alarm in state.alarms() {
        items.push(Vec::new());
        cfgstore_store::codec::encode_alarm(alarm, items.last_mut().unwrap());
    }
    for record in state.records_in_seq_order() {
        items.push(Vec::new());
        cfgstore_store::codec::encode_record(&record, items.last_mut().unwrap());
    }
    (StateHeader::of(state), items)
}

#[test]
fn a_snapshot_is_read_back_whole() {
    let disk = SimDisk::default();
    let written = position(9);
    let info = dir(&disk).write(&written).unwrap().unwrap();
    let found = dir(&disk).newest().unwrap();
    assert_eq!(
        (found.log_id, found.file.size_bytes),
        (log_id(9), info.file.size_bytes)
    );
    let (store, id, membership) = load(&disk, &found.file.path, CLUSTER).unwrap();
    assert_eq!((id, membership), (log_id(9), StoredMembership::default()));
    assert!(items(&store.state()) == items(&written.state));
}

#[test]
fn every_changed_byte_and_every_missing_end_is_noticed() {
    let disk = SimDisk::default();
    let path = dir(&disk).write(&position(9)).unwrap().unwrap().file.path;
    let good = disk.content(&path);
    // Every byte of the start, of the end and of the many small records; every 97th of the large value.
    let places =
        (0..good.len()).filter(|place| *place < 4000 || *place + 4000 > good.len() || place % 97 == 0);
    for place in places {
        let mut bad = good.clone();
        bad[place] ^= 1 << (place % 8);
        disk.set_content(&path, bad);
        assert!(load(&disk, &path, CLUSTER).is_err(), "byte {place}");
    }
    for len in (0..good.len()).filter(|len| *len < 1000 || *len + 1000 > good.len() || len % 509 == 0) {
        disk.set_content(&path, good[..len].to_vec());
        assert!(load(&disk, &path, CLUSTER).is_err(), "{len} bytes");
    }
    let mut longer = good;
    longer.push(0);
    disk.set_content(&path, longer);
    assert!(load(&disk, &path, CLUSTER).is_err(), "a byte too many");
}

/// The same file as version 1 would have it: it knows neither rules nor changes.
fn of_version_1(file: &[u8]) -> Vec<u8> {
    let number = |bytes: &[u8], place: usize| u32::from_le_bytes(bytes[place..place + 4].try_into().unwrap());
    let header_bytes = number(file, 16) as usize;
    let mut out = file[..header_bytes].to_vec();
    out[8] = 1;
    let (mut rest, mut blocks) = (&file[header_bytes..], 0_u32);
    while !rest.is_empty() {
        let (block, after) = rest.split_at(BLOCK_HEADER_BYTES + number(rest, 16) as usize);
        rest = after;
        let mut block = block.to_vec();
        match number(&block, 4) {
            BLOCK_RULES | BLOCK_CHANGES => continue,
            BLOCK_END => {
                let size_bytes = (out.len() + block.len()) as u64;
                block[BLOCK_HEADER_BYTES..].copy_from_slice(&size_bytes.to_le_bytes());
            }
            _ => {}
        }
        block[8..12].copy_from_slice(&blocks.to_le_bytes());
        let crc = crc32c::crc32c(&block[4..]);
        block[..4].copy_from_slice(&crc.to_le_bytes());
        out.extend(block);
        blocks += 1;
    }
    out
}

#[test]
fn version_1_is_read() {
    let disk = SimDisk::default();
    let mut store = Store::new();
    let put = Put {
        key: "k".into(),
        ..Put::default()
    };
    store.apply(0, &Caller::default(), &Command::Put(put)).unwrap();
    let written = Position {
        state: Arc::new(store.state()),
        ..position(9)
    };
    let path = dir(&disk).write(&written).unwrap().unwrap().file.path;
    let bytes = of_version_1(&disk.content(&path));
    disk.set_content(&path, bytes);
    let (store, ..) = load(&disk, &path, CLUSTER).unwrap();
    assert!(items(&store.state()) == items(&written.state));
    let everything = cfgstore_store::KeyRange::From(b"\0");
    assert_eq!(
        store.state().kept_from(everything),
        2,
        "nothing is known of what was before"
    );
}

#[test]
fn rules_and_changes_come_back() {
    let disk = SimDisk::default();
    let mut store = Store::new();
    for value in ["1", "2"] {
        let put = Put {
            key: "k".into(),
            value: value.into(),
            ..Put::default()
        };
        let caller = Caller {
            comment: Some("why".to_owned()),
            ..Caller::default()
        };
        store.apply(7, &caller, &Command::Put(put)).unwrap();
    }
    let compact = Command::Compact(cfgstore_store::Compact { revision: 3 });
    store.apply(8, &Caller::default(), &compact).unwrap();
    let set = cfgstore_store::SetNotification {
        name: "n".to_owned(),
        rule: Some("r".into()),
    };
    store
        .apply(8, &Caller::default(), &Command::SetNotification(set))
        .unwrap();
    let written = Position {
        state: Arc::new(store.state()),
        ..position(9)
    };
    let path = dir(&disk).write(&written).unwrap().unwrap().file.path;
    let loaded = load(&disk, &path, CLUSTER).unwrap().0.state();
    assert_eq!(loaded.change_count(), 2);
    assert!(loaded.all_logged_changes().eq(written.state.all_logged_changes()));
    assert!(loaded.notifications().eq(written.state.notifications()));
}

#[test]
fn other_files_are_told_apart() {
    let disk = SimDisk::default();
    let path = dir(&disk).write(&position(9)).unwrap().unwrap().file.path;
    assert!(matches!(
        load(&disk, &path, 1),
        Err(SnapshotError::OtherCluster {
            found: CLUSTER,
            expected: 1,
            ..
        })
    ));
    let mut bytes = disk.content(&path);
    bytes[8] = 1;
    disk.set_content(&path, bytes.clone());
    assert!(
        matches!(load(&disk, &path, CLUSTER), Err(SnapshotError::Damaged(_))),
        "version 1 has no alarms"
    );
    bytes[8] = 4;
    disk.set_content(&path, bytes.clone());
    assert!(matches!(
        load(&disk, &path, CLUSTER),
        Err(SnapshotError::Newer { found: 4, .. })
    ));
    bytes[0] = b'?';
    disk.set_content(&path, bytes);
    assert!(matches!(
        load(&disk, &path, CLUSTER),
        Err(SnapshotError::Foreign(_))
    ));
    assert!(dir(&disk).newest().is_none());
}

#[test]
fn two_are_kept_and_the_same_is_not_written_twice() {
    let disk = SimDisk::default();
    let snapshots = dir(&disk);
    for index in [5, 9, 12] {
        snapshots.write(&position(index)).unwrap();
    }
    let operations = disk.operations();
    snapshots.write(&position(12)).unwrap();
    assert_eq!(disk.operations(), operations);
    let kept: Vec<u64> = dir(&disk).list().iter().map(|info| info.log_id.index).collect();
    assert_eq!(kept, [9, 12]);
    assert_eq!(disk.list(Path::new("/snapshot")).unwrap().len(), 2);
    assert!(
        snapshots
            .write(&Position {
                log_id: None,
                ..position(1)
            })
            .unwrap()
            .is_none()
    );
}

#[test]
fn a_full_disk_leaves_nothing_behind_and_the_next_attempt_succeeds() {
    let disk = SimDisk::default();
    let snapshots = dir(&disk);
    snapshots.write(&position(5)).unwrap();
    disk.set_capacity(Some(disk.used() + 1000));
    assert!(matches!(
        snapshots.write(&position(9)),
        Err(SnapshotError::Io { .. })
    ));
    assert_eq!(disk.list(Path::new("/snapshot")).unwrap().len(), 1);
    disk.set_capacity(None);
    assert!(snapshots.write(&position(9)).unwrap().is_some());
}

/// The log is purged up to a snapshot as soon as it is written: wherever power fails, one that was finished is there.
#[test]
fn a_finished_snapshot_survives_power_cuts_anywhere() {
    let disk = SimDisk::default();
    dir(&disk).write(&position(5)).unwrap();
    let before = disk.operations();
    dir(&disk).write(&position(9)).unwrap();
    dir(&disk).write(&position(12)).unwrap();
    let operations = disk.operations();
    for cut in before + 1..=operations + 1 {
        for survival in [
            Survival::Nothing,
            Survival::Everything,
            Survival::Prefix,
            Survival::Coins,
        ] {
            let disk = SimDisk::default();
            dir(&disk).write(&position(5)).unwrap();
            disk.cut_at(cut);
            let snapshots = dir(&disk);
            let mut finished = 5;
            for index in [9, 12] {
                if snapshots.write(&position(index)).is_ok() {
                    finished = index;
                }
            }
            let disk = disk.crash(survival, &mut StdRng::seed_from_u64(cut));
            let newest = dir(&disk).newest().unwrap();
            assert!(newest.log_id.index >= finished, "cut before {cut}, {survival:?}");
            load(&disk, &newest.file.path, CLUSTER).unwrap();
        }
    }
}

/// A file on which reads fail.
struct Unreadable;

impl DiskFile for Unreadable {
    fn read_at(&self, _: &mut [u8], _: u64) -> io::Result<usize> {
        Err(io::Error::other("simulated I/O error"))
    }
    fn write_all_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        Ok(())
    }
    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
    fn allocate(&self, _: u64) -> io::Result<()> {
        Ok(())
    }
    fn len(&self) -> io::Result<u64> {
        Ok(1000)
    }
}

#[test]
fn a_file_that_cannot_be_read_is_not_called_damaged() {
    struct Disk1;
    impl Disk for Disk1 {
        fn create(&self, _: &Path) -> io::Result<Arc<dyn DiskFile>> {
            Ok(Arc::new(Unreadable))
        }
        fn open(&self, _: &Path) -> io::Result<Arc<dyn DiskFile>> {
            Ok(Arc::new(Unreadable))
        }
        fn list(&self, _: &Path) -> io::Result<Vec<String>> {
            Ok(vec![])
        }
        fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
            Ok(())
        }
        fn remove(&self, _: &Path) -> io::Result<()> {
            Ok(())
        }
        fn create_dir(&self, _: &Path, _: bool) -> io::Result<()> {
            Ok(())
        }
        fn sync_dir(&self, _: &Path) -> io::Result<()> {
            Ok(())
        }
    }
    assert!(matches!(
        load(&Disk1, Path::new("x"), CLUSTER),
        Err(SnapshotError::Io { action: "read", .. })
    ));
}

//! Against Debian's etcd and etcdctl: they take what is written here, and what they write is read.

#[path = "support/etcd.rs"]
mod etcd;
mod support;

use std::path::Path;
use std::time::Duration;

use cfgstore_backup::SnapshotFile;
use cfgstore_client::{Address, Client, DeleteOptions, Options, Range, Txn};
use cfgstore_store::codec::LeaseView;
use cfgstore_store::{CommandError, State, Store};
use etcd::Etcd;
use support::*;

fn client(etcd: &Etcd) -> Client {
    Client::new(Options {
        address: Address::parse(&etcd.endpoint).unwrap(),
        call_timeout: Duration::from_secs(60),
        ..Options::default()
    })
    .unwrap()
}

fn load(path: &Path) -> Store {
    let loaded = SnapshotFile::open(path, false).unwrap().load().unwrap();
    assert_eq!(loaded.detached_keys, 0);
    loaded.store
}

fn everything_at(revision: i64) -> cfgstore_store::Range {
    cfgstore_store::Range {
        key: "\0".into(),
        range_end: "\0".into(),
        revision,
        ..cfgstore_store::Range::default()
    }
}

/// All keys at all the revisions, and the leases with their keys.
async fn assert_same(etcd: &Etcd, state: &State, revisions: impl Iterator<Item = i64>) {
    let client = client(etcd);
    for revision in revisions {
        let theirs = client.range(&Range::prefix("").revision(revision)).await.unwrap();
        let ours = state.range(&everything_at(revision)).unwrap();
        assert_eq!(theirs.revision, state.revision());
        assert_eq!(theirs.kvs.len(), ours.records.len(), "at {revision}");
        for (theirs, ours) in theirs.kvs.iter().zip(&ours.records) {
            assert_eq!(theirs.key, ours.key());
            assert!(theirs.value == ours.value(), "{:?} at {revision}", theirs.key);
            let numbers = [
                theirs.create_revision,
                theirs.mod_revision,
                theirs.version,
                theirs.lease,
            ];
            let expected = [
                ours.create_revision(),
                ours.mod_revision(),
                ours.version(),
                ours.lease(),
            ];
            assert_eq!(numbers, expected, "{:?} at {revision}", theirs.key);
        }
    }
    for lease in state.leases() {
        let id = format!("{:x}", lease.id);
        let theirs = etcd.ctl(&["lease", "timetolive", &id, "--keys", "-w", "json"]);
        let theirs: serde_json::Value = serde_json::from_str(&theirs).unwrap();
        assert_eq!(theirs["granted-ttl"], lease.ttl_secs, "{theirs}");
        let keys = theirs["keys"].as_array().map_or(0, Vec::len);
        assert_eq!(keys, lease.key_count(), "{theirs}");
    }
}

fn assert_same_status(path: &Path) {
    let theirs = etcd::status(path);
    let ours = SnapshotFile::open(path, true).unwrap().status().unwrap();
    assert_eq!(theirs["hash"], ours.hash);
    assert_eq!(theirs["revision"], ours.revision);
    assert_eq!(theirs["totalKey"], ours.total_keys);
}

#[tokio::test]
async fn etcd_restores_what_is_written_here() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ours.db");
    let mut store = varied();
    // etcdctl takes no negative ids.
    let revoke = cfgstore_store::LeaseRevoke { id: -5 };
    apply(&mut store, cfgstore_store::Command::LeaseRevoke(revoke));
    let state = store.state();
    save(&state, &path);
    assert_same_status(&path);

    let etcd = Etcd::restored(&path);
    let revisions = state.compact_revision()..=state.revision();
    assert_same(&etcd, &state, revisions).await;
    let compacted = client(&etcd)
        .range(&Range::prefix("").revision(state.compact_revision() - 1))
        .await;
    assert!(compacted.unwrap_err().message.contains("compacted"));

    // And back: what etcd saves is what we gave it.
    assert!(content(&load(&etcd.save(folder.path())).state()) == content(&state));
}

/// 100,000 keys, large values, leases, deletes, history before and after a compaction.
#[tokio::test]
async fn what_etcd_saves_is_read_and_given_back_unchanged() {
    const KEYS: usize = 100_000;
    const PER_TXN: usize = 5_000;
    let etcd = Etcd::start();
    let client = client(&etcd);
    let lease = client.lease_grant(Duration::from_secs(3000)).await.unwrap();
    client.lease_grant(Duration::from_secs(70)).await.unwrap();
    for start in (0..KEYS).step_by(PER_TXN) {
        let puts = (start..start + PER_TXN).fold(Txn::new(), |txn, number| {
            let lease = if number % 1000 == 1 { lease } else { 0 };
            txn.put_with_lease(format!("key/{number:06}"), format!("value {number}"), lease)
        });
        client.txn(puts).await.unwrap();
    }
    for round in 0..5 {
        let value = vec![round; 1_000_000];
        client
            .put(format!("large/{}", round % 2), value, &Default::default())
            .await
            .unwrap();
        let start = usize::from(round) * 3000;
        let changes = (start..start + 3000).fold(Txn::new(), |txn, number| {
            let key = format!("key/{number:06}");
            if number % 3 == 0 {
                txn.delete(key)
            } else {
                txn.put(key, "again")
            }
        });
        let revision = client.txn(changes).await.unwrap().revision;
        client.delete("large/0", &DeleteOptions::default()).await.unwrap();
        if round == 2 {
            // At a revision with tombstones in it, which this etcd drops.
            etcd.ctl(&["compact", "--physical", &revision.to_string()]);
        }
    }

    let folder = tempfile::tempdir().unwrap();
    let path = etcd.save(folder.path());
    assert_same_status(&path);
    let state = load(&path).state();
    assert_eq!(state.leases().map(LeaseView::of).count(), 2);
    let revisions = state.compact_revision()..=state.revision();
    assert_same(&etcd, &state, revisions.clone()).await;
    assert!(matches!(
        state.range(&everything_at(state.compact_revision() - 1)),
        Err(CommandError::Compacted { .. })
    ));

    let ours = folder.path().join("ours.db");
    save(&state, &ours);
    assert_same_status(&ours);
    let restored = Etcd::restored(&ours);
    // There is no HashKV at the compacted revision itself.
    for revision in revisions.skip(1) {
        assert_eq!(
            restored.hash_kv(revision),
            etcd.hash_kv(revision),
            "at {revision}"
        );
    }
}

/// Nothing is left of what happened, but its revision.
#[test]
fn a_compacted_delete_is_read() {
    let etcd = Etcd::start();
    etcd.ctl(&["put", "k", "v"]);
    etcd.ctl(&["del", "k"]);
    etcd.ctl(&["compact", "--physical", "3"]);
    let folder = tempfile::tempdir().unwrap();
    let state = load(&etcd.save(folder.path())).state();
    assert_eq!(
        (state.revision(), state.compact_revision(), state.key_count()),
        (3, 3, 0)
    );

    let empty = Etcd::start();
    assert_eq!(load(&empty.save(folder.path())).state().revision(), 1);
}

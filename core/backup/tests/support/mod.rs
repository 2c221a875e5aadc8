//! States to save, and how to compare them.

#![allow(dead_code, reason = "each test program uses a part")]

use std::fs::File;
use std::path::Path;

use cfgstore_backup::{EtcdSnapshot, MemberEntry, SnapshotSource};
use cfgstore_store::codec::{LeaseView, RecordView};
use cfgstore_store::*;

pub fn apply(store: &mut Store, command: Command) {
    store.apply(0, &Caller::default(), &command).unwrap();
}

pub fn put(key: &str, value: impl Into<bytes::Bytes>, lease: i64) -> Put {
    Put {
        key: key.to_owned().into(),
        value: value.into(),
        lease,
        ..Put::default()
    }
}

pub fn delete(key: &str) -> DeleteRange {
    DeleteRange {
        key: key.to_owned().into(),
        ..DeleteRange::default()
    }
}

/// History, transactions, deletes and re-creations, leases (one with the highest id, one negative), a large value, an
/// empty one, and some compacted past.
pub fn varied() -> Store {
    let mut store = Store::new();
    for (id, ttl_secs) in [(7, 600), (i64::MAX, 9_000_000_000), (-5, 60)] {
        apply(&mut store, Command::LeaseGrant(LeaseGrant { id, ttl_secs }));
    }
    let run = |store: &mut Store, rounds: std::ops::Range<usize>| {
        for round in rounds {
            apply(
                store,
                Command::Put(put(&format!("old/{round}"), vec![b'x'; round * 7], 0)),
            );
            let success = vec![
                TxnOp::Put(put("often", format!("{round}"), 7)),
                TxnOp::Put(put(
                    &format!("leased/{}", round % 5),
                    "v",
                    if round % 2 == 0 { -5 } else { i64::MAX },
                )),
                TxnOp::DeleteRange(delete("gone")),
            ];
            let txn = Txn {
                success,
                ..Txn::default()
            };
            apply(store, Command::Txn(txn));
            apply(store, Command::Put(put("gone", "", 0)));
            if round % 10 == 3 {
                apply(store, Command::Put(put("large", vec![round as u8; 300_000], 0)));
                apply(store, Command::DeleteRange(delete(&format!("old/{round}"))));
            }
        }
    };
    run(&mut store, 0..60);
    let revision = store.state().revision() - 31;
    apply(&mut store, Command::Compact(Compact { revision }));
    run(&mut store, 60..90);
    store
}

pub fn source() -> SnapshotSource {
    SnapshotSource {
        applied_index: 4711,
        term: 3,
        members: vec![MemberEntry {
            id: 0x8e9e_05c5_2164_694d,
            name: "m".to_owned(),
            peer_urls: vec!["http://127.0.0.1:2380".to_owned()],
            client_urls: vec!["http://127.0.0.1:2379".to_owned()],
            is_learner: false,
        }],
    }
}

pub fn save(state: &State, path: &Path) -> u64 {
    let snapshot = EtcdSnapshot::new(state.clone(), source());
    snapshot.write_to(&mut File::create(path).unwrap()).unwrap();
    snapshot.file_bytes()
}

/// All that a state holds but the numbers of its records, which etcd does not have.
#[derive(Debug, PartialEq)]
pub struct Content {
    revision: i64,
    compact_revision: i64,
    leases: Vec<LeaseView>,
    records: Vec<(Vec<u8>, Vec<u8>, RecordMeta)>,
}

pub fn content(state: &State) -> Content {
    let records = state.records_in_seq_order().map(|record| {
        let view = RecordView::of(&record);
        let meta = RecordMeta {
            seq: 0,
            prev_seq: 0,
            ..view.meta
        };
        (view.key.to_vec(), view.value.to_vec(), meta)
    });
    Content {
        revision: state.revision(),
        compact_revision: state.compact_revision(),
        leases: state.leases().map(LeaseView::of).collect(),
        records: records.collect(),
    }
}

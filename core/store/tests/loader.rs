//! Loading what is damaged, incomplete or put together wrongly: refused with a reason, never a panic or a wrong store.

use cfgstore_store::codec::{LeaseView, RecordView};
use cfgstore_store::*;
use proptest::prelude::*;

/// A snapshot in pieces that own their bytes.
#[derive(Clone, Debug, PartialEq)]
struct Pieces {
    header: StateHeader,
    leases: Vec<LeaseView>,
    records: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq)]
struct Piece {
    key: Vec<u8>,
    value: Vec<u8>,
    meta: RecordMeta,
}

fn pieces(state: &State) -> Pieces {
    let piece = |record: Record| Piece {
        key: record.key().to_vec(),
        value: record.value().to_vec(),
        meta: record.meta(),
    };
    Pieces {
        header: StateHeader::of(state),
        leases: state.leases().map(LeaseView::of).collect(),
        records: state.records_in_seq_order().map(piece).collect(),
    }
}

fn load(pieces: &Pieces) -> Result<Store, LoadError> {
    let mut loader = StateLoader::new(pieces.header)?;
    for lease in &pieces.leases {
        loader.lease(*lease)?;
    }
    for Piece { key, value, meta } in &pieces.records {
        loader.record(RecordView {
            key,
            value,
            meta: *meta,
        })?;
    }
    loader.finish()
}

#[test]
fn alarms_are_limited() {
    let alarm = |member_id| Alarm {
        kind: AlarmKind::NoSpace,
        member_id,
    };
    let mut store = Store::new();
    let mut loader = StateLoader::new(StateHeader::of(&store.state())).unwrap();
    for member_id in 0..MAX_ALARMS as u64 {
        loader.alarm(alarm(member_id)).unwrap();
        let raise = Command::Alarm(AlarmChange {
            alarm: alarm(member_id),
            raised: true,
        });
        store.apply(0, &Caller::default(), &raise).unwrap();
    }
    loader.alarm(alarm(0)).unwrap();
    assert_eq!(loader.alarm(alarm(u64::MAX)), Err(LoadError::TooManyAlarms));
    let one_more = Command::Alarm(AlarmChange {
        alarm: alarm(u64::MAX),
        raised: true,
    });
    assert_eq!(
        store.apply(0, &Caller::default(), &one_more),
        Err(CommandError::TooManyAlarms { limit: MAX_ALARMS })
    );
    assert_eq!(loader.finish().unwrap().state().alarms(), store.state().alarms());
}

/// Records 1 to 9, compacted at revision 6: a survivor, an old live record, a tombstone, a transaction.
fn sample() -> Pieces {
    let mut store = Store::new();
    let mut apply = |command| store.apply(0, &Caller::default(), &command).map(|_| ()).unwrap();
    let put = |key: &'static str, lease| Put {
        key: key.into(),
        value: "v".into(),
        lease,
        ..Put::default()
    };
    let delete = |key: &'static str| DeleteRange {
        key: key.into(),
        ..DeleteRange::default()
    };
    apply(Command::LeaseGrant(LeaseGrant { id: 7, ttl_secs: 60 }));
    apply(Command::Put(put("old", 0)));
    apply(Command::Put(put("a", 0)));
    apply(Command::Put(put("a", 7)));
    apply(Command::Put(put("b", 0)));
    apply(Command::DeleteRange(delete("b")));
    let success = vec![
        TxnOp::Put(put("a", 7)),
        TxnOp::Put(put("c", 0)),
        TxnOp::Put(put("b", 0)),
    ];
    apply(Command::Txn(Txn {
        success,
        ..Txn::default()
    }));
    apply(Command::DeleteRange(delete("c")));
    apply(Command::Compact(Compact { revision: 6 }));
    let pieces = pieces(&store.state());
    let seqs: Vec<u64> = pieces.records.iter().map(|piece| piece.meta.seq).collect();
    assert_eq!(seqs, [1, 3, 5, 6, 7, 8, 9]);
    pieces
}

#[test]
fn what_was_saved_loads() {
    let saved = sample();
    assert_eq!(pieces(&load(&saved).unwrap().state()), saved);
    let empty = pieces(&Store::new().state());
    assert_eq!(pieces(&load(&empty).unwrap().state()), empty);
}

#[track_caller]
fn assert_refused(change: impl FnOnce(&mut Pieces), reason: &str) {
    let mut pieces = sample();
    change(&mut pieces);
    match load(&pieces) {
        Ok(_) => panic!("was loaded, but should have been refused: {reason}"),
        Err(error) => assert_eq!(error.to_string(), reason),
    }
}

#[test]
fn contradictions_are_refused() {
    let contradict = "contradict each other";
    assert_refused(
        |p| p.header.revision = 1,
        &format!("revision 1, compact revision 6 and next record number 10 {contradict}"),
    );
    assert_refused(
        |p| p.header.compact_revision = 9,
        &format!("revision 8, compact revision 9 and next record number 10 {contradict}"),
    );
    assert_refused(|p| p.leases[0].id = 0, "lease 0: the id is 0");
    assert_refused(
        |p| p.leases[0].ttl_secs = 0,
        "lease 7: the time to live is out of bounds",
    );
    assert_refused(|p| p.leases.push(p.leases[0]), "lease 7: it is there twice");
    assert_refused(|p| p.leases.clear(), "record 6: its lease is missing");
    assert_refused(|p| p.header.next_seq = 9, "record 9: the number is out of bounds");
    assert_refused(
        |p| p.header.next_seq = 11,
        "the last record is number 9, but the next one should be 11: records are missing",
    );
    assert_refused(
        |p| p.header.revision = 9,
        "the last record is number 9, but the next one should be 10: records are missing",
    );
}

#[test]
fn missing_and_misplaced_records_are_refused() {
    let missing = "the record before it is missing";
    assert_refused(
        |p| p.records.truncate(0),
        "the last record is number 0, but the next one should be 10: records are missing",
    );
    assert_refused(
        |p| drop(p.records.pop()),
        "the last record is number 8, but the next one should be 10: records are missing",
    );
    assert_refused(|p| drop(p.records.remove(3)), &format!("record 7: {missing}"));
    assert_refused(|p| drop(p.records.remove(5)), &format!("record 9: {missing}"));
    assert_refused(
        |p| drop(p.records.remove(1)),
        "record 6: the record it replaced is missing",
    );
    assert_refused(|p| p.records.swap(0, 1), "record 1: it is out of order");
    assert_refused(
        |p| p.records[1] = p.records[0].clone(),
        "record 1: it is out of order",
    );
    // Compaction would have dropped the first of two records of a key before the compact revision.
    assert_refused(
        |p| {
            let mut extra = p.records[1].clone();
            extra.meta = RecordMeta {
                seq: 2,
                prev_seq: 0,
                mod_revision: 3,
                version: 1,
                create_revision: 3,
                ..extra.meta
            };
            p.records.insert(1, extra);
        },
        "record 3: the record it replaced should have been compacted",
    );
    assert_refused(
        |p| p.header.compact_revision = 7,
        "record 5: a tombstone from before the compact revision",
    );
}

#[test]
fn impossible_records_are_refused() {
    let bounds = "the version or create revision is out of bounds";
    let links = "it does not name the record it replaced";
    assert_refused(
        |p| p.records[0].key.clear(),
        "record 1: the key is empty or too long",
    );
    assert_refused(
        |p| p.records[0].key = vec![1; MAX_KEY_BYTES + 1],
        "record 1: the key is empty or too long",
    );
    assert_refused(
        |p| p.records[0].meta.mod_revision = 1,
        "record 1: the mod revision is out of bounds",
    );
    assert_refused(
        |p| p.records[6].meta.mod_revision = 9,
        "record 9: the mod revision is out of bounds",
    );
    assert_refused(|p| p.records[0].meta.version = 0, &format!("record 1: {bounds}"));
    assert_refused(
        |p| p.records[0].meta.create_revision = 1,
        &format!("record 1: {bounds}"),
    );
    assert_refused(
        |p| p.records[0].meta.version = 2,
        "record 1: version and create revision contradict each other",
    );
    let content = "a tombstone with a value, version, create revision or lease";
    assert_refused(|p| p.records[2].value.push(1), &format!("record 5: {content}"));
    assert_refused(|p| p.records[2].meta.lease = 7, &format!("record 5: {content}"));
    assert_refused(
        |p| p.records[3].meta.sub = MAX_RECORDS_PER_REVISION,
        "record 6: the sub-revision is out of bounds",
    );
    assert_refused(
        |p| p.records[4].meta.sub = 0,
        "record 7: it is out of order in its revision",
    );
    assert_refused(
        |p| p.records[4].meta.sub = 2,
        "record 7: its sub-revision leaves a gap",
    );
    assert_refused(
        |p| p.records[6].meta.sub = 1,
        "record 9: the first of a revision with a sub-revision above 0",
    );
    assert_refused(
        |p| p.records[3].meta.prev_seq = 6,
        "record 6: its predecessor is not before it",
    );
    assert_refused(|p| p.records[3].meta.prev_seq = 1, &format!("record 6: {links}"));
    let other_key = "it names a record of another key";
    assert_refused(
        |p| p.records[5].key = b"new".to_vec(),
        &format!("record 8: {other_key}"),
    );
    assert_refused(
        |p| p.records[5].meta.prev_seq = 1,
        "record 8: it does not name the record it replaced",
    );
    assert_refused(
        |p| p.records[4].meta.prev_seq = 1,
        &format!("record 7: {other_key}"),
    );
    assert_refused(
        |p| p.records[6].key = b"new".to_vec(),
        "record 9: the record it replaced is missing",
    );
    assert_refused(
        |p| p.records[3].meta.version = 4,
        "record 6: it does not continue the history of its key",
    );
    assert_refused(
        |p| p.records[3].meta.create_revision = 4,
        "record 6: it does not continue the history of its key",
    );
}

/// As etcd before 3.5.16 compacts: tombstones of the compact revision are dropped too.
#[test]
fn records_of_the_compact_revision_may_be_missing() {
    let mut store = Store::new();
    let put = |key: &'static str| {
        TxnOp::Put(Put {
            key: key.into(),
            ..Put::default()
        })
    };
    let delete = |key: &'static str| {
        TxnOp::DeleteRange(DeleteRange {
            key: key.into(),
            ..DeleteRange::default()
        })
    };
    let txn = |success| {
        Command::Txn(Txn {
            success,
            ..Txn::default()
        })
    };
    for command in [
        txn(vec![put("a"), put("b"), put("c")]),
        txn(vec![delete("a"), put("c"), delete("b")]),
        Command::Compact(Compact { revision: 3 }),
    ] {
        store.apply(0, &Caller::default(), &command).unwrap();
    }
    let mut partly = pieces(&store.state());
    partly.records.retain(|piece| !piece.meta.tombstone);
    partly.records[0].meta.seq = 2;
    partly.records[0].meta.prev_seq = 0;
    partly.header.next_seq = 3;
    let loaded = load(&partly).unwrap().state();
    assert_eq!(pieces(&loaded), partly);
    assert_eq!(loaded.events(3).unwrap().count(), 1);

    let mut wholly = partly.clone();
    wholly.records.clear();
    let mut loaded = load(&wholly).unwrap();
    assert_eq!(pieces(&loaded.state()), wholly);
    let outcome = loaded.apply(0, &Caller::default(), &txn(vec![put("d")])).unwrap();
    assert!(matches!(outcome, Outcome::Txn(_)));
    assert_eq!((loaded.state().revision(), loaded.state().key_count()), (4, 1));

    wholly.header.compact_revision = 2;
    assert!(load(&wholly).is_err(), "only of the compact revision");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever loads is kept exactly; nothing panics.
    #[test]
    fn anything_is_refused_or_kept(
        place in 0..7usize,
        field in 0..11,
        number in -1..12i64,
        header in prop::option::weighted(0.2, (0..10i64, -2..10i64, 0..12u64)),
    ) {
        let mut damaged = sample();
        let Piece { key, value, meta } = &mut damaged.records[place];
        match field {
            0 => *key = vec![number as u8],
            1 => *value = vec![number as u8],
            2 => meta.create_revision = number,
            3 => meta.mod_revision = number,
            4 => meta.version = number,
            5 => meta.lease = number,
            6 => meta.seq = number as u64,
            7 => meta.prev_seq = number as u64,
            8 => meta.sub = number as u32,
            9 => meta.tombstone = !meta.tombstone,
            _ => drop(damaged.records.remove(place)),
        }
        if let Some((revision, compact_revision, next_seq)) = header {
            damaged.header = StateHeader { revision, compact_revision, next_seq };
        }
        if let Ok(store) = load(&damaged) {
            prop_assert_eq!(pieces(&store.state()), damaged);
        }
    }
}

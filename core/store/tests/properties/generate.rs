//! Random commands and reads. Few keys and few leases, so that histories meet themselves.

use bytes::Bytes;
use cfgstore_store::*;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

const KEYS: [&[u8]; 8] = [b"\0", b"a", b"a\0", b"ab", b"b", b"b\xff", b"c", b"\xff"];
const ENDS: [&[u8]; 9] = [b"", b"", b"\0", b"a", b"a\0", b"b", b"c", b"\xff", b"\xff\xff"];
const VALUES: [&[u8]; 4] = [b"", b"x", b"y", b"longer"];

/// Revisions are generated as any `u16` and brought into the neighbourhood of what exists when they are used.
pub fn resolve(raw: i64, current: i64) -> i64 {
    if raw == 0 { 0 } else { raw % (current + 2) }
}

pub fn key() -> impl Strategy<Value = Bytes> {
    prop_oneof![60 => select(&KEYS[..]), 1 => Just(b"".as_slice())].prop_map(Bytes::from_static)
}

pub fn range_end() -> impl Strategy<Value = Bytes> {
    select(&ENDS[..]).prop_map(Bytes::from_static)
}

fn value() -> impl Strategy<Value = Bytes> {
    select(&VALUES[..]).prop_map(Bytes::from_static)
}

fn revision() -> impl Strategy<Value = i64> {
    prop_oneof![1 => Just(0), 2 => 1..=i64::from(u16::MAX)]
}

fn rarely() -> impl Strategy<Value = bool> {
    proptest::bool::weighted(0.2)
}

fn lease() -> impl Strategy<Value = i64> {
    prop_oneof![3 => Just(0i64), 1 => 1..4i64]
}

fn put() -> impl Strategy<Value = Put> {
    (key(), value(), lease(), any::<bool>(), rarely(), rarely()).prop_map(
        |(key, value, lease, prev_kv, ignore_value, ignore_lease)| {
            // Mostly valid: the flags exclude what they ignore, but for the value "longer" and lease 3.
            let value = if ignore_value && value != "longer" {
                Bytes::new()
            } else {
                value
            };
            let lease = if ignore_lease && lease != 3 { 0 } else { lease };
            Put {
                key,
                value,
                lease,
                prev_kv,
                ignore_value,
                ignore_lease,
            }
        },
    )
}

fn delete_range() -> impl Strategy<Value = DeleteRange> {
    (key(), range_end(), any::<bool>()).prop_map(|(key, range_end, prev_kv)| DeleteRange {
        key,
        range_end,
        prev_kv,
    })
}

pub fn range() -> impl Strategy<Value = Range> {
    let sort_order = select(vec![SortOrder::None, SortOrder::Ascend, SortOrder::Descend]);
    let sort_target = select(vec![
        SortTarget::Key,
        SortTarget::Key,
        SortTarget::Version,
        SortTarget::Create,
        SortTarget::Mod,
        SortTarget::Value,
    ]);
    let filter = || prop_oneof![4 => Just(0), 1 => revision()];
    (
        (key(), range_end(), revision(), -1..5i64, sort_order, sort_target),
        (any::<bool>(), rarely(), filter(), filter(), filter(), filter()),
    )
        .prop_map(
            |((key, range_end, revision, limit, sort_order, sort_target), rest)| {
                let (keys_only, count_only, min_mod, max_mod, min_create, max_create) = rest;
                Range {
                    key,
                    range_end,
                    limit,
                    revision,
                    sort_order,
                    sort_target,
                    keys_only,
                    count_only,
                    min_mod_revision: min_mod,
                    max_mod_revision: max_mod,
                    min_create_revision: min_create,
                    max_create_revision: max_create,
                }
            },
        )
}

fn compare() -> impl Strategy<Value = Compare> {
    let result = select(vec![
        CompareResult::Equal,
        CompareResult::Greater,
        CompareResult::Less,
        CompareResult::NotEqual,
    ]);
    let target = prop_oneof![
        (0..4i64).prop_map(CompareTarget::Version),
        revision().prop_map(CompareTarget::Create),
        revision().prop_map(CompareTarget::Mod),
        value().prop_map(CompareTarget::Value),
        lease().prop_map(CompareTarget::Lease),
    ];
    (key(), range_end(), result, target).prop_map(|(key, range_end, result, target)| Compare {
        key,
        range_end,
        result,
        target,
    })
}

pub fn txn() -> impl Strategy<Value = Txn> {
    let txn_of = |op: BoxedStrategy<TxnOp>| {
        (vec(compare(), 0..3), vec(op.clone(), 0..4), vec(op, 0..4)).prop_map(
            |(compare, success, failure)| Txn {
                compare,
                success,
                failure,
            },
        )
    };
    let plain = prop_oneof![
        3 => range().prop_map(TxnOp::Range),
        4 => put().prop_map(TxnOp::Put),
        1 => delete_range().prop_map(TxnOp::DeleteRange),
    ]
    .boxed();
    let nested = prop_oneof![3 => plain.clone(), 1 => txn_of(plain.clone()).prop_map(TxnOp::Txn)].boxed();
    let deeper = prop_oneof![5 => plain, 2 => txn_of(nested).prop_map(TxnOp::Txn)].boxed();
    txn_of(deeper)
}

pub fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        30 => put().prop_map(Command::Put),
        8 => delete_range().prop_map(Command::DeleteRange),
        20 => txn().prop_map(Command::Txn),
        6 => revision().prop_map(|revision| Command::Compact(Compact { revision })),
        6 => (0..4i64, prop_oneof![Just(0), Just(60), Just(9_000_000_000i64), Just(9_000_000_001i64)])
            .prop_map(|(id, ttl_secs)| Command::LeaseGrant(LeaseGrant { id, ttl_secs })),
        3 => (0..4i64).prop_map(|id| Command::LeaseRevoke(LeaseRevoke { id })),
        3 => alarm(),
    ]
}

/// Few members, and more ends than beginnings: while an alarm is raised, little else happens.
fn alarm() -> impl Strategy<Value = Command> {
    let kind = prop_oneof![3 => Just(AlarmKind::NoSpace), 1 => Just(AlarmKind::Corrupt)];
    let raised = prop_oneof![2 => Just(false), 1 => Just(true)];
    (kind, 0..2u64, raised).prop_map(|(kind, member_id, raised)| {
        Command::Alarm(AlarmChange {
            alarm: Alarm { kind, member_id },
            raised,
        })
    })
}

/// Brings every revision in a command near to what exists.
pub fn resolve_command(command: &mut Command, current: i64) {
    match command {
        Command::Txn(txn) => resolve_txn(txn, current),
        Command::Compact(compact) => compact.revision = resolve(compact.revision, current),
        _ => {}
    }
}

pub fn resolve_txn(txn: &mut Txn, current: i64) {
    for compare in &mut txn.compare {
        if let CompareTarget::Create(revision) | CompareTarget::Mod(revision) = &mut compare.target {
            *revision = resolve(*revision, current);
        }
    }
    for op in txn.success.iter_mut().chain(&mut txn.failure) {
        match op {
            TxnOp::Range(range) => resolve_range(range, current),
            TxnOp::Txn(nested) => resolve_txn(nested, current),
            TxnOp::Put(_) | TxnOp::DeleteRange(_) => {}
        }
    }
}

pub fn resolve_range(range: &mut Range, current: i64) {
    for revision in [
        &mut range.revision,
        &mut range.min_mod_revision,
        &mut range.max_mod_revision,
        &mut range.min_create_revision,
        &mut range.max_create_revision,
    ] {
        *revision = resolve(*revision, current);
    }
}

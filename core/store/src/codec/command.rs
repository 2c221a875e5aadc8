//! The format of commands; tables in the parent module.

use bytes::Bytes;

use super::input::{DecodeError, DecodeReason, Input};
use super::{FORMAT_VERSION, flags, put_bytes, put_i64};
use crate::alarm::{Alarm, AlarmKind};
use crate::check::MAX_TXN_DEPTH;
use crate::command::{
    AlarmChange, Caller, Command, Compact, Compare, CompareResult, CompareTarget, DeleteRange, LeaseGrant,
    LeaseRevoke, Put, Range, SortOrder, SortTarget, Txn, TxnOp,
};

const KIND_PUT: u8 = 1;
const KIND_DELETE_RANGE: u8 = 2;
const KIND_TXN: u8 = 3;
const KIND_COMPACT: u8 = 4;
const KIND_LEASE_GRANT: u8 = 5;
const KIND_LEASE_REVOKE: u8 = 6;
const KIND_RANGE: u8 = 7;
const KIND_ALARM: u8 = 8;

const TARGET_VERSION: u8 = 0;
const TARGET_CREATE: u8 = 1;
const TARGET_MOD: u8 = 2;
const TARGET_VALUE: u8 = 3;
const TARGET_LEASE: u8 = 4;

/// The numbers of these enums are their places here.
const SORT_ORDERS: [SortOrder; 3] = [SortOrder::None, SortOrder::Ascend, SortOrder::Descend];
const SORT_TARGETS: [SortTarget; 5] = [
    SortTarget::Key,
    SortTarget::Version,
    SortTarget::Create,
    SortTarget::Mod,
    SortTarget::Value,
];
const COMPARE_RESULTS: [CompareResult; 4] = [
    CompareResult::Equal,
    CompareResult::Greater,
    CompareResult::Less,
    CompareResult::NotEqual,
];

/// Appends a command and its caller to `out`.
pub fn encode_command(caller: &Caller, command: &Command, out: &mut Vec<u8>) {
    out.push(FORMAT_VERSION);
    out.push(flags([caller.user.is_some(), caller.client.is_some()]));
    for name in [&caller.user, &caller.client].into_iter().flatten() {
        put_bytes(out, name.as_bytes());
    }
    match command {
        Command::Put(put) => encode_put(put, out),
        Command::DeleteRange(delete) => encode_delete_range(delete, out),
        Command::Txn(txn) => encode_txn(txn, out),
        Command::Compact(compact) => {
            out.push(KIND_COMPACT);
            put_i64(out, compact.revision);
        }
        Command::LeaseGrant(grant) => {
            out.push(KIND_LEASE_GRANT);
            put_i64(out, grant.id);
            put_i64(out, grant.ttl_secs);
        }
        Command::LeaseRevoke(revoke) => {
            out.push(KIND_LEASE_REVOKE);
            put_i64(out, revoke.id);
        }
        Command::Alarm(change) => {
            out.push(KIND_ALARM);
            out.push(flags([change.raised]));
            out.push(change.alarm.kind as u8);
            out.extend_from_slice(&change.alarm.member_id.to_le_bytes());
        }
    }
}

fn encode_put(put: &Put, out: &mut Vec<u8>) {
    out.push(KIND_PUT);
    out.push(flags([put.prev_kv, put.ignore_value, put.ignore_lease]));
    put_i64(out, put.lease);
    put_bytes(out, &put.key);
    put_bytes(out, &put.value);
}

fn encode_delete_range(delete: &DeleteRange, out: &mut Vec<u8>) {
    out.push(KIND_DELETE_RANGE);
    out.push(flags([delete.prev_kv]));
    put_bytes(out, &delete.key);
    put_bytes(out, &delete.range_end);
}

fn encode_range(range: &Range, out: &mut Vec<u8>) {
    out.push(KIND_RANGE);
    out.push(flags([range.keys_only, range.count_only]));
    out.push(range.sort_order as u8);
    out.push(range.sort_target as u8);
    let filters = [
        range.min_mod_revision,
        range.max_mod_revision,
        range.min_create_revision,
        range.max_create_revision,
    ];
    for number in [range.limit, range.revision].into_iter().chain(filters) {
        put_i64(out, number);
    }
    put_bytes(out, &range.key);
    put_bytes(out, &range.range_end);
}

fn encode_txn(txn: &Txn, out: &mut Vec<u8>) {
    let put_count = |out: &mut Vec<u8>, count: usize| {
        let count = u32::try_from(count).expect("a transaction has fewer than 2^32 operations");
        out.extend_from_slice(&count.to_le_bytes());
    };
    out.push(KIND_TXN);
    put_count(out, txn.compare.len());
    for compare in &txn.compare {
        encode_compare(compare, out);
    }
    for ops in [&txn.success, &txn.failure] {
        put_count(out, ops.len());
        for op in ops {
            match op {
                TxnOp::Range(range) => encode_range(range, out),
                TxnOp::Put(put) => encode_put(put, out),
                TxnOp::DeleteRange(delete) => encode_delete_range(delete, out),
                TxnOp::Txn(nested) => encode_txn(nested, out),
            }
        }
    }
}

fn encode_compare(compare: &Compare, out: &mut Vec<u8>) {
    out.push(compare.result as u8);
    let (target, operand) = match &compare.target {
        CompareTarget::Version(operand) => (TARGET_VERSION, operand),
        CompareTarget::Create(operand) => (TARGET_CREATE, operand),
        CompareTarget::Mod(operand) => (TARGET_MOD, operand),
        CompareTarget::Lease(operand) => (TARGET_LEASE, operand),
        CompareTarget::Value(_) => (TARGET_VALUE, &0),
    };
    out.push(target);
    match &compare.target {
        CompareTarget::Value(operand) => put_bytes(out, operand),
        _ => put_i64(out, *operand),
    }
    put_bytes(out, &compare.key);
    put_bytes(out, &compare.range_end);
}

/// Decodes exactly one command and its caller. Keys and values share `input`'s memory; nothing is copied.
///
/// # Errors
/// [`DecodeError`] if `input` is anything else.
pub fn decode_command(input: &Bytes) -> Result<(Caller, Command), DecodeError> {
    let mut decoder = Decoder {
        shared: input,
        input: Input::new(input),
    };
    let decoded = decoder.command()?;
    decoder.input.end()?;
    Ok(decoded)
}

struct Decoder<'a> {
    /// The same bytes as `input`, to be shared by the slices given out.
    shared: &'a Bytes,
    input: Input<'a>,
}

impl Decoder<'_> {
    fn command(&mut self) -> Result<(Caller, Command), DecodeError> {
        self.input.version()?;
        let [has_user, has_client] = self.input.flags()?;
        let user = if has_user {
            Some(self.input.string()?)
        } else {
            None
        };
        let client = if has_client {
            Some(self.input.string()?)
        } else {
            None
        };
        let command = match self.input.u8()? {
            KIND_PUT => Command::Put(self.put()?),
            KIND_DELETE_RANGE => Command::DeleteRange(self.delete_range()?),
            KIND_TXN => Command::Txn(self.txn(1)?),
            KIND_COMPACT => Command::Compact(Compact {
                revision: self.input.i64()?,
            }),
            KIND_LEASE_GRANT => Command::LeaseGrant(LeaseGrant {
                id: self.input.i64()?,
                ttl_secs: self.input.i64()?,
            }),
            KIND_LEASE_REVOKE => Command::LeaseRevoke(LeaseRevoke {
                id: self.input.i64()?,
            }),
            KIND_ALARM => Command::Alarm(self.alarm()?),
            found => return self.unknown("command", found),
        };
        Ok((Caller { user, client }, command))
    }

    fn alarm(&mut self) -> Result<AlarmChange, DecodeError> {
        let [raised] = self.input.flags()?;
        let number = self.input.u8()?;
        let Some(kind) = AlarmKind::from_number(number) else {
            return self.unknown("alarm", number);
        };
        let member_id = self.input.u64()?;
        Ok(AlarmChange {
            alarm: Alarm { kind, member_id },
            raised,
        })
    }

    fn put(&mut self) -> Result<Put, DecodeError> {
        let [prev_kv, ignore_value, ignore_lease] = self.input.flags()?;
        let lease = self.input.i64()?;
        let (key, value) = (self.bytes()?, self.bytes()?);
        Ok(Put {
            key,
            value,
            lease,
            prev_kv,
            ignore_value,
            ignore_lease,
        })
    }

    fn delete_range(&mut self) -> Result<DeleteRange, DecodeError> {
        let [prev_kv] = self.input.flags()?;
        let (key, range_end) = (self.bytes()?, self.bytes()?);
        Ok(DeleteRange {
            key,
            range_end,
            prev_kv,
        })
    }

    fn range(&mut self) -> Result<Range, DecodeError> {
        let [keys_only, count_only] = self.input.flags()?;
        // Fields are read in the order they are written here.
        Ok(Range {
            keys_only,
            count_only,
            sort_order: self.input.one_of("sort order", &SORT_ORDERS)?,
            sort_target: self.input.one_of("sort target", &SORT_TARGETS)?,
            limit: self.input.i64()?,
            revision: self.input.i64()?,
            min_mod_revision: self.input.i64()?,
            max_mod_revision: self.input.i64()?,
            min_create_revision: self.input.i64()?,
            max_create_revision: self.input.i64()?,
            key: self.bytes()?,
            range_end: self.bytes()?,
        })
    }

    fn txn(&mut self, depth: usize) -> Result<Txn, DecodeError> {
        if depth > MAX_TXN_DEPTH {
            return self.input.fail(self.input.offset(), DecodeReason::TxnTooDeep);
        }
        Ok(Txn {
            compare: self.list(Decoder::compare)?,
            success: self.list(|decoder| decoder.op(depth))?,
            failure: self.list(|decoder| decoder.op(depth))?,
        })
    }

    /// The count is not believed beforehand: the list grows with the elements that are really there.
    fn list<T>(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let count = self.input.u32()?;
        let mut list = Vec::new();
        for _ in 0..count {
            list.push(element(self)?);
        }
        Ok(list)
    }

    fn op(&mut self, depth: usize) -> Result<TxnOp, DecodeError> {
        match self.input.u8()? {
            KIND_PUT => Ok(TxnOp::Put(self.put()?)),
            KIND_DELETE_RANGE => Ok(TxnOp::DeleteRange(self.delete_range()?)),
            KIND_TXN => Ok(TxnOp::Txn(self.txn(depth + 1)?)),
            KIND_RANGE => Ok(TxnOp::Range(self.range()?)),
            found => self.unknown("operation", found),
        }
    }

    fn compare(&mut self) -> Result<Compare, DecodeError> {
        let result = self.input.one_of("compare result", &COMPARE_RESULTS)?;
        let target = match self.input.u8()? {
            TARGET_VERSION => CompareTarget::Version(self.input.i64()?),
            TARGET_CREATE => CompareTarget::Create(self.input.i64()?),
            TARGET_MOD => CompareTarget::Mod(self.input.i64()?),
            TARGET_VALUE => CompareTarget::Value(self.bytes()?),
            TARGET_LEASE => CompareTarget::Lease(self.input.i64()?),
            found => return self.unknown("compare target", found),
        };
        let (key, range_end) = (self.bytes()?, self.bytes()?);
        Ok(Compare {
            key,
            range_end,
            result,
            target,
        })
    }

    fn bytes(&mut self) -> Result<Bytes, DecodeError> {
        let bytes = self.input.bytes()?;
        let end = self.input.offset();
        Ok(self.shared.slice(end - bytes.len()..end))
    }

    fn unknown<T>(&self, of: &'static str, found: u8) -> Result<T, DecodeError> {
        self.input
            .fail(self.input.offset() - 1, DecodeReason::UnknownNumber { of, found })
    }
}

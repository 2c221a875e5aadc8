//! The format of commands; tables in the parent module.

use bytes::Bytes;

use super::input::{DecodeError, DecodeReason, Input};
use super::rules::{put_caller, put_dead_letter};
use super::{FORMAT_VERSION, flags, put_bytes, put_i64};
use crate::alarm::{Alarm, AlarmKind};
use crate::change_log::Retention;
use crate::check::MAX_TXN_DEPTH;
use crate::command::{
    AlarmChange, Caller, Command, Compact, Compare, CompareResult, CompareTarget, DeleteRange, Judged,
    LeaseGrant, LeaseRevoke, NotificationProgress, Put, PutViolation, Range, SetNotification, SetRetention,
    SetSchema, SortOrder, SortTarget, Txn, TxnOp,
};
use crate::rules::SchemaRule;

const KIND_PUT: u8 = 1;
const KIND_DELETE_RANGE: u8 = 2;
const KIND_TXN: u8 = 3;
const KIND_COMPACT: u8 = 4;
const KIND_LEASE_GRANT: u8 = 5;
const KIND_LEASE_REVOKE: u8 = 6;
const KIND_RANGE: u8 = 7;
const KIND_ALARM: u8 = 8;
const KIND_JUDGED: u8 = 9;
const KIND_SET_SCHEMA: u8 = 10;
const KIND_SET_RETENTION: u8 = 11;
const KIND_SET_NOTIFICATION: u8 = 12;
const KIND_NOTIFICATION_PROGRESS: u8 = 13;

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
    put_caller(caller, out);
    encode_body(command, out);
}

fn encode_body(command: &Command, out: &mut Vec<u8>) {
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
        Command::Judged(judged) => {
            out.push(KIND_JUDGED);
            put_i64(out, judged.schema_revision);
            put_count(out, judged.violations.len());
            for violation in &judged.violations {
                out.extend_from_slice(&violation.put.to_le_bytes());
                put_bytes(out, &violation.report);
            }
            encode_body(&judged.command, out);
        }
        Command::SetSchema(set) => {
            out.push(KIND_SET_SCHEMA);
            let rule = set.schema.as_ref();
            out.push(flags([rule.is_some(), rule.is_some_and(|rule| rule.sealed)]));
            put_i64(out, set.checked_revision);
            put_bytes(out, &set.pattern);
            put_bytes(out, rule.map_or(b"", |rule| &rule.schema));
        }
        Command::SetRetention(set) => {
            out.push(KIND_SET_RETENTION);
            out.push(flags([set.retention.is_some()]));
            if let Some(rule) = &set.retention {
                out.extend_from_slice(&rule.count.to_le_bytes());
                out.extend_from_slice(&rule.max_age_secs.to_le_bytes());
            }
            put_bytes(out, &set.prefix);
        }
        Command::SetNotification(set) => {
            out.push(KIND_SET_NOTIFICATION);
            out.push(flags([set.rule.is_some()]));
            put_bytes(out, set.name.as_bytes());
            put_bytes(out, set.rule.as_deref().unwrap_or(b""));
        }
        Command::NotificationProgress(progress) => {
            out.push(KIND_NOTIFICATION_PROGRESS);
            put_bytes(out, progress.name.as_bytes());
            put_i64(out, progress.done_through_revision);
            put_count(out, progress.dead_letters.len());
            for letter in &progress.dead_letters {
                put_dead_letter(letter, out);
            }
            put_count(out, progress.forget.len());
            for id in &progress.forget {
                out.extend_from_slice(&id.to_le_bytes());
            }
        }
    }
}

fn put_count(out: &mut Vec<u8>, count: usize) {
    let count = u32::try_from(count).expect("a list has fewer than 2^32 elements");
    out.extend_from_slice(&count.to_le_bytes());
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
        let caller = self.input.caller()?;
        Ok((caller, self.body(false)?))
    }

    fn body(&mut self, judged: bool) -> Result<Command, DecodeError> {
        Ok(match self.input.u8()? {
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
            // Nothing is judged twice: so the recursion ends.
            KIND_JUDGED if !judged => Command::Judged(self.judged()?),
            KIND_SET_SCHEMA => Command::SetSchema(self.set_schema()?),
            KIND_SET_RETENTION => Command::SetRetention(self.set_retention()?),
            KIND_SET_NOTIFICATION => {
                let [is_set] = self.input.flags()?;
                let name = self.input.string()?;
                let rule = self.given(is_set)?;
                Command::SetNotification(SetNotification { name, rule })
            }
            KIND_NOTIFICATION_PROGRESS => Command::NotificationProgress(NotificationProgress {
                name: self.input.string()?,
                done_through_revision: self.input.i64()?,
                dead_letters: self.list(|decoder| decoder.input.dead_letter())?,
                forget: self.list(|decoder| decoder.input.u64())?,
            }),
            found => return self.unknown("command", found),
        })
    }

    fn judged(&mut self) -> Result<Judged, DecodeError> {
        Ok(Judged {
            schema_revision: self.input.i64()?,
            violations: self.list(|decoder| {
                Ok(PutViolation {
                    put: decoder.input.u32()?,
                    report: decoder.bytes()?,
                })
            })?,
            command: Box::new(self.body(true)?),
        })
    }

    fn set_schema(&mut self) -> Result<SetSchema, DecodeError> {
        let [is_set, sealed] = self.input.flags()?;
        if sealed && !is_set {
            let found = flags([is_set, sealed]);
            return self
                .input
                .fail(self.input.offset() - 1, DecodeReason::UnknownFlags { found });
        }
        let checked_revision = self.input.i64()?;
        let pattern = self.bytes()?;
        let schema = self.given(is_set)?;
        Ok(SetSchema {
            pattern,
            schema: schema.map(|schema| SchemaRule { schema, sealed }),
            checked_revision,
        })
    }

    fn set_retention(&mut self) -> Result<SetRetention, DecodeError> {
        let [is_set] = self.input.flags()?;
        let retention = if is_set {
            Some(Retention {
                count: self.input.u32()?,
                max_age_secs: self.input.u64()?,
                floor_revision: 0,
            })
        } else {
            None
        };
        Ok(SetRetention {
            prefix: self.bytes()?,
            retention,
        })
    }

    /// Bytes that must be empty if nothing is given.
    fn given(&mut self, is_given: bool) -> Result<Option<Bytes>, DecodeError> {
        let bytes = self.bytes()?;
        if is_given {
            Ok(Some(bytes))
        } else if bytes.is_empty() {
            Ok(None)
        } else {
            let reason = DecodeReason::TrailingBytes;
            self.input.fail(self.input.offset() - bytes.len(), reason)
        }
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

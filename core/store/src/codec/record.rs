//! The formats of records, leases and alarms; tables in the parent module.

use super::input::{DecodeError, DecodeReason, Input};
use super::{FORMAT_VERSION, flags, put_bytes, put_i64};
use crate::alarm::{Alarm, AlarmKind};
use crate::lease::Lease;
use crate::record::{MAX_RECORDS_PER_REVISION, Record, RecordMeta};

/// A decoded record that still borrows its key and value from the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordView<'a> {
    /// The key.
    pub key: &'a [u8],
    /// The value.
    pub value: &'a [u8],
    /// The numbers.
    pub meta: RecordMeta,
}

impl<'a> RecordView<'a> {
    /// A record as its own encoding would be decoded.
    pub fn of(record: &'a Record) -> RecordView<'a> {
        RecordView {
            key: record.key(),
            value: record.value(),
            meta: record.meta(),
        }
    }
}

/// A decoded lease. Which keys are attached is not part of it: the live records say so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseView {
    /// The id.
    pub id: i64,
    /// The time to live granted, in seconds.
    pub ttl_secs: i64,
}

impl LeaseView {
    /// A lease as its own encoding would be decoded.
    pub fn of(lease: &Lease) -> LeaseView {
        LeaseView {
            id: lease.id,
            ttl_secs: lease.ttl_secs,
        }
    }
}

/// Appends a record to `out`: 62 bytes, the key, the value.
pub fn encode_record(record: &Record, out: &mut Vec<u8>) {
    let meta = record.meta();
    out.reserve(62 + record.key().len() + record.value().len());
    out.push(FORMAT_VERSION);
    out.push(flags([meta.tombstone]));
    out.extend_from_slice(&meta.sub.to_le_bytes());
    for number in [meta.create_revision, meta.mod_revision, meta.version, meta.lease] {
        put_i64(out, number);
    }
    for number in [meta.seq, meta.prev_seq] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    put_bytes(out, record.key());
    put_bytes(out, record.value());
}

/// Decodes exactly one record. Whether its numbers make sense is checked when it is loaded.
///
/// # Errors
/// [`DecodeError`] if `input` is anything else.
pub fn decode_record(input: &[u8]) -> Result<RecordView<'_>, DecodeError> {
    let mut input = Input::new(input);
    input.version()?;
    let [tombstone] = input.flags()?;
    let sub = input.u32()?;
    if sub >= MAX_RECORDS_PER_REVISION {
        return input.fail(input.offset() - 4, DecodeReason::SubTooLarge);
    }
    // Fields are read in the order they are written here.
    let meta = RecordMeta {
        tombstone,
        sub,
        create_revision: input.i64()?,
        mod_revision: input.i64()?,
        version: input.i64()?,
        lease: input.i64()?,
        seq: input.u64()?,
        prev_seq: input.u64()?,
    };
    let view = RecordView {
        key: input.bytes()?,
        value: input.bytes()?,
        meta,
    };
    input.end()?;
    Ok(view)
}

/// Appends a lease to `out`: 17 bytes.
pub fn encode_lease(lease: &Lease, out: &mut Vec<u8>) {
    out.push(FORMAT_VERSION);
    put_i64(out, lease.id);
    put_i64(out, lease.ttl_secs);
}

/// Decodes exactly one lease.
///
/// # Errors
/// [`DecodeError`] if `input` is anything else.
pub fn decode_lease(input: &[u8]) -> Result<LeaseView, DecodeError> {
    let mut input = Input::new(input);
    input.version()?;
    let view = LeaseView {
        id: input.i64()?,
        ttl_secs: input.i64()?,
    };
    input.end()?;
    Ok(view)
}

/// Appends an alarm to `out`: 10 bytes.
pub fn encode_alarm(alarm: &Alarm, out: &mut Vec<u8>) {
    out.push(FORMAT_VERSION);
    out.push(alarm.kind as u8);
    out.extend_from_slice(&alarm.member_id.to_le_bytes());
}

/// Decodes exactly one alarm.
///
/// # Errors
/// [`DecodeError`] if `input` is anything else.
pub fn decode_alarm(input: &[u8]) -> Result<Alarm, DecodeError> {
    let mut input = Input::new(input);
    input.version()?;
    let found = input.u8()?;
    let Some(kind) = AlarmKind::from_number(found) else {
        let of = "alarm";
        return input.fail(input.offset() - 1, DecodeReason::UnknownNumber { of, found });
    };
    let alarm = Alarm {
        kind,
        member_id: input.u64()?,
    };
    input.end()?;
    Ok(alarm)
}

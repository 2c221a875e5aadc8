//! The byte formats of commands (in the replicated log), records, leases and alarms (in checkpoints and snapshots).
//!
//! Integers are little-endian and of fixed width. `bytes` is a `u32` length, then as many bytes; `string` is `bytes` in
//! UTF-8. Each value has exactly one encoding, so equal bytes mean equal values. Every format starts with a byte that
//! is its version; all are 1 today, and a decoder refuses what it does not know. Unknown flag bits and bytes after the
//! end are errors. Decoding is total: any input gives a value or a [`DecodeError`] with the offset, allocates no more
//! than in proportion to the input, and recurses no deeper than [`MAX_TXN_DEPTH`](crate::MAX_TXN_DEPTH).
//!
//! The formats know nothing of checksums or framing; files and log have their own.
//!
//! # Command
//!
//! | field        | type     | meaning                                                               |
//! |--------------|----------|-----------------------------------------------------------------------|
//! | version      | `u8`     | 1                                                                     |
//! | caller flags | `u8`     | bit 0: a user follows, bit 1: a client name follows                   |
//! | user         | `string` | only with bit 0                                                       |
//! | client       | `string` | only with bit 1                                                       |
//! | kind         | `u8`     | 1 put, 2 delete range, 3 transaction, 4 compact, 5 lease grant, 6 lease revoke, 8 alarm |
//! | body         |          | by kind, see below                                                    |
//!
//! Put: `u8` flags (bit 0 prev_kv, bit 1 ignore_value, bit 2 ignore_lease), `i64` lease, `bytes` key, `bytes` value.
//!
//! Delete range: `u8` flags (bit 0 prev_kv), `bytes` key, `bytes` range_end.
//!
//! Transaction: three lists, each a `u32` count, then its elements: comparisons, success operations, failure
//! operations.
//!
//! Compact: `i64` revision. Lease grant: `i64` id, `i64` ttl_secs. Lease revoke: `i64` id.
//!
//! Alarm: `u8` flags (bit 0 raised, else lowered), `u8` kind (1 no space, 2 corrupt), `u64` member id.
//!
//! An operation is a `u8` kind (1 put, 2 delete range, 3 transaction, 7 range) and its body; the body of a range is:
//!
//! | field               | type    | meaning                                             |
//! |---------------------|---------|-----------------------------------------------------|
//! | flags               | `u8`    | bit 0 keys_only, bit 1 count_only                   |
//! | sort_order          | `u8`    | 0 none, 1 ascending, 2 descending                   |
//! | sort_target         | `u8`    | 0 key, 1 version, 2 create, 3 mod, 4 value          |
//! | limit, revision     | `i64` 2 |                                                     |
//! | revision filters    | `i64` 4 | min mod, max mod, min create, max create            |
//! | key, range_end      | `bytes` 2 |                                                   |
//!
//! A comparison:
//!
//! | field          | type             | meaning                                       |
//! |----------------|------------------|-----------------------------------------------|
//! | result         | `u8`             | 0 equal, 1 greater, 2 less, 3 not equal       |
//! | target         | `u8`             | 0 version, 1 create, 2 mod, 3 value, 4 lease  |
//! | operand        | `bytes` or `i64` | `bytes` for a value, else `i64`               |
//! | key, range_end | `bytes` 2        |                                               |
//!
//! # Record
//!
//! | field           | type    | meaning                                                    |
//! |-----------------|---------|------------------------------------------------------------|
//! | version         | `u8`    | 1                                                          |
//! | flags           | `u8`    | bit 0: tombstone                                           |
//! | sub             | `u32`   | sub-revision, below 2^31                                   |
//! | create_revision | `i64`   |                                                            |
//! | mod_revision    | `i64`   |                                                            |
//! | key version     | `i64`   |                                                            |
//! | lease           | `i64`   | 0 is none                                                  |
//! | seq             | `u64`   | number of the record                                       |
//! | prev_seq        | `u64`   | number of the previous record of the key, 0 is none        |
//! | key, value      | `bytes` 2 |                                                          |
//!
//! # Lease
//!
//! `u8` version (1), `i64` id, `i64` ttl_secs. The keys attached to a lease are those whose live record names it.
//!
//! # Alarm
//!
//! `u8` version (1), `u8` kind (1 no space, 2 corrupt), `u64` member id.

mod command;
mod input;
mod record;

pub use command::{decode_command, encode_command};
pub use input::{DecodeError, DecodeReason};
pub use record::{
    LeaseView, RecordView, decode_alarm, decode_lease, decode_record, encode_alarm, encode_lease,
    encode_record,
};

/// The version byte of every format.
const FORMAT_VERSION: u8 = 1;

/// Writes `bytes`. Nothing here comes near 4 GiB: requests are limited to megabytes before they are encoded.
fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).expect("a key or value is shorter than 4 GiB");
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(bytes);
}

fn put_i64(out: &mut Vec<u8>, number: i64) {
    out.extend_from_slice(&number.to_le_bytes());
}

/// Bit `i` is set if flag `i` is.
fn flags<const N: usize>(flags: [bool; N]) -> u8 {
    flags
        .iter()
        .enumerate()
        .map(|(bit, &set)| u8::from(set) << bit)
        .sum()
}

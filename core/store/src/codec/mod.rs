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
//! | caller       |          | see below                                                             |
//! | kind         | `u8`     | 1 put, 2 delete range, 3 transaction, 4 compact, 5 lease grant, 6 lease revoke, 8 alarm, 9 judged, 10 set schema, 11 set retention, 12 set notification, 13 notification progress |
//! | body         |          | by kind, see below                                                    |
//!
//! Caller: `u8` flags, then a `string` for each that is set, in this order: bit 0 user, bit 1 client name, bit 2
//! address, bit 3 comment.
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
//! Judged: `i64` schema revision, a `u32` count of violations, each a `u32` put and `bytes` report; then kind and body of
//! the command judged, which is no judged one.
//!
//! Set schema: `u8` flags (bit 0 bind, else unbind; bit 1 sealed), `i64` checked revision, `bytes` pattern, `bytes` schema
//! (empty to unbind). Set retention: `u8` flags (bit 0 set, else remove), when set `u32` count and `u64` longest age in
//! seconds, `bytes` prefix. Set notification: `u8` flags (bit 0 set, else remove), `string` name, `bytes` rule (empty to
//! remove). Notification progress: `string` name, `i64` done through revision, a `u32` count of dead letters and as many,
//! a `u32` count of ids to forget and as many `u64`.
//!
//! Dead letter: `u64` id, `i64` 3 from revision, to revision and time in milliseconds since 1970, `string` reason.
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
//!
//! # Change of the change log
//!
//! `u8` version (1), `i64` time in milliseconds since 1970, `i64` and `u32` revision and
//! sub-revision of the key's change before (zeros: none), `u32` ordinal, the caller
//! as in a command, then the record in its own format up to the end.
//!
//! # Rule
//!
//! `u8` version (1), `u8` kind, then by kind:
//!
//! | kind | is             | fields                                                                          |
//! |------|----------------|---------------------------------------------------------------------------------|
//! | 1    | the numbers    | `i64` time of the last revision, `i64` and `u32` where the search for changes to forget has got to, `u64` about how many are to be forgotten, `i64` schema revision |
//! | 2    | a retention rule | `u32` count, `u64` longest age in seconds, `i64` floor revision, `bytes` prefix |
//! | 3    | a schema       | `u8` flags (bit 0 sealed), `bytes` pattern, `bytes` schema                       |
//! | 4    | a notification rule | `string` name, `bytes` rule, `i64` done through revision, `u64` id of the next dead letter, a `u32` count of dead letters and as many |

mod command;
mod input;
mod record;
mod rules;

pub use command::{decode_command, encode_command};
pub use input::{DecodeError, DecodeReason};
pub use record::{
    LeaseView, RecordView, decode_alarm, decode_lease, decode_record, encode_alarm, encode_lease,
    encode_record,
};

pub use rules::{ChangeView, RuleItem, decode_change, decode_rule, encode_change, encode_rules};

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

//! One version of one key.

use std::fmt;

use bytes::Bytes;
use triomphe::ThinArc;

use crate::key::Key;

/// Marks a tombstone in [`Header::sub_and_tombstone`]; the other bits are the sub-revision.
const TOMBSTONE_BIT: u32 = 1 << 31;

/// The most records one revision can hold: a sub-revision has 31 bits.
pub const MAX_RECORDS_PER_REVISION: u32 = TOMBSTONE_BIT;

/// One version of one key: a put, or a tombstone. Immutable, shared, one pointer wide; a clone is a count, not a copy.
///
/// Key and value are the store's own memory, never a slice of a network buffer, so holding a record pins nothing else.
#[derive(Clone)]
pub struct Record(ThinArc<Header, u8>);

/// Ordered so that nothing is padded: 72 bytes. Together with the count and the length it is what a record costs
/// over its value.
#[derive(Clone)]
struct Header {
    key: Key,
    create_revision: i64,
    mod_revision: i64,
    version: i64,
    lease: i64,
    seq: u64,
    prev_seq: u64,
    skip_seq: u64,
    depth: u32,
    sub_and_tombstone: u32,
}

/// The numbers of a record: all but its key, its value and the links that the store derives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordMeta {
    /// The revision of the put that created the key; 0 in a tombstone.
    pub create_revision: i64,
    /// The revision that made this record.
    pub mod_revision: i64,
    /// The place of the record in its revision, from 0.
    pub sub: u32,
    /// 1 for the put that created the key, one more for each put since; 0 in a tombstone.
    pub version: i64,
    /// The lease the key was attached to; 0 is none.
    pub lease: i64,
    /// Whether the record deletes its key.
    pub tombstone: bool,
    /// The number of the record among all ever made, from 1.
    pub seq: u64,
    /// The number of the previous record of the same key; 0 if there was none. The record itself may be compacted.
    pub prev_seq: u64,
}

/// How a record finds older ones of its key quickly: see [`crate::history`].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Skip {
    /// How many records of the key came before it, modulo 2^32.
    pub depth: u32,
    /// Some earlier record of the key; 0 for none.
    pub seq: u64,
}

impl Record {
    pub(crate) fn new(key: Key, value: &[u8], meta: &RecordMeta, skip: Skip) -> Record {
        assert!(
            meta.sub < MAX_RECORDS_PER_REVISION,
            "a revision holds at most 2^31 records"
        );
        let header = Header {
            key,
            create_revision: meta.create_revision,
            mod_revision: meta.mod_revision,
            version: meta.version,
            lease: meta.lease,
            seq: meta.seq,
            prev_seq: meta.prev_seq,
            skip_seq: skip.seq,
            depth: skip.depth,
            sub_and_tombstone: meta.sub | if meta.tombstone { TOMBSTONE_BIT } else { 0 },
        };
        Record(ThinArc::from_header_and_slice(header, value))
    }

    #[inline]
    fn header(&self) -> &Header {
        &self.0.header.header
    }

    /// The key.
    #[inline]
    pub fn key(&self) -> &[u8] {
        self.header().key.as_bytes()
    }

    /// The key as the shared allocation that all records of the key point to.
    pub fn shared_key(&self) -> &Key {
        &self.header().key
    }

    /// The value; empty in a tombstone.
    #[inline]
    pub fn value(&self) -> &[u8] {
        &self.0.slice
    }

    /// The key as [`Bytes`], copied: keys are short.
    pub fn key_bytes(&self) -> Bytes {
        Bytes::copy_from_slice(self.key())
    }

    /// The value as [`Bytes`]: small values are copied, large ones shared with the record, which then lives as long.
    pub fn value_bytes(&self) -> Bytes {
        struct Value(Record);
        impl AsRef<[u8]> for Value {
            fn as_ref(&self) -> &[u8] {
                self.0.value()
            }
        }
        // Sharing costs an allocation and a count in both directions; below this a copy is as fast and pins nothing.
        const SHARE_FROM_BYTES: usize = 1024;
        if self.value().len() < SHARE_FROM_BYTES {
            Bytes::copy_from_slice(self.value())
        } else {
            Bytes::from_owner(Value(self.clone()))
        }
    }

    /// The revision of the put that created the key; 0 in a tombstone.
    #[inline]
    pub fn create_revision(&self) -> i64 {
        self.header().create_revision
    }

    /// The revision that made this record.
    #[inline]
    pub fn mod_revision(&self) -> i64 {
        self.header().mod_revision
    }

    /// The place of the record in its revision, from 0.
    pub fn sub(&self) -> u32 {
        self.header().sub_and_tombstone & !TOMBSTONE_BIT
    }

    /// 1 for the put that created the key, one more for each put since; 0 in a tombstone.
    #[inline]
    pub fn version(&self) -> i64 {
        self.header().version
    }

    /// The id of the lease the key was attached to by this record; 0 is none.
    #[inline]
    pub fn lease(&self) -> i64 {
        self.header().lease
    }

    /// Whether the record deletes its key.
    #[inline]
    pub fn is_tombstone(&self) -> bool {
        self.header().sub_and_tombstone & TOMBSTONE_BIT != 0
    }

    /// Whether the record is the first put of its key, ever or since it was deleted.
    pub fn is_creation(&self) -> bool {
        self.version() == 1
    }

    /// The number of the record among all ever made in this store, from 1. Never reused.
    #[inline]
    pub fn seq(&self) -> u64 {
        self.header().seq
    }

    /// The number of the previous record of the same key; 0 if there was none. That record may be compacted already.
    #[inline]
    pub fn prev_seq(&self) -> u64 {
        self.header().prev_seq
    }

    /// All the numbers of the record at once.
    pub fn meta(&self) -> RecordMeta {
        RecordMeta {
            create_revision: self.create_revision(),
            mod_revision: self.mod_revision(),
            sub: self.sub(),
            version: self.version(),
            lease: self.lease(),
            tombstone: self.is_tombstone(),
            seq: self.seq(),
            prev_seq: self.prev_seq(),
        }
    }

    #[inline]
    pub(crate) fn skip(&self) -> Skip {
        Skip {
            depth: self.header().depth,
            seq: self.header().skip_seq,
        }
    }
}

impl PartialEq for Record {
    /// Equal in key, value and numbers; whether both are the same allocation does not matter.
    fn eq(&self, other: &Record) -> bool {
        self.meta() == other.meta() && self.key() == other.key() && self.value() == other.value()
    }
}

impl Eq for Record {}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("key", self.shared_key())
            .field("value", &format_args!("\"{}\"", self.value().escape_ascii()))
            .field("meta", &self.meta())
            .finish()
    }
}

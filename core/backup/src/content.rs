//! What etcd puts into its buckets.
//!
//! Bucket `key`: a revision key (below) and a `mvccpb.KeyValue`. Bucket `lease`: the id (8 bytes, big-endian) and a
//! `leasepb.Lease`. Bucket `meta`: `consistent_index` and `term` (8 bytes, big-endian), `confState` (JSON), and
//! `scheduledCompactRev` and `finishedCompactRev` (revision keys). Bucket `members`: the id in hexadecimal, and JSON.

use cfgstore_store::codec::LeaseView;
use prost::encoding::{WireType, decode_key, decode_varint, encode_key, encode_varint};

pub(crate) const BUCKET_KEY: &[u8] = b"key";
pub(crate) const BUCKET_LEASE: &[u8] = b"lease";
pub(crate) const BUCKET_MEMBERS: &[u8] = b"members";
pub(crate) const BUCKET_META: &[u8] = b"meta";
/// Ours, which etcd leaves alone: the rules, numbered, and what says to which revision they and the changes belong.
pub(crate) const BUCKET_RULES: &[u8] = b"cfgstore_rules";
/// Ours: the changes of the change log by revision and sub-revision.
pub(crate) const BUCKET_CHANGES: &[u8] = b"cfgstore_changes";
/// In the bucket of the rules: the revision of the state they were saved with, 8 bytes, big-endian. An etcd that was
/// given the file has kept our buckets, and gone on without them.
pub(crate) const RULES_REVISION: &[u8] = b"revision";

/// Buckets that etcd's tools expect to be there, in which nothing of ours goes.
pub(crate) const EMPTY_BUCKETS: [&[u8]; 6] = [
    b"alarm",
    b"auth",
    b"authRoles",
    b"authUsers",
    b"cluster",
    b"members_removed",
];

pub(crate) const META_CONSISTENT_INDEX: &[u8] = b"consistent_index";
pub(crate) const META_TERM: &[u8] = b"term";
pub(crate) const META_CONF_STATE: &[u8] = b"confState";
pub(crate) const META_SCHEDULED_COMPACTION: &[u8] = b"scheduledCompactRev";
pub(crate) const META_FINISHED_COMPACTION: &[u8] = b"finishedCompactRev";

/// A member of the cluster a snapshot was taken from. For people: a restore makes members of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberEntry {
    /// Its id.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// Where members reach it.
    pub peer_urls: Vec<String>,
    /// Where clients reach it.
    pub client_urls: Vec<String>,
    /// Whether it is a learner.
    pub is_learner: bool,
}

/// Where a snapshot comes from: what it says besides keys and leases.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotSource {
    /// Index of the last log entry applied.
    pub applied_index: u64,
    /// Its term.
    pub term: u64,
    /// The members at that entry.
    pub members: Vec<MemberEntry>,
}

/// A revision in the order of the bucket `key`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Revision {
    pub main: i64,
    pub sub: u32,
}

/// Bytes of the key of a put; a tombstone's has a `t` more.
const REVISION_KEY_BYTES: usize = 17;
const TOMBSTONE_MARK: u8 = b't';

/// Main revision, `_`, sub-revision, both big-endian, and for a tombstone `t`.
pub(crate) fn encode_revision_key(revision: Revision, tombstone: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(&revision.main.to_be_bytes());
    out.push(b'_');
    out.extend_from_slice(&u64::from(revision.sub).to_be_bytes());
    if tombstone {
        out.push(TOMBSTONE_MARK);
    }
}

/// The revision, and whether it is a tombstone's.
pub(crate) fn decode_revision_key(key: &[u8]) -> Option<(Revision, bool)> {
    let (revision, mark) = key.split_first_chunk::<REVISION_KEY_BYTES>()?;
    let tombstone = match mark {
        [] => false,
        [TOMBSTONE_MARK] => true,
        _ => return None,
    };
    let main = i64::from_be_bytes(*revision.first_chunk()?);
    let sub = u64::from_be_bytes(*revision.last_chunk()?);
    let sub = u32::try_from(sub).ok()?;
    (main > 0 && revision[8] == b'_').then_some((Revision { main, sub }, tombstone))
}

/// A `mvccpb.KeyValue`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct KeyValue<'a> {
    pub key: &'a [u8],
    pub create_revision: i64,
    pub mod_revision: i64,
    pub version: i64,
    pub value: &'a [u8],
    pub lease: i64,
}

impl<'a> KeyValue<'a> {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        put_bytes(1, self.key, out);
        put_number(2, self.create_revision, out);
        put_number(3, self.mod_revision, out);
        put_number(4, self.version, out);
        put_bytes(5, self.value, out);
        put_number(6, self.lease, out);
    }

    pub(crate) fn decode(bytes: &'a [u8]) -> Option<KeyValue<'a>> {
        let mut kv = KeyValue::default();
        each_field(bytes, |field| match field {
            Field::Bytes(1, key) => kv.key = key,
            Field::Number(2, number) => kv.create_revision = number,
            Field::Number(3, number) => kv.mod_revision = number,
            Field::Number(4, number) => kv.version = number,
            Field::Bytes(5, value) => kv.value = value,
            Field::Number(6, number) => kv.lease = number,
            _ => {}
        })?;
        Some(kv)
    }
}

/// A `leasepb.Lease`: id and time to live; what remains of it is not kept.
pub(crate) fn encode_lease(lease: LeaseView, out: &mut Vec<u8>) {
    put_number(1, lease.id, out);
    put_number(2, lease.ttl_secs, out);
}

pub(crate) fn decode_lease(bytes: &[u8]) -> Option<LeaseView> {
    let mut lease = LeaseView { id: 0, ttl_secs: 0 };
    each_field(bytes, |field| match field {
        Field::Number(1, number) => lease.id = number,
        Field::Number(2, number) => lease.ttl_secs = number,
        _ => {}
    })?;
    Some(lease)
}

fn put_number(tag: u32, number: i64, out: &mut Vec<u8>) {
    if number != 0 {
        encode_key(tag, WireType::Varint, out);
        encode_varint(number as u64, out);
    }
}

fn put_bytes(tag: u32, bytes: &[u8], out: &mut Vec<u8>) {
    if !bytes.is_empty() {
        encode_key(tag, WireType::LengthDelimited, out);
        encode_varint(bytes.len() as u64, out);
        out.extend_from_slice(bytes);
    }
}

enum Field<'a> {
    Number(u32, i64),
    Bytes(u32, &'a [u8]),
}

/// Calls `take` for every field; `None`: it is no message. Neither message has fields of other kinds.
fn each_field<'a>(mut bytes: &'a [u8], mut take: impl FnMut(Field<'a>)) -> Option<()> {
    while !bytes.is_empty() {
        match decode_key(&mut bytes).ok()? {
            (tag, WireType::Varint) => take(Field::Number(tag, decode_varint(&mut bytes).ok()? as i64)),
            (tag, WireType::LengthDelimited) => {
                let len = usize::try_from(decode_varint(&mut bytes).ok()?).ok()?;
                let (field, rest) = bytes.split_at_checked(len)?;
                bytes = rest;
                take(Field::Bytes(tag, field));
            }
            _ => return None,
        }
    }
    Some(())
}

//! The hash by which etcd's members compare what they hold: the same history gives the same number here and there.

use cfgstore_proto::mvccpb::KeyValue;
use cfgstore_store::{CommandError, Range, Record, State};
use prost::Message;

use crate::convert;

/// What etcd's bucket of records is called; the hash begins with it.
const BUCKET: &[u8] = b"key";

/// A hash, and what it covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KvHash {
    pub hash: u32,
    /// The revision up to which records are covered.
    pub revision: i64,
    pub compact_revision: i64,
}

/// CRC-32C over every record that etcd would hold after a compaction at the compact revision, up to `revision` (0 is the
/// current one). Of the records that were made up to the compact revision, only those count that a compaction at
/// `revision` would keep too: so members whose compaction is not finished get the same number.
///
/// # Errors
/// [`CommandError::Compacted`] and [`CommandError::FutureRevision`].
pub(crate) fn hash_kv(state: &State, revision: i64) -> Result<KvHash, CommandError> {
    let compact_revision = state.compact_revision();
    // Says whether the revision can be read at all.
    let live = state.range(&Range {
        key: "\0".into(),
        range_end: "\0".into(),
        revision,
        count_only: true,
        ..Range::default()
    })?;
    let revision = if revision <= 0 { state.revision() } else { revision };
    // etcd counts all old records if a compaction at `revision` would keep none.
    let any_kept = live.count > 0;
    let mut hash = crc32c::crc32c(BUCKET);
    let mut encoded = Vec::new();
    let records = state.records_in_seq_order();
    for record in records.take_while(|record| record.mod_revision() <= revision) {
        if record.mod_revision() <= compact_revision {
            // Later versions of etcd keep such a tombstone and earlier ones do not, so none of them counts it.
            let tombstone_at_compaction = record.is_tombstone();
            if tombstone_at_compaction || (any_kept && !is_live_at(state, &record, revision)?) {
                continue;
            }
        }
        encoded.clear();
        put_revision(&record, &mut encoded);
        put_key_value(&record, &mut encoded);
        hash = crc32c::crc32c_append(hash, &encoded);
    }
    Ok(KvHash {
        hash,
        revision,
        compact_revision,
    })
}

fn is_live_at(state: &State, record: &Record, revision: i64) -> Result<bool, CommandError> {
    let live = state.get_at(record.key(), revision)?;
    Ok(live.is_some_and(|live| live.seq() == record.seq()))
}

fn put_revision(record: &Record, out: &mut Vec<u8>) {
    out.extend_from_slice(&record.mod_revision().to_be_bytes());
    out.push(b'_');
    out.extend_from_slice(&i64::from(record.sub()).to_be_bytes());
    if record.is_tombstone() {
        out.push(b't');
    }
}

fn put_key_value(record: &Record, out: &mut Vec<u8>) {
    let value = if record.is_tombstone() {
        KeyValue {
            key: record.key_bytes(),
            ..Default::default()
        }
    } else {
        convert::key_value(record)
    };
    out.reserve(value.encoded_len());
    value.encode_raw(out);
}

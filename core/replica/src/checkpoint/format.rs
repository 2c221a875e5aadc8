//! Keys and values of the checkpoint's sled tree. `docs/checkpoint-format.md` is the specification.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use cfgstore_store::{Alarm, MAX_ALARMS, StateHeader, codec};

use crate::position::{put_membership, take_log_id, take_membership};
use crate::raft::types::StoredMembership;
use crate::wal::format::{LogId, put_log_id};
use crate::wal::log::Owner;

/// Newest format this program reads, and the one it writes. Version 1 knows no alarms, version 2 neither rules nor changes.
pub(crate) const FORMAT_VERSION: u32 = 3;
/// Key of the manifest.
pub(crate) const MANIFEST_KEY: &[u8] = b"m";
/// First byte of a lease's key.
pub(crate) const LEASE_PREFIX: u8 = b'l';
/// First byte of a record's keys.
pub(crate) const RECORD_PREFIX: u8 = b'r';
/// First byte of the keys of the rules: one after the other, as in a page, cut into parts.
pub(crate) const RULES_PREFIX: u8 = b'x';
/// First byte of a change's keys.
pub(crate) const CHANGE_PREFIX: u8 = b'c';
/// Records are packed into pages of at most this size, so that sled has few items to keep; a larger record is a page of
/// its own, cut into parts of this size. So no value is ever large enough for sled to put it into a file of its own (a
/// "blob"), which it would not sync.
pub(crate) const PART_BYTES: usize = 4096;
/// Bytes of a record in a page before the record: its length.
pub(crate) const ITEM_PREFIX_BYTES: usize = 4;

/// Adds a record's bytes to a page.
pub(crate) fn put_item(page: &mut Vec<u8>, bytes: &[u8]) {
    // The settings bound a record far below 4 GiB.
    page.put_u32_le(u32::try_from(bytes.len()).expect("a record is below 4 GiB"));
    page.put_slice(bytes);
}

/// Takes a record's bytes off the front of a page.
pub(crate) fn take_item<'a>(page: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (len, rest) = page.split_first_chunk::<ITEM_PREFIX_BYTES>()?;
    let (item, rest) = rest.split_at_checked(u32::from_le_bytes(*len) as usize)?;
    *page = rest;
    Some(item)
}

/// What the checkpoint holds, and how much: enough to notice anything missing, surplus or changed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Manifest {
    pub(crate) owner: Owner,
    /// Set while a change too large for one batch is being written: the checkpoint is not usable.
    pub(crate) incomplete: bool,
    pub(crate) log_id: Option<LogId>,
    pub(crate) state: StateHeader,
    pub(crate) membership: StoredMembership,
    /// Items of leases and records.
    pub(crate) items: u64,
    /// Sum of [`item_hash`] over them, modulo 2^64.
    pub(crate) sum: u64,
    pub(crate) alarms: Vec<Alarm>,
}

/// Why a manifest cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ManifestError {
    Newer(u32),
    Damaged,
}

impl Manifest {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = BytesMut::new();
        out.put_u32_le(FORMAT_VERSION);
        out.put_u32_le(u32::from(self.incomplete));
        out.put_u64_le(self.owner.cluster_id);
        out.put_u64_le(self.owner.member_id);
        put_log_id(self.log_id, &mut out);
        out.put_i64_le(self.state.revision);
        out.put_i64_le(self.state.compact_revision);
        out.put_u64_le(self.state.next_seq);
        out.put_u64_le(self.items);
        out.put_u64_le(self.sum);
        put_membership(&self.membership, &mut out);
        out.put_u32_le(self.alarms.len() as u32);
        let mut alarms = Vec::with_capacity(self.alarms.len() * ALARM_BYTES);
        self.alarms
            .iter()
            .for_each(|alarm| codec::encode_alarm(alarm, &mut alarms));
        out.put_slice(&alarms);
        seal(MANIFEST_KEY, &out)
    }

    pub(crate) fn decode(value: &[u8]) -> Result<Manifest, ManifestError> {
        let body = unseal(MANIFEST_KEY, value).ok_or(ManifestError::Damaged)?;
        let mut bytes = Bytes::copy_from_slice(body);
        if bytes.len() < 8 {
            return Err(ManifestError::Damaged);
        }
        let version = bytes.get_u32_le();
        if version > FORMAT_VERSION {
            return Err(ManifestError::Newer(version));
        }
        Self::decode_fields(&mut bytes, version)
            .filter(|_| bytes.is_empty())
            .ok_or(ManifestError::Damaged)
    }

    fn decode_fields(bytes: &mut Bytes, version: u32) -> Option<Manifest> {
        let incomplete = match bytes.get_u32_le() {
            0 => false,
            1 => true,
            _ => return None,
        };
        if bytes.len() < 16 {
            return None;
        }
        let owner = Owner {
            cluster_id: bytes.get_u64_le(),
            member_id: bytes.get_u64_le(),
        };
        let log_id = take_log_id(bytes)?;
        if bytes.len() < 40 {
            return None;
        }
        let state = StateHeader {
            revision: bytes.get_i64_le(),
            compact_revision: bytes.get_i64_le(),
            next_seq: bytes.get_u64_le(),
        };
        let items = bytes.get_u64_le();
        let sum = bytes.get_u64_le();
        let membership = take_membership(bytes)?;
        let alarms = if version >= 2 {
            take_alarms(bytes)?
        } else {
            Vec::new()
        };
        Some(Manifest {
            owner,
            incomplete,
            log_id,
            state,
            membership,
            items,
            sum,
            alarms,
        })
    }
}

/// Bytes of an alarm in the manifest.
const ALARM_BYTES: usize = 10;

fn take_alarms(bytes: &mut Bytes) -> Option<Vec<Alarm>> {
    let count = bytes.try_get_u32_le().ok()? as usize;
    if count > MAX_ALARMS || bytes.len() < count * ALARM_BYTES {
        return None;
    }
    let taken = bytes.split_to(count * ALARM_BYTES);
    taken
        .chunks(ALARM_BYTES)
        .map(|alarm| codec::decode_alarm(alarm).ok())
        .collect()
}

/// Key of a lease.
pub(crate) fn lease_key(id: i64) -> [u8; 9] {
    let mut key = [LEASE_PREFIX; 9];
    key[1..].copy_from_slice(&id.to_be_bytes());
    key
}

/// Key of a part of a page: the seq of the first record that was in it. Keys sort by seq, then part.
pub(crate) fn record_key(seq: u64, part: u32) -> [u8; 13] {
    let mut key = [RECORD_PREFIX; 13];
    key[1..9].copy_from_slice(&seq.to_be_bytes());
    key[9..].copy_from_slice(&part.to_be_bytes());
    key
}

/// Key of a part of the rules.
pub(crate) fn rules_key(part: u32) -> [u8; 5] {
    let mut key = [RULES_PREFIX; 5];
    key[1..].copy_from_slice(&part.to_be_bytes());
    key
}

/// Key of a part of a change: its revision and sub-revision.
pub(crate) fn change_key((revision, sub): (i64, u32), part: u32) -> [u8; 17] {
    let mut key = [CHANGE_PREFIX; 17];
    key[1..9].copy_from_slice(&revision.to_be_bytes());
    key[9..13].copy_from_slice(&sub.to_be_bytes());
    key[13..].copy_from_slice(&part.to_be_bytes());
    key
}

/// Revision, sub-revision and part in the key of a part of a change.
pub(crate) fn parse_change_key(key: &[u8]) -> Option<((i64, u32), u32)> {
    let rest = key.strip_prefix(&[CHANGE_PREFIX])?;
    let (revision, rest) = rest.split_first_chunk::<8>()?;
    let (sub, part) = rest.split_first_chunk::<4>()?;
    let place = (i64::from_be_bytes(*revision), u32::from_be_bytes(*sub));
    Some((place, u32::from_be_bytes(part.try_into().ok()?)))
}

/// Seq and part in the key of a part of a page.
pub(crate) fn parse_record_key(key: &[u8]) -> Option<(u64, u32)> {
    let rest = key.strip_prefix(&[RECORD_PREFIX])?;
    let (seq, part) = rest.split_first_chunk::<8>()?;
    Some((
        u64::from_be_bytes(*seq),
        u32::from_be_bytes(part.try_into().ok()?),
    ))
}

/// A value: checksum of key and content, then the content.
pub(crate) fn seal(key: &[u8], content: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(4 + content.len());
    value.put_u32_le(checksum(key, content));
    value.put_slice(content);
    value
}

/// Content of a value; `None` when the checksum is wrong.
pub(crate) fn unseal<'a>(key: &[u8], value: &'a [u8]) -> Option<&'a [u8]> {
    let (crc, content) = value.split_first_chunk::<4>()?;
    (checksum(key, content) == u32::from_le_bytes(*crc)).then_some(content)
}

fn checksum(key: &[u8], content: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(key), content)
}

/// What an item adds to the manifest's sum: its checksum, which covers the key, and its length, well mixed.
pub(crate) fn item_hash(value: &[u8]) -> u64 {
    let crc = value.first_chunk::<4>().map_or(0, |crc| u32::from_le_bytes(*crc));
    let mut hash = (u64::from(crc) << 32) | (value.len() as u64 & 0xffff_ffff);
    // The finalizer of MurmurHash3: every input bit changes about half of the output bits.
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use cfgstore_store::AlarmKind;

    use super::*;

    #[test]
    fn manifest_round_trips_and_every_flipped_bit_is_noticed() {
        let manifest = Manifest {
            owner: Owner {
                cluster_id: 1,
                member_id: 2,
            },
            incomplete: false,
            log_id: Some(LogId {
                term: 1,
                leader: 2,
                index: 3,
            }),
            state: StateHeader {
                revision: 10,
                compact_revision: -1,
                next_seq: 44,
            },
            membership: StoredMembership::default(),
            items: 5,
            sum: u64::MAX,
            alarms: vec![Alarm {
                kind: AlarmKind::Corrupt,
                member_id: 9,
            }],
        };
        let value = manifest.encode();
        assert_eq!(Manifest::decode(&value), Ok(manifest));
        for bit in 0..value.len() * 8 {
            let mut damaged = value.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(Manifest::decode(&damaged).is_err(), "bit {bit}");
        }
        for len in 0..value.len() {
            assert!(Manifest::decode(&value[..len]).is_err());
        }
    }

    #[test]
    fn record_keys_sort_by_seq_then_part() {
        let keys = [
            record_key(1, 0),
            record_key(1, 1),
            record_key(2, 0),
            record_key(256, 0),
            record_key(u64::MAX, 0),
        ];
        assert!(keys.is_sorted());
        assert_eq!(parse_record_key(&record_key(256, 7)), Some((256, 7)));
        assert_eq!(parse_record_key(b"r123"), None);
    }
}

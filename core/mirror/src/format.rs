//! The bytes of a snapshot file: sizes, offsets, header and entry records. `docs/mirror-format.md` is the specification.

use std::path::Path;

use crate::ReadError;

pub(crate) const SNAPSHOT_MAGIC: [u8; 8] = *b"CFGSNAP\0";
pub(crate) const FORMAT_VERSION: u32 = 1;
pub(crate) const HEADER_BYTES: usize = 128;
/// A record without its key, which follows it.
pub(crate) const RECORD_BYTES: usize = 56;
pub(crate) const SLOT_BYTES: usize = 8;
pub(crate) const ORDER_BYTES: usize = 4;
/// What a record's position counts. Every record starts at a multiple of it.
pub(crate) const POSITION_UNIT: usize = 8;
/// Twice as many index slots must still be countable in 32 bits.
pub(crate) const MAX_ENTRIES: u32 = 1 << 30;
/// Positions are 32-bit, and one of them is spent to mark an empty slot.
pub(crate) const MAX_RECORDS_BYTES: u64 = (u32::MAX as u64 - 1) * POSITION_UNIT as u64;
pub(crate) const MIN_SLOTS: u32 = 8;

pub(crate) const FLAG_DELTA: u32 = 1;
pub(crate) const FLAG_RESTORED: u32 = 2;
pub(crate) const RECORD_FLAG_TOMBSTONE: u32 = 1;

/// Where in the header the size of the whole file is.
pub(crate) const FILE_SIZE_AT: usize = 104;
const HEADER_CRC_AT: usize = 124;

pub(crate) fn u32_at(bytes: &[u8; HEADER_BYTES], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8; HEADER_BYTES], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

/// The header of a snapshot file. Field names and meanings are those of the format document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub flags: u32,
    pub entry_count: u32,
    pub live_count: u32,
    pub slot_count: u32,
    pub mirror_id: u64,
    pub source_id: u64,
    pub generation: u64,
    pub base_generation: u64,
    pub revision: i64,
    pub published_unix_ms: u64,
    pub index_offset: u64,
    pub records_offset: u64,
    pub values_offset: u64,
    pub file_size: u64,
    pub base_check: u32,
    pub tables_crc: u32,
}

/// Where the parts of a file lie; follows from three sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub slot_count: u32,
    pub index_offset: u64,
    pub records_offset: u64,
    pub values_offset: u64,
}

impl Layout {
    /// `None` when the sizes do not fit the format.
    pub(crate) fn of(entry_count: u32, slot_count: u32, records_size: u64) -> Option<Layout> {
        if records_size > MAX_RECORDS_BYTES || !records_size.is_multiple_of(POSITION_UNIT as u64) {
            return None;
        }
        let order_size = (u64::from(entry_count) * ORDER_BYTES as u64).next_multiple_of(8);
        let index_offset = HEADER_BYTES as u64 + order_size;
        let records_offset = index_offset + u64::from(slot_count) * SLOT_BYTES as u64;
        let values_offset = records_offset + records_size;
        Some(Layout {
            slot_count,
            index_offset,
            records_offset,
            values_offset,
        })
    }
}

/// The size of the record of a key of that size.
pub(crate) fn record_size(key_size: u32) -> u64 {
    (RECORD_BYTES as u64 + u64::from(key_size)).next_multiple_of(POSITION_UNIT as u64)
}

/// The number of index slots for that many entries: a power of two, at most half of them used.
pub(crate) fn slots_for(entry_count: u32) -> u32 {
    assert!(entry_count <= MAX_ENTRIES);
    (entry_count * 2).next_power_of_two().max(MIN_SLOTS)
}

impl Header {
    pub(crate) fn is_delta(&self) -> bool {
        self.flags & FLAG_DELTA != 0
    }

    pub(crate) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        out[..8].copy_from_slice(&SNAPSHOT_MAGIC);
        let words = [FORMAT_VERSION, HEADER_BYTES as u32, self.flags];
        let counts = [self.entry_count, self.live_count, self.slot_count];
        for (i, word) in words.into_iter().chain(counts).enumerate() {
            out[8 + i * 4..12 + i * 4].copy_from_slice(&word.to_le_bytes());
        }
        let longs = [
            self.mirror_id,
            self.source_id,
            self.generation,
            self.base_generation,
            self.revision as u64,
            self.published_unix_ms,
            self.index_offset,
            self.records_offset,
            self.values_offset,
            self.file_size,
        ];
        for (i, long) in longs.into_iter().enumerate() {
            out[32 + i * 8..40 + i * 8].copy_from_slice(&long.to_le_bytes());
        }
        out[112..116].copy_from_slice(&self.base_check.to_le_bytes());
        out[116..120].copy_from_slice(&self.tables_crc.to_le_bytes());
        let crc = crc32c::crc32c(&out[..HEADER_CRC_AT]);
        out[HEADER_CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// The checksum of the header itself, by which a delta names the base it belongs to.
    pub(crate) fn check(&self) -> u32 {
        u32_at(&self.encode(), HEADER_CRC_AT)
    }

    /// Reads and checks the header of the file `path` whose content is `file`. Everything a reader later relies on for
    /// its bounds is established here: the parts follow each other without gaps and end at the end of the file.
    pub(crate) fn decode(file: &[u8], path: &Path) -> Result<Header, ReadError> {
        let damaged = |offset, what| ReadError::damaged(path, offset, what);
        let actual_bytes = file.len() as u64;
        let truncated = |expected_bytes| ReadError::Truncated {
            path: path.to_path_buf(),
            expected_bytes,
            actual_bytes,
        };
        let Some(bytes) = file.first_chunk::<HEADER_BYTES>() else {
            return Err(truncated(HEADER_BYTES as u64));
        };
        if bytes[..8] != SNAPSHOT_MAGIC {
            return Err(ReadError::Foreign {
                path: path.to_path_buf(),
            });
        }
        let version = u32_at(bytes, 8);
        if version != FORMAT_VERSION {
            return Err(ReadError::OtherVersion {
                path: path.to_path_buf(),
                found: version,
                supported: FORMAT_VERSION,
            });
        }
        if crc32c::crc32c(&bytes[..HEADER_CRC_AT]) != u32_at(bytes, HEADER_CRC_AT) {
            return Err(damaged(HEADER_CRC_AT as u64, "header checksum"));
        }
        let header = Header {
            flags: u32_at(bytes, 16),
            entry_count: u32_at(bytes, 20),
            live_count: u32_at(bytes, 24),
            slot_count: u32_at(bytes, 28),
            mirror_id: u64_at(bytes, 32),
            source_id: u64_at(bytes, 40),
            generation: u64_at(bytes, 48),
            base_generation: u64_at(bytes, 56),
            revision: u64_at(bytes, 64) as i64,
            published_unix_ms: u64_at(bytes, 72),
            index_offset: u64_at(bytes, 80),
            records_offset: u64_at(bytes, 88),
            values_offset: u64_at(bytes, 96),
            file_size: u64_at(bytes, FILE_SIZE_AT),
            base_check: u32_at(bytes, 112),
            tables_crc: u32_at(bytes, 116),
        };
        if header.file_size != actual_bytes {
            return Err(truncated(header.file_size));
        }
        if u32_at(bytes, 12) != HEADER_BYTES as u32 {
            return Err(damaged(12, "header size"));
        }
        if header.flags & !(FLAG_DELTA | FLAG_RESTORED) != 0 {
            return Err(damaged(16, "unknown flags"));
        }
        if header.entry_count > MAX_ENTRIES || header.slot_count != slots_for(header.entry_count) {
            return Err(damaged(20, "entry and slot counts"));
        }
        let names_itself = header.base_generation == header.generation;
        if names_itself == header.is_delta() || header.base_generation > header.generation {
            return Err(damaged(56, "base generation"));
        }
        if !header.is_delta() && header.live_count != header.entry_count {
            return Err(damaged(24, "live count"));
        }
        let layout = header
            .values_offset
            .checked_sub(header.records_offset)
            .and_then(|records_size| Layout::of(header.entry_count, header.slot_count, records_size));
        let stated = Layout {
            slot_count: header.slot_count,
            index_offset: header.index_offset,
            records_offset: header.records_offset,
            values_offset: header.values_offset,
        };
        if layout != Some(stated) || header.values_offset > header.file_size {
            return Err(damaged(80, "offsets"));
        }
        Ok(header)
    }
}

/// One entry's record, without its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub value_offset: u64,
    pub value_size: u32,
    pub value_crc: u32,
    pub create_revision: i64,
    pub mod_revision: i64,
    pub version: i64,
    pub key_size: u32,
    /// The entry's place in key order, from 0.
    pub number: u32,
    pub flags: u32,
}

impl Record {
    #[inline]
    pub(crate) fn is_tombstone(&self) -> bool {
        self.flags & RECORD_FLAG_TOMBSTONE != 0
    }

    pub(crate) fn encode(&self) -> [u8; RECORD_BYTES] {
        let words = [
            self.value_offset,
            u64::from(self.value_size) | u64::from(self.value_crc) << 32,
            self.create_revision as u64,
            self.mod_revision as u64,
            self.version as u64,
            u64::from(self.key_size) | u64::from(self.number) << 32,
            u64::from(self.flags),
        ];
        let mut out = [0; RECORD_BYTES];
        for (place, word) in out.as_chunks_mut::<8>().0.iter_mut().zip(words) {
            *place = word.to_le_bytes();
        }
        out
    }

    #[inline]
    pub(crate) fn decode(bytes: &[u8; RECORD_BYTES]) -> Record {
        // Whole words, so that the compiler sees seven plain loads.
        let words = bytes.as_chunks::<8>().0;
        let word = |i: usize| u64::from_le_bytes(words[i]);
        let (value, key) = (word(1), word(5));
        Record {
            value_offset: word(0),
            value_size: value as u32,
            value_crc: (value >> 32) as u32,
            create_revision: word(2) as i64,
            mod_revision: word(3) as i64,
            version: word(4) as i64,
            key_size: key as u32,
            number: (key >> 32) as u32,
            flags: word(6) as u32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        let layout = Layout::of(3, 8, 192).unwrap();
        Header {
            flags: FLAG_RESTORED,
            entry_count: 3,
            live_count: 3,
            slot_count: 8,
            mirror_id: 0x0102_0304_0506_0708,
            source_id: u64::MAX,
            generation: 9,
            base_generation: 9,
            revision: -1,
            published_unix_ms: 1_700_000_000_000,
            index_offset: layout.index_offset,
            records_offset: layout.records_offset,
            values_offset: layout.values_offset,
            file_size: layout.values_offset,
            base_check: 0,
            tables_crc: 77,
        }
    }

    #[test]
    fn header_fields_are_where_the_document_says() {
        let bytes = header().encode();
        assert_eq!(&bytes[..8], b"CFGSNAP\0");
        assert_eq!(bytes[8..12], 1u32.to_le_bytes());
        assert_eq!(bytes[12..16], 128u32.to_le_bytes());
        assert_eq!(bytes[20..24], 3u32.to_le_bytes());
        assert_eq!(bytes[32..40], [8, 7, 6, 5, 4, 3, 2, 1]);
        assert_eq!(bytes[48..56], 9u64.to_le_bytes());
        assert_eq!(bytes[64..72], (-1i64).to_le_bytes());
        assert_eq!(bytes[80..88], (128u64 + 16).to_le_bytes());
        assert_eq!(bytes[96..104], (128u64 + 16 + 8 * 8 + 192).to_le_bytes());
        assert_eq!(bytes[116..120], 77u32.to_le_bytes());
    }

    #[test]
    fn header_round_trip() {
        let header = header();
        let mut file = vec![0; header.file_size as usize];
        file[..HEADER_BYTES].copy_from_slice(&header.encode());
        assert_eq!(Header::decode(&file, Path::new("x")).unwrap(), header);
    }

    /// A header whose checksum is right and whose content is not must still not lead a reader out of the file.
    #[test]
    fn consistent_checksum_does_not_excuse_inconsistent_fields() {
        type Spoil = fn(&mut Header);
        let cases: [(&str, Spoil); 10] = [
            ("unknown flag", |h| h.flags = 4),
            ("more entries", |h| h.entry_count = 4),
            ("huge count", |h| h.entry_count = u32::MAX),
            ("fewer slots", |h| h.slot_count = 4),
            ("index elsewhere", |h| h.index_offset += 8),
            ("records after values", |h| h.records_offset = u64::MAX),
            ("values beyond the end", |h| h.values_offset += 8),
            ("delta of itself", |h| h.flags = FLAG_DELTA),
            ("base of a later generation", |h| h.base_generation = 10),
            ("live count", |h| h.live_count = 2),
        ];
        for (name, spoil) in cases {
            let mut header = header();
            let mut file = vec![0; header.file_size as usize];
            spoil(&mut header);
            file[..HEADER_BYTES].copy_from_slice(&header.encode());
            let error = Header::decode(&file, Path::new("x")).expect_err(name);
            assert!(matches!(error, ReadError::Damaged { .. }), "{name}: {error}");
        }
    }

    #[test]
    fn record_round_trip() {
        let record = Record {
            value_offset: 1 << 41,
            value_size: u32::MAX,
            create_revision: 2,
            mod_revision: i64::MAX,
            version: 3,
            value_crc: 0xdead_beef,
            key_size: 7,
            number: 9,
            flags: RECORD_FLAG_TOMBSTONE,
        };
        assert_eq!(Record::decode(&record.encode()), record);
    }

    #[test]
    fn slots_keep_the_load_at_or_under_one_half() {
        for count in [0, 1, 4, 5, 8, 9, 1000, MAX_ENTRIES - 1, MAX_ENTRIES] {
            let slots = slots_for(count);
            assert!(slots.is_power_of_two() && slots >= count * 2, "{count}: {slots}");
        }
    }
}

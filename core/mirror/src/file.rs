//! One snapshot file in memory: validated as a whole when it is opened, except the values, each validated when first read.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::ReadError;
use crate::format::{HEADER_BYTES, Header, ORDER_BYTES, POSITION_UNIT, RECORD_BYTES, Record, SLOT_BYTES};
use crate::sys::Content;
use crate::trust;

/// A base or a delta, mapped or copied. Its tables are known to be as they were written; all offsets are checked anyway.
#[derive(Debug)]
pub(crate) struct SnapshotFile {
    path: PathBuf,
    content: Content,
    header: Header,
    /// One bit per entry: its value matched its checksum. Private memory, so a file costs a reader one bit per key.
    verified: Box<[AtomicU64]>,
}

impl SnapshotFile {
    /// Opens, maps and validates the file at `path`.
    pub(crate) fn open(path: &Path, owner: Option<u32>) -> Result<SnapshotFile, ReadError> {
        let (file, metadata) = trust::open_file(path, owner)?;
        Self::map(&file, trust::mappable_size(path, &metadata)?, path)
    }

    /// Maps and validates `file`, of `size` bytes; `path` is for messages.
    pub(crate) fn map(file: &File, size: usize, path: &Path) -> Result<SnapshotFile, ReadError> {
        if size < HEADER_BYTES {
            let expected_bytes = HEADER_BYTES as u64;
            return Err(ReadError::Truncated {
                path: path.into(),
                expected_bytes,
                actual_bytes: size as u64,
            });
        }
        let content = Content::new(file, size).map_err(|error| ReadError::io(path, "map", error))?;
        Self::validate(content, path)
    }

    /// Validates what is in memory already; `path` is for messages.
    pub(crate) fn validate(content: Content, path: &Path) -> Result<SnapshotFile, ReadError> {
        let header = Header::decode(content.bytes(), path)?;
        // In bounds: decode() has compared the offsets with the file's size.
        let tables = &content.bytes()[HEADER_BYTES..header.values_offset as usize];
        if crc32c::crc32c(tables) != header.tables_crc {
            return Err(ReadError::damaged(
                path,
                HEADER_BYTES as u64,
                "checksum of order, index and records",
            ));
        }
        let verified = (0..header.entry_count.div_ceil(64))
            .map(|_| AtomicU64::new(0))
            .collect();
        Ok(SnapshotFile {
            path: path.to_path_buf(),
            content,
            header,
            verified,
        })
    }

    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The whole file.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.content.bytes()
    }

    fn damaged(&self, offset: u64, what: &'static str) -> ReadError {
        ReadError::damaged(&self.path, offset, what)
    }

    #[inline]
    fn slice(&self, offset: u64, size: u32) -> Option<&[u8]> {
        let start = usize::try_from(offset).ok()?;
        self.content.bytes().get(start..start.checked_add(size as usize)?)
    }

    /// The record at a position, and its key.
    #[inline]
    fn record_at(&self, position: u32) -> Result<(Record, &[u8]), ReadError> {
        let offset = self.header.records_offset + u64::from(position) * POSITION_UNIT as u64;
        let outside = || self.damaged(offset, "record outside of the file");
        let rest = self.content.bytes().get(offset as usize..).ok_or_else(outside)?;
        let (record, rest) = rest.split_first_chunk::<RECORD_BYTES>().ok_or_else(outside)?;
        let record = Record::decode(record);
        let key = rest.get(..record.key_size as usize).ok_or_else(outside)?;
        Ok((record, key))
    }

    /// The record and key of the entry with that number, which must be less than the entry count.
    #[inline]
    pub(crate) fn record(&self, number: u32) -> Result<(Record, &[u8]), ReadError> {
        let offset = HEADER_BYTES + number as usize * ORDER_BYTES;
        let bytes = self
            .content
            .bytes()
            .get(offset..)
            .and_then(|rest| rest.first_chunk::<ORDER_BYTES>());
        match bytes {
            Some(bytes) if number < self.header.entry_count => self.record_at(u32::from_le_bytes(*bytes)),
            _ => Err(self.damaged(offset as u64, "entry number")),
        }
    }

    /// A value, whether or not it matches its checksum.
    pub(crate) fn unverified_value(&self, record: &Record) -> Result<&[u8], ReadError> {
        self.slice(record.value_offset, record.value_size)
            .ok_or_else(|| self.damaged(record.value_offset, "value outside of the file"))
    }

    /// A value, checked against its checksum if this process has not done so before.
    #[inline]
    pub(crate) fn value(&self, record: &Record) -> Result<&[u8], ReadError> {
        let value = self.unverified_value(record)?;
        let (word, bit) = (record.number as usize / 64, 1 << (record.number % 64));
        let Some(word) = self.verified.get(word) else {
            return Err(self.damaged(record.value_offset, "entry number"));
        };
        // Relaxed: the bit guards nothing but work; two threads may both verify.
        if word.load(Ordering::Relaxed) & bit == 0 {
            if crc32c::crc32c(value) != record.value_crc {
                return Err(self.damaged(record.value_offset, "checksum of a value"));
            }
            word.fetch_or(bit, Ordering::Relaxed);
        }
        Ok(value)
    }

    /// The record and key of the entry with this key; `hash` is the key's.
    #[inline]
    pub(crate) fn find(&self, hash: u64, key: &[u8]) -> Result<Option<(Record, &[u8])>, ReadError> {
        let mask = self.header.slot_count - 1;
        let tag = (hash >> 32) as u32;
        let mut slot = hash as u32 & mask;
        for _ in 0..self.header.slot_count {
            let offset = self.header.index_offset as usize + slot as usize * SLOT_BYTES;
            let bytes = self
                .content
                .bytes()
                .get(offset..)
                .and_then(|rest| rest.first_chunk::<SLOT_BYTES>());
            let Some(bytes) = bytes else {
                return Err(self.damaged(offset as u64, "index outside of the file"));
            };
            let word = u64::from_le_bytes(*bytes);
            // One more than the position, so that zero is an empty slot.
            let Some(position) = ((word >> 32) as u32).checked_sub(1) else {
                return Ok(None);
            };
            if word as u32 == tag {
                let found = self.record_at(position)?;
                if found.1 == key {
                    return Ok(Some(found));
                }
            }
            slot = (slot + 1) & mask;
        }
        Err(self.damaged(self.header.index_offset, "index without an empty slot"))
    }

    /// The number of the first entry whose key is not less than `key`; the entry count if there is none.
    pub(crate) fn lower_bound(&self, key: &[u8]) -> Result<u32, ReadError> {
        let (mut low, mut high) = (0, self.header.entry_count);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.record(middle)?.1 < key {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }
}

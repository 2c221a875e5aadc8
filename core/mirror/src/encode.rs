//! Writing a snapshot file: sorted items in, bytes out.

use std::cmp::Ordering;
use std::fs::File;
use std::io::{self, IoSlice, Write};
use std::iter::Peekable;
use std::path::Path;

use crate::file::SnapshotFile;
use crate::format::{
    HEADER_BYTES, Header, Layout, MAX_ENTRIES, MAX_RECORDS_BYTES, ORDER_BYTES, POSITION_UNIT, RECORD_BYTES,
    RECORD_FLAG_TOMBSTONE, Record, SLOT_BYTES, record_size, slots_for,
};
use crate::hash::hash;
use crate::{Change, Entry, PublishError, ReadError};

/// What one `writev` takes on Linux (`IOV_MAX`).
const SLICES_PER_WRITE: usize = 1024;

/// One entry on its way into a file. A tombstone has an empty value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item<'a> {
    pub key: &'a [u8],
    pub value: &'a [u8],
    pub value_crc: u32,
    pub create_revision: i64,
    pub mod_revision: i64,
    pub version: i64,
    pub is_tombstone: bool,
}

impl<'a> Item<'a> {
    pub(crate) fn put(entry: Entry<'a>) -> Item<'a> {
        Item {
            key: entry.key,
            value: entry.value,
            value_crc: crc32c::crc32c(entry.value),
            create_revision: entry.create_revision,
            mod_revision: entry.mod_revision,
            version: entry.version,
            is_tombstone: false,
        }
    }

    pub(crate) fn change(change: Change<'a>) -> Item<'a> {
        match change {
            Change::Put(entry) => Item::put(entry),
            Change::Delete { key, mod_revision } => Item {
                key,
                value: b"",
                value_crc: 0,
                create_revision: 0,
                mod_revision,
                version: 0,
                is_tombstone: true,
            },
        }
    }

    /// An entry of a mapped file. The value keeps the checksum it was published with, so damage to it stays visible.
    pub(crate) fn of_file(file: &'a SnapshotFile, number: u32) -> Result<Item<'a>, ReadError> {
        let (record, key) = file.record(number)?;
        Ok(Item {
            key,
            value: file.unverified_value(&record)?,
            value_crc: record.value_crc,
            create_revision: record.create_revision,
            mod_revision: record.mod_revision,
            version: record.version,
            is_tombstone: record.is_tombstone(),
        })
    }
}

/// All items of a mapped file, in key order.
pub(crate) fn items_of(file: &SnapshotFile) -> impl Iterator<Item = Result<Item<'_>, ReadError>> {
    (0..file.header().entry_count).map(|number| Item::of_file(file, number))
}

/// Sorts by key; of several items with one key the last stays.
pub(crate) fn sort(mut items: Vec<Item<'_>>) -> Vec<Item<'_>> {
    if !items.is_sorted_by(|a, b| a.key < b.key) {
        items.reverse();
        // Stable, so the last given of equal keys now comes first, and dedup keeps the first.
        items.sort_by(|a, b| a.key.cmp(b.key));
        items.dedup_by(|later, first| later.key == first.key);
    }
    items
}

/// Both sequences in one, in key order; where both have a key, `upper` wins. Both must be sorted.
pub(crate) struct Overlay<L: Iterator, U: Iterator> {
    lower: Peekable<L>,
    upper: Peekable<U>,
}

pub(crate) fn overlay<'a, L, U>(lower: L, upper: U) -> Overlay<L, U>
where
    L: Iterator<Item = Result<Item<'a>, ReadError>>,
    U: Iterator<Item = Result<Item<'a>, ReadError>>,
{
    Overlay {
        lower: lower.peekable(),
        upper: upper.peekable(),
    }
}

impl<'a, L, U> Iterator for Overlay<L, U>
where
    L: Iterator<Item = Result<Item<'a>, ReadError>>,
    U: Iterator<Item = Result<Item<'a>, ReadError>>,
{
    type Item = Result<Item<'a>, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let order = match (self.lower.peek(), self.upper.peek()) {
            (Some(Ok(lower)), Some(Ok(upper))) => lower.key.cmp(upper.key),
            (None, _) | (_, Some(Err(_))) => Ordering::Greater,
            (Some(_), _) => Ordering::Less,
        };
        match order {
            Ordering::Less => self.lower.next(),
            Ordering::Greater => self.upper.next(),
            Ordering::Equal => {
                self.lower.next();
                self.upper.next()
            }
        }
    }
}

/// What a header says beyond what follows from the items.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identity {
    pub flags: u32,
    pub live_count: u32,
    pub mirror_id: u64,
    pub source_id: u64,
    pub generation: u64,
    pub base_generation: u64,
    pub base_check: u32,
    pub revision: i64,
    pub published_unix_ms: u64,
}

/// A file to be written: everything but the values is laid out.
pub(crate) struct Image<'a> {
    head: Vec<u8>,
    items: &'a [Item<'a>],
    file_size: u64,
}

fn too_large(needed: u64, limit: u64, unit: &'static str) -> PublishError {
    PublishError::TooLarge { needed, limit, unit }
}

fn size_u32(bytes: &[u8], unit: &'static str) -> Result<u32, PublishError> {
    u32::try_from(bytes.len()).map_err(|_| too_large(bytes.len() as u64, u32::MAX.into(), unit))
}

/// The sizes of a file of these items.
struct Sizes {
    entry_count: u32,
    layout: Layout,
    file_size: u64,
}

fn sizes(items: &[Item<'_>], max_bytes: u64) -> Result<Sizes, PublishError> {
    let entry_count = u32::try_from(items.len())
        .ok()
        .filter(|count| *count <= MAX_ENTRIES);
    let entry_count =
        entry_count.ok_or_else(|| too_large(items.len() as u64, MAX_ENTRIES.into(), "entries"))?;
    let (mut records_size, mut values_size) = (0u64, 0u64);
    for item in items {
        records_size = records_size.saturating_add(record_size(size_u32(item.key, "bytes in one key")?));
        values_size = values_size.saturating_add(size_u32(item.value, "bytes in one value")?.into());
    }
    let Some(layout) = Layout::of(entry_count, slots_for(entry_count), records_size) else {
        return Err(too_large(
            records_size,
            MAX_RECORDS_BYTES,
            "bytes of keys and their records",
        ));
    };
    let file_size = layout.values_offset.saturating_add(values_size);
    if file_size > max_bytes {
        return Err(too_large(file_size, max_bytes, "bytes"));
    }
    Ok(Sizes {
        entry_count,
        layout,
        file_size,
    })
}

/// The size that a file of these items would have.
pub(crate) fn file_size(items: &[Item<'_>], max_bytes: u64) -> Result<u64, PublishError> {
    sizes(items, max_bytes).map(|sizes| sizes.file_size)
}

impl<'a> Image<'a> {
    /// Lays out a file. `items` must be sorted by key, without duplicates.
    pub(crate) fn new(
        identity: Identity,
        items: &'a [Item<'a>],
        max_bytes: u64,
    ) -> Result<Image<'a>, PublishError> {
        assert!(
            items.is_sorted_by(|a, b| a.key < b.key),
            "items of a snapshot file are sorted and distinct"
        );
        let Sizes {
            entry_count,
            layout,
            file_size,
        } = sizes(items, max_bytes)?;
        let mut head = vec![0; layout.values_offset as usize];
        let (mut record_at, mut value_at) = (layout.records_offset as usize, layout.values_offset);
        let index_at = layout.index_offset as usize;
        let mask = layout.slot_count - 1;
        for (number, item) in items.iter().enumerate() {
            let record = Record {
                value_offset: value_at,
                value_size: item.value.len() as u32,
                value_crc: item.value_crc,
                create_revision: item.create_revision,
                mod_revision: item.mod_revision,
                version: item.version,
                key_size: item.key.len() as u32,
                number: number as u32,
                flags: if item.is_tombstone {
                    RECORD_FLAG_TOMBSTONE
                } else {
                    0
                },
            };
            let key_at = record_at + RECORD_BYTES;
            head[record_at..key_at].copy_from_slice(&record.encode());
            head[key_at..key_at + item.key.len()].copy_from_slice(item.key);
            let position = ((record_at - layout.records_offset as usize) / POSITION_UNIT) as u32;
            let order_at = HEADER_BYTES + number * ORDER_BYTES;
            head[order_at..order_at + ORDER_BYTES].copy_from_slice(&position.to_le_bytes());
            record_at += record_size(record.key_size) as usize;
            value_at += item.value.len() as u64;

            let hash = hash(item.key);
            let mut slot = hash as u32 & mask;
            // Ends: at most half of the slots are used.
            let slot_at = loop {
                let at = index_at + slot as usize * SLOT_BYTES;
                if head[at + 4..at + 8] == [0; 4] {
                    break at;
                }
                slot = (slot + 1) & mask;
            };
            head[slot_at..slot_at + 4].copy_from_slice(&((hash >> 32) as u32).to_le_bytes());
            head[slot_at + 4..slot_at + 8].copy_from_slice(&(position + 1).to_le_bytes());
        }
        assert_eq!(record_at, head.len(), "the records end where the values begin");
        assert_eq!(value_at, file_size, "the values end where the file ends");
        let header = Header {
            flags: identity.flags,
            entry_count,
            live_count: identity.live_count,
            slot_count: layout.slot_count,
            mirror_id: identity.mirror_id,
            source_id: identity.source_id,
            generation: identity.generation,
            base_generation: identity.base_generation,
            revision: identity.revision,
            published_unix_ms: identity.published_unix_ms,
            index_offset: layout.index_offset,
            records_offset: layout.records_offset,
            values_offset: layout.values_offset,
            file_size,
            base_check: identity.base_check,
            tables_crc: crc32c::crc32c(&head[HEADER_BYTES..]),
        };
        head[..HEADER_BYTES].copy_from_slice(&header.encode());
        Ok(Image {
            head,
            items,
            file_size,
        })
    }

    pub(crate) fn file_size(&self) -> u64 {
        self.file_size
    }

    /// Reserves the space, then writes; `dir` is for messages.
    pub(crate) fn write_to(&self, file: &mut File, dir: &Path) -> Result<(), PublishError> {
        let written = crate::sys::reserve(file, self.file_size).and_then(|()| {
            file.write_all(&self.head)?;
            self.write_values(file)
        });
        written.map_err(|error| match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => PublishError::NoSpace {
                path: dir.to_path_buf(),
                needed_bytes: self.file_size,
            },
            _ => PublishError::io(dir, "write a file in", error),
        })
    }

    fn write_values(&self, file: &mut File) -> io::Result<()> {
        let mut values = self
            .items
            .iter()
            .map(|item| item.value)
            .filter(|value| !value.is_empty());
        let mut slices = Vec::with_capacity(SLICES_PER_WRITE.min(self.items.len()));
        loop {
            slices.clear();
            slices.extend(values.by_ref().take(SLICES_PER_WRITE).map(IoSlice::new));
            if slices.is_empty() {
                return Ok(());
            }
            let mut rest = &mut slices[..];
            while !rest.is_empty() {
                match file.write_vectored(rest) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(written) => IoSlice::advance_slices(&mut rest, written),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }
}

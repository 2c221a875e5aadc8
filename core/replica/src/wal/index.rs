//! Where each entry of the log lies on disk, and reading entries back from there.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::disk::DiskFile;
use crate::wal::format::{LogId, RawEntry, Record, decode_record};

/// Place of one record. Segments are at most 2 GiB, so 32 bits suffice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Location {
    pub(crate) segment: u64,
    pub(crate) offset: u32,
    pub(crate) len: u32,
}

/// A segment that can be read from.
#[derive(Clone)]
pub(crate) struct SegmentFile {
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) salt: u64,
}

/// Locations of the durable entries `first..first + locations.len()`, and the files they lie in.
///
/// Invariant: every location's segment is in `files`.
#[derive(Default)]
pub(crate) struct Index {
    first: u64,
    locations: VecDeque<Location>,
    files: BTreeMap<u64, SegmentFile>,
}

impl Index {
    /// Sets where the log continues when it holds no entry.
    pub(crate) fn restart_at(&mut self, next_index: u64) {
        self.locations.clear();
        self.first = next_index;
    }

    /// Index of the first entry held, or of the next one when none is.
    pub(crate) fn first(&self) -> u64 {
        self.first
    }

    /// Number of segment files.
    pub(crate) fn file_count(&self) -> usize {
        self.files.len()
    }

    pub(crate) fn add_file(&mut self, id: u64, file: SegmentFile) {
        self.files.insert(id, file);
    }

    /// Adds the entry at `index`, which follows the last one, or is the first.
    pub(crate) fn push(&mut self, index: u64, location: Location) {
        if self.locations.is_empty() {
            self.first = index;
        }
        self.locations.push_back(location);
    }

    /// Forgets entries from `next_index` on.
    pub(crate) fn truncate(&mut self, next_index: u64) {
        if next_index < self.first {
            self.restart_at(next_index);
        } else {
            let keep = usize::try_from(next_index - self.first).unwrap_or(usize::MAX);
            self.locations.truncate(keep);
        }
    }

    /// Forgets entries up to and including `upto`.
    pub(crate) fn purge(&mut self, upto: u64) {
        while self.first <= upto && self.locations.pop_front().is_some() {
            self.first += 1;
        }
        if self.first <= upto {
            self.first = upto + 1;
        }
    }

    /// Bytes of the entries held from `start` on.
    pub(crate) fn bytes_from(&self, start: u64) -> u64 {
        let skip = usize::try_from(start.saturating_sub(self.first)).unwrap_or(usize::MAX);
        self.locations
            .iter()
            .skip(skip)
            .map(|location| u64::from(location.len))
            .sum()
    }

    /// Takes out the files of segments before `active` that hold no entry any more; returns their ids, oldest first.
    pub(crate) fn take_unused_files(&mut self, active: u64) -> Vec<u64> {
        let keep_from = self
            .locations
            .front()
            .map_or(active, |location| location.segment.min(active));
        let kept = self.files.split_off(&keep_from);
        std::mem::replace(&mut self.files, kept).into_keys().collect()
    }
}

/// The index, shared between the thread that writes and those that read.
#[derive(Clone, Default)]
pub(crate) struct SharedIndex(Arc<Mutex<Index>>);

/// A span of consecutive records of one segment is read at once up to this size.
const READ_SPAN_BYTES: u64 = 1 << 20;

impl SharedIndex {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Index> {
        // Nothing in here panics halfway through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the entries `start..end`; all of them must be durable and not purged.
    pub(crate) fn read(&self, start: u64, end: u64) -> io::Result<Vec<RawEntry>> {
        let mut entries =
            Vec::with_capacity(usize::try_from(end.saturating_sub(start)).unwrap_or(0).min(4096));
        while start + (entries.len() as u64) < end {
            entries.append(&mut self.read_some(start + entries.len() as u64, end)?);
        }
        Ok(entries)
    }

    /// Reads at least one of the entries `start..end`, as many as one read of the file gives.
    pub(crate) fn read_some(&self, start: u64, end: u64) -> io::Result<Vec<RawEntry>> {
        let (file, span) = self.span(start, end)?;
        let offset = u64::from(span[0].offset);
        let last = span[span.len() - 1];
        let len = u64::from(last.offset) + u64::from(last.len) - offset;
        let mut bytes = vec![0; len as usize];
        file.file.read_exact_at(&mut bytes, offset)?;
        let read = |(position, location): (usize, &Location)| {
            let record = &bytes[(u64::from(location.offset) - offset) as usize..];
            let index = start + position as u64;
            match decode_record(record, file.salt) {
                Some((Record::Entry(entry), _)) if entry.log_id.index == index => Ok(entry),
                _ => Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!(
                        "log segment {:016x}.wal is damaged at offset {}: entry {index} expected",
                        location.segment, location.offset
                    ),
                )),
            }
        };
        span.iter().enumerate().map(read).collect()
    }

    /// The longest run of entries from `start` that lies in one segment and within the span limit.
    fn span(&self, start: u64, end: u64) -> io::Result<(SegmentFile, Vec<Location>)> {
        let index = self.lock();
        let missing = || {
            io::Error::new(
                io::ErrorKind::NotFound,
                format!("log entry {start} is not in the log"),
            )
        };
        let skip =
            usize::try_from(start.checked_sub(index.first).ok_or_else(missing)?).map_err(|_| missing())?;
        let first = *index.locations.get(skip).ok_or_else(missing)?;
        let span: Vec<Location> = index
            .locations
            .range(skip..)
            .take(usize::try_from(end - start).unwrap_or(usize::MAX))
            .take_while(|l| {
                l.segment == first.segment && u64::from(l.offset) < u64::from(first.offset) + READ_SPAN_BYTES
            })
            .copied()
            .collect();
        let file = index.files.get(&first.segment).ok_or_else(missing)?.clone();
        Ok((file, span))
    }
}

/// Index after `log_id`: where the log continues.
pub(crate) fn next_index(log_id: Option<LogId>) -> u64 {
    log_id.map_or(0, |log_id| log_id.index + 1)
}

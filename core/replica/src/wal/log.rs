//! The log itself, synchronous: one commit is one frame, one write, one sync.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::disk::{Disk, DiskFile};
use crate::wal::format::{
    BaseState, FRAME_HEADER_BYTES, FrameBuilder, Record, SEGMENT_HEADER_BYTES, SegmentHeader, frame_bytes,
    record_bytes,
};
use crate::wal::index::{Location, SegmentFile, SharedIndex, next_index};

/// Whose log it is; stamped into every segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) cluster_id: u64,
    pub(crate) member_id: u64,
}

/// Where the log lives.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) dir: PathBuf,
    pub(crate) owner: Owner,
    pub(crate) segment_size_bytes: u64,
}

/// A prepared file that is to become the next segment.
pub(crate) struct Spare {
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) path: PathBuf,
    pub(crate) size_bytes: u64,
}

/// Gives the log its next segment file.
pub(crate) trait SpareSource {
    /// A file of at least `size_bytes`, allocated; may block until there is space.
    fn take(&mut self, size_bytes: u64) -> io::Result<Spare>;
}

/// The segment being written.
pub(crate) struct Active {
    pub(crate) id: u64,
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) salt: u64,
    pub(crate) size_bytes: u64,
    pub(crate) offset: u64,
}

/// The log. After an error from [`Log::commit`] it must not be used again: what is on disk is unknown then.
pub(crate) struct Log {
    pub(crate) place: Place,
    pub(crate) active: Active,
    pub(crate) next_sequence: u64,
    pub(crate) state: BaseState,
    pub(crate) index: SharedIndex,
    /// How long the last commit's sync took.
    pub(crate) last_sync: Duration,
    builder: FrameBuilder,
}

/// File name of a segment.
pub(crate) fn segment_name(id: u64) -> String {
    format!("{id:016x}.wal")
}

/// Ending of the names of files that are prepared to become segments.
pub(crate) const SPARE_SUFFIX: &str = ".tmp";

/// Creates a segment file's content: reserved, and durable as far as its length goes. `zeroed` also writes zeros, which
/// makes later syncs of it cheaper (no block is "unwritten" any more) but takes a moment. `number` is one that no other
/// file prepared since the start has: that one may not have been renamed yet.
pub(crate) fn prepare_spare(place: &Place, number: u64, size_bytes: u64, zeroed: bool) -> io::Result<Spare> {
    let path = place.dir.join(format!("spare-{number}{SPARE_SUFFIX}"));
    let file = place.disk.create(&path)?;
    let fill = || -> io::Result<()> {
        file.allocate(size_bytes)?;
        if zeroed {
            let zeros = vec![0; 256 << 10];
            let mut offset = 0;
            while offset < size_bytes {
                let n = (size_bytes - offset).min(zeros.len() as u64);
                file.write_all_at(&zeros[..n as usize], offset)?;
                offset += n;
            }
        }
        file.sync()
    };
    match fill() {
        Ok(()) => Ok(Spare {
            file,
            path,
            size_bytes,
        }),
        Err(error) => {
            // Gives what was reserved back; should that fail too, the next start does.
            let _ = place.disk.remove(&path);
            Err(error)
        }
    }
}

impl Log {
    pub(crate) fn new(
        place: Place,
        active: Active,
        next_sequence: u64,
        state: BaseState,
        index: SharedIndex,
    ) -> Log {
        Log {
            place,
            active,
            next_sequence,
            state,
            index,
            last_sync: Duration::ZERO,
            builder: FrameBuilder::default(),
        }
    }

    /// Turns a spare file into segment `id`, durable with its name.
    pub(crate) fn start_segment(
        place: &Place,
        spare: Spare,
        id: u64,
        first_sequence: u64,
        base: BaseState,
    ) -> io::Result<Active> {
        let salt = crate::identity::random_u64()?;
        let header = SegmentHeader {
            id,
            first_sequence,
            salt,
            cluster_id: place.owner.cluster_id,
            member_id: place.owner.member_id,
            size_bytes: spare.size_bytes,
            base,
        };
        spare.file.write_all_at(&header.encode(), 0)?;
        spare.file.sync()?;
        place
            .disk
            .rename(&spare.path, &place.dir.join(segment_name(id)))?;
        place.disk.sync_dir(&place.dir)?;
        Ok(Active {
            id,
            file: spare.file,
            salt,
            size_bytes: spare.size_bytes,
            offset: SEGMENT_HEADER_BYTES as u64,
        })
    }

    /// Bytes that can still be written to the active segment.
    pub(crate) fn remaining_bytes(&self) -> u64 {
        self.active.size_bytes.saturating_sub(self.active.offset)
    }

    /// Most record bytes a frame may have to fit into an ordinary segment.
    pub(crate) fn frame_limit_bytes(&self) -> usize {
        usize::try_from(self.place.segment_size_bytes).unwrap_or(usize::MAX)
            - SEGMENT_HEADER_BYTES
            - FRAME_HEADER_BYTES
    }

    /// Writes the records as one frame and makes it durable. Returns the segments that are no longer needed, oldest
    /// first; the caller removes them, in that order, syncing the folder after each.
    pub(crate) fn commit(
        &mut self,
        records: &[Record],
        spares: &mut dyn SpareSource,
    ) -> io::Result<Vec<u64>> {
        let total = frame_bytes(records.iter().map(record_bytes).sum()) as u64;
        if total > self.remaining_bytes() {
            let size = self
                .place
                .segment_size_bytes
                .max(total + SEGMENT_HEADER_BYTES as u64);
            let spare = spares.take(size)?;
            self.active = Self::start_segment(
                &self.place,
                spare,
                self.active.id + 1,
                self.next_sequence,
                self.state,
            )?;
            let file = SegmentFile {
                file: self.active.file.clone(),
                salt: self.active.salt,
            };
            self.index.lock().add_file(self.active.id, file);
        }

        self.builder.reset();
        let mut state = self.state;
        let mut locations = Vec::with_capacity(records.len());
        for record in records {
            apply_to_state(&mut state, record)?;
            let (start, len) = self.builder.push(record, self.active.salt);
            locations.push((start as u64, len));
        }
        let frame = self.builder.finish(self.next_sequence, self.active.salt);
        assert_eq!(frame.len() as u64, total);
        self.active.file.write_all_at(frame, self.active.offset)?;
        let started = Instant::now();
        self.active.file.sync()?;
        self.last_sync = started.elapsed();

        let frame_offset = self.active.offset;
        self.active.offset += total;
        self.next_sequence += 1;
        self.state = state;
        let mut index = self.index.lock();
        let mut purged = false;
        for (record, (start, len)) in records.iter().zip(locations) {
            let location = Location {
                segment: self.active.id,
                offset: (frame_offset + start) as u32,
                len: len as u32,
            };
            apply_to_index(&mut index, record, location);
            purged |= matches!(record, Record::Purge(_));
        }
        Ok(if purged {
            index.take_unused_files(self.active.id)
        } else {
            Vec::new()
        })
    }
}

/// Removes the files of segments that are no longer needed. The folder is synced after each, so that after a crash
/// the remaining segments are consecutive.
pub(crate) fn remove_segments(disk: &dyn Disk, dir: &Path, ids: &[u64]) -> io::Result<()> {
    for id in ids {
        match disk.remove(&dir.join(segment_name(*id))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => disk.sync_dir(dir)?,
        }
    }
    Ok(())
}

/// Follows a record in the state; refuses what would leave a hole or go back behind what was purged.
pub(crate) fn apply_to_state(state: &mut BaseState, record: &Record) -> io::Result<()> {
    let refuse = |what: String| Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    match record {
        Record::Entry(entry) => {
            let expected = next_index(state.last);
            // An empty log may start anywhere.
            if entry.log_id.index != expected && state.last.is_some() {
                return refuse(format!(
                    "entry {} does not follow the log, which continues at {expected}",
                    entry.log_id.index
                ));
            }
            state.last = Some(entry.log_id);
        }
        Record::Vote(vote) => state.vote = Some(*vote),
        Record::TruncateAfter(after) => {
            if next_index(*after) < next_index(state.purged) || next_index(*after) > next_index(state.last) {
                return refuse(format!(
                    "cannot truncate after {after:?}: purged {:?}, last {:?}",
                    state.purged, state.last
                ));
            }
            // Truncating down to the purged entry leaves that one as the last.
            state.last = *after;
        }
        Record::Purge(upto) => {
            if next_index(Some(*upto)) > next_index(state.purged) {
                state.purged = Some(*upto);
            }
            if next_index(state.last) < next_index(state.purged) {
                state.last = state.purged;
            }
        }
        Record::Committed(upto) => state.committed = Some(*upto),
    }
    Ok(())
}

/// Follows a record in the index.
pub(crate) fn apply_to_index(index: &mut super::index::Index, record: &Record, location: Location) {
    match record {
        Record::Entry(entry) => index.push(entry.log_id.index, location),
        Record::TruncateAfter(after) => index.truncate(next_index(*after)),
        Record::Purge(upto) => index.purge(upto.index),
        Record::Vote(_) | Record::Committed(_) => {}
    }
}

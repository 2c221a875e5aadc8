//! What a start finds in the log folder: what it takes over, what it repairs, what it refuses.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::{Disk, DiskFile, read_file};
use crate::error::{Damage, OpenError};
use crate::wal::format::{
    BaseState, FORMAT_VERSION, FRAME_HEADER_BYTES, Frame, HeaderError, Record, SECTOR_BYTES,
    SEGMENT_HEADER_BYTES, SegmentHeader, decode_record,
};
use crate::wal::index::{Location, SegmentFile, SharedIndex, next_index};
use crate::wal::log::{
    Active, Log, Place, SPARE_SUFFIX, apply_to_index, apply_to_state, prepare_spare, segment_name,
};

/// An unfinished frame at the end of the log, cut off: nothing in it was ever acknowledged.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TailCut {
    pub(crate) file: PathBuf,
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
}

/// True when the folder holds at least one segment.
pub(crate) fn has_segments(disk: &dyn Disk, dir: &Path) -> Result<bool, OpenError> {
    Ok(!segment_ids(disk, dir)?.is_empty())
}

/// Opens the log, or creates it in an empty folder.
pub(crate) fn open(place: Place) -> Result<(Log, Option<TailCut>), OpenError> {
    let dir = place.dir.clone();
    let io_error = |action, path: &Path| {
        let path = path.to_owned();
        move |source| OpenError::Io { action, path, source }
    };
    let ids = segment_ids(&*place.disk, &dir)?;
    // What was prepared before the last end is prepared anew.
    for name in place.disk.list(&dir).map_err(io_error("list", &dir))? {
        if name.ends_with(SPARE_SUFFIX) {
            let path = dir.join(name);
            place.disk.remove(&path).map_err(io_error("remove", &path))?;
        }
    }
    if ids.is_empty() {
        let spare = prepare_spare(&place, 0, place.segment_size_bytes, false)
            .map_err(io_error("create the first log segment in", &dir))?;
        let base = BaseState::default();
        let active = Log::start_segment(&place, spare, 1, 1, base)
            .map_err(io_error("create the first log segment in", &dir))?;
        let index = SharedIndex::default();
        index.lock().add_file(
            active.id,
            SegmentFile {
                file: active.file.clone(),
                salt: active.salt,
            },
        );
        return Ok((Log::new(place, active, 1, base, index), None));
    }
    let mut replay = Replay {
        place: &place,
        state: BaseState::default(),
        index: SharedIndex::default(),
        sequence: 0,
    };
    let mut active = None;
    let mut cut = None;
    let mut continues = false;
    for (position, id) in ids.iter().enumerate() {
        let path = dir.join(segment_name(*id));
        let first_id = ids[0];
        if *id != first_id + position as u64 {
            return Err(damaged(
                &dir.join(segment_name(first_id + position as u64)),
                0,
                "this segment, which exists neither here nor elsewhere in the folder",
            ));
        }
        let file = place.disk.open(&path).map_err(io_error("open", &path))?;
        let bytes = read_file(&*file).map_err(io_error("read", &path))?;
        let header = replay.header(&path, *id, &bytes, position == 0)?;
        if position == 0 {
            continues = header.base.last.is_some();
        }
        let is_last = position + 1 == ids.len();
        let end = replay.frames(&path, &header, &bytes, is_last)?;
        let segment = SegmentFile {
            file: file.clone(),
            salt: header.salt,
        };
        replay.index.lock().add_file(*id, segment);
        if is_last {
            cut = erase_tail(&*file, &path, &bytes, end)?;
            // What was read may still be in the system's cache only, if the process was killed before a sync.
            file.sync().map_err(io_error("sync", &path))?;
            active = Some(active_segment(&header, file, &bytes, end));
        }
    }
    place.disk.sync_dir(&dir).map_err(io_error("sync", &dir))?;
    let Replay {
        state,
        index,
        sequence,
        ..
    } = replay;
    let first_known = index.lock().first();
    // The log's very first segment has no entry before it; any other one names the last that an earlier segment held.
    if continues && first_known > next_index(state.purged) {
        return Err(damaged(
            &dir.join(segment_name(ids[0].saturating_sub(1))),
            0,
            &format!(
                "log entries {} to {}, which have not been purged; the first segment found starts after them",
                next_index(state.purged),
                first_known - 1
            ),
        ));
    }
    let active = active.ok_or_else(|| damaged(&dir, 0, "at least one segment"))?;
    // A crash between a purge and the removal of the files it freed leaves them here; the next purge removes them.
    Ok((Log::new(place, active, sequence, state, index), cut))
}

fn active_segment(header: &SegmentHeader, file: Arc<dyn DiskFile>, bytes: &[u8], end: usize) -> Active {
    // A file cut short at its unused end is still a valid segment, only a smaller one.
    let size_bytes = header.size_bytes.min(bytes.len() as u64);
    Active {
        id: header.id,
        file,
        salt: header.salt,
        size_bytes,
        offset: end as u64,
    }
}

fn segment_ids(disk: &dyn Disk, dir: &Path) -> Result<Vec<u64>, OpenError> {
    let names = disk.list(dir).map_err(|source| OpenError::Io {
        action: "list",
        path: dir.to_owned(),
        source,
    })?;
    let mut ids: Vec<u64> = names
        .iter()
        .filter_map(|name| name.strip_suffix(".wal"))
        .filter(|stem| stem.len() == 16)
        .filter_map(|stem| u64::from_str_radix(stem, 16).ok())
        .collect();
    ids.sort_unstable();
    Ok(ids)
}

fn damaged(file: &Path, offset: u64, expected: &str) -> OpenError {
    OpenError::LogDamaged(Damage {
        file: file.to_owned(),
        offset,
        expected: format!("expected {expected}"),
    })
}

/// The state of the log as it is read back, segment by segment.
struct Replay<'a> {
    place: &'a Place,
    state: BaseState,
    index: SharedIndex,
    /// Sequence number of the next frame.
    sequence: u64,
}

impl Replay<'_> {
    fn header(
        &mut self,
        path: &Path,
        id: u64,
        bytes: &[u8],
        first: bool,
    ) -> Result<SegmentHeader, OpenError> {
        let header = match SegmentHeader::decode(bytes) {
            Ok(header) => header,
            Err(HeaderError::Foreign) if bytes.iter().take(SEGMENT_HEADER_BYTES).any(|byte| *byte != 0) => {
                return Err(OpenError::Foreign {
                    file: path.to_owned(),
                    kind: "log segment",
                });
            }
            Err(HeaderError::Newer(found)) => {
                return Err(OpenError::NewerFormat {
                    file: path.to_owned(),
                    kind: "log segment",
                    found,
                    supported: FORMAT_VERSION,
                });
            }
            Err(HeaderError::Foreign | HeaderError::Damaged) => {
                return Err(damaged(path, 0, "a valid segment header, found a wrong checksum"));
            }
        };
        let owner = self.place.owner;
        if (header.cluster_id, header.member_id) != (owner.cluster_id, owner.member_id) {
            return Err(OpenError::OtherMember {
                file: path.to_owned(),
                found_cluster: header.cluster_id,
                found_member: header.member_id,
                cluster: owner.cluster_id,
                member: owner.member_id,
            });
        }
        if header.id != id {
            return Err(damaged(
                path,
                0,
                &format!("segment {id:016x}, found segment {:016x}", header.id),
            ));
        }
        if first {
            self.state = header.base;
            self.sequence = header.first_sequence;
            self.index.lock().restart_at(next_index(header.base.last));
        } else if header.first_sequence != self.sequence || header.base != self.state {
            return Err(damaged(path, 0, "a header that continues the segment before it"));
        }
        Ok(header)
    }

    /// Follows the frames of a segment; returns the offset after the last valid one.
    fn frames(
        &mut self,
        path: &Path,
        header: &SegmentHeader,
        bytes: &[u8],
        is_last: bool,
    ) -> Result<usize, OpenError> {
        let mut offset = SEGMENT_HEADER_BYTES;
        loop {
            let rest = bytes.get(offset..).unwrap_or(&[]);
            match Frame::decode(rest, header.salt) {
                Some(frame) if frame.sequence == self.sequence => {
                    self.frame(path, header, &frame, rest, offset)?;
                    self.sequence += 1;
                    offset += frame.total_bytes();
                }
                Some(frame) => {
                    let expected = format!("frame {}, found frame {}", self.sequence, frame.sequence);
                    return Err(damaged(path, offset as u64, &expected));
                }
                None if is_last => {
                    self.require_no_later_frame(path, header, bytes, offset)?;
                    return Ok(offset);
                }
                None => {
                    // Whether frames are missing here is seen at the next header, which names the sequence number it
                    // continues at; what is left of the file must not hold any, either.
                    self.require_no_later_frame(path, header, bytes, offset)?;
                    return self.require_continuation(path, header, offset);
                }
            }
        }
    }

    /// The frame is whole; so must be what it holds.
    fn frame(
        &mut self,
        path: &Path,
        header: &SegmentHeader,
        frame: &Frame,
        bytes: &[u8],
        frame_offset: usize,
    ) -> Result<(), OpenError> {
        let end = FRAME_HEADER_BYTES + frame.payload_bytes;
        let mut offset = FRAME_HEADER_BYTES;
        let at = |offset: usize| (frame_offset + offset) as u64;
        for _ in 0..frame.records {
            let Some((record, len)) = decode_record(&bytes[offset..end], header.salt) else {
                return Err(damaged(path, at(offset), "a valid record in a valid frame"));
            };
            self.record(
                &record,
                Location {
                    segment: header.id,
                    offset: at(offset) as u32,
                    len: len as u32,
                },
            )
            .map_err(|error| {
                damaged(
                    path,
                    at(offset),
                    &format!("a record that continues the log; {error}"),
                )
            })?;
            offset += len;
        }
        if offset != end {
            return Err(damaged(path, at(offset), "the end of the frame"));
        }
        Ok(())
    }

    fn record(&mut self, record: &Record, location: Location) -> io::Result<()> {
        apply_to_state(&mut self.state, record)?;
        apply_to_index(&mut self.index.lock(), record, location);
        Ok(())
    }

    /// The frame at `offset` is not valid. A frame is written only after the one before it was synced, so at most the
    /// last frame can be unfinished: a valid one behind it means that an acknowledged frame was damaged.
    fn require_no_later_frame(
        &self,
        path: &Path,
        header: &SegmentHeader,
        bytes: &[u8],
        offset: usize,
    ) -> Result<(), OpenError> {
        let mut later = offset + SECTOR_BYTES;
        while later + FRAME_HEADER_BYTES <= bytes.len() {
            if let Some(frame) = Frame::decode(&bytes[later..], header.salt) {
                let expected = format!(
                    "frame {}, found none, but frame {} follows at {later}",
                    self.sequence, frame.sequence
                );
                return Err(damaged(path, offset as u64, &expected));
            }
            later += SECTOR_BYTES;
        }
        Ok(())
    }

    /// The segment is not the last, so its last frame must be the one before the next segment's first.
    fn require_continuation(
        &self,
        path: &Path,
        header: &SegmentHeader,
        offset: usize,
    ) -> Result<usize, OpenError> {
        let next_path = self.place.dir.join(segment_name(header.id + 1));
        let read = || -> io::Result<Vec<u8>> {
            let file = self.place.disk.open(&next_path)?;
            let mut bytes = vec![0; SEGMENT_HEADER_BYTES];
            let n = file.read_at(&mut bytes, 0)?;
            bytes.truncate(n);
            Ok(bytes)
        };
        match read().map(|bytes| SegmentHeader::decode(&bytes)) {
            Ok(Ok(next)) if next.first_sequence > self.sequence => {
                let expected = format!(
                    "frame {}, since the next segment starts at {}",
                    self.sequence, next.first_sequence
                );
                Err(damaged(path, offset as u64, &expected))
            }
            // Anything else that is wrong with the next segment is reported when it is read itself.
            _ => Ok(offset),
        }
    }
}

/// Overwrites what an unfinished write left behind the last valid frame, so that it can never be taken for anything.
fn erase_tail(
    file: &dyn DiskFile,
    path: &Path,
    bytes: &[u8],
    end: usize,
) -> Result<Option<TailCut>, OpenError> {
    let tail = bytes.get(end..).unwrap_or(&[]);
    let Some(last) = tail.iter().rposition(|byte| *byte != 0) else {
        return Ok(None);
    };
    let io_error = |source| OpenError::Io {
        action: "cut the unfinished tail of",
        path: path.to_owned(),
        source,
    };
    file.write_all_at(&vec![0; last + 1], end as u64)
        .map_err(io_error)?;
    file.sync().map_err(io_error)?;
    Ok(Some(TailCut {
        file: path.to_owned(),
        offset: end as u64,
        bytes: last as u64 + 1,
    }))
}

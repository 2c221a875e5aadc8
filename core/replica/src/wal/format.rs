//! The bytes of a log segment. `docs/wal-format.md` is the specification; this file is its only implementation.
//!
//! All integers are little-endian. Nothing here performs I/O, and decoding never panics on any input.

use bytes::{BufMut, Bytes};

/// First bytes of a segment file.
pub(crate) const SEGMENT_MAGIC: [u8; 8] = *b"CFGSWAL\x1a";
/// Newest segment format this program writes and reads.
pub(crate) const FORMAT_VERSION: u32 = 1;
/// A segment header fills the first sector.
pub(crate) const SEGMENT_HEADER_BYTES: usize = 512;
/// Frames start and end at multiples of this, so that no write ever touches a sector that holds an acknowledged frame.
pub(crate) const SECTOR_BYTES: usize = 512;
/// First bytes of a frame ("CFRM").
pub(crate) const FRAME_MAGIC: u32 = 0x4d52_4643;
/// Bytes of a frame before its records.
pub(crate) const FRAME_HEADER_BYTES: usize = 24;
/// Bytes of a record before its body.
pub(crate) const RECORD_HEADER_BYTES: usize = 12;
/// Bytes of an entry's body before its payload.
pub(crate) const ENTRY_HEADER_BYTES: usize = 28;

/// Identifies one log entry. Ordered by term, then member, then index, as Raft compares logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LogId {
    /// Term of the leader that proposed the entry.
    pub(crate) term: u64,
    /// Member id of that leader.
    pub(crate) leader: u64,
    /// Position in the log.
    pub(crate) index: u64,
}

/// A vote: given to a candidate, or, when committed, granted by a quorum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Vote {
    /// Term voted in.
    pub(crate) term: u64,
    /// Member voted for.
    pub(crate) member: u64,
    /// A quorum granted it.
    pub(crate) committed: bool,
}

/// One log entry as stored. What `kind` and `payload` mean is the entry codec's business.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RawEntry {
    /// Its identity.
    pub(crate) log_id: LogId,
    /// Kind of payload.
    pub(crate) kind: u8,
    /// Encoded payload.
    pub(crate) payload: Bytes,
}

/// What a record of the log says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    /// An entry was appended; its index is one more than the last.
    Entry(RawEntry),
    /// The member voted.
    Vote(Vote),
    /// Entries after this one were removed (`None`: all of them).
    TruncateAfter(Option<LogId>),
    /// Entries up to and including this one are no longer needed.
    Purge(LogId),
    /// Entries up to and including this one are known to be committed.
    Committed(LogId),
}

const KIND_ENTRY: u8 = 1;
const KIND_VOTE: u8 = 2;
const KIND_TRUNCATE: u8 = 3;
const KIND_PURGE: u8 = 4;
const KIND_COMMITTED: u8 = 5;

/// What is known of the log where a segment starts, so that earlier segments can be removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct BaseState {
    /// Last vote.
    pub(crate) vote: Option<Vote>,
    /// Last purged entry.
    pub(crate) purged: Option<LogId>,
    /// Last entry known to be committed.
    pub(crate) committed: Option<LogId>,
    /// Last entry of the log, in an earlier segment or purged.
    pub(crate) last: Option<LogId>,
}

/// First sector of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    /// Number of the segment; consecutive.
    pub(crate) id: u64,
    /// Sequence number of its first frame.
    pub(crate) first_sequence: u64,
    /// Random number that every checksum in the segment starts from. Bytes from elsewhere (another segment, a value that
    /// a client chose) can therefore not pass as a frame.
    pub(crate) salt: u64,
    /// Cluster the log belongs to.
    pub(crate) cluster_id: u64,
    /// Member the log belongs to.
    pub(crate) member_id: u64,
    /// Length of the file.
    pub(crate) size_bytes: u64,
    /// State at its start.
    pub(crate) base: BaseState,
}

/// Why a segment header was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderError {
    /// Other magic bytes.
    Foreign,
    /// A format of a later version.
    Newer(u32),
    /// Checksum or content is wrong.
    Damaged,
}

/// Appends an optional log id: a presence flag and three numbers.
pub(crate) fn put_log_id(log_id: Option<LogId>, out: &mut impl BufMut) {
    out.put_u64_le(u64::from(log_id.is_some()));
    let log_id = log_id.unwrap_or(LogId {
        term: 0,
        leader: 0,
        index: 0,
    });
    out.put_u64_le(log_id.term);
    out.put_u64_le(log_id.leader);
    out.put_u64_le(log_id.index);
}

/// Takes little-endian integers off the front of a slice; `None` when it is too short.
struct Take<'a>(&'a [u8]);

impl Take<'_> {
    fn u8(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }
    fn u64(&mut self) -> Option<u64> {
        let (head, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*head))
    }
    fn flag(&mut self) -> Option<bool> {
        match self.u64()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
    fn log_id(&mut self) -> Option<LogId> {
        Some(LogId {
            term: self.u64()?,
            leader: self.u64()?,
            index: self.u64()?,
        })
    }
    fn optional_log_id(&mut self) -> Option<Option<LogId>> {
        let present = self.flag()?;
        let log_id = self.log_id()?;
        Some(present.then_some(log_id))
    }
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(offset..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(offset..)?.first_chunk()?))
}

impl SegmentHeader {
    /// Encodes the header sector.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(SEGMENT_HEADER_BYTES);
        out.put_slice(&SEGMENT_MAGIC);
        out.put_u32_le(FORMAT_VERSION);
        out.put_u32_le(0); // checksum, set below
        for field in [
            self.id,
            self.first_sequence,
            self.salt,
            self.cluster_id,
            self.member_id,
            self.size_bytes,
        ] {
            out.put_u64_le(field);
        }
        let vote = self.base.vote.unwrap_or(Vote {
            term: 0,
            member: 0,
            committed: false,
        });
        out.put_u64_le(u64::from(self.base.vote.is_some()));
        out.put_u64_le(vote.term);
        out.put_u64_le(vote.member);
        out.put_u64_le(u64::from(vote.committed));
        put_log_id(self.base.purged, &mut out);
        put_log_id(self.base.committed, &mut out);
        put_log_id(self.base.last, &mut out);
        assert!(out.len() <= SEGMENT_HEADER_BYTES);
        out.resize(SEGMENT_HEADER_BYTES, 0);
        let crc = crc32c::crc32c(&out[16..]);
        out[12..16].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Decodes a header sector.
    pub(crate) fn decode(bytes: &[u8]) -> Result<SegmentHeader, HeaderError> {
        if !bytes.starts_with(&SEGMENT_MAGIC) {
            return Err(HeaderError::Foreign);
        }
        let version = u32_at(bytes, 8).ok_or(HeaderError::Damaged)?;
        if version > FORMAT_VERSION {
            return Err(HeaderError::Newer(version));
        }
        let crc = u32_at(bytes, 12).ok_or(HeaderError::Damaged)?;
        let body = bytes.get(16..SEGMENT_HEADER_BYTES).ok_or(HeaderError::Damaged)?;
        if version == 0 || crc32c::crc32c(body) != crc {
            return Err(HeaderError::Damaged);
        }
        Self::decode_body(&mut Take(body)).ok_or(HeaderError::Damaged)
    }

    fn decode_body(take: &mut Take<'_>) -> Option<SegmentHeader> {
        let mut header = SegmentHeader {
            id: take.u64()?,
            first_sequence: take.u64()?,
            salt: take.u64()?,
            cluster_id: take.u64()?,
            member_id: take.u64()?,
            size_bytes: take.u64()?,
            base: BaseState::default(),
        };
        let present = take.flag()?;
        let vote = Vote {
            term: take.u64()?,
            member: take.u64()?,
            committed: take.flag()?,
        };
        header.base.vote = present.then_some(vote);
        header.base.purged = take.optional_log_id()?;
        header.base.committed = take.optional_log_id()?;
        header.base.last = take.optional_log_id()?;
        Some(header)
    }
}

/// Builds one frame in a buffer that is reused from frame to frame.
#[derive(Default)]
pub(crate) struct FrameBuilder {
    buffer: Vec<u8>,
    records: u32,
}

impl FrameBuilder {
    /// Starts a new frame.
    pub(crate) fn reset(&mut self) {
        self.buffer.clear();
        self.buffer.resize(FRAME_HEADER_BYTES, 0);
        self.records = 0;
    }

    /// Adds a record; returns where in the frame it starts and how long it is, header included.
    pub(crate) fn push(&mut self, record: &Record, salt: u64) -> (usize, usize) {
        let start = self.buffer.len();
        self.buffer.extend_from_slice(&[0; RECORD_HEADER_BYTES]);
        let kind = match record {
            Record::Entry(entry) => {
                self.put_log_id(entry.log_id);
                self.buffer.put_u32_le(u32::from(entry.kind));
                self.buffer.put_slice(&entry.payload);
                KIND_ENTRY
            }
            Record::Vote(vote) => {
                self.buffer.put_u64_le(vote.term);
                self.buffer.put_u64_le(vote.member);
                self.buffer.put_u64_le(u64::from(vote.committed));
                KIND_VOTE
            }
            Record::TruncateAfter(after) => {
                put_log_id(*after, &mut self.buffer);
                KIND_TRUNCATE
            }
            Record::Purge(upto) => {
                self.put_log_id(*upto);
                KIND_PURGE
            }
            Record::Committed(upto) => {
                self.put_log_id(*upto);
                KIND_COMMITTED
            }
        };
        let body = self.buffer.len() - start - RECORD_HEADER_BYTES;
        // Config validation bounds a request to 1 GiB, and an entry is bounded by a few of those.
        let body = u32::try_from(body).expect("record body exceeds 4 GiB");
        self.buffer[start..start + 4].copy_from_slice(&body.to_le_bytes());
        self.buffer[start + 8] = kind;
        let crc = checksum(salt, &self.buffer[start + 8..]);
        self.buffer[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
        self.records += 1;
        (start, self.buffer.len() - start)
    }

    fn put_log_id(&mut self, log_id: LogId) {
        self.buffer.put_u64_le(log_id.term);
        self.buffer.put_u64_le(log_id.leader);
        self.buffer.put_u64_le(log_id.index);
    }

    /// Finishes the frame, padded with zeros to whole sectors.
    pub(crate) fn finish(&mut self, sequence: u64, salt: u64) -> &[u8] {
        let payload = u32::try_from(self.buffer.len() - FRAME_HEADER_BYTES).expect("frame exceeds 4 GiB");
        self.buffer[0..4].copy_from_slice(&FRAME_MAGIC.to_le_bytes());
        self.buffer[8..16].copy_from_slice(&sequence.to_le_bytes());
        self.buffer[16..20].copy_from_slice(&payload.to_le_bytes());
        self.buffer[20..24].copy_from_slice(&self.records.to_le_bytes());
        let crc = checksum(salt, &self.buffer[8..]);
        self.buffer[4..8].copy_from_slice(&crc.to_le_bytes());
        let padded = self.buffer.len().next_multiple_of(SECTOR_BYTES);
        self.buffer.resize(padded, 0);
        &self.buffer
    }
}

/// Space a record takes in a frame.
pub(crate) fn record_bytes(record: &Record) -> usize {
    RECORD_HEADER_BYTES
        + match record {
            Record::Entry(entry) => ENTRY_HEADER_BYTES + entry.payload.len(),
            Record::Vote(_) | Record::Purge(_) | Record::Committed(_) => 24,
            Record::TruncateAfter(_) => 32,
        }
}

/// Space a frame takes in a segment when its records take `records` bytes.
pub(crate) fn frame_bytes(records: usize) -> usize {
    (FRAME_HEADER_BYTES + records).next_multiple_of(SECTOR_BYTES)
}

fn checksum(salt: u64, bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&salt.to_le_bytes()), bytes)
}

/// A frame found in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Its sequence number.
    pub(crate) sequence: u64,
    /// Bytes of records.
    pub(crate) payload_bytes: usize,
    /// Number of records.
    pub(crate) records: u32,
}

impl Frame {
    /// Reads the frame at the start of `bytes` (the rest of a segment); `None` when there is no valid one.
    pub(crate) fn decode(bytes: &[u8], salt: u64) -> Option<Frame> {
        if u32_at(bytes, 0)? != FRAME_MAGIC {
            return None;
        }
        let crc = u32_at(bytes, 4)?;
        let sequence = u64_at(bytes, 8)?;
        let payload_bytes = u32_at(bytes, 16)? as usize;
        let records = u32_at(bytes, 20)?;
        let covered = bytes.get(8..FRAME_HEADER_BYTES.checked_add(payload_bytes)?)?;
        (checksum(salt, covered) == crc).then_some(Frame {
            sequence,
            payload_bytes,
            records,
        })
    }

    /// Space it takes in the segment, padding included.
    pub(crate) fn total_bytes(&self) -> usize {
        frame_bytes(self.payload_bytes)
    }
}

/// Reads the record at the start of `bytes`; also returns its length, header included. The payload of an entry is copied.
pub(crate) fn decode_record(bytes: &[u8], salt: u64) -> Option<(Record, usize)> {
    let body_bytes = u32_at(bytes, 0)? as usize;
    let crc = u32_at(bytes, 4)?;
    let end = RECORD_HEADER_BYTES.checked_add(body_bytes)?;
    if checksum(salt, bytes.get(8..end)?) != crc {
        return None;
    }
    let body = bytes.get(RECORD_HEADER_BYTES..end)?;
    let mut take = Take(body);
    let record = match bytes[8] {
        KIND_ENTRY => {
            let log_id = take.log_id()?;
            let kind = u32_at(take.0, 0)?;
            let payload = Bytes::copy_from_slice(take.0.get(4..)?);
            return Some((
                Record::Entry(RawEntry {
                    log_id,
                    kind: u8::try_from(kind).ok()?,
                    payload,
                }),
                end,
            ));
        }
        KIND_VOTE => Record::Vote(Vote {
            term: take.u64()?,
            member: take.u64()?,
            committed: take.flag()?,
        }),
        KIND_TRUNCATE => Record::TruncateAfter(take.optional_log_id()?),
        KIND_PURGE => Record::Purge(take.log_id()?),
        KIND_COMMITTED => Record::Committed(take.log_id()?),
        _ => return None,
    };
    take.u8().is_none().then_some((record, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(index: u64) -> LogId {
        LogId {
            term: 3,
            leader: 7,
            index,
        }
    }

    fn header() -> SegmentHeader {
        SegmentHeader {
            id: 5,
            first_sequence: 99,
            salt: 0x1234,
            cluster_id: 1,
            member_id: 2,
            size_bytes: 1 << 20,
            base: BaseState {
                vote: Some(Vote {
                    term: 3,
                    member: 7,
                    committed: true,
                }),
                purged: None,
                committed: Some(id(4)),
                last: Some(id(9)),
            },
        }
    }

    #[test]
    fn header_round_trips_and_every_flipped_bit_is_noticed() {
        let bytes = header().encode();
        assert_eq!(SegmentHeader::decode(&bytes), Ok(header()));
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(SegmentHeader::decode(&damaged).is_err(), "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert!(SegmentHeader::decode(&bytes[..len]).is_err());
        }
    }

    #[test]
    fn header_says_foreign_and_newer() {
        let mut bytes = header().encode();
        bytes[8] = 2;
        assert_eq!(SegmentHeader::decode(&bytes), Err(HeaderError::Newer(2)));
        bytes[0] = b'X';
        assert_eq!(SegmentHeader::decode(&bytes), Err(HeaderError::Foreign));
    }

    #[test]
    fn frame_round_trips_and_every_flipped_bit_is_noticed() {
        let records = [
            Record::Vote(Vote {
                term: 3,
                member: 7,
                committed: false,
            }),
            Record::Entry(RawEntry {
                log_id: id(10),
                kind: 1,
                payload: Bytes::from_static(b"hello"),
            }),
            Record::TruncateAfter(None),
            Record::TruncateAfter(Some(id(8))),
            Record::Purge(id(2)),
            Record::Committed(id(3)),
        ];
        let mut builder = FrameBuilder::default();
        builder.reset();
        for record in &records {
            let (_, len) = builder.push(record, 77);
            assert_eq!(len, record_bytes(record));
        }
        let bytes = builder.finish(12, 77).to_vec();
        assert_eq!(bytes.len() % SECTOR_BYTES, 0);
        let frame = Frame::decode(&bytes, 77).unwrap();
        assert_eq!((frame.sequence, frame.records), (12, 6));
        assert_eq!(frame.total_bytes(), bytes.len());
        let mut offset = FRAME_HEADER_BYTES;
        for expected in &records {
            let (record, len) = decode_record(&bytes[offset..], 77).unwrap();
            assert_eq!(&record, expected);
            offset += len;
        }
        assert_eq!(offset, FRAME_HEADER_BYTES + frame.payload_bytes);
        for bit in 0..offset * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Frame::decode(&damaged, 77), None, "bit {bit}");
        }
        assert_eq!(Frame::decode(&bytes, 78), None, "another segment's salt");
    }
}

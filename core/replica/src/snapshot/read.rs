//! Reading a snapshot file back.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use cfgstore_store::{StateHeader, StateLoader, Store, codec};

use super::{
    BLOCK_ALARMS, BLOCK_CHANGES, BLOCK_END, BLOCK_HEADER_BYTES, BLOCK_LEASES, BLOCK_RECORDS, BLOCK_RULES,
    FORMAT_VERSION, HEADER_BYTES, MAGIC, SnapshotError, SnapshotFile, SnapshotInfo,
};
use crate::disk::{Disk, DiskFile};
use crate::error::Damage;
use crate::position::{take_log_id, take_membership};
use crate::raft::types::StoredMembership;
use crate::wal::format::LogId;

/// More than any membership takes; keeps a damaged length from being believed.
const MAX_HEADER_BYTES: u64 = 16 << 20;

struct Header {
    version: u32,
    cluster_id: u64,
    log_id: LogId,
    membership: StoredMembership,
    state: StateHeader,
    records: u64,
    leases: u64,
    len: u64,
}

/// Reads and checks the header only.
pub(super) fn read_info(
    disk: &dyn Disk,
    path: &Path,
    cluster_id: u64,
) -> Result<SnapshotInfo, SnapshotError> {
    let reader = Reader::open(disk, path)?;
    let header = reader.header(cluster_id)?;
    let file = SnapshotFile::new(path.to_owned(), reader.size_bytes);
    Ok(SnapshotInfo {
        file,
        log_id: header.log_id,
        membership: Arc::new(header.membership),
    })
}

/// Reads and checks the whole file and rebuilds the store from it.
pub(crate) fn load(
    disk: &dyn Disk,
    path: &Path,
    cluster_id: u64,
) -> Result<(Store, LogId, StoredMembership), SnapshotError> {
    let mut reader = Reader::open(disk, path)?;
    let header = reader.header(cluster_id)?;
    reader.offset = header.len;
    let mut loader = StateLoader::new(header.state).map_err(|error| reader.damaged(&error.to_string()))?;
    let (mut leases, mut records) = (0, 0);
    for number in 0.. {
        let (kind, items, block) = reader.block(number)?;
        let mut rest = &block[..];
        match kind {
            BLOCK_LEASES => leases += u64::from(items),
            BLOCK_RECORDS => records += u64::from(items),
            BLOCK_ALARMS if header.version >= 2 => {}
            BLOCK_RULES | BLOCK_CHANGES if header.version >= 3 => {}
            BLOCK_END => {
                if rest.len() != 8 || rest.get_u64_le() != reader.offset || reader.offset != reader.size_bytes
                {
                    return Err(reader.damaged("the end of the file here"));
                }
                break;
            }
            _ => return Err(reader.damaged("a block of a known kind")),
        }
        for _ in 0..items {
            let item = take_item(&mut rest).ok_or_else(|| reader.damaged("another item in the block"))?;
            let undecodable = |error: codec::DecodeError| reader.damaged(&error.to_string());
            let loaded = match kind {
                BLOCK_LEASES => loader.lease(codec::decode_lease(item).map_err(undecodable)?),
                BLOCK_RULES => loader.rule(codec::decode_rule(item).map_err(undecodable)?),
                BLOCK_CHANGES => loader.change(codec::decode_change(item).map_err(undecodable)?),
                BLOCK_ALARMS => loader.alarm(codec::decode_alarm(item).map_err(undecodable)?),
                _ => loader.record(codec::decode_record(item).map_err(undecodable)?),
            };
            loaded.map_err(|error| reader.damaged(&error.to_string()))?;
        }
        if !rest.is_empty() {
            return Err(reader.damaged("the end of the block"));
        }
    }
    if (leases, records) != (header.leases, header.records) {
        let expected = format!(
            "{} leases and {} records, found {leases} and {records}",
            header.leases, header.records
        );
        return Err(reader.damaged(&expected));
    }
    let store = loader
        .finish()
        .map_err(|error| reader.damaged(&error.to_string()))?;
    Ok((store, header.log_id, header.membership))
}

fn take_item<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (len, after) = rest.split_first_chunk::<4>()?;
    let (item, after) = after.split_at_checked(u32::from_le_bytes(*len) as usize)?;
    *rest = after;
    Some(item)
}

struct Reader<'a> {
    file: Arc<dyn DiskFile>,
    path: &'a Path,
    size_bytes: u64,
    offset: u64,
}

impl<'a> Reader<'a> {
    fn open(disk: &dyn Disk, path: &'a Path) -> Result<Self, SnapshotError> {
        let io_error = |source| SnapshotError::Io {
            action: "open",
            path: path.to_owned(),
            source,
        };
        let file = disk.open(path).map_err(io_error)?;
        let size_bytes = file.len().map_err(io_error)?;
        Ok(Reader {
            file,
            path,
            size_bytes,
            offset: 0,
        })
    }

    fn damaged(&self, expected: &str) -> SnapshotError {
        let expected = format!("expected {expected}");
        SnapshotError::Damaged(Damage {
            file: self.path.to_owned(),
            offset: self.offset,
            expected,
        })
    }

    fn read(&self, len: usize, offset: u64) -> Result<Bytes, SnapshotError> {
        if offset
            .checked_add(len as u64)
            .is_none_or(|end| end > self.size_bytes)
        {
            return Err(self.damaged("more bytes before the end of the file"));
        }
        let mut bytes = vec![0; len];
        match self.file.read_exact_at(&mut bytes, offset) {
            Ok(()) => Ok(bytes.into()),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(self.damaged("more bytes before the end of the file"))
            }
            Err(source) => Err(SnapshotError::Io {
                action: "read",
                path: self.path.to_owned(),
                source,
            }),
        }
    }

    fn header(&self, cluster_id: u64) -> Result<Header, SnapshotError> {
        let prefix = self.read(self.size_bytes.min(16) as usize, 0)?;
        if !prefix.starts_with(&MAGIC) {
            return Err(SnapshotError::Foreign(self.path.to_owned()));
        }
        let mut fixed = self.read(HEADER_BYTES, 0)?;
        fixed.advance(8);
        let version = fixed.get_u32_le();
        if version > FORMAT_VERSION {
            return Err(SnapshotError::Newer {
                path: self.path.to_owned(),
                found: version,
            });
        }
        let crc = fixed.get_u32_le();
        let len = fixed.get_u64_le();
        if version == 0 || len < HEADER_BYTES as u64 || len > MAX_HEADER_BYTES {
            return Err(self.damaged("a valid header"));
        }
        let mut rest = self.read(len as usize - 16, 16)?;
        if crc32c::crc32c(&rest) != crc {
            return Err(self.damaged("a valid header, found a wrong checksum"));
        }
        rest.advance(8);
        let header =
            Self::header_fields(&mut rest, version, len).ok_or_else(|| self.damaged("a valid header"))?;
        if header.cluster_id != cluster_id {
            let path = self.path.to_owned();
            return Err(SnapshotError::OtherCluster {
                path,
                found: header.cluster_id,
                expected: cluster_id,
            });
        }
        Ok(header)
    }

    fn header_fields(rest: &mut Bytes, version: u32, len: u64) -> Option<Header> {
        let cluster_id = rest.get_u64_le();
        let _created_unix_ms = rest.get_u64_le();
        let log_id = take_log_id(rest)??;
        let state = StateHeader {
            revision: rest.get_i64_le(),
            compact_revision: rest.get_i64_le(),
            next_seq: rest.get_u64_le(),
        };
        let records = rest.get_u64_le();
        let leases = rest.get_u64_le();
        let membership = take_membership(rest)?;
        rest.is_empty().then_some(Header {
            version,
            cluster_id,
            log_id,
            membership,
            state,
            records,
            leases,
            len,
        })
    }

    /// Reads the block at the present offset, which must have this number.
    fn block(&mut self, number: u32) -> Result<(u32, u32, Bytes), SnapshotError> {
        let mut header = self.read(BLOCK_HEADER_BYTES, self.offset)?;
        let crc = header.get_u32_le();
        let mut fields = header.clone();
        let (kind, found, items, len) = (
            fields.get_u32_le(),
            fields.get_u32_le(),
            fields.get_u32_le(),
            fields.get_u32_le(),
        );
        let body = self.read(len as usize, self.offset + BLOCK_HEADER_BYTES as u64)?;
        if crc32c::crc32c_append(crc32c::crc32c(&header), &body) != crc || found != number {
            return Err(self.damaged(&format!("block {number}")));
        }
        self.offset += (BLOCK_HEADER_BYTES + body.len()) as u64;
        Ok((kind, items, body))
    }
}

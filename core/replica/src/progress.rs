//! How far the member has got, in a small file that is quick to read: which start is the cheapest, and whether the log
//! has lost its end. Its bytes are described in `docs/checkpoint-format.md`.

use std::path::Path;

use bytes::{Buf, BufMut, Bytes};

use crate::disk::{Disk, read_file, write_file_atomically};
use crate::position::take_log_id;
use crate::wal::format::{LogId, put_log_id};
use crate::wal::log::Owner;

const FILE_NAME: &str = "progress";
const MAGIC: [u8; 8] = *b"CFGSPRG\x1a";
const FORMAT_VERSION: u32 = 1;
const FILE_BYTES: usize = 104;

/// What the file says. It is written now and then, so the member may have got further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) owner: Owner,
    /// An entry that was applied, and so committed.
    pub(crate) applied: Option<LogId>,
    /// Last entry in the checkpoint.
    pub(crate) checkpoint: Option<LogId>,
    /// Bytes of keys and values in the checkpoint.
    pub(crate) checkpoint_bytes: u64,
}

/// Reads the file. It only saves time and notices a lost log, so one that cannot be used is as good as none.
pub(crate) fn read(disk: &dyn Disk, data_dir: &Path, owner: Owner) -> Option<Progress> {
    let file = disk.open(&data_dir.join(FILE_NAME)).ok()?;
    decode(&read_file(&*file).ok()?).filter(|progress| progress.owner == owner)
}

/// Writes the file, durable when this returns.
pub(crate) fn write(disk: &dyn Disk, data_dir: &Path, progress: &Progress) -> std::io::Result<()> {
    write_file_atomically(disk, data_dir, FILE_NAME, &encode(progress))
}

fn encode(progress: &Progress) -> Vec<u8> {
    let mut out = Vec::with_capacity(FILE_BYTES);
    out.put_slice(&MAGIC);
    out.put_u32_le(FORMAT_VERSION);
    out.put_u32_le(0); // checksum, set below
    out.put_u64_le(progress.owner.cluster_id);
    out.put_u64_le(progress.owner.member_id);
    put_log_id(progress.applied, &mut out);
    put_log_id(progress.checkpoint, &mut out);
    out.put_u64_le(progress.checkpoint_bytes);
    assert_eq!(out.len(), FILE_BYTES);
    let crc = crc32c::crc32c(&out[16..]);
    out[12..16].copy_from_slice(&crc.to_le_bytes());
    out
}

fn decode(bytes: &[u8]) -> Option<Progress> {
    if bytes.len() != FILE_BYTES || !bytes.starts_with(&MAGIC) {
        return None;
    }
    let mut rest = Bytes::copy_from_slice(&bytes[8..]);
    let (version, crc) = (rest.get_u32_le(), rest.get_u32_le());
    if version != FORMAT_VERSION || crc32c::crc32c(&rest) != crc {
        return None;
    }
    Some(Progress {
        owner: Owner {
            cluster_id: rest.get_u64_le(),
            member_id: rest.get_u64_le(),
        },
        applied: take_log_id(&mut rest)?,
        checkpoint: take_log_id(&mut rest)?,
        checkpoint_bytes: rest.get_u64_le(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;

    #[test]
    fn a_damaged_file_or_one_of_another_member_is_as_good_as_none() {
        let dir = tempfile::tempdir().unwrap();
        let owner = Owner {
            cluster_id: 1,
            member_id: 2,
        };
        let log_id = |index| LogId {
            term: 3,
            leader: 2,
            index,
        };
        let progress = Progress {
            owner,
            applied: Some(log_id(9)),
            checkpoint: Some(log_id(7)),
            checkpoint_bytes: 1000,
        };
        assert_eq!(read(&RealDisk, dir.path(), owner), None);
        write(&RealDisk, dir.path(), &progress).unwrap();
        assert_eq!(read(&RealDisk, dir.path(), owner), Some(progress));
        let other = Owner {
            member_id: 5,
            ..owner
        };
        assert_eq!(read(&RealDisk, dir.path(), other), None);
        let path = dir.path().join(FILE_NAME);
        let good = std::fs::read(&path).unwrap();
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, &bad).unwrap();
            assert_eq!(read(&RealDisk, dir.path(), owner), None, "bit {bit}");
        }
    }
}

//! Writing a snapshot file.

use std::io;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::{BufMut, BytesMut};
use cfgstore_store::codec;

use super::{
    BLOCK_ALARMS, BLOCK_BYTES, BLOCK_CHANGES, BLOCK_END, BLOCK_HEADER_BYTES, BLOCK_LEASES, BLOCK_RECORDS,
    BLOCK_RULES, FORMAT_VERSION, HEADER_BYTES, MAGIC,
};
use crate::disk::{Disk, DiskFile};
use crate::position::{Position, put_membership};
use crate::wal::format::put_log_id;

/// Synced each time this much has been written, so that the disk is never busy for long with it while the log waits.
const SYNC_BYTES: u64 = 4 << 20;

/// Writes the file beside its place, then renames it there; durable when this returns. Returns its size.
pub(super) fn write_file(
    disk: &dyn Disk,
    dir: &Path,
    path: &Path,
    cluster_id: u64,
    position: &Position,
) -> io::Result<u64> {
    let mut tmp = path.as_os_str().to_owned();
    tmp.push(".tmp");
    let tmp = Path::new(&tmp);
    match disk.remove(tmp) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = disk.create(tmp)?;
    let written = write_content(&*file, cluster_id, position).and_then(|size_bytes| {
        file.sync()?;
        disk.rename(tmp, path)?;
        disk.sync_dir(dir)?;
        Ok(size_bytes)
    });
    if written.is_err() {
        // Gives the space back; the next start removes it otherwise.
        let _ = disk.remove(tmp);
    }
    written
}

fn header(cluster_id: u64, position: &Position) -> BytesMut {
    let state = &position.state;
    let created = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_millis() as u64);
    let mut membership = BytesMut::new();
    put_membership(&position.membership, &mut membership);
    let mut out = BytesMut::with_capacity(HEADER_BYTES + membership.len());
    out.put_slice(&MAGIC);
    out.put_u32_le(FORMAT_VERSION);
    out.put_u32_le(0); // checksum, set below
    out.put_u64_le((HEADER_BYTES + membership.len()) as u64);
    out.put_u64_le(cluster_id);
    out.put_u64_le(created);
    put_log_id(position.log_id, &mut out);
    out.put_i64_le(state.revision());
    out.put_i64_le(state.compact_revision());
    out.put_u64_le(state.next_seq());
    out.put_u64_le(state.record_count());
    out.put_u64_le(state.leases().count() as u64);
    assert_eq!(out.len(), HEADER_BYTES);
    out.put_slice(&membership);
    let crc = crc32c::crc32c(&out[16..]);
    out[12..16].copy_from_slice(&crc.to_le_bytes());
    out
}

struct Blocks<'a> {
    file: &'a dyn DiskFile,
    offset: u64,
    synced: u64,
    number: u32,
    /// The open block: its header's place, then its items.
    block: Vec<u8>,
    items: u32,
}

impl Blocks<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, self.offset)?;
        self.offset += bytes.len() as u64;
        if self.offset - self.synced >= SYNC_BYTES {
            self.file.sync()?;
            self.synced = self.offset;
        }
        Ok(())
    }

    fn item(&mut self, kind: u32, encode: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        let start = self.block.len();
        self.block.put_u32_le(0);
        encode(&mut self.block);
        let len = u32::try_from(self.block.len() - start - 4)
            .map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
        self.block[start..start + 4].copy_from_slice(&len.to_le_bytes());
        self.items += 1;
        if self.block.len() >= BLOCK_BYTES {
            self.close(kind)
        } else {
            Ok(())
        }
    }

    fn close(&mut self, kind: u32) -> io::Result<()> {
        if self.items == 0 && kind != BLOCK_END {
            return Ok(());
        }
        let mut block = std::mem::take(&mut self.block);
        let len = u32::try_from(block.len() - BLOCK_HEADER_BYTES)
            .map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
        for (position, field) in [kind, self.number, self.items, len].into_iter().enumerate() {
            block[4 + 4 * position..8 + 4 * position].copy_from_slice(&field.to_le_bytes());
        }
        let crc = crc32c::crc32c(&block[4..]);
        block[0..4].copy_from_slice(&crc.to_le_bytes());
        self.write(&block)?;
        block.truncate(BLOCK_HEADER_BYTES);
        self.block = block;
        self.items = 0;
        self.number += 1;
        Ok(())
    }
}

fn write_content(file: &dyn DiskFile, cluster_id: u64, position: &Position) -> io::Result<u64> {
    let mut blocks = Blocks {
        file,
        offset: 0,
        synced: 0,
        number: 0,
        block: vec![0; BLOCK_HEADER_BYTES],
        items: 0,
    };
    blocks.write(&header(cluster_id, position))?;
    for lease in position.state.leases() {
        blocks.item(BLOCK_LEASES, |out| codec::encode_lease(lease, out))?;
    }
    blocks.close(BLOCK_LEASES)?;
    for alarm in position.state.alarms() {
        blocks.item(BLOCK_ALARMS, |out| codec::encode_alarm(alarm, out))?;
    }
    blocks.close(BLOCK_ALARMS)?;
    codec::encode_rules(&position.state, |item| {
        blocks.item(BLOCK_RULES, |out| out.extend_from_slice(item))
    })?;
    blocks.close(BLOCK_RULES)?;
    for record in position.state.records_in_seq_order() {
        blocks.item(BLOCK_RECORDS, |out| codec::encode_record(&record, out))?;
    }
    blocks.close(BLOCK_RECORDS)?;
    for change in position.state.all_logged_changes() {
        blocks.item(BLOCK_CHANGES, |out| codec::encode_change(change, out))?;
    }
    blocks.close(BLOCK_CHANGES)?;
    let size_bytes = blocks.offset + (BLOCK_HEADER_BYTES + 8) as u64;
    blocks.block.put_u64_le(size_bytes);
    blocks.close(BLOCK_END)?;
    Ok(blocks.offset)
}

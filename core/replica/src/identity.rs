//! Who this member is: settled once, kept in the file `identity`. Its bytes are described in `docs/wal-format.md`.

use std::io;
use std::path::Path;

use bytes::{Buf, BufMut};

use crate::disk::{Disk, read_file, write_file_atomically};
use crate::error::{Damage, OpenError};
use crate::wal::log::Owner;

const FILE_NAME: &str = "identity";
const MAGIC: [u8; 8] = *b"CFGSIDN\x1a";
/// Newest format. The first one had no life.
const FORMAT_VERSION: u32 = 2;
const FILE_BYTES: usize = 40;

/// Who this member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Cluster and member id.
    pub(crate) owner: Owner,
    /// Drawn at random with the data folder. Whoever speaks with this member's id but has another life has lost the
    /// folder, and must not vote for the member it was. Never 0.
    pub(crate) life: u64,
}

/// A random number from the operating system; never 0.
pub(crate) fn random_u64() -> io::Result<u64> {
    loop {
        let mut bytes = [0; 8];
        io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, &mut bytes)?;
        let number = u64::from_le_bytes(bytes);
        if number != 0 {
            return Ok(number);
        }
    }
}

/// Reads the identity; `None` when the folder has none. `has_log` says whether the folder holds a log already, which
/// is nobody's without an identity. A file of the first format is given a life.
pub(crate) fn read(disk: &dyn Disk, data_dir: &Path, has_log: bool) -> Result<Option<Identity>, OpenError> {
    let path = data_dir.join(FILE_NAME);
    let io_error = |action| {
        let path = path.clone();
        move |source| OpenError::Io { action, path, source }
    };
    let bytes = match disk.open(&path) {
        Ok(file) => read_file(&*file).map_err(io_error("read"))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound && has_log => {
            return Err(OpenError::IdentityMissing(path));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_error("open")(error)),
    };
    let (owner, life) = decode(&path, &bytes)?;
    if life != 0 {
        return Ok(Some(Identity { owner, life }));
    }
    let life = random_u64().map_err(io_error("draw a random number for"))?;
    let identity = Identity { owner, life };
    write(disk, data_dir, identity)?;
    Ok(Some(identity))
}

/// Writes the identity, durable when this returns.
pub(crate) fn write(disk: &dyn Disk, data_dir: &Path, identity: Identity) -> Result<(), OpenError> {
    write_file_atomically(disk, data_dir, FILE_NAME, &encode(identity)).map_err(|source| OpenError::Io {
        action: "write",
        path: data_dir.join(FILE_NAME),
        source,
    })
}

fn encode(identity: Identity) -> Vec<u8> {
    let mut out = Vec::with_capacity(FILE_BYTES);
    out.put_slice(&MAGIC);
    out.put_u32_le(FORMAT_VERSION);
    out.put_u32_le(0); // checksum, set below
    out.put_u64_le(identity.owner.cluster_id);
    out.put_u64_le(identity.owner.member_id);
    out.put_u64_le(identity.life);
    let crc = crc32c::crc32c(&out[16..]);
    out[12..16].copy_from_slice(&crc.to_le_bytes());
    out
}

/// Ids and life; 0 for the life of a file that has none.
fn decode(path: &Path, bytes: &[u8]) -> Result<(Owner, u64), OpenError> {
    let damaged = |expected: &str| {
        OpenError::IdentityDamaged(Damage {
            file: path.to_owned(),
            offset: 0,
            expected: expected.to_owned(),
        })
    };
    if bytes.len() < FILE_BYTES {
        return Err(damaged("expected 40 bytes, found fewer"));
    }
    if !bytes.starts_with(&MAGIC) {
        return Err(OpenError::Foreign {
            file: path.to_owned(),
            kind: "identity",
        });
    }
    let mut rest = &bytes[8..];
    let version = rest.get_u32_le();
    if version > FORMAT_VERSION {
        let file = path.to_owned();
        return Err(OpenError::NewerFormat {
            file,
            kind: "identity",
            found: version,
            supported: FORMAT_VERSION,
        });
    }
    let crc = rest.get_u32_le();
    if version == 0 || bytes.len() != FILE_BYTES || crc32c::crc32c(rest) != crc {
        return Err(damaged("expected a valid checksum"));
    }
    let owner = Owner {
        cluster_id: rest.get_u64_le(),
        member_id: rest.get_u64_le(),
    };
    let life = rest.get_u64_le();
    if owner.cluster_id == 0 || owner.member_id == 0 || (version > 1 && life == 0) {
        return Err(damaged("expected ids that are not 0"));
    }
    Ok((owner, if version > 1 { life } else { 0 }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;

    const IDENTITY: Identity = Identity {
        owner: Owner {
            cluster_id: 1,
            member_id: 2,
        },
        life: 3,
    };

    #[test]
    fn identity_is_kept_and_damage_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE_NAME);
        assert_eq!(read(&RealDisk, dir.path(), false).unwrap(), None);
        assert!(matches!(
            read(&RealDisk, dir.path(), true),
            Err(OpenError::IdentityMissing(_))
        ));
        write(&RealDisk, dir.path(), IDENTITY).unwrap();
        assert_eq!(read(&RealDisk, dir.path(), true).unwrap(), Some(IDENTITY));
        let good = std::fs::read(&path).unwrap();
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, &bad).unwrap();
            assert!(read(&RealDisk, dir.path(), true).is_err(), "bit {bit}");
        }
        for len in 0..good.len() {
            std::fs::write(&path, &good[..len]).unwrap();
            assert!(read(&RealDisk, dir.path(), true).is_err());
        }
    }

    #[test]
    fn a_file_of_the_first_format_is_given_a_life_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE_NAME);
        let mut old = encode(Identity { life: 0, ..IDENTITY });
        old[8..12].copy_from_slice(&1u32.to_le_bytes());
        std::fs::write(&path, &old).unwrap();
        let first = read(&RealDisk, dir.path(), true).unwrap().unwrap();
        assert_eq!(first.owner, IDENTITY.owner);
        assert_ne!(first.life, 0);
        assert_eq!(read(&RealDisk, dir.path(), true).unwrap(), Some(first));
    }
}

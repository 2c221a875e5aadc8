//! Who this member is: drawn once, kept in the file `identity`. Its bytes are described in `docs/wal-format.md`.

use std::io;
use std::path::Path;

use bytes::{Buf, BufMut};

use crate::disk::{Disk, read_file, write_file_atomically};
use crate::error::{Damage, OpenError};
use crate::wal::log::Owner;

const FILE_NAME: &str = "identity";
const MAGIC: [u8; 8] = *b"CFGSIDN\x1a";
const FORMAT_VERSION: u32 = 1;
const FILE_BYTES: usize = 40;

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

/// Reads the identity, or draws one when the folder has none. `has_log` says whether the folder holds a log already, to
/// which a new identity would not belong.
pub(crate) fn load_or_create(disk: &dyn Disk, data_dir: &Path, has_log: bool) -> Result<Owner, OpenError> {
    let path = data_dir.join(FILE_NAME);
    let io_error = |action| {
        let path = path.clone();
        move |source| OpenError::Io { action, path, source }
    };
    match disk.open(&path) {
        Ok(file) => decode(&path, &read_file(&*file).map_err(io_error("read"))?),
        Err(error) if error.kind() == io::ErrorKind::NotFound && has_log => {
            Err(OpenError::IdentityMissing(path))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let draw = || {
                Ok(Owner {
                    cluster_id: random_u64()?,
                    member_id: random_u64()?,
                })
            };
            let owner = draw().map_err(io_error("draw random numbers for"))?;
            write_file_atomically(disk, data_dir, FILE_NAME, &encode(owner)).map_err(io_error("write"))?;
            Ok(owner)
        }
        Err(error) => Err(io_error("open")(error)),
    }
}

fn encode(owner: Owner) -> Vec<u8> {
    let mut out = Vec::with_capacity(FILE_BYTES);
    out.put_slice(&MAGIC);
    out.put_u32_le(FORMAT_VERSION);
    out.put_u32_le(0); // checksum, set below
    out.put_u64_le(owner.cluster_id);
    out.put_u64_le(owner.member_id);
    out.put_u64_le(0); // reserved
    let crc = crc32c::crc32c(&out[16..]);
    out[12..16].copy_from_slice(&crc.to_le_bytes());
    out
}

fn decode(path: &Path, bytes: &[u8]) -> Result<Owner, OpenError> {
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
    if owner.cluster_id == 0 || owner.member_id == 0 {
        Err(damaged("expected ids that are not 0"))
    } else {
        Ok(owner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;

    #[test]
    fn identity_is_kept_and_damage_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE_NAME);
        let owner = load_or_create(&RealDisk, dir.path(), false).unwrap();
        assert_eq!(load_or_create(&RealDisk, dir.path(), true).unwrap(), owner);
        let good = std::fs::read(&path).unwrap();
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, &bad).unwrap();
            assert!(load_or_create(&RealDisk, dir.path(), true).is_err(), "bit {bit}");
        }
        for len in 0..good.len() {
            std::fs::write(&path, &good[..len]).unwrap();
            assert!(load_or_create(&RealDisk, dir.path(), true).is_err());
        }
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(
            load_or_create(&RealDisk, dir.path(), true),
            Err(OpenError::IdentityMissing(_))
        ));
    }
}

//! Who this member is: settled once, kept in the file `identity`. Its bytes are described in `docs/wal-format.md`.

use std::io;
use std::path::Path;

use bytes::{Buf, BufMut};

use crate::disk::{Disk, read_file, write_file_atomically};
use crate::error::{Damage, OpenError};
use crate::wal::log::Owner;

const FILE_NAME: &str = "identity";
const MAGIC: [u8; 8] = *b"CFGSIDN\x1a";
/// Newest format. The first one had no life, the second did not say since when this is a member.
const FORMAT_VERSION: u32 = 3;
const FILE_BYTES: usize = 48;
/// Bytes of the formats before.
const OLD_FILE_BYTES: usize = 40;
/// In the file: it is not known since when.
const UNKNOWN: u64 = u64::MAX;

/// Who this member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Cluster and member id.
    pub(crate) owner: Owner,
    /// Drawn at random with the data folder. Whoever speaks with this member's id but has another life has lost the
    /// folder, and must not vote for the member it was. Never 0.
    pub(crate) life: u64,
    /// Index of a log entry after which the membership named this member: in a state that has it, a membership without this
    /// member means that it was removed. `None` in a folder of an older version.
    pub(crate) since: Option<u64>,
}

impl Identity {
    /// Whether a membership that is in force after this entry, and does not name this member, says that it was removed.
    /// One that is older was made before the member was added.
    pub(crate) fn was_member_by(&self, applied_index: u64) -> bool {
        self.since.is_some_and(|since| since <= applied_index)
    }
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
    let mut identity = decode(&path, &bytes)?;
    if identity.life != 0 {
        return Ok(Some(identity));
    }
    identity.life = random_u64().map_err(io_error("draw a random number for"))?;
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
    out.put_u64_le(identity.since.unwrap_or(UNKNOWN));
    let crc = crc32c::crc32c(&out[16..]);
    out[12..16].copy_from_slice(&crc.to_le_bytes());
    out
}

/// The life is 0 where the file has none.
fn decode(path: &Path, bytes: &[u8]) -> Result<Identity, OpenError> {
    let damaged = |expected: &str| {
        OpenError::IdentityDamaged(Damage {
            file: path.to_owned(),
            offset: 0,
            expected: expected.to_owned(),
        })
    };
    if bytes.len() < OLD_FILE_BYTES {
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
    let expected_bytes = if version > 2 { FILE_BYTES } else { OLD_FILE_BYTES };
    if version == 0 || bytes.len() != expected_bytes || crc32c::crc32c(rest) != crc {
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
    let since = if version > 2 { rest.get_u64_le() } else { UNKNOWN };
    Ok(Identity {
        owner,
        life: if version > 1 { life } else { 0 },
        since: (since != UNKNOWN).then_some(since),
    })
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
        since: Some(4),
    };

    /// A file as an older version wrote it.
    fn old(version: u32, life: u64) -> Vec<u8> {
        let mut old = encode(Identity { life, ..IDENTITY });
        old.truncate(OLD_FILE_BYTES);
        old[8..12].copy_from_slice(&version.to_le_bytes());
        let crc = crc32c::crc32c(&old[16..]);
        old[12..16].copy_from_slice(&crc.to_le_bytes());
        old
    }

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
    fn a_file_of_a_newer_format_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE_NAME);
        let mut newer = encode(IDENTITY);
        newer[8..12].copy_from_slice(&(FORMAT_VERSION + 1).to_le_bytes());
        // Of which nothing else is known.
        newer[12..16].fill(0xff);
        newer.extend([1; 100]);
        std::fs::write(&path, &newer).unwrap();
        for has_log in [true, false] {
            let error = read(&RealDisk, dir.path(), has_log).unwrap_err();
            assert!(
                matches!(&error, OpenError::NewerFormat { file, found, supported, .. }
                    if *file == path && *found == FORMAT_VERSION + 1 && *supported == FORMAT_VERSION),
                "{error}"
            );
            assert!(error.to_string().contains("start the newer version"), "{error}");
            assert_eq!(std::fs::read(&path).unwrap(), newer);
        }
    }

    #[test]
    fn a_file_of_the_first_format_is_given_a_life_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE_NAME);
        std::fs::write(&path, old(1, 0)).unwrap();
        let first = read(&RealDisk, dir.path(), true).unwrap().unwrap();
        assert_eq!(first.owner, IDENTITY.owner);
        assert_ne!(first.life, 0);
        assert_eq!(read(&RealDisk, dir.path(), true).unwrap(), Some(first));
    }

    #[test]
    fn a_file_of_the_second_format_does_not_say_since_when() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE_NAME), old(2, 3)).unwrap();
        let found = read(&RealDisk, dir.path(), true).unwrap().unwrap();
        let expected = Identity {
            since: None,
            ..IDENTITY
        };
        assert_eq!(found, expected);
        assert!(!found.was_member_by(1_000_000));
        assert!(IDENTITY.was_member_by(4) && !IDENTITY.was_member_by(3));
    }
}

//! The control page: which generation is current, and whether its publisher lives.

use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::ReadError;
use crate::sys::{self, CONTROL_BYTES, ControlMapping};

pub(crate) const CONTROL_NAME: &str = "control";
pub(crate) const CONTROL_MAGIC: [u8; 8] = *b"CFGCTRL\0";
/// Version 1 told the heartbeat in the wall clock's time, which steps.
pub(crate) const CONTROL_VERSION: u32 = 2;
/// The lowest bit of the generation word; the generation is the rest. So one load tells a reader of both a new generation
/// and a retired mirror, and either changes the word's low half, which is all that a futex compares.
pub(crate) const RETIRED_BIT: u64 = 1;
/// Set when the publisher ended in order, until the next one opens.
pub(crate) const FLAG_CLOSED: u32 = 1;

const CRC_AT: usize = 28;
const HOME_AT: usize = 1024;
/// The longest link path that is noted; a longer one is not, and its folder is then never taken for abandoned.
pub(crate) const HOME_MAX_BYTES: usize = CONTROL_BYTES - HOME_AT;

/// The part of a control page that never changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fixed {
    pub mirror_id: u64,
    /// The link that leads to this folder, if it has one.
    pub home: Option<PathBuf>,
}

fn crc_of(page: &[u8; CONTROL_BYTES]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&page[..CRC_AT]), &page[HOME_AT..])
}

impl Fixed {
    pub(crate) fn encode(&self) -> [u8; CONTROL_BYTES] {
        let mut page = [0; CONTROL_BYTES];
        page[..8].copy_from_slice(&CONTROL_MAGIC);
        page[8..12].copy_from_slice(&CONTROL_VERSION.to_le_bytes());
        page[12..16].copy_from_slice(&(CONTROL_BYTES as u32).to_le_bytes());
        page[16..24].copy_from_slice(&self.mirror_id.to_le_bytes());
        if let Some(home) = &self.home {
            let home = home.as_os_str().as_bytes();
            if home.len() <= HOME_MAX_BYTES {
                page[24..28].copy_from_slice(&(home.len() as u32).to_le_bytes());
                page[HOME_AT..HOME_AT + home.len()].copy_from_slice(home);
            }
        }
        let crc = crc_of(&page);
        page[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_le_bytes());
        page
    }

    fn decode(page: &[u8; CONTROL_BYTES], path: &Path) -> Result<Fixed, ReadError> {
        let u32_at = |at: usize| u32::from_le_bytes([page[at], page[at + 1], page[at + 2], page[at + 3]]);
        if page[..8] != CONTROL_MAGIC {
            return Err(ReadError::Foreign {
                path: path.to_path_buf(),
            });
        }
        if u32_at(8) != CONTROL_VERSION {
            return Err(ReadError::OtherVersion {
                path: path.to_path_buf(),
                found: u32_at(8),
                supported: CONTROL_VERSION,
            });
        }
        if u32_at(12) != CONTROL_BYTES as u32 {
            return Err(ReadError::damaged(path, 12, "control page size"));
        }
        if crc_of(page) != u32_at(CRC_AT) {
            return Err(ReadError::damaged(
                path,
                CRC_AT as u64,
                "checksum of the control page",
            ));
        }
        let home_size = u32_at(24) as usize;
        let Some(home) = page[HOME_AT..].get(..home_size) else {
            return Err(ReadError::damaged(path, 24, "size of the link's path"));
        };
        Ok(Fixed {
            mirror_id: u64::from(u32_at(16)) | u64::from(u32_at(20)) << 32,
            home: (!home.is_empty()).then(|| PathBuf::from(OsStr::from_bytes(home))),
        })
    }
}

/// Which file a path leads to, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    pub(crate) fn of(metadata: &Metadata) -> FileId {
        FileId {
            device: metadata.dev(),
            inode: metadata.ino(),
        }
    }
}

/// A mapped control page.
#[derive(Debug)]
pub(crate) struct Control {
    pub mapping: ControlMapping,
    pub fixed: Fixed,
    file_id: FileId,
}

impl Control {
    /// Validates and maps an open control file.
    pub(crate) fn map(
        file: &File,
        metadata: &Metadata,
        writable: bool,
        path: &Path,
    ) -> Result<Control, ReadError> {
        if metadata.len() != CONTROL_BYTES as u64 {
            return Err(ReadError::Truncated {
                path: path.to_path_buf(),
                expected_bytes: CONTROL_BYTES as u64,
                actual_bytes: metadata.len(),
            });
        }
        let mut page = [0; CONTROL_BYTES];
        file.read_exact_at(&mut page, 0)
            .map_err(|error| ReadError::io(path, "read", error))?;
        let fixed = Fixed::decode(&page, path)?;
        let mapping =
            ControlMapping::new(file, writable).map_err(|error| ReadError::io(path, "map", error))?;
        Ok(Control {
            mapping,
            fixed,
            file_id: FileId::of(metadata),
        })
    }

    /// The generation word, the retired bit included. Pairs with [`Control::set_generation`]: whoever sees a generation
    /// finds its files.
    #[inline]
    pub(crate) fn word(&self) -> u64 {
        self.mapping.generation().load(Ordering::Acquire)
    }

    #[inline]
    pub(crate) fn generation(&self) -> u64 {
        self.word() >> 1
    }

    /// Where the newest copy of a generation file is: one word, so that no reader sees half of it. Pairs with
    /// [`Control::set_generation`]: whoever sees a place finds the whole copy there.
    pub(crate) fn copy_place(&self) -> u64 {
        self.mapping.copy_place().load(Ordering::Acquire)
    }

    pub(crate) fn is_retired(&self) -> bool {
        self.word() & RETIRED_BIT != 0
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.mapping.flags().load(Ordering::Acquire) & FLAG_CLOSED != 0
    }

    /// Maps what may be a damaged control page, or one of another version, only to retire it: position and meaning of the
    /// generation word are the same in every version.
    pub(crate) fn map_to_retire(file: &File, metadata: &Metadata) -> Option<Control> {
        let mut magic = [0; CONTROL_MAGIC.len()];
        file.read_exact_at(&mut magic, 0).ok()?;
        if metadata.len() != CONTROL_BYTES as u64 || magic != CONTROL_MAGIC {
            return None;
        }
        let mapping = ControlMapping::new(file, true).ok()?;
        let fixed = Fixed {
            mirror_id: 0,
            home: None,
        };
        Some(Control {
            mapping,
            fixed,
            file_id: FileId::of(metadata),
        })
    }

    /// Whether `folder` (or the folder that this link leads to) still holds this very page.
    pub(crate) fn is_at(&self, folder: &Path) -> std::io::Result<bool> {
        match std::fs::metadata(folder.join(CONTROL_NAME)) {
            Ok(metadata) => Ok(FileId::of(&metadata) == self.file_id),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Writer: makes a generation current. Its files and its copy, if it has one, must be in place.
    pub(crate) fn set_generation(&self, generation: u64, copy_place: u64) {
        assert!(
            generation < 1 << 63,
            "a generation leaves room for the retired bit"
        );
        self.mapping
            .generation()
            .store(generation << 1, Ordering::Release);
        // After it, so that a place never leads to what was not published: a writer that ends in between leaves an older one.
        self.mapping.copy_place().store(copy_place, Ordering::Release);
        sys::futex_wake_all(self.mapping.generation());
    }

    /// Writer: gives this mirror up for good.
    pub(crate) fn retire(&self) {
        self.mapping.generation().fetch_or(RETIRED_BIT, Ordering::Release);
        sys::futex_wake_all(self.mapping.generation());
    }

    /// Waits until the generation differs from `seen`, the mirror is retired, `timeout` passes or a signal arrives.
    pub(crate) fn wait(&self, seen: u64, timeout: Duration) -> bool {
        let seen = seen << 1;
        let deadline = Instant::now().checked_add(timeout);
        loop {
            let word = self.word();
            if word != seen {
                return true;
            }
            let left = match deadline {
                Some(deadline) => deadline.saturating_duration_since(Instant::now()),
                // So far ahead that the clock cannot express it.
                None => Duration::MAX,
            };
            if left.is_zero() || !sys::futex_wait(self.mapping.generation(), word, left) {
                return self.word() != seen;
            }
        }
    }
}

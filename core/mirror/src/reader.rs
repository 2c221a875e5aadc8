//! The reading side of a mirror.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::control::{CONTROL_NAME, Control};
use crate::recent::CopyReader;
use crate::trust::{self, Folder};
use crate::{ReadError, Snapshot};

/// How often a reader follows a generation that was replaced while it opened it. Each attempt means that the publisher
/// published twice in the time of two system calls.
const MAX_ATTEMPTS: u32 = 100;

/// A process's hold on one mirror.
///
/// It starts no thread, takes no lock and keeps no descriptor open, so a forked child simply goes on using it: mappings are
/// inherited, and each process follows the generations by itself. To use one from several threads, give each its own.
#[derive(Debug)]
pub struct Reader {
    folder: Folder,
    control: Control,
    copies: CopyReader,
    held: Option<Arc<Snapshot>>,
}

impl Reader {
    /// Opens the mirror at `path`: its folder, or a symbolic link to it.
    ///
    /// # Errors
    /// `NotFound`, `Denied`, `Untrusted`, and what the control page may be: `Foreign`, `OtherVersion`, `Truncated`,
    /// `Damaged`. A mirror without a generation opens; [`Reader::snapshot`] then says `NotPublished`.
    pub fn open(path: &Path) -> Result<Reader, ReadError> {
        let folder = Folder::resolve(path)?;
        let control_path = folder.path.join(CONTROL_NAME);
        let (file, metadata) = trust::open_file(&control_path, Some(folder.owner))?;
        let control = Control::map(&file, &metadata, false, &control_path)?;
        Ok(Reader {
            folder,
            control,
            copies: CopyReader::default(),
            held: None,
        })
    }

    /// The mirror's folder, links resolved.
    pub fn dir(&self) -> &Path {
        &self.folder.path
    }

    /// The current generation, 0 before the first: one atomic load (acquire) of mapped memory.
    #[inline]
    pub fn generation(&self) -> u64 {
        self.control.generation()
    }

    /// The word at [`Reader::generation_ptr`]: one atomic load (acquire).
    pub fn generation_word(&self) -> u64 {
        self.control.word()
    }

    /// The address of the generation word, for code that loads it itself (atomically, acquire). Valid until this `Reader` is
    /// dropped, in forked children too.
    ///
    /// The word is `generation * 2`, plus 1 once the mirror is retired. "The word differs from the one last seen" is thus
    /// all a fast path has to check; then see [`Reader::is_retired`] and [`Reader::snapshot`].
    pub fn generation_ptr(&self) -> *const u64 {
        self.control.mapping.generation().as_ptr()
    }

    /// The current generation, mapped: the same `Arc` as last time if nothing moved (then this is one load), else the new
    /// generation's file is opened and its tables are checked. A base that is already mapped is neither mapped nor checked
    /// again. Several threads or requests may hold several generations at once.
    ///
    /// # Errors
    /// Any [`ReadError`]. The generation held before stays available through [`Reader::held`].
    #[inline]
    pub fn snapshot(&mut self) -> Result<Arc<Snapshot>, ReadError> {
        let generation = self.generation();
        match &self.held {
            Some(held) if held.generation() == generation => Ok(held.clone()),
            _ => self.follow(generation),
        }
    }

    /// The snapshot that the last successful [`Reader::snapshot`] returned.
    pub fn held(&self) -> Option<&Arc<Snapshot>> {
        self.held.as_ref()
    }

    #[cold]
    fn follow(&mut self, mut generation: u64) -> Result<Arc<Snapshot>, ReadError> {
        let mirror_id = self.control.fixed.mirror_id;
        for _ in 0..MAX_ATTEMPTS {
            if generation == 0 {
                return Err(ReadError::NotPublished {
                    path: self.folder.path.clone(),
                });
            }
            let copy = self
                .copies
                .find(self.control.copy_place(), mirror_id, &self.folder);
            match Snapshot::open_generation(&self.folder, mirror_id, generation, copy, self.held.as_deref()) {
                Ok(snapshot) => {
                    let snapshot = Arc::new(snapshot);
                    self.held = Some(snapshot.clone());
                    return Ok(snapshot);
                }
                Err(error @ ReadError::Missing { .. }) => {
                    // The publisher removes files only after it has stored a later generation. So if the word still says
                    // the same, it was not the publisher.
                    let now = self.generation();
                    if now == generation {
                        return Err(error);
                    }
                    generation = now;
                }
                Err(error) => return Err(error),
            }
        }
        Err(ReadError::Busy {
            path: self.folder.path.clone(),
            attempts: MAX_ATTEMPTS,
        })
    }

    /// Waits until the generation differs from `seen_generation` or the mirror is retired: `true`. `false` if `timeout` has
    /// passed, or a signal handler has run in this thread (so that a program can react to it; just call again).
    pub fn wait(&self, seen_generation: u64, timeout: Duration) -> bool {
        self.control.wait(seen_generation, timeout)
    }

    /// When the publisher last said that it lives, by [`boot_ms`](crate::boot_ms); 0 if never.
    pub fn heartbeat_boot_ms(&self) -> u64 {
        self.control.mapping.heartbeat_boot_ms().load(Ordering::Relaxed)
    }

    /// How long ago that was; `None` if never, or if the time is of another clock than this process has: from before a reboot,
    /// or from another time namespace.
    pub fn heartbeat_age(&self) -> Option<Duration> {
        // In this order, so that the heartbeat is never the later one.
        let heartbeat_ms = self.heartbeat_boot_ms();
        age_of(heartbeat_ms, crate::boot_ms())
    }

    /// The publisher's process id as it knows it (in a container, another one than here).
    pub fn publisher_pid(&self) -> u32 {
        self.control.mapping.publisher_pid().load(Ordering::Relaxed)
    }

    /// Whether the publisher ended in order and no other has taken over yet. The data stays valid.
    pub fn is_closed(&self) -> bool {
        self.control.is_closed()
    }

    /// Whether this mirror has been given up for another one: open the path again. What is held stays valid.
    pub fn is_retired(&self) -> bool {
        self.control.is_retired()
    }

    /// Whether `path` still leads to this mirror: one `stat`. A mirror that was removed behind its publisher's back is not
    /// marked as retired, so this is worth a call now and then while the heartbeat is stale.
    pub fn is_current(&self, path: &Path) -> bool {
        self.control.is_at(path).unwrap_or(false)
    }
}

/// More than this cannot lie between what two processors say of one clock.
const CLOCK_SKEW_MS: u64 = 1_000;

fn age_of(heartbeat_ms: u64, now_ms: u64) -> Option<Duration> {
    if heartbeat_ms == 0 || heartbeat_ms > now_ms + CLOCK_SKEW_MS {
        return None;
    }
    Some(Duration::from_millis(now_ms.saturating_sub(heartbeat_ms)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Origin, Publisher, PublisherOptions};

    #[test]
    fn a_heartbeat_of_another_clock_has_no_age() {
        let ms = |ms| Some(Duration::from_millis(ms));
        assert_eq!(age_of(0, 5_000), None);
        assert_eq!(age_of(4_000, 5_000), ms(1_000));
        assert_eq!(age_of(6_000, 5_000), ms(0));
        assert_eq!(age_of(6_001, 5_000), None);
    }

    /// A reader that was stopped between its look at the generation word and its open, while the publisher went on.
    #[test]
    fn follows_a_generation_that_was_removed_meanwhile() {
        let dir = tempfile::tempdir().unwrap();
        let mut publisher = Publisher::open(PublisherOptions::folder(dir.path().join("m"))).unwrap();
        let mut reader = Reader::open(publisher.dir()).unwrap();
        for revision in 2..7 {
            publisher
                .publish_full(
                    Origin {
                        source_id: 1,
                        revision,
                        restored: false,
                    },
                    [],
                )
                .unwrap();
        }
        assert_eq!(reader.follow(1).unwrap().generation(), 5);
        // Neither is there a copy of it.
        std::fs::remove_file(publisher.dir().join("recent.1")).unwrap();
        reader.copies = CopyReader::default();
        // The current one gone: not the publisher's doing, and no reason to look again and again.
        std::fs::remove_file(publisher.dir().join("5.snap")).unwrap();
        assert!(matches!(reader.follow(1), Err(ReadError::Missing { .. })));
    }
}

//! The writing side of a mirror.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::control::FLAG_CLOSED;
use crate::encode::{Identity, Image, Item, file_size, items_of, overlay, sort};
use crate::file::SnapshotFile;
use crate::folder::{self, Claimed, NEXT_NAME};
use crate::format::{FLAG_DELTA, FLAG_RESTORED};
use crate::recent::CopyWriter;
use crate::snapshot::generation_path;
use crate::{
    Change, Entry, FileKind, Origin, Place, PublishError, Published, PublisherOptions, ReadError, Snapshot,
};

/// The one writer of a mirror. Holds the folder's lock as long as it lives.
///
/// Keeps no copy of the data: a delta or a new base is made from the published files, which it has mapped, and the changes.
/// If it is dropped (or its process killed) without [`Publisher::close`], readers go on with what is published and see the
/// heartbeat grow old; the next publisher goes on in the same folder.
#[derive(Debug)]
pub struct Publisher {
    options: PublisherOptions,
    claimed: Claimed,
    copies: CopyWriter,
    current: Option<Arc<Snapshot>>,
    found_damage: Option<ReadError>,
    /// What the deltas on the current base have cost so far.
    delta_bytes_written: u64,
    /// The generations whose files are in the folder.
    on_disk: Vec<u64>,
    /// A heartbeat has passed since the last publish.
    previous_is_old: bool,
}

impl Publisher {
    /// Opens or makes the mirror, and takes up where a former publisher ended: same folder, next generation.
    ///
    /// Removes what a crashed publisher left behind, renews an unreadable control page (readers of the old one are told), and
    /// for [`Place::Linked`](crate::Place::Linked) also abandoned mirrors of this user under the same root.
    ///
    /// # Errors
    /// `Locked` if the mirror has a publisher; `Unusable`, `NotAMirror`, `Denied`, `NoSpace`, `Io`.
    pub fn open(options: PublisherOptions) -> Result<Publisher, PublishError> {
        if (options.file_mode | options.folder_mode) & 0o022 != 0 {
            let (Place::Linked { link: path, .. } | Place::Folder(path)) = &options.place;
            let why = "its modes would let others than its owner write, and readers would refuse it";
            return Err(PublishError::Unusable {
                path: path.clone(),
                why,
            });
        }
        let claimed = folder::claim(&options)?;
        let words = &claimed.control.mapping;
        words.publisher_pid().store(std::process::id(), Ordering::Relaxed);
        words.flags().fetch_and(!FLAG_CLOSED, Ordering::Release);
        let generation = claimed.control.generation();
        let (mut current, mut found_damage) = (None, None);
        if generation > 0 {
            let mirror_id = claimed.control.fixed.mirror_id;
            match Snapshot::open_generation(&claimed.folder, mirror_id, generation, None, None) {
                Ok(snapshot) => current = Some(Arc::new(snapshot)),
                Err(error) => found_damage = Some(error),
            }
        }
        let on_disk = folder::generations(&claimed.folder.path)?;
        let mut publisher = Publisher {
            options,
            copies: CopyWriter::after(claimed.control.copy_place()),
            claimed,
            current,
            found_damage,
            delta_bytes_written: 0,
            on_disk,
            previous_is_old: false,
        };
        publisher.remove_all_but_current(None)?;
        Ok(publisher)
    }

    /// The mirror's folder, links resolved.
    pub fn dir(&self) -> &Path {
        &self.claimed.folder.path
    }

    /// The published generation, 0 before the first.
    pub fn generation(&self) -> u64 {
        self.claimed.control.generation()
    }

    /// The published generation's content: `None` before the first, and while the one found at open is unreadable. Its
    /// [`Snapshot::source_id`] and [`Snapshot::revision`] tell whether changes can be published on it or a full copy is due.
    pub fn current(&self) -> Option<&Arc<Snapshot>> {
        self.current.as_ref()
    }

    /// Why the generation that was found at open is unreadable, for the log. The next full copy replaces it.
    pub fn found_damage(&self) -> Option<&ReadError> {
        self.found_damage.as_ref()
    }

    /// Publishes all keys, as a base. The entries may come in any order (sorted is fastest); of several with one key the last
    /// counts. The revision may be older than the published one, as after a restore from a backup.
    ///
    /// # Errors
    /// `NoSpace`, `TooLarge`, `Removed`, `Io`: nothing is published then, the former generation stays, and a later call
    /// may succeed.
    pub fn publish_full<'a>(
        &mut self,
        origin: Origin,
        entries: impl IntoIterator<Item = Entry<'a>>,
    ) -> Result<Published, PublishError> {
        let items = sort(entries.into_iter().map(Item::put).collect());
        let flags = if origin.restored { FLAG_RESTORED } else { 0 };
        self.publish_base(origin.source_id, origin.revision, flags, &items)
    }

    /// Publishes what changed since the current generation; of several changes to one key the last counts. The current
    /// generation must show the same store. No changes at all is allowed: the revision moves.
    ///
    /// # Errors
    /// `NoBase` and `RevisionBackwards` call for [`Publisher::publish_full`]. For others see there.
    pub fn publish_changes<'a>(
        &mut self,
        revision: i64,
        changes: impl IntoIterator<Item = Change<'a>>,
    ) -> Result<Published, PublishError> {
        let Some(current) = self.current.clone() else {
            return Err(PublishError::NoBase {
                path: self.dir().to_path_buf(),
            });
        };
        if revision < current.revision() {
            return Err(PublishError::RevisionBackwards {
                given: revision,
                published: current.revision(),
            });
        }
        let changes = sort(changes.into_iter().map(Item::change).collect());
        let live_count = live_count_after(&current, &changes)?;
        let delta_items = delta_items(&current, &changes)?;
        let delta_size = file_size(&delta_items, u64::MAX)?;
        if !self.is_rewrite_due(&current, delta_size) {
            return self.publish_delta(&current, revision, live_count, &delta_items);
        }
        let base_items = base_items(&current, &delta_items)?;
        match self.publish_base(current.source_id(), revision, 0, &base_items) {
            Err(PublishError::NoSpace { .. }) if delta_size < current.base().header().file_size => {
                let delta = self.publish_delta(&current, revision, live_count, &delta_items)?;
                Ok(Published {
                    rewrite_deferred: true,
                    ..delta
                })
            }
            result => result,
        }
    }

    fn is_rewrite_due(&self, current: &Snapshot, delta_size: u64) -> bool {
        let policy = self.options.rewrite;
        let base_size = current.base().header().file_size;
        let written = self.delta_bytes_written.saturating_add(delta_size);
        base_size.saturating_add(delta_size) <= policy.small_bytes
            || delta_size.saturating_mul(policy.max_delta_divisor) > base_size
            || written > base_size.saturating_mul(policy.max_written_factor)
    }

    fn publish_base(
        &mut self,
        source_id: u64,
        revision: i64,
        flags: u32,
        items: &[Item<'_>],
    ) -> Result<Published, PublishError> {
        let generation = self.generation() + 1;
        let identity = Identity {
            flags,
            live_count: u32::try_from(items.len()).unwrap_or(u32::MAX),
            mirror_id: self.claimed.control.fixed.mirror_id,
            source_id,
            generation,
            base_generation: generation,
            base_check: 0,
            revision,
            published_unix_ms: now_unix_ms(),
        };
        let bytes_written = self.publish(identity, items)?;
        self.delta_bytes_written = 0;
        Ok(Published {
            generation,
            kind: FileKind::Base,
            bytes_written,
            rewrite_deferred: false,
        })
    }

    fn publish_delta(
        &mut self,
        current: &Snapshot,
        revision: i64,
        live_count: u32,
        items: &[Item<'_>],
    ) -> Result<Published, PublishError> {
        let generation = self.generation() + 1;
        let base = current.base().header();
        let identity = Identity {
            flags: FLAG_DELTA,
            live_count,
            mirror_id: base.mirror_id,
            source_id: base.source_id,
            generation,
            base_generation: base.generation,
            base_check: base.check(),
            revision,
            published_unix_ms: now_unix_ms(),
        };
        let bytes_written = self.publish(identity, items)?;
        self.delta_bytes_written = self.delta_bytes_written.saturating_add(bytes_written);
        Ok(Published {
            generation,
            kind: FileKind::Delta,
            bytes_written,
            rewrite_deferred: false,
        })
    }

    /// Writes the file, renames it into place, makes it current. Until the last step nobody looks at it, and a failure
    /// leaves everything as it was.
    fn publish(&mut self, identity: Identity, items: &[Item<'_>]) -> Result<u64, PublishError> {
        let image = Image::new(identity, items, self.options.max_bytes)?;
        self.check_still_here()?;
        let temporary = self.dir().join(NEXT_NAME);
        let result = self.write_generation(&image, identity.generation, &temporary);
        if result.is_err() {
            // Gives the space back at once. If the removal fails too, the next publish tries it again.
            let _ = std::fs::remove_file(&temporary);
        }
        let snapshot = Arc::new(result?);
        let place = self.copies.put(snapshot.newest().bytes());
        self.claimed.control.set_generation(identity.generation, place);
        self.on_disk.push(identity.generation);
        let previous = self.current.replace(snapshot);
        self.found_damage = None;
        self.previous_is_old = false;
        // One generation back stays, for readers between their look and their open. The generation is published; a file
        // that cannot be removed now is tried again by the next publish or heartbeat.
        let _ = self.remove_all_but_current(previous.as_deref());
        // What was published once only may never change.
        if previous.is_some() {
            let size = image.file_size();
            self.copies
                .make_room(size, identity.mirror_id, &self.claimed.folder.path, &self.options);
        }
        Ok(image.file_size())
    }

    fn write_generation(
        &self,
        image: &Image<'_>,
        generation: u64,
        temporary: &Path,
    ) -> Result<Snapshot, PublishError> {
        let dir = self.dir();
        let create = || {
            OpenOptions::new()
                .read(true)
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(temporary)
        };
        let mut file = match create() {
            // Left by a publish that could not even remove it.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                std::fs::remove_file(temporary).and_then(|()| create())
            }
            other => other,
        }
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => PublishError::Removed {
                path: dir.to_path_buf(),
            },
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => PublishError::NoSpace {
                path: dir.to_path_buf(),
                needed_bytes: image.file_size(),
            },
            _ => PublishError::io(temporary, "create", error),
        })?;
        image.write_to(&mut file, dir)?;
        folder::set_rights(&file, temporary, self.options.file_mode, self.options.gid)?;
        let path = generation_path(dir, generation);
        let size = usize::try_from(image.file_size()).unwrap_or(usize::MAX);
        // Read back with a reader's checks before any reader sees it.
        let mapped = SnapshotFile::map(&file, size, &path)?;
        let snapshot = Snapshot::complete(&self.claimed.folder, mapped, self.current.as_deref())?;
        std::fs::rename(temporary, &path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => PublishError::Removed {
                path: dir.to_path_buf(),
            },
            _ => PublishError::io(&path, "rename to", error),
        })?;
        Ok(snapshot)
    }

    /// The lock guards only a folder that others find: if this one was removed, another publisher may be at its path.
    fn check_still_here(&self) -> Result<(), PublishError> {
        match self.claimed.control.is_at(&self.claimed.public_path) {
            Ok(false) => Err(PublishError::Removed {
                path: self.dir().to_path_buf(),
            }),
            _ => Ok(()),
        }
    }

    /// Removes all generation files but those of the current generation and of `also`.
    fn remove_all_but_current(&mut self, also: Option<&Snapshot>) -> Result<(), PublishError> {
        let generation = self.generation();
        let used = |by: &Snapshot, file: u64| by.generation() == file || by.base_generation() == file;
        let mut result = Ok(());
        self.on_disk.retain(|file| {
            let current = self.current.as_deref();
            if *file == generation || current.into_iter().chain(also).any(|by| used(by, *file)) {
                return true;
            }
            let removed = folder::remove_if_there(&generation_path(&self.claimed.folder.path, *file));
            let remains = removed.is_err();
            result = std::mem::replace(&mut result, Ok(())).and(removed);
            remains
        });
        result
    }

    /// Says that the publisher lived, or that what is published was known to be current, at `boot_ms` of
    /// [`boot_ms`](crate::boot_ms); call it about once a second. Also frees the generation before the current one when
    /// nothing has been published since the last but one heartbeat.
    ///
    /// # Errors
    /// `Removed`: the folder has gone, or the link leads elsewhere, and nobody can find what is published. [`Publisher::retire`]
    /// this one and open again. Otherwise `Io`, if old files could not be removed.
    pub fn heartbeat(&mut self, boot_ms: u64) -> Result<(), PublishError> {
        self.claimed
            .control
            .mapping
            .heartbeat_boot_ms()
            .store(boot_ms, Ordering::Relaxed);
        if let Ok(false) = self.claimed.control.is_at(&self.claimed.public_path) {
            return Err(PublishError::Removed {
                path: self.dir().to_path_buf(),
            });
        }
        if self.previous_is_old {
            self.remove_all_but_current(None)?;
        }
        self.previous_is_old = true;
        Ok(())
    }

    /// Ends in order: readers keep what is published and can see that the publisher is closed; the next one goes on.
    pub fn close(self) {
        self.claimed
            .control
            .mapping
            .flags()
            .fetch_or(FLAG_CLOSED, Ordering::Release);
    }

    /// Gives this mirror up for good: readers are told to open the path again. What they hold stays valid.
    pub fn retire(self) {
        self.claimed.control.retire();
    }

    /// Writes the published generation as one self-contained file on real disk, for a host that starts when no member
    /// answers; see [`Snapshot::save_to`] (which may be called on another thread: `current()` is cheap to clone).
    ///
    /// # Errors
    /// `NoBase` if nothing is published; `NoSpace`, `Denied`, `Io`, and `ReadBack` if a value is damaged. A former last copy stays.
    pub fn save_last_copy(&self, path: &Path) -> Result<(), PublishError> {
        match &self.current {
            Some(current) => current.save_to(path),
            None => Err(PublishError::NoBase {
                path: self.dir().to_path_buf(),
            }),
        }
    }
}

fn now_unix_ms() -> u64 {
    // A clock before 1970 is as good as none.
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// How many live keys there are once `changes` (distinct keys) have happened to `current`.
fn live_count_after(current: &Snapshot, changes: &[Item<'_>]) -> Result<u32, ReadError> {
    let mut count = current.len();
    for change in changes {
        match (current.contains(change.key)?, change.is_tombstone) {
            (false, false) => count = count.saturating_add(1),
            (true, true) => count = count.saturating_sub(1),
            _ => {}
        }
    }
    // More than the format holds is refused when the file is laid out.
    Ok(u32::try_from(count).unwrap_or(u32::MAX))
}

/// The items of the next delta: the current delta's and the changes; no tombstone for a key that the base does not have.
fn delta_items<'a>(current: &'a Snapshot, changes: &'a [Item<'a>]) -> Result<Vec<Item<'a>>, ReadError> {
    let before = current.delta().into_iter().flat_map(items_of);
    let mut items = Vec::with_capacity(changes.len());
    for item in overlay(before, changes.iter().map(|change| Ok(*change))) {
        let item = item?;
        let hides_nothing = || {
            let hash = crate::hash::hash(item.key);
            Ok::<_, ReadError>(current.base().find(hash, item.key)?.is_none())
        };
        if !item.is_tombstone || !hides_nothing()? {
            items.push(item);
        }
    }
    Ok(items)
}

/// The items of the next base: the current base's and the next delta's.
fn base_items<'a>(current: &'a Snapshot, delta_items: &'a [Item<'a>]) -> Result<Vec<Item<'a>>, ReadError> {
    let mut items = Vec::with_capacity(current.len());
    for item in overlay(items_of(current.base()), delta_items.iter().map(|item| Ok(*item))) {
        items.extend(Some(item?).filter(|item| !item.is_tombstone));
    }
    Ok(items)
}

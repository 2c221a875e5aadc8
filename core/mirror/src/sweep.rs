//! Abandoned mirrors: folders whose link is gone (the data folder was removed) would hold memory until the next boot.

use std::fs::{File, Metadata, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use crate::ReadError;
use crate::control::{CONTROL_NAME, Control};
use crate::folder::{FOLDER_PREFIX, LOCK_NAME, remove_our_files};
use crate::sys::{self, LockedFile};
use crate::trust;

/// A folder without a control page is being made, unless it is older than this.
const HALF_MADE_AGE: Duration = Duration::from_secs(60);

/// Removes the abandoned mirrors of this user under `root`. Best effort: what cannot be read or locked stays.
pub(crate) fn remove_abandoned(root: &Path) {
    let Ok(entries) = std::fs::read_dir(root) else {
        return;
    };
    for entry in entries.flatten() {
        if !entry
            .file_name()
            .to_str()
            .is_some_and(|name| name.starts_with(FOLDER_PREFIX))
        {
            continue;
        }
        let path = entry.path();
        let Ok(metadata) = std::fs::symlink_metadata(&path) else {
            continue;
        };
        if metadata.is_dir() && metadata.uid() == sys::effective_uid() {
            remove_if_abandoned(&path, &metadata);
        }
    }
}

fn remove_if_abandoned(dir: &Path, metadata: &Metadata) {
    if let Some(found) = Found::look(dir) {
        remove_unless_used(dir, metadata, &found);
    }
}

/// What a first look at a folder found that no publisher has locked.
struct Found {
    /// Whether there was a control page before the lock was looked for. A publisher makes the lock first: a page that came after a
    /// lock was missing is a living publisher's, and one that was there without a lock is what an interrupted removal left.
    had_page: bool,
    /// Held to the end, so that no publisher moves in while the files go. `None`: there was no such file.
    lock: Option<LockedFile>,
}

impl Found {
    /// `None`: the folder is in use, or may be.
    fn look(dir: &Path) -> Option<Found> {
        let had_page = dir.join(CONTROL_NAME).symlink_metadata().is_ok();
        let lock: std::io::Result<File> = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(dir.join(LOCK_NAME));
        let lock = match lock {
            Ok(lock) => Some(LockedFile::try_lock(lock).ok()?.ok()?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(_) => return None,
        };
        Some(Found { had_page, lock })
    }
}

fn remove_unless_used(dir: &Path, metadata: &Metadata, found: &Found) {
    let old = || {
        let modified = metadata.modified().ok();
        modified
            .and_then(|at| at.elapsed().ok())
            .is_some_and(|age| age > HALF_MADE_AGE)
    };
    let control_path = dir.join(CONTROL_NAME);
    match trust::open_file_to_change(&control_path, metadata.uid()) {
        Ok(_) if found.lock.is_none() && !found.had_page => {}
        Ok((file, metadata)) => {
            // A page that cannot be read, e.g. of another version, does not say whether it is abandoned.
            let Ok(control) = Control::map(&file, &metadata, true, &control_path) else {
                return;
            };
            let home = control.fixed.home.as_deref();
            if home.is_some_and(|home| matches!(control.is_at(home), Ok(false))) {
                control.retire();
                remove_our_files(dir);
            }
        }
        Err(ReadError::NotFound { .. }) if old() => remove_our_files(dir),
        Err(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Place, Publisher, PublisherOptions};

    /// A publisher whose new folder no link leads to yet, and what a sweep finds in it.
    fn new_folder(root: &Path) -> (Publisher, std::path::PathBuf, Metadata) {
        let link = root.join("link");
        let place = Place::Linked {
            link: link.clone(),
            root: root.to_path_buf(),
        };
        let publisher = Publisher::open(PublisherOptions {
            place,
            ..PublisherOptions::linked("")
        })
        .unwrap();
        std::fs::remove_file(link).unwrap();
        let dir = publisher.dir().to_path_buf();
        let metadata = dir.metadata().unwrap();
        (publisher, dir, metadata)
    }

    /// The sweep looked for the lock in the moment before it was made.
    #[test]
    fn a_publisher_that_comes_during_the_sweep_keeps_its_folder() {
        let root = tempfile::tempdir().unwrap();
        let empty = tempfile::tempdir().unwrap();
        let before = Found::look(empty.path()).unwrap();
        let (_publisher, dir, metadata) = new_folder(root.path());
        remove_unless_used(&dir, &metadata, &before);
        assert!(dir.join(CONTROL_NAME).exists());
    }

    #[test]
    fn what_an_interrupted_removal_left_is_removed() {
        let root = tempfile::tempdir().unwrap();
        let (publisher, dir, metadata) = new_folder(root.path());
        drop(publisher);
        std::fs::remove_file(dir.join(LOCK_NAME)).unwrap();
        remove_if_abandoned(&dir, &metadata);
        assert!(!dir.exists());
    }
}

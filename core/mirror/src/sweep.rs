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
    let old = || {
        let modified = metadata.modified().ok();
        modified
            .and_then(|at| at.elapsed().ok())
            .is_some_and(|age| age > HALF_MADE_AGE)
    };
    let lock: std::io::Result<File> = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(dir.join(LOCK_NAME));
    // Held to the end, so that no publisher moves in while the files go.
    let _lock = match lock {
        Ok(lock) => match LockedFile::try_lock(lock) {
            Ok(Ok(lock)) => Some(lock),
            _ => return,
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(_) => return,
    };
    let control_path = dir.join(CONTROL_NAME);
    match trust::open_file_to_change(&control_path, metadata.uid()) {
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

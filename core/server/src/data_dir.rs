//! The data folder: made with tight rights, and locked for the life of the process.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use cfgstore_client::host::HostPaths;
use cfgstore_client::trust;

use crate::start_error::StartError;
use crate::sys;

/// Only the owner changes the data folder; its group may look, which is what a reader of the mirror needs.
const FOLDER_MODE: u32 = 0o750;

/// The right to use a data folder, until dropped.
#[derive(Debug)]
pub(crate) struct DataDirLock {
    file: File,
}

impl Drop for DataDirLock {
    fn drop(&mut self) {
        // Closing would leave it locked for as long as a child of this process, forked meanwhile, has the descriptor.
        sys::unlock(&self.file);
    }
}

/// Makes the folder (and those above it) if it is not there, and locks it.
pub(crate) fn open(paths: &HostPaths) -> Result<DataDirLock, StartError> {
    let data_dir = paths.data_dir();
    DirBuilder::new()
        .recursive(true)
        .mode(FOLDER_MODE)
        .create(data_dir)
        .map_err(|error| StartError::io("create the data folder", data_dir, error))?;
    trust::check(data_dir).map_err(StartError::Planted)?;
    lock(&paths.lock(), data_dir)
}

fn lock(path: &Path, data_dir: &Path) -> Result<DataDirLock, StartError> {
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o640)
        .open(path)
        .map_err(|error| StartError::io("write the lock file", path, error))?;
    match sys::try_lock_exclusive(&file) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            return Err(StartError::InUse {
                data_dir: data_dir.to_path_buf(),
                pid: holder(&file),
            });
        }
        Err(error) => return Err(StartError::io("lock", path, error)),
    }
    // The pid is only for the message of whoever comes second.
    let written = file
        .set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()));
    written.map_err(|error| StartError::io("write the lock file", path, error))?;
    Ok(DataDirLock { file })
}

fn holder(file: &File) -> Option<u32> {
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_folder_is_made_for_its_owner_and_locked_once() {
        let temp = tempfile::tempdir().unwrap();
        let paths = HostPaths::new(temp.path().join("a/b"));
        let first = open(&paths).unwrap();
        let mode = std::fs::metadata(paths.data_dir()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777 & !0o750, 0);

        let second = open(&paths).unwrap_err();
        match &second {
            StartError::InUse { pid, .. } => assert_eq!(*pid, Some(std::process::id())),
            other => panic!("{other}"),
        }
        assert!(
            second
                .to_string()
                .contains(&format!("process {}", std::process::id())),
            "{second}"
        );
        drop(first);
        open(&paths).unwrap();
    }

    #[test]
    fn a_file_in_the_way_is_named() {
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("file");
        std::fs::write(&file, b"").unwrap();
        let error = open(&HostPaths::new(&file)).unwrap_err();
        assert!(error.to_string().contains(&file.display().to_string()), "{error}");
    }
}

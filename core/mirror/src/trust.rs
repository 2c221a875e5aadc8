//! Opening files without being led astray: who may have written them decides whether they are believed.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::ReadError;

/// Group and others.
const WRITABLE_BY_OTHERS: u32 = 0o022;
const WRITABLE_BY_EVERYBODY: u32 = 0o002;

fn untrusted(path: &Path, why: &'static str) -> ReadError {
    ReadError::Untrusted {
        path: path.to_path_buf(),
        why,
    }
}

/// A mirror's folder, its links resolved.
#[derive(Debug)]
pub(crate) struct Folder {
    pub path: PathBuf,
    /// Only this user may have made the files inside.
    pub owner: u32,
}

impl Folder {
    /// Follows `path` and checks who may write there: only the owner, and if `path` is a link, only whom the link's owner
    /// meant (itself; root's links may point to anybody's folder, but not where anybody could have made it).
    pub(crate) fn resolve(path: &Path) -> Result<Folder, ReadError> {
        let fail = |error| ReadError::io(path, "look at", error);
        let link = std::fs::symlink_metadata(path).map_err(fail)?;
        let resolved = std::fs::canonicalize(path).map_err(fail)?;
        let folder = std::fs::metadata(&resolved).map_err(fail)?;
        if !folder.is_dir() {
            return Err(ReadError::NotFound {
                path: path.to_path_buf(),
            });
        }
        if folder.mode() & WRITABLE_BY_OTHERS != 0 {
            return Err(untrusted(
                &resolved,
                "others than its owner may write to the folder",
            ));
        }
        if link.is_symlink() && link.uid() != folder.uid() {
            let made_by_anybody = || {
                let above = resolved.parent().map(std::fs::metadata);
                !above.is_some_and(|above| above.is_ok_and(|above| above.mode() & WRITABLE_BY_EVERYBODY == 0))
            };
            if link.uid() != 0 || made_by_anybody() {
                return Err(untrusted(
                    path,
                    "the link and the folder it leads to have different owners",
                ));
            }
        }
        Ok(Folder {
            path: resolved,
            owner: folder.uid(),
        })
    }
}

/// Opens a regular file for reading: never through a link, never waiting (a pipe), only if nobody but its owner may write it.
pub(crate) fn open_file(path: &Path, owner: Option<u32>) -> Result<(File, Metadata), ReadError> {
    open(OpenOptions::new().read(true), path, owner)
}

/// The same for its publisher, who changes it in place.
pub(crate) fn open_file_to_change(path: &Path, owner: u32) -> Result<(File, Metadata), ReadError> {
    open(OpenOptions::new().read(true).write(true), path, Some(owner))
}

fn open(options: &mut OpenOptions, path: &Path, owner: Option<u32>) -> Result<(File, Metadata), ReadError> {
    let opened = options
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path);
    let file = opened.map_err(|error| match error.raw_os_error() {
        Some(libc::ELOOP) => untrusted(path, "it is a symbolic link"),
        // A socket or a device without driver.
        Some(libc::ENXIO | libc::EISDIR) => untrusted(path, "it is not a regular file"),
        _ => ReadError::io(path, "open", error),
    })?;
    let metadata = file
        .metadata()
        .map_err(|error| ReadError::io(path, "look at", error))?;
    if !metadata.is_file() {
        return Err(untrusted(path, "it is not a regular file"));
    }
    if metadata.mode() & WRITABLE_BY_OTHERS != 0 {
        return Err(untrusted(path, "others than its owner may write to the file"));
    }
    if owner.is_some_and(|owner| owner != metadata.uid()) {
        return Err(untrusted(path, "its owner is not the folder's owner"));
    }
    Ok((file, metadata))
}

/// The size of a file that is to be mapped.
pub(crate) fn mappable_size(path: &Path, metadata: &Metadata) -> Result<usize, ReadError> {
    usize::try_from(metadata.len())
        .map_err(|_| ReadError::io(path, "map", io::Error::from(io::ErrorKind::FileTooLarge)))
}

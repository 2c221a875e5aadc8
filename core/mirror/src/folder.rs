//! The folder of a mirror as its publisher sees it: made or taken over, locked, cleaned of what a crash left.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use crate::control::{CONTROL_NAME, Control, FileId, Fixed};
use crate::recent::is_arena_name;
use crate::sys::{self, LockedFile};
use crate::trust::{self, Folder};
use crate::{Place, PublishError, PublisherOptions, ReadError};

pub(crate) const LOCK_NAME: &str = "lock";
/// A file being written, before it gets its generation's name.
pub(crate) const NEXT_NAME: &str = "next.tmp";
const CONTROL_NEW_NAME: &str = "control.tmp";
const SNAPSHOT_SUFFIX: &str = ".snap";
pub(crate) const FOLDER_PREFIX: &str = "cfgstore-";
const MAX_NEW_FOLDER_ATTEMPTS: u32 = 8;

/// A folder that only this process publishes to.
#[derive(Debug)]
pub(crate) struct Claimed {
    pub folder: Folder,
    /// The link, or else the folder: what readers open.
    pub public_path: PathBuf,
    pub control: Control,
    /// Held for its `flock`.
    _lock: LockedFile,
}

/// Opens the mirror's folder, making what is missing.
pub(crate) fn claim(options: &PublisherOptions) -> Result<Claimed, PublishError> {
    match &options.place {
        Place::Folder(dir) => {
            make_folder(dir, options)?;
            claim_folder(dir, dir, None, options)
        }
        Place::Linked { link, root } => claim_linked(link, root, options),
    }
}

fn claim_linked(link: &Path, root: &Path, options: &PublisherOptions) -> Result<Claimed, PublishError> {
    let home = std::path::absolute(link).map_err(|error| PublishError::io(link, "resolve", error))?;
    match std::fs::symlink_metadata(link) {
        // An administrator may put a real folder, or a mount, where the link would be.
        Ok(metadata) if metadata.is_dir() => return claim_folder(link, link, None, options),
        Ok(metadata) if !metadata.is_symlink() => {
            return Err(unusable(link, "it is neither a folder nor a symbolic link"));
        }
        Ok(_) => match claim_folder(link, link, Some(&home), options) {
            Ok(claimed) => return Ok(claimed),
            // Gone with a reboot, or somebody else's: leave it alone and make a new one.
            Err(PublishError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {}
            Err(
                PublishError::Unusable { .. } | PublishError::NotAMirror { .. } | PublishError::Denied { .. },
            ) => {}
            Err(other) => return Err(other),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(PublishError::io(link, "look at", error)),
    }
    crate::sweep::remove_abandoned(root);
    let claimed = new_folder(link, root, &home, options)?;
    point_link(link, &claimed.folder.path)?;
    Ok(claimed)
}

fn new_folder(
    link: &Path,
    root: &Path,
    home: &Path,
    options: &PublisherOptions,
) -> Result<Claimed, PublishError> {
    for _ in 0..MAX_NEW_FOLDER_ATTEMPTS {
        let id = sys::random_u64().map_err(|error| PublishError::io(root, "draw a name in", error))?;
        let dir = root.join(format!("{FOLDER_PREFIX}{id:016x}"));
        match DirBuilder::new().mode(0o700).create(&dir) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
            Err(error) => return Err(PublishError::io(&dir, "make the folder", error)),
        }
        match claim_folder(&dir, link, Some(home), options) {
            // Another publisher's sweep looked at the folder in the moment before it was locked.
            Err(PublishError::Locked { .. }) => continue,
            Err(other) => {
                // Never named by a link, so nobody reads it; rmdir spares whatever is not ours.
                remove_our_files(&dir);
                return Err(other);
            }
            Ok(claimed) => return Ok(claimed),
        }
    }
    Err(unusable(root, "no new folder could be made in it"))
}

/// Swings the link in one step: readers see the old folder or the new one.
fn point_link(link: &Path, dir: &Path) -> Result<(), PublishError> {
    let mut temporary = link.as_os_str().to_os_string();
    temporary.push(".tmp");
    let temporary = PathBuf::from(temporary);
    remove_if_there(&temporary)?;
    std::os::unix::fs::symlink(dir, &temporary)
        .and_then(|()| std::fs::rename(&temporary, link))
        .map_err(|error| PublishError::io(link, "set the link", error))
}

fn make_folder(dir: &Path, options: &PublisherOptions) -> Result<(), PublishError> {
    match DirBuilder::new().mode(options.folder_mode & 0o777).create(dir) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            Err(PublishError::io(dir, "make the folder", error))
        }
        _ => Ok(()),
    }
}

fn unusable(path: &Path, why: &'static str) -> PublishError {
    PublishError::Unusable {
        path: path.to_path_buf(),
        why,
    }
}

pub(crate) fn remove_if_there(path: &Path) -> Result<(), PublishError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(PublishError::io(path, "remove", error)),
        _ => Ok(()),
    }
}

/// Locks the existing folder `dir`, puts its rights right, and opens or renews its control page.
fn claim_folder(
    dir: &Path,
    public_path: &Path,
    home: Option<&Path>,
    options: &PublisherOptions,
) -> Result<Claimed, PublishError> {
    let fail = |error| PublishError::io(dir, "look at", error);
    let path = std::fs::canonicalize(dir).map_err(fail)?;
    let folder = File::open(&path).map_err(fail)?;
    let metadata = folder.metadata().map_err(fail)?;
    if !metadata.is_dir() {
        return Err(unusable(&path, "it is not a folder"));
    }
    if metadata.uid() != sys::effective_uid() {
        return Err(unusable(&path, "it belongs to another user"));
    }
    check_contents(&path)?;
    let lock = lock_folder(&path)?;
    set_rights(&folder, &path, options.folder_mode, options.gid)?;
    // What a crashed publisher was about to rename.
    remove_if_there(&path.join(NEXT_NAME))?;
    remove_if_there(&path.join(CONTROL_NEW_NAME))?;
    remove_arenas(&path);
    let control_path = path.join(CONTROL_NAME);
    let owner = metadata.uid();
    let folder = Folder { path, owner };
    let control = match open_control(&control_path, owner, options) {
        Ok(control) => control,
        Err(ReadError::NotFound { .. }) => new_control(&folder, home, options)?,
        Err(
            ReadError::Foreign { .. }
            | ReadError::OtherVersion { .. }
            | ReadError::Truncated { .. }
            | ReadError::Damaged { .. }
            | ReadError::Untrusted { .. },
        ) => {
            let old = trust::open_file_to_change(&control_path, owner);
            let old = old
                .ok()
                .and_then(|(file, metadata)| Control::map_to_retire(&file, &metadata));
            let control = new_control(&folder, home, options)?;
            // After the new page is in place, so that whoever hears of it finds the new one.
            if let Some(old) = old {
                old.retire();
            }
            control
        }
        Err(other) => return Err(other.into()),
    };
    Ok(Claimed {
        folder,
        public_path: public_path.to_path_buf(),
        control,
        _lock: lock,
    })
}

/// Refuses a folder that is not ours before anything in it is touched.
fn check_contents(path: &Path) -> Result<(), PublishError> {
    let mut only_ours = true;
    for entry in std::fs::read_dir(path).map_err(|error| PublishError::io(path, "list", error))? {
        let name = entry
            .map_err(|error| PublishError::io(path, "list", error))?
            .file_name();
        if name == CONTROL_NAME {
            return Ok(());
        }
        only_ours &= name.to_str().is_some_and(is_our_name);
    }
    if only_ours {
        Ok(())
    } else {
        Err(PublishError::NotAMirror {
            path: path.to_path_buf(),
        })
    }
}

fn is_our_name(name: &str) -> bool {
    [CONTROL_NAME, CONTROL_NEW_NAME, LOCK_NAME, NEXT_NAME].contains(&name)
        || generation_of_name(name).is_some()
        || is_arena_name(name)
}

fn generation_of_name(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SNAPSHOT_SUFFIX)?;
    let generation = digits.parse().ok()?;
    // One name per generation: no sign, no leading zero.
    (format!("{generation}") == digits).then_some(generation)
}

fn lock_folder(path: &Path) -> Result<LockedFile, PublishError> {
    let lock_path = path.join(LOCK_NAME);
    let fail = |error| PublishError::io(&lock_path, "lock", error);
    // Mode 0600: a flock needs only a descriptor, so a reader that could open the file could keep publishers out.
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(&lock_path)
        .map_err(fail)?;
    let mut lock = match LockedFile::try_lock(file).map_err(fail)? {
        Ok(lock) => lock,
        Err(held) => {
            let mut text = String::new();
            // Only for the message.
            let pid = held
                .take(32)
                .read_to_string(&mut text)
                .ok()
                .and_then(|_| text.trim().parse().ok());
            return Err(PublishError::Locked {
                path: path.to_path_buf(),
                pid,
            });
        }
    };
    // A sweep may have removed the file after it was opened: then the lock is on a file that nobody else will find.
    let at_path = match std::fs::symlink_metadata(&lock_path) {
        Ok(metadata) => Some(FileId::of(&metadata)),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(fail(error)),
    };
    let locked = FileId::of(&lock.file().metadata().map_err(fail)?);
    if at_path != Some(locked) {
        return Err(PublishError::Locked {
            path: path.to_path_buf(),
            pid: None,
        });
    }
    let file = lock.file();
    let noted = file
        .set_len(0)
        .and_then(|()| writeln!(file, "{}", std::process::id()));
    match noted {
        // The number is for people; a full file system must not keep a publisher from coming back.
        Err(error) if !matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => {
            Err(fail(error))
        }
        _ => Ok(lock),
    }
}

/// Sets mode and group through the descriptor, whatever the umask.
pub(crate) fn set_rights(file: &File, path: &Path, mode: u32, gid: Option<u32>) -> Result<(), PublishError> {
    let set = || {
        if gid.is_some() {
            fchown(file, None, gid)?;
        }
        file.set_permissions(Permissions::from_mode(mode & 0o777))
    };
    set().map_err(|error| PublishError::io(path, "set the rights of", error))
}

fn open_control(path: &Path, owner: u32, options: &PublisherOptions) -> Result<Control, ReadError> {
    let (file, metadata) = trust::open_file_to_change(path, owner)?;
    let control = Control::map(&file, &metadata, true, path)?;
    if control.is_retired() {
        // Its readers have been told to look elsewhere; a mirror does not come back to life.
        return Err(ReadError::damaged(path, 64, "the mirror is retired"));
    }
    let rights = Permissions::from_mode(options.file_mode & 0o777);
    file.set_permissions(rights)
        .map_err(|error| ReadError::io(path, "set the rights of", error))?;
    Ok(control)
}

/// Makes a control page that says "nothing published" and renames it into place.
fn new_control(
    folder: &Folder,
    home: Option<&Path>,
    options: &PublisherOptions,
) -> Result<Control, PublishError> {
    let temporary = folder.path.join(CONTROL_NEW_NAME);
    let path = folder.path.join(CONTROL_NAME);
    let mirror_id = sys::random_u64().map_err(|error| PublishError::io(&path, "draw an id for", error))?;
    let fixed = Fixed {
        mirror_id,
        home: home.map(Path::to_path_buf),
    };
    let page = fixed.encode();
    let created = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary);
    let mut file = created.map_err(|error| PublishError::io(&temporary, "create", error))?;
    file.write_all(&page).map_err(|error| match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => PublishError::NoSpace {
            path: folder.path.clone(),
            needed_bytes: page.len() as u64,
        },
        _ => PublishError::io(&temporary, "write", error),
    })?;
    set_rights(&file, &temporary, options.file_mode, options.gid)?;
    let metadata = file
        .metadata()
        .map_err(|error| PublishError::io(&temporary, "look at", error))?;
    let control = Control::map(&file, &metadata, true, &temporary)?;
    std::fs::rename(&temporary, &path).map_err(|error| PublishError::io(&path, "rename to", error))?;
    Ok(control)
}

/// Removes what former publishers left of copies: this one trusts its own only. What cannot be removed takes memory and does no
/// other harm.
fn remove_arenas(dir: &Path) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_name().to_str().is_some_and(is_arena_name) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// The generations whose files are in the folder.
pub(crate) fn generations(dir: &Path) -> Result<Vec<u64>, PublishError> {
    let fail = |error| PublishError::io(dir, "list", error);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(fail)? {
        found.extend(
            entry
                .map_err(fail)?
                .file_name()
                .to_str()
                .and_then(generation_of_name),
        );
    }
    Ok(found)
}

/// Removes a mirror's files and then its folder, if nothing else is in it.
pub(crate) fn remove_our_files(dir: &Path) {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return;
    };
    for entry in entries.flatten() {
        if entry.file_name().to_str().is_some_and(is_our_name) {
            // What cannot be removed now, the next sweep tries again.
            let _ = std::fs::remove_file(entry.path());
        }
    }
    let _ = std::fs::remove_dir(dir);
}

//! A keyring's file: made once, and replaced in one step.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use cfgstore_client::seal::{Keyring, Source};

use crate::failure::Failure;
use crate::sys;

/// A keyring of a file, for one process to change.
pub struct KeyringFile {
    path: PathBuf,
    /// Locked.
    file: File,
    pub keyring: Keyring,
}

/// The path of a keyring that can be changed.
pub fn path_of(source: &Source) -> Result<&Path, Failure> {
    match source {
        Source::File(path) => Ok(path),
        other => Err(Failure::invalid(format!(
            "the keyring {other} is no file, so it can't be changed from here: change it where it is kept, then run `cfgctl keys reseal`"
        ))),
    }
}

/// Writes a new file that only its owner may read.
pub fn create(path: &Path, keyring: &Keyring) -> Result<(), Failure> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::AlreadyExists => Failure::invalid(format!(
            "{} is there already, and is left as it is; name another file, or `cfgctl keys rotate` this one",
            path.display()
        )),
        _ => Failure::invalid(format!("cannot make {}: {error}", path.display())),
    };
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(failed)?;
    let written = write(&mut file, keyring).and_then(|()| sync_folder(path));
    if written.is_err() {
        let _ = fs::remove_file(path);
    }
    written.map_err(failed)
}

impl KeyringFile {
    /// Reads a file, and keeps others from changing it meanwhile.
    pub fn open(source: &Source) -> Result<KeyringFile, Failure> {
        let named = path_of(source)?;
        let unusable =
            |error: io::Error| Failure::invalid(format!("cannot open {}: {error}", named.display()));
        // What a link leads to is replaced, not the link.
        let path = fs::canonicalize(named).map_err(unusable)?;
        let file = File::open(&path).map_err(unusable)?;
        if !sys::try_lock_exclusive(&file).map_err(unusable)? {
            return Err(Failure::new(&format!(
                "another `cfgctl keys` is changing {}; run it again when that one is done",
                path.display()
            )));
        }
        // One that was locked after another process had replaced it is no longer the keyring.
        let (opened, there) = (file.metadata(), fs::metadata(&path));
        let (opened, there) = (opened.map_err(unusable)?, there.map_err(unusable)?);
        if opened.ino() != there.ino() || opened.dev() != there.dev() {
            return Err(Failure::new(&format!(
                "{} was changed at the same moment; run it again",
                path.display()
            )));
        }
        let keyring = Source::File(path.clone()).load()?;
        Ok(KeyringFile { path, file, keyring })
    }

    /// Lets others change the file again.
    pub fn into_keyring(self) -> Keyring {
        self.keyring
    }

    /// Replaces the file in one step: whoever reads it sees the old keyring or the new one. Owner, group and mode stay.
    pub fn save(&self) -> Result<(), Failure> {
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.tmp", std::process::id()));
        let beside = self.path.with_file_name(name);
        let saved = self.write_beside(&beside);
        let saved = saved.and_then(|()| fs::rename(&beside, &self.path));
        if saved.is_err() {
            let _ = fs::remove_file(&beside);
        }
        saved
            .and_then(|()| sync_folder(&self.path))
            .map_err(|error| Failure::invalid(format!("cannot replace {}: {error}", self.path.display())))
    }

    fn write_beside(&self, beside: &Path) -> io::Result<()> {
        let former = self.file.metadata()?;
        let mut file = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(beside)?;
        let own = file.metadata()?;
        if (own.uid(), own.gid()) != (former.uid(), former.gid()) {
            fchown(&file, Some(former.uid()), Some(former.gid()))?;
        }
        file.set_permissions(Permissions::from_mode(former.mode() & 0o770))?;
        write(&mut file, &self.keyring)
    }
}

fn write(file: &mut File, keyring: &Keyring) -> io::Result<()> {
    file.write_all(keyring.to_json().as_bytes())?;
    file.sync_all()
}

fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

//! sled, kept at arm's length: no panic of it gets out, and what it calls a flush is made durable.

use std::fs::{self, File};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::CheckpointError;
use super::format::RECORD_PREFIX;
use crate::disk::is_locked;

/// sled's page cache: the checkpoint is written, not read, while the member runs.
const CACHE_BYTES: u64 = 16 << 20;
/// How long another user of the files is waited for: one that is just ending lets go within milliseconds.
const LOCK_WAIT: Duration = Duration::from_secs(3);

/// Changes that become one sled batch.
#[derive(Default)]
pub(super) struct Changes {
    batch: sled::Batch,
    bytes: usize,
}

impl Changes {
    pub(super) fn insert(&mut self, key: &[u8], value: Vec<u8>) {
        self.bytes += key.len() + value.len();
        self.batch.insert(key, value);
    }

    pub(super) fn remove(&mut self, key: &[u8]) {
        self.bytes += key.len();
        self.batch.remove(key);
    }

    pub(super) fn size_bytes(&self) -> usize {
        self.bytes
    }
}

/// An open sled database.
pub(super) struct SledDb {
    db: Option<sled::Db>,
    dir: PathBuf,
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> CheckpointError {
    let path = path.to_owned();
    move |source| CheckpointError::Io { action, path, source }
}

/// Runs a call into sled; an error or a panic of it becomes ours.
fn guarded<T>(action: &'static str, call: impl FnOnce() -> sled::Result<T>) -> Result<T, CheckpointError> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(source)) => Err(CheckpointError::Sled { action, source }),
        Err(_) => Err(CheckpointError::Panicked(action)),
    }
}

impl SledDb {
    /// Opens the database, creating it in an empty or missing folder.
    pub(super) fn open(dir: &Path) -> Result<SledDb, CheckpointError> {
        wait_unlocked(dir)?;
        let config = sled::Config::new()
            .path(dir)
            .cache_capacity(CACHE_BYTES)
            .mode(sled::Mode::LowSpace)
            .flush_every_ms(Some(1_000))
            .print_profile_on_drop(false);
        let db = guarded("open", || config.open())?;
        let db = SledDb {
            db: Some(db),
            dir: dir.to_owned(),
        };
        sync_dir(dir)?;
        sync_dir(dir.parent().unwrap_or(Path::new(".")))?;
        Ok(db)
    }

    fn db(&self) -> Result<&sled::Db, CheckpointError> {
        self.db.as_ref().ok_or(CheckpointError::Closed)
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<sled::IVec>, CheckpointError> {
        let db = self.db()?;
        guarded("read", || db.get(key))
    }

    /// All items in key order.
    pub(super) fn any(&self) -> Items {
        Items(self.db.as_ref().map(|db| db.iter()))
    }

    /// The items whose key starts with this byte, in key order.
    pub(super) fn with_prefix(&self, prefix: u8) -> Items {
        Items(self.db.as_ref().map(|db| db.scan_prefix([prefix])))
    }

    /// The items of records, in order of seq and part.
    pub(super) fn records(&self) -> Items {
        self.with_prefix(RECORD_PREFIX)
    }

    pub(super) fn apply(&self, changes: Changes) -> Result<(), CheckpointError> {
        let db = self.db()?;
        guarded("apply a batch", || db.apply_batch(changes.batch))
    }

    /// Makes everything applied durable. sled's own flush is a sync_file_range on Linux, which does not flush the disk's
    /// cache, syncs no file size and no folder; its blobs are not synced at all, and there must be none.
    pub(super) fn sync(&self) -> Result<(), CheckpointError> {
        let db = self.db()?;
        guarded("flush", || db.flush())?;
        for entry in fs::read_dir(&self.dir).map_err(io_error("list", &self.dir))? {
            let entry = entry.map_err(io_error("list", &self.dir))?;
            let path = entry.path();
            if entry.file_type().map_err(io_error("examine", &path))?.is_file() {
                match File::open(&path).and_then(|file| file.sync_all()) {
                    // sled replaces its own snapshot file whenever it likes.
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        return Err(io_error("sync", &path)(error));
                    }
                    _ => {}
                }
            }
        }
        let blobs = self.dir.join("blobs");
        let has_blobs = fs::read_dir(&blobs).is_ok_and(|mut entries| entries.next().is_some());
        if has_blobs {
            return Err(CheckpointError::Damaged(format!(
                "sled put values into {}, which it never syncs",
                blobs.display()
            )));
        }
        sync_dir(&self.dir)
    }

    /// Closes the database; sled's threads end.
    pub(super) fn close(&mut self) {
        if let Some(db) = self.db.take()
            && catch_unwind(AssertUnwindSafe(|| drop(db))).is_err()
        {
            tracing::warn!("sled panicked while it was closed");
        }
        // sled's threads keep the files open for a moment longer.
        if let Err(error) = wait_unlocked(&self.dir) {
            tracing::warn!(%error, "sled does not let go of its files");
        }
    }
}

impl Drop for SledDb {
    fn drop(&mut self) {
        self.close();
    }
}

/// Items of the database, or why there are no more.
pub(super) struct Items(Option<sled::Iter>);

impl Iterator for Items {
    type Item = Result<(sled::IVec, sled::IVec), CheckpointError>;

    fn next(&mut self) -> Option<Self::Item> {
        let iter = self.0.as_mut()?;
        match guarded("read", || iter.next().transpose()) {
            Ok(item) => item.map(Ok),
            Err(error) => {
                self.0 = None;
                Some(Err(error))
            }
        }
    }
}

/// Waits, for a few seconds at most, until nobody has the database in `dir` open.
pub(crate) fn wait_unlocked(dir: &Path) -> Result<(), CheckpointError> {
    let file = dir.join("db");
    let deadline = Instant::now() + LOCK_WAIT;
    // What cannot be examined is for sled's own open to report.
    while is_locked(&file).unwrap_or(false) {
        if Instant::now() > deadline {
            return Err(CheckpointError::Locked(dir.to_owned()));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

fn sync_dir(dir: &Path) -> Result<(), CheckpointError> {
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(io_error("sync", dir))
}

/// Moves what is in the checkpoint's place to `<name>.damaged`, replacing what was moved there before.
pub(super) fn move_aside(dir: &Path) -> Result<(), CheckpointError> {
    let exists = fs::symlink_metadata(dir).is_ok();
    if !exists {
        return Ok(());
    }
    let mut aside = dir.as_os_str().to_owned();
    aside.push(".damaged");
    let aside = PathBuf::from(aside);
    remove(&aside)?;
    fs::rename(dir, &aside).map_err(io_error("move aside", dir))?;
    sync_dir(dir.parent().unwrap_or(Path::new(".")))
}

/// Removes a file or a folder with all it holds.
pub(crate) fn remove(path: &Path) -> Result<(), CheckpointError> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    };
    removed.map_err(io_error("remove", path))
}

/// Bytes the files in a folder take on disk, files in folders of it included.
pub(crate) fn folder_bytes(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let Ok(entries) = fs::read_dir(dir) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => folder_bytes(&entry.path()),
            Ok(metadata) => metadata.blocks() * 512,
            Err(_) => 0,
        })
        .sum()
}

//! Snapshot files: the whole state in one checksummed file, written beside its place and renamed into it.
//! `docs/snapshot-format.md` describes the bytes. The log is purged only up to what these files cover.

mod read;
mod write;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cfgstore_store::Store;
use thiserror::Error;

use crate::disk::{Disk, DiskFile};
use crate::error::Damage;
use crate::position::Position;
use crate::raft::types::StoredMembership;
use crate::wal::format::LogId;

pub(crate) use read::load;

/// First bytes of a snapshot file.
pub(crate) const MAGIC: [u8; 8] = *b"CFGSNAP\x1a";
/// Newest format this program reads, and the one it writes. Version 1 knows no alarms, version 2 neither rules nor changes.
pub(crate) const FORMAT_VERSION: u32 = 3;
/// Bytes of the header before the membership.
const HEADER_BYTES: usize = 112;
/// Bytes of a block before its items.
const BLOCK_HEADER_BYTES: usize = 20;
/// A block is closed once its items reach this size.
const BLOCK_BYTES: usize = 64 << 10;
const BLOCK_LEASES: u32 = 1;
const BLOCK_RECORDS: u32 = 2;
const BLOCK_END: u32 = 3;
const BLOCK_ALARMS: u32 = 4;
const BLOCK_RULES: u32 = 5;
const BLOCK_CHANGES: u32 = 6;

/// Newer snapshots kept beside the newest; the log is kept back to the oldest of them.
pub(crate) const KEPT: usize = 2;

/// Why a snapshot file cannot be used.
#[derive(Debug, Error)]
pub(crate) enum SnapshotError {
    #[error("cannot {action} {}: {source}", .path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("{} is not a cfgstore snapshot", .0.display())]
    Foreign(PathBuf),
    #[error("{} has snapshot format version {found}, this program reads up to {FORMAT_VERSION}: the newer version of cfgstore that wrote it can use it", .path.display())]
    Newer { path: PathBuf, found: u32 },
    #[error(transparent)]
    Damaged(Damage),
    #[error("{} belongs to cluster {found:016x}, not to {expected:016x}", .path.display())]
    OtherCluster {
        path: PathBuf,
        found: u64,
        expected: u64,
    },
}

/// A finished snapshot file, as openraft passes it around. It may be removed once [`KEPT`] newer ones exist.
#[derive(Clone, Debug, Default)]
pub(crate) struct SnapshotFile {
    pub(crate) path: PathBuf,
    pub(crate) size_bytes: u64,
    carried: Carried,
}

/// What a snapshot file holds.
pub(crate) type Loaded = (Store, LogId, StoredMembership);

/// What goes with a file on its way through openraft.
#[derive(Clone, Default)]
struct Carried {
    /// To be sent: open, so that its removal meanwhile does no harm.
    opened: Option<Arc<dyn DiskFile>>,
    /// Received: read back already.
    loaded: Arc<Mutex<Option<Loaded>>>,
}

impl fmt::Debug for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("..")
    }
}

impl SnapshotFile {
    fn new(path: PathBuf, size_bytes: u64) -> Self {
        Self {
            path,
            size_bytes,
            carried: Carried::default(),
        }
    }

    /// A file that has been received, is durable, and was read back.
    pub(crate) fn received(path: PathBuf, size_bytes: u64, loaded: Loaded) -> Self {
        let file = Self::new(path, size_bytes);
        *file.lock() = Some(loaded);
        file
    }

    fn lock(&self) -> MutexGuard<'_, Option<Loaded>> {
        // Nothing panics halfway through a change of it.
        self.carried.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a received file holds; the first caller gets it.
    pub(crate) fn take_loaded(&self) -> Option<Loaded> {
        self.lock().take()
    }

    /// The file, if it was opened to be sent.
    pub(crate) fn opened(&self) -> Option<Arc<dyn DiskFile>> {
        self.carried.opened.clone()
    }
}

/// A snapshot file and what it covers.
#[derive(Clone, Debug)]
pub(crate) struct SnapshotInfo {
    pub(crate) file: SnapshotFile,
    pub(crate) log_id: LogId,
    pub(crate) membership: Arc<StoredMembership>,
}

/// The folder of snapshot files. Clones share it.
#[derive(Clone)]
pub(crate) struct SnapshotDir {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    cluster_id: u64,
    /// Oldest first; at most [`KEPT`].
    files: Arc<Mutex<Vec<SnapshotInfo>>>,
    /// Held while a file is written: two who write the same snapshot would do it under the same name.
    writing: Arc<Mutex<()>>,
    /// A file of a newer format, and which.
    newer: Option<(PathBuf, u32)>,
}

fn file_name(log_id: LogId) -> String {
    format!("{:016x}-{:016x}.snap", log_id.index, log_id.term)
}

impl SnapshotDir {
    /// Opens the folder, creating it when it is missing. Files whose header cannot be used are named in the log and left
    /// alone.
    pub(crate) fn open(
        disk: Arc<dyn Disk>,
        dir: PathBuf,
        cluster_id: u64,
    ) -> Result<SnapshotDir, SnapshotError> {
        let io_error = |action| {
            let path = dir.clone();
            move |source| SnapshotError::Io { action, path, source }
        };
        disk.create_dir(&dir, true).map_err(io_error("create"))?;
        let mut files = Vec::new();
        let mut newer = None;
        for name in disk.list(&dir).map_err(io_error("list"))? {
            let path = dir.join(&name);
            if name.ends_with(".snap.tmp") {
                // Left by a crash while it was written.
                disk.remove(&path)
                    .map_err(io_error("remove the unfinished snapshot in"))?;
            } else if name.ends_with(".snap") {
                match read::read_info(&*disk, &path, cluster_id) {
                    Ok(info) => files.push(info),
                    Err(error) => {
                        tracing::error!(%error, "a snapshot cannot be used");
                        if let SnapshotError::Newer { path, found } = error {
                            newer = Some((path, found));
                        }
                    }
                }
            }
        }
        files.sort_by_key(|info| info.log_id);
        Ok(SnapshotDir {
            disk,
            dir,
            cluster_id,
            files: Arc::new(Mutex::new(files)),
            writing: Arc::default(),
            newer,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Vec<SnapshotInfo>> {
        // Nothing panics halfway through a change of it.
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All usable snapshots, oldest first.
    pub(crate) fn list(&self) -> Vec<SnapshotInfo> {
        self.lock().clone()
    }

    /// The newest usable snapshot.
    pub(crate) fn newest(&self) -> Option<SnapshotInfo> {
        self.lock().last().cloned()
    }

    /// A file that was there from the start and only a newer version can read, and its format.
    pub(crate) fn newer(&self) -> Option<&(PathBuf, u32)> {
        self.newer.as_ref()
    }

    /// The cluster whose snapshots these are.
    pub(crate) fn cluster_id(&self) -> u64 {
        self.cluster_id
    }

    /// Where the files are.
    pub(crate) fn disk(&self) -> &dyn Disk {
        &*self.disk
    }

    fn forget(&self, path: &Path) {
        self.lock().retain(|info| info.file.path != path);
    }

    /// Stops using a snapshot that turned out to be damaged; the file stays for inspection, under another name.
    pub(crate) fn set_aside(&self, path: &Path) {
        self.forget(path);
        let mut aside = path.as_os_str().to_owned();
        aside.push(".damaged");
        if let Err(error) = self
            .disk
            .rename(path, Path::new(&aside))
            .and_then(|()| self.disk.sync_dir(&self.dir))
        {
            tracing::warn!(file = %path.display(), %error, "cannot rename a damaged snapshot");
        }
    }

    /// Reads a whole file that another member could not use. If it is damaged here already, no attempt with it will ever
    /// do better: it is set aside, and a snapshot of `position` takes its place. Blocks.
    pub(crate) fn replace_if_damaged(&self, path: &Path, position: impl FnOnce() -> Position) {
        if !self.lock().iter().any(|info| info.file.path == path) {
            // A newer one has taken its place.
            return;
        }
        let Err(error) = load(&*self.disk, path, self.cluster_id) else {
            return;
        };
        tracing::error!(
            %error,
            "a snapshot that another member needs cannot be used any more; a new one is made from the state"
        );
        match error {
            // It may be read another time, by the next start if need be.
            SnapshotError::Io { .. } => self.forget(path),
            _ => self.set_aside(path),
        }
        if let Err(error) = self.write(&position()) {
            tracing::error!(%error, "writing a snapshot failed; it is tried again when one is needed");
        }
    }

    /// Writes a snapshot of the position, durable when this returns, and removes those beyond [`KEPT`]. A position
    /// without any applied entry has no snapshot. Blocks for as long as it takes; others may use the folder meanwhile, but
    /// not write.
    pub(crate) fn write(&self, position: &Position) -> Result<Option<SnapshotInfo>, SnapshotError> {
        let Some(log_id) = position.log_id else {
            return Ok(None);
        };
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(existing) = self.lock().iter().find(|info| info.log_id == log_id) {
            return Ok(Some(existing.clone()));
        }
        let path = self.dir.join(file_name(log_id));
        let size_bytes = write::write_file(&*self.disk, &self.dir, &path, self.cluster_id, position)
            .map_err(|source| SnapshotError::Io {
                action: "write",
                path: path.clone(),
                source,
            })?;
        let file = SnapshotFile::new(path, size_bytes);
        let info = SnapshotInfo {
            file,
            log_id,
            membership: position.membership.clone(),
        };
        self.add(info.clone());
        Ok(Some(info))
    }

    /// Takes note of a new file, and removes those beyond [`KEPT`].
    fn add(&self, info: SnapshotInfo) {
        let superseded = {
            let mut files = self.lock();
            files.push(info);
            files.sort_by_key(|info| info.log_id);
            let surplus = files.len().saturating_sub(KEPT);
            files.drain(..surplus).collect::<Vec<_>>()
        };
        for old in superseded {
            let removed = self
                .disk
                .remove(&old.file.path)
                .and_then(|()| self.disk.sync_dir(&self.dir));
            if let Err(error) = removed {
                tracing::warn!(file = %old.file.path.display(), %error, "cannot remove an old snapshot");
            }
        }
    }

    /// Where a file is put while it is received; removed by the next start if it is still there.
    pub(crate) fn incoming_path(&self, number: u64) -> PathBuf {
        self.dir.join(format!("incoming-{number}.snap.tmp"))
    }

    /// Gives a received file its place, durable when this returns. Blocks.
    pub(crate) fn adopt(
        &self,
        file: &SnapshotFile,
        log_id: LogId,
        membership: Arc<StoredMembership>,
    ) -> io::Result<()> {
        let path = self.dir.join(file_name(log_id));
        self.disk.rename(&file.path, &path)?;
        self.disk.sync_dir(&self.dir)?;
        self.lock().retain(|info| info.log_id != log_id);
        self.add(SnapshotInfo {
            file: SnapshotFile::new(path, file.size_bytes),
            log_id,
            membership,
        });
        Ok(())
    }

    /// The newest usable snapshot, opened to be sent.
    pub(crate) fn open_newest(&self) -> io::Result<Option<SnapshotInfo>> {
        while let Some(mut info) = self.newest() {
            match self.disk.open(&info.file.path) {
                Ok(file) => {
                    info.file.carried.opened = Some(file);
                    return Ok(Some(info));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    // Superseded in this moment, or removed by somebody else.
                    tracing::warn!(file = %info.file.path.display(), "a snapshot is gone");
                    self.forget(&info.file.path);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests;

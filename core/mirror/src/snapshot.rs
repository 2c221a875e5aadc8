//! One generation as a reader sees it.

use std::cmp::Ordering;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::encode::{Identity, Image, Item, items_of, overlay};
use crate::file::SnapshotFile;
use crate::format::{FLAG_RESTORED, Header, Record};
use crate::hash::hash;
use crate::sys::Content;
use crate::trust::Folder;
use crate::{PublishError, ReadError};

/// One key and its value, borrowed from a snapshot's mapping, or from the caller's memory when it is to be published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The key.
    pub key: &'a [u8],
    /// The value.
    pub value: &'a [u8],
    /// The revision at which the key came into being.
    pub create_revision: i64,
    /// The revision of the key's last change. Within one [`Snapshot::source_id`], an equal `mod_revision` means an equal value.
    pub mod_revision: i64,
    /// How many times the key was written since it came into being, from 1.
    pub version: i64,
}

/// One generation: every key at one revision. Immutable, and valid as long as it is held, whatever the publisher does.
///
/// It may be shared between threads, and is inherited by forked children as it is. Dropping the last `Arc` unmaps it.
#[derive(Debug)]
pub struct Snapshot {
    base: Arc<SnapshotFile>,
    delta: Option<Arc<SnapshotFile>>,
}

/// The path of a generation's file.
pub(crate) fn generation_path(dir: &Path, generation: u64) -> PathBuf {
    dir.join(format!("{generation}.snap"))
}

/// A file of the mirror `mirror_id` that must be of this generation.
fn open_generation(folder: &Folder, mirror_id: u64, generation: u64) -> Result<SnapshotFile, ReadError> {
    let path = generation_path(&folder.path, generation);
    let file = SnapshotFile::open(&path, Some(folder.owner)).map_err(|error| match error {
        ReadError::NotFound { path } => ReadError::Missing { path },
        other => other,
    })?;
    check_identity(&file, mirror_id, generation)?;
    Ok(file)
}

/// The same from a copy of it, if it is whole and of this generation. If not, the file tells what is wrong, if anything is.
fn take_copy(copy: Content, folder: &Folder, mirror_id: u64, generation: u64) -> Option<SnapshotFile> {
    let file = SnapshotFile::validate(copy, &generation_path(&folder.path, generation)).ok()?;
    check_identity(&file, mirror_id, generation).ok()?;
    Some(file)
}

fn check_identity(file: &SnapshotFile, mirror_id: u64, generation: u64) -> Result<(), ReadError> {
    let header = file.header();
    if header.mirror_id != mirror_id {
        return Err(ReadError::damaged(
            file.path(),
            32,
            "it belongs to another mirror",
        ));
    }
    if header.generation != generation {
        return Err(ReadError::damaged(file.path(), 48, "it is of another generation"));
    }
    Ok(())
}

impl Snapshot {
    /// Opens one generation of a mirror, or takes `copy` if that is of its file. A base that `held` already maps is shared, not mapped again.
    pub(crate) fn open_generation(
        folder: &Folder,
        mirror_id: u64,
        generation: u64,
        copy: Option<Content>,
        held: Option<&Snapshot>,
    ) -> Result<Snapshot, ReadError> {
        let file = match copy.and_then(|copy| take_copy(copy, folder, mirror_id, generation)) {
            Some(file) => file,
            None => open_generation(folder, mirror_id, generation)?,
        };
        Self::complete(folder, file, held)
    }

    /// Takes a file of the mirror's current or coming generation and finds its base.
    pub(crate) fn complete(
        folder: &Folder,
        file: SnapshotFile,
        held: Option<&Snapshot>,
    ) -> Result<Snapshot, ReadError> {
        let Header {
            mirror_id,
            base_generation,
            base_check,
            ..
        } = *file.header();
        if !file.header().is_delta() {
            return Ok(Snapshot {
                base: Arc::new(file),
                delta: None,
            });
        }
        let held = held.map(|snapshot| &snapshot.base).filter(|base| {
            base.header().mirror_id == mirror_id && base.header().generation == base_generation
        });
        let base = match held {
            Some(base) => base.clone(),
            None => Arc::new(open_generation(folder, mirror_id, base_generation)?),
        };
        if base.header().is_delta() || base.header().check() != base_check {
            return Err(ReadError::damaged(
                file.path(),
                112,
                "the base is not the one it was made for",
            ));
        }
        Ok(Snapshot {
            base,
            delta: Some(Arc::new(file)),
        })
    }

    /// Opens a self-contained file: the last copy that [`Snapshot::save_to`] left on disk.
    ///
    /// # Errors
    /// [`ReadError`]; besides damage also `Untrusted` when others than the file's owner may write to it.
    pub fn open_file(path: &Path) -> Result<Snapshot, ReadError> {
        let file = SnapshotFile::open(path, None)?;
        if file.header().is_delta() {
            return Err(ReadError::damaged(
                path,
                16,
                "a delta is not complete without its base",
            ));
        }
        Ok(Snapshot {
            base: Arc::new(file),
            delta: None,
        })
    }

    pub(crate) fn newest(&self) -> &SnapshotFile {
        self.delta.as_ref().unwrap_or(&self.base)
    }

    pub(crate) fn base(&self) -> &SnapshotFile {
        &self.base
    }

    pub(crate) fn delta(&self) -> Option<&SnapshotFile> {
        self.delta.as_deref()
    }

    /// Names the mirror: drawn at random when its control page is made. Generations are comparable within one mirror only.
    pub fn mirror_id(&self) -> u64 {
        self.newest().header().mirror_id
    }

    /// The number of this generation, from 1.
    pub fn generation(&self) -> u64 {
        self.newest().header().generation
    }

    /// The generation whose file holds all keys; equal to [`Snapshot::generation`] unless this generation is a delta.
    pub fn base_generation(&self) -> u64 {
        self.newest().header().base_generation
    }

    /// The store revision that this generation shows.
    pub fn revision(&self) -> i64 {
        self.newest().header().revision
    }

    /// Names the store whose revisions these are (the cluster id). When it changes, whatever was cached by `mod_revision`
    /// is void.
    pub fn source_id(&self) -> u64 {
        self.newest().header().source_id
    }

    /// When the publisher wrote this generation, in milliseconds since the Unix epoch.
    pub fn published_unix_ms(&self) -> u64 {
        self.newest().header().published_unix_ms
    }

    /// Whether the content comes from the last copy on disk and no member has confirmed it yet.
    pub fn is_restored(&self) -> bool {
        self.newest().header().flags & FLAG_RESTORED != 0
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.newest().header().live_count as usize
    }

    /// Whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The size of this generation's files together, in bytes: the address space it takes, not the memory touched.
    pub fn size_bytes(&self) -> u64 {
        self.base.header().file_size + self.delta().map_or(0, |delta| delta.header().file_size)
    }

    /// Where the live entry of `key` is: in which file, its record and its key.
    #[inline]
    #[allow(
        clippy::type_complexity,
        reason = "the three are taken apart at once, here below"
    )]
    fn find(&self, key: &[u8]) -> Result<Option<(&SnapshotFile, Record, &[u8])>, ReadError> {
        let hash = hash(key);
        if let Some(delta) = &self.delta
            && let Some((record, key)) = delta.find(hash, key)?
        {
            return Ok((!record.is_tombstone()).then_some((delta, record, key)));
        }
        Ok(self
            .base
            .find(hash, key)?
            .map(|(record, key)| (&*self.base, record, key)))
    }

    /// The entry of `key`, or `None`. Allocates nothing and makes no system call. The value's checksum is verified when the
    /// value is first read through this snapshot or another one on the same base.
    ///
    /// # Errors
    /// `Damaged` if the value does not match its checksum. Other keys stay readable.
    #[inline]
    pub fn get(&self, key: &[u8]) -> Result<Option<Entry<'_>>, ReadError> {
        match self.find(key)? {
            Some((file, record, key)) => entry_of(file, &record, key).map(Some),
            None => Ok(None),
        }
    }

    /// Whether `key` exists; touches no value.
    #[inline]
    pub fn contains(&self, key: &[u8]) -> Result<bool, ReadError> {
        Ok(self.find(key)?.is_some())
    }

    /// The entries whose key starts with `prefix`, in key order (bytewise).
    pub fn iter_prefix<'a>(&'a self, prefix: &'a [u8]) -> Entries<'a> {
        Entries {
            prefix,
            base: Cursor::new(&self.base, prefix),
            delta: self.delta().map(|delta| Cursor::new(delta, prefix)),
        }
    }

    /// All entries, in key order.
    pub fn iter(&self) -> Entries<'_> {
        self.iter_prefix(b"")
    }

    /// All live items, in key order; values are not verified.
    pub(crate) fn items(&self) -> Result<Vec<Item<'_>>, ReadError> {
        let mut items = Vec::with_capacity(self.len());
        for item in overlay(items_of(&self.base), self.delta().into_iter().flat_map(items_of)) {
            items.extend(Some(item?).filter(|item| !item.is_tombstone));
        }
        Ok(items)
    }

    /// Writes this generation as one self-contained file of mode 0640, durably: temporary file beside it, fsync, rename,
    /// fsync of the folder. Until the rename, and if anything fails, a former file stays as it was. Verifies every value.
    ///
    /// Takes as long as the disk needs; may run on any thread, since a snapshot is immutable.
    pub fn save_to(&self, path: &Path) -> Result<(), PublishError> {
        for entry in self.iter() {
            entry?;
        }
        let items = self.items()?;
        let newest = self.newest().header();
        let identity = Identity {
            flags: newest.flags & FLAG_RESTORED,
            live_count: newest.live_count,
            mirror_id: newest.mirror_id,
            source_id: newest.source_id,
            generation: newest.generation,
            base_generation: newest.generation,
            base_check: 0,
            revision: newest.revision,
            published_unix_ms: newest.published_unix_ms,
        };
        let image = Image::new(identity, &items, u64::MAX)?;
        let parent = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        let mut temporary = OsString::from(path);
        temporary.push(".tmp");
        let temporary = PathBuf::from(temporary);
        let result = write_durably(&image, &temporary, path, parent);
        if result.is_err() {
            // Nothing more can be done about a file that cannot be removed either; the next save removes it first.
            let _ = std::fs::remove_file(&temporary);
        }
        result
    }
}

fn write_durably(
    image: &Image<'_>,
    temporary: &Path,
    path: &Path,
    parent: &Path,
) -> Result<(), PublishError> {
    match std::fs::remove_file(temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(PublishError::io(temporary, "remove", error));
        }
        _ => {}
    }
    let created = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o640)
        .open(temporary);
    let mut file = created.map_err(|error| PublishError::io(temporary, "create", error))?;
    image.write_to(&mut file, parent)?;
    file.sync_all()
        .map_err(|error| PublishError::io(temporary, "fsync", error))?;
    std::fs::rename(temporary, path).map_err(|error| PublishError::io(path, "rename to", error))?;
    let synced = File::open(parent).and_then(|folder| folder.sync_all());
    synced.map_err(|error| PublishError::io(parent, "fsync", error))
}

#[inline]
fn entry_of<'a>(file: &'a SnapshotFile, record: &Record, key: &'a [u8]) -> Result<Entry<'a>, ReadError> {
    Ok(Entry {
        key,
        value: file.value(record)?,
        create_revision: record.create_revision,
        mod_revision: record.mod_revision,
        version: record.version,
    })
}

/// A place in one file's sorted entries. An error in the tables ends it.
#[derive(Debug)]
struct Cursor<'a> {
    file: &'a SnapshotFile,
    next: u32,
    failed: Option<ReadError>,
}

impl<'a> Cursor<'a> {
    fn new(file: &'a SnapshotFile, prefix: &[u8]) -> Self {
        match file.lower_bound(prefix) {
            Ok(next) => Cursor {
                file,
                next,
                failed: None,
            },
            Err(error) => Cursor {
                file,
                next: file.header().entry_count,
                failed: Some(error),
            },
        }
    }

    /// The record and key at this place, if the key has `prefix`.
    fn peek(&mut self, prefix: &[u8]) -> Result<Option<(Record, &'a [u8])>, ReadError> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        if self.next >= self.file.header().entry_count {
            return Ok(None);
        }
        match self.file.record(self.next) {
            Ok(found) => Ok(Some(found).filter(|(_, key)| key.starts_with(prefix))),
            Err(error) => {
                self.next = self.file.header().entry_count;
                Err(error)
            }
        }
    }

    /// The entry that was peeked at.
    fn take(&mut self, (record, key): (Record, &'a [u8])) -> Result<Entry<'a>, ReadError> {
        self.next += 1;
        entry_of(self.file, &record, key)
    }
}

/// Iterator over a snapshot's entries in key order. A damaged value is an `Err` item; the iteration may go on after it.
#[derive(Debug)]
pub struct Entries<'a> {
    prefix: &'a [u8],
    base: Cursor<'a>,
    delta: Option<Cursor<'a>>,
}

impl<'a> Entries<'a> {
    fn advance(&mut self) -> Result<Option<Entry<'a>>, ReadError> {
        loop {
            let base = self.base.peek(self.prefix)?;
            let delta = match &mut self.delta {
                Some(delta) => delta.peek(self.prefix)?.map(|found| (delta, found)),
                None => None,
            };
            let Some((delta, found)) = delta else {
                return base.map(|found| self.base.take(found)).transpose();
            };
            match base
                .as_ref()
                .map_or(Ordering::Greater, |(_, key)| (*key).cmp(found.1))
            {
                Ordering::Less => return base.map(|found| self.base.take(found)).transpose(),
                Ordering::Equal => self.base.next += 1,
                Ordering::Greater => {}
            }
            if found.0.is_tombstone() {
                delta.next += 1;
            } else {
                return delta.take(found).map(Some);
            }
        }
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Entry<'a>, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.advance().transpose()
    }
}

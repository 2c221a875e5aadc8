//! A simulated disk that forgets what was not synced: power is cut by [`SimDisk::crash`], which keeps an arbitrary part
//! of unsynced writes, sector by sector, and of unsynced changes of folders.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use rand::Rng;
use rand::rngs::StdRng;

use super::{Disk, DiskFile};

const SECTOR: usize = 512;

/// How much of what was not synced survives a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Survival {
    /// Nothing.
    Nothing,
    /// Everything (a killed process, not a power cut).
    Everything,
    /// Everything up to some write, and part of that.
    Prefix,
    /// Each sector and each change of a folder by the toss of a coin.
    Coins,
}

#[derive(Clone, Debug)]
enum Write {
    Bytes { offset: usize, bytes: Vec<u8> },
    Length(usize),
}

/// What a file holds, as seen by the process, and as it would be found after a crash that keeps nothing unsynced.
#[derive(Debug, Default)]
struct Inode {
    content: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Write>,
}

#[derive(Clone, Debug)]
enum NameChange {
    Set(PathBuf, usize),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf, usize),
}

/// The operations counted for cut points and faults.
#[derive(Default)]
struct State {
    inodes: Vec<Inode>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    unsynced_names: Vec<NameChange>,
    operations: u64,
    /// Power goes off before this operation.
    cut_at: Option<u64>,
    /// This operation fails with an I/O error.
    fail_at: Option<u64>,
    capacity: Option<usize>,
}

/// The disk. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct SimDisk(Arc<Mutex<State>>);

fn apply(content: &mut Vec<u8>, write: &Write) {
    match write {
        Write::Bytes { offset, bytes } => {
            if content.len() < offset + bytes.len() {
                content.resize(offset + bytes.len(), 0);
            }
            content[*offset..offset + bytes.len()].copy_from_slice(bytes);
        }
        Write::Length(len) => {
            if content.len() < *len {
                content.resize(*len, 0);
            }
        }
    }
}

/// The sectors of a write as writes of their own.
fn sectors(write: &Write) -> Vec<Write> {
    let Write::Bytes { offset, bytes } = write else {
        return vec![write.clone()];
    };
    let mut parts = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let end = ((offset + at) / SECTOR + 1) * SECTOR - offset;
        let end = end.min(bytes.len());
        parts.push(Write::Bytes {
            offset: offset + at,
            bytes: bytes[at..end].to_vec(),
        });
        at = end;
    }
    parts
}

impl State {
    /// Counts an operation; fails when power is off or a fault is due.
    fn operation(&mut self) -> io::Result<()> {
        self.operations += 1;
        if self.cut_at.is_some_and(|cut| self.operations >= cut) {
            return Err(io::Error::other("power is off"));
        }
        if self.fail_at == Some(self.operations) {
            return Err(io::Error::other("simulated I/O error"));
        }
        Ok(())
    }

    fn used(&self) -> usize {
        self.names
            .values()
            .map(|inode| self.inodes[*inode].content.len())
            .sum()
    }

    fn write(&mut self, inode: usize, write: Write) -> io::Result<()> {
        self.operation()?;
        let end = match &write {
            Write::Bytes { offset, bytes } => offset + bytes.len(),
            Write::Length(len) => *len,
        };
        let growth = end.saturating_sub(self.inodes[inode].content.len());
        if self
            .capacity
            .is_some_and(|capacity| self.used() + growth > capacity)
        {
            return Err(io::ErrorKind::StorageFull.into());
        }
        apply(&mut self.inodes[inode].content, &write);
        self.inodes[inode].unsynced.push(write);
        Ok(())
    }

    fn change_names(&mut self, change: NameChange) {
        change_names(&mut self.names, &change);
        self.unsynced_names.push(change);
    }
}

fn change_names(names: &mut BTreeMap<PathBuf, usize>, change: &NameChange) {
    match change {
        NameChange::Set(path, inode) => {
            names.insert(path.clone(), *inode);
        }
        NameChange::Remove(path) => {
            names.remove(path);
        }
        NameChange::Rename(from, to, inode) => {
            names.remove(from);
            names.insert(to.clone(), *inode);
        }
    }
}

impl SimDisk {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Writes, syncs and changes of folders so far.
    pub(crate) fn operations(&self) -> u64 {
        self.lock().operations
    }

    /// Power goes off before the operation with this number, counted from the disk's beginning.
    pub(crate) fn cut_at(&self, operation: u64) {
        self.lock().cut_at = Some(operation);
    }

    /// Whether power has gone off.
    pub(crate) fn is_cut(&self) -> bool {
        let state = self.lock();
        state.cut_at.is_some_and(|cut| state.operations >= cut)
    }

    /// The operation with this number fails.
    pub(crate) fn fail_at(&self, operation: u64) {
        self.lock().fail_at = Some(operation);
    }

    /// Files may not grow beyond this many bytes together.
    pub(crate) fn set_capacity(&self, bytes: Option<usize>) {
        self.lock().capacity = bytes;
    }

    /// The disk as the next process finds it when only the process ended: everything is there, but what was not synced
    /// still is not.
    pub(crate) fn kill(&self) -> SimDisk {
        let state = self.lock();
        let copy = |inode: &Inode| Inode {
            content: inode.content.clone(),
            durable: inode.durable.clone(),
            unsynced: inode.unsynced.clone(),
        };
        let state = State {
            inodes: state.inodes.iter().map(copy).collect(),
            names: state.names.clone(),
            durable_names: state.durable_names.clone(),
            unsynced_names: state.unsynced_names.clone(),
            ..State::default()
        };
        SimDisk(Arc::new(Mutex::new(state)))
    }

    /// The disk as the next process finds it after power was cut.
    pub(crate) fn crash(&self, survival: Survival, rng: &mut StdRng) -> SimDisk {
        let state = self.lock();
        let mut inodes = Vec::new();
        for inode in &state.inodes {
            let mut content = inode.durable.clone();
            let parts: Vec<Write> = inode.unsynced.iter().flat_map(sectors).collect();
            let prefix = rng.random_range(0..=parts.len());
            for (position, part) in parts.iter().enumerate() {
                let kept = match survival {
                    Survival::Nothing => false,
                    Survival::Everything => true,
                    Survival::Prefix => position < prefix,
                    Survival::Coins => rng.random(),
                };
                if kept {
                    apply(&mut content, part);
                }
            }
            inodes.push(Inode {
                durable: content.clone(),
                content,
                unsynced: Vec::new(),
            });
        }
        let mut names = state.durable_names.clone();
        let prefix = rng.random_range(0..=state.unsynced_names.len());
        for (position, change) in state.unsynced_names.iter().enumerate() {
            let kept = match survival {
                Survival::Nothing => false,
                Survival::Everything => true,
                Survival::Prefix => position < prefix,
                Survival::Coins => rng.random(),
            };
            if kept {
                change_names(&mut names, change);
            }
        }
        let state = State {
            inodes,
            durable_names: names.clone(),
            names,
            ..State::default()
        };
        SimDisk(Arc::new(Mutex::new(state)))
    }

    /// Bytes of all files.
    pub(crate) fn used(&self) -> usize {
        self.lock().used()
    }

    /// The next log segment is prepared, whole and synced.
    pub(crate) fn has_spare(&self) -> bool {
        let state = self.lock();
        let spare = state
            .names
            .iter()
            .find(|(path, _)| path.extension().is_some_and(|extension| extension == "tmp"));
        spare.is_some_and(|(_, inode)| !state.inodes[*inode].durable.is_empty())
    }

    /// Content of a file, for tests that damage it.
    pub(crate) fn content(&self, path: &Path) -> Vec<u8> {
        let state = self.lock();
        state.inodes[state.names[path]].content.clone()
    }

    /// Replaces the content of a file, durably.
    pub(crate) fn set_content(&self, path: &Path, content: Vec<u8>) {
        let mut state = self.lock();
        let inode = match state.names.get(path) {
            Some(inode) => *inode,
            None => {
                state.inodes.push(Inode::default());
                let inode = state.inodes.len() - 1;
                state.names.insert(path.to_owned(), inode);
                state.durable_names.insert(path.to_owned(), inode);
                inode
            }
        };
        state.inodes[inode] = Inode {
            durable: content.clone(),
            content,
            unsynced: Vec::new(),
        };
    }
}

struct SimFile {
    disk: SimDisk,
    inode: usize,
}

impl Disk for SimDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.lock();
        state.operation()?;
        if state.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        state.inodes.push(Inode::default());
        let inode = state.inodes.len() - 1;
        state.change_names(NameChange::Set(path.to_owned(), inode));
        Ok(Arc::new(SimFile {
            disk: self.clone(),
            inode,
        }))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let inode = *self.lock().names.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(SimFile {
            disk: self.clone(),
            inode,
        }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let state = self.lock();
        let inside = state.names.keys().filter(|path| path.parent() == Some(dir));
        Ok(inside
            .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
            .collect())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.operation()?;
        let inode = *state.names.get(from).ok_or(io::ErrorKind::NotFound)?;
        state.change_names(NameChange::Rename(from.to_owned(), to.to_owned(), inode));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        if !state.names.contains_key(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.operation()?;
        state.change_names(NameChange::Remove(path.to_owned()));
        Ok(())
    }

    fn create_dir(&self, _dir: &Path, _private: bool) -> io::Result<()> {
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.operation()?;
        let (synced, kept): (Vec<_>, Vec<_>) = std::mem::take(&mut state.unsynced_names)
            .into_iter()
            .partition(|change| {
                let (NameChange::Set(path, _) | NameChange::Remove(path) | NameChange::Rename(_, path, _)) =
                    change;
                path.parent() == Some(dir)
            });
        for change in &synced {
            change_names(&mut state.durable_names, change);
        }
        state.unsynced_names = kept;
        Ok(())
    }
}

impl DiskFile for SimFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.disk.lock();
        let rest = state.inodes[self.inode]
            .content
            .get(offset as usize..)
            .unwrap_or(&[]);
        let n = rest.len().min(buffer.len());
        buffer[..n].copy_from_slice(&rest[..n]);
        Ok(n)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.disk.lock().write(
            self.inode,
            Write::Bytes {
                offset: offset as usize,
                bytes: bytes.to_vec(),
            },
        )
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.lock();
        state.operation()?;
        let inode = &mut state.inodes[self.inode];
        inode.unsynced.clear();
        inode.durable.clone_from(&inode.content);
        Ok(())
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.disk.lock().write(self.inode, Write::Length(len as usize))
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.lock().inodes[self.inode].content.len() as u64)
    }
}

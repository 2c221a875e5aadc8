//! The checkpoint: the state in a sled database, kept up to date in the background with what changed.
//!
//! It makes starts fast, and it is never the only copy: the log is purged only up to a snapshot file. So whatever goes
//! wrong with it (an error, a panic inside sled, a wrong checksum) costs time at the next start, not data: it is moved
//! aside and built anew.

mod extra;
pub(crate) mod format;
mod load;
mod pages;
mod sled_db;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cfgstore_store::{StateHeader, codec};
use thiserror::Error;

use crate::disk::is_out_of_space;
use crate::position::Position;
use crate::wal::format::LogId;
use crate::wal::log::Owner;
use format::{
    ITEM_PREFIX_BYTES, MANIFEST_KEY, Manifest, PART_BYTES, item_hash, lease_key, put_item, record_key, seal,
};
use pages::Pages;
use sled_db::{Changes, SledDb};

pub(crate) use load::load;
pub(crate) use sled_db::{folder_bytes, remove, wait_unlocked};

/// Why the checkpoint cannot be used.
#[derive(Debug, Error)]
pub(crate) enum CheckpointError {
    #[error("sled failed to {action}: {source}")]
    Sled {
        action: &'static str,
        source: sled::Error,
    },
    #[error("the checkpoint is closed")]
    Closed,
    #[error("sled panicked while it was to {0}")]
    Panicked(&'static str),
    #[error("the checkpoint is damaged: {0}")]
    Damaged(String),
    #[error("the checkpoint in {} is in use by another process", .0.display())]
    Locked(PathBuf),
    #[error("the checkpoint was written by a newer version (format {0})")]
    Newer(u32),
    #[error("the checkpoint belongs to another member or cluster")]
    OtherMember,
    #[error("cannot {action} {}: {source}", .path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        source: std::io::Error,
    },
}

impl CheckpointError {
    /// The disk is full; what the checkpoint takes there is better given back.
    pub(crate) fn is_out_of_space(&self) -> bool {
        match self {
            CheckpointError::Sled {
                source: sled::Error::Io(source),
                ..
            }
            | CheckpointError::Io { source, .. } => is_out_of_space(source),
            _ => false,
        }
    }
}

/// Changes above this size are written as several batches, between two manifests.
const BATCH_BYTES: usize = 4 << 20;
/// sled does not shrink; when its files exceed live data by this factor and this many bytes, they are built anew.
const REBUILD_FACTOR: u64 = 4;
const REBUILD_MIN_BYTES: u64 = if cfg!(test) { 8 << 20 } else { 64 << 20 };

/// An open checkpoint.
pub(crate) struct Checkpoint {
    dir: PathBuf,
    owner: Owner,
    db: SledDb,
    /// What sled holds; `None` for nothing usable yet.
    held: Option<Held>,
}

/// What of the state sled holds.
struct Held {
    state: StateHeader,
    log_id: Option<LogId>,
    leases: BTreeMap<i64, i64>,
    /// Places of the changes, ascending; `None` when it is not known which there are.
    changes: Option<Vec<(i64, u32)>>,
    items: u64,
    sum: u64,
    /// Bytes of keys and values.
    bytes: u64,
}

impl Checkpoint {
    /// An empty one in a fresh folder. What is in the folder's place is moved aside.
    pub(crate) fn create(dir: &Path, owner: Owner) -> Result<Checkpoint, CheckpointError> {
        sled_db::move_aside(dir)?;
        let db = SledDb::open(dir)?;
        Ok(Checkpoint {
            dir: dir.to_owned(),
            owner,
            db,
            held: None,
        })
    }

    /// The one in the folder, without reading what it holds; `None` when there is none. `state` is the one it is to be
    /// brought up to.
    pub(crate) fn attach(
        dir: &Path,
        owner: Owner,
        state: &cfgstore_store::State,
    ) -> Result<Option<Checkpoint>, CheckpointError> {
        load::attach(dir, owner, state)
    }

    /// Last entry it holds the effect of.
    pub(crate) fn log_id(&self) -> Option<LogId> {
        self.held.as_ref().and_then(|held| held.log_id)
    }

    /// Bytes of the keys and values it holds.
    pub(crate) fn held_bytes(&self) -> u64 {
        self.held.as_ref().map_or(0, |held| held.bytes)
    }

    /// Bytes on disk.
    pub(crate) fn disk_bytes(&self) -> u64 {
        sled_db::folder_bytes(&self.dir)
    }

    /// Brings the checkpoint to the position; durable when this returns. Blocks. After an error it must be recreated.
    pub(crate) fn update(&mut self, position: &Position) -> Result<(), CheckpointError> {
        if self
            .held
            .as_ref()
            .is_some_and(|held| held.log_id == position.log_id)
        {
            return Ok(());
        }
        if self.is_bloated() {
            tracing::info!(
                bytes = self.disk_bytes(),
                "the checkpoint has outgrown its content and is built anew"
            );
            self.db.close();
            sled_db::remove(&self.dir)?;
            self.db = SledDb::open(&self.dir)?;
            self.held = None;
        }
        let mut writer = Update::new(&self.db, self.owner, self.held.take(), position);
        writer.leases()?;
        writer.remove_compacted()?;
        writer.add_records()?;
        writer.rules()?;
        writer.changes()?;
        let held = writer.finish()?;
        self.db.sync()?;
        self.held = Some(held);
        Ok(())
    }

    fn is_bloated(&self) -> bool {
        let Some(held) = &self.held else { return false };
        let disk = self.disk_bytes();
        disk > REBUILD_MIN_BYTES && disk > REBUILD_FACTOR * held.bytes
    }

    /// Closes sled.
    pub(crate) fn close(mut self) {
        self.db.close();
    }
}

/// One update: collects changes, and keeps count and sum of what sled will hold.
struct Update<'a> {
    db: &'a SledDb,
    owner: Owner,
    position: &'a Position,
    old: Option<StateHeader>,
    held: Held,
    batch: Changes,
    /// A first part is written already, so the manifest on disk says "incomplete".
    split: bool,
}

impl<'a> Update<'a> {
    fn new(db: &'a SledDb, owner: Owner, held: Option<Held>, position: &'a Position) -> Self {
        let old = held.as_ref().map(|held| held.state);
        let state = StateHeader::of(&position.state);
        let held = Held {
            state,
            log_id: position.log_id,
            ..held.unwrap_or(Held {
                state,
                log_id: None,
                leases: BTreeMap::new(),
                changes: Some(Vec::new()),
                items: 0,
                sum: 0,
                bytes: 0,
            })
        };
        Update {
            db,
            owner,
            position,
            old,
            held,
            batch: Changes::default(),
            split: false,
        }
    }

    fn insert(&mut self, key: &[u8], content: &[u8]) -> Result<(), CheckpointError> {
        let value = seal(key, content);
        self.held.items += 1;
        self.held.sum = self.held.sum.wrapping_add(item_hash(&value));
        self.held.bytes += (key.len() + value.len()) as u64;
        self.batch.insert(key, value);
        self.flush_if_large()
    }

    fn remove(&mut self, key: &[u8], value: &[u8]) -> Result<(), CheckpointError> {
        self.held.items -= 1;
        self.held.sum = self.held.sum.wrapping_sub(item_hash(value));
        self.held.bytes = self.held.bytes.saturating_sub((key.len() + value.len()) as u64);
        self.batch.remove(key);
        self.flush_if_large()
    }

    fn flush_if_large(&mut self) -> Result<(), CheckpointError> {
        if self.batch.size_bytes() < BATCH_BYTES {
            return Ok(());
        }
        // From here until the last batch the manifest says that the checkpoint must not be used.
        let manifest = self.manifest(true);
        let mut batch = std::mem::take(&mut self.batch);
        batch.insert(MANIFEST_KEY, manifest);
        self.split = true;
        self.db.apply(batch)
    }

    fn manifest(&self, incomplete: bool) -> Vec<u8> {
        let manifest = Manifest {
            owner: self.owner,
            incomplete,
            log_id: self.held.log_id,
            state: self.held.state,
            membership: (*self.position.membership).clone(),
            items: self.held.items,
            sum: self.held.sum,
            alarms: self.position.state.alarms().to_vec(),
        };
        manifest.encode()
    }

    fn leases(&mut self) -> Result<(), CheckpointError> {
        let mut gone = std::mem::take(&mut self.held.leases);
        let mut kept = BTreeMap::new();
        let mut bytes = Vec::new();
        for lease in self.position.state.leases() {
            kept.insert(lease.id, lease.ttl_secs);
            let key = lease_key(lease.id);
            match gone.remove(&lease.id) {
                Some(ttl_secs) if ttl_secs == lease.ttl_secs => continue,
                // The id was revoked and granted again.
                Some(_) => self.remove_present(&key)?,
                None => {}
            }
            bytes.clear();
            codec::encode_lease(lease, &mut bytes);
            self.insert(&key, &bytes)?;
        }
        for id in gone.into_keys() {
            self.remove_present(&lease_key(id))?;
        }
        self.held.leases = kept;
        Ok(())
    }

    fn remove_present(&mut self, key: &[u8]) -> Result<(), CheckpointError> {
        let value = self.db.get(key)?;
        let value = value.ok_or_else(|| CheckpointError::Damaged("an item is missing".to_owned()))?;
        self.remove(key, &value)
    }

    /// Only a compaction drops records. What is left of a page keeps the page's key.
    fn remove_compacted(&mut self) -> Result<(), CheckpointError> {
        let Some(old) = self
            .old
            .filter(|old| old.compact_revision != self.held.state.compact_revision)
        else {
            return Ok(());
        };
        let mut kept = self
            .position
            .state
            .records_in_seq_order()
            .map(|record| record.seq())
            .peekable();
        let mut is_kept = |seq: u64| {
            while kept.next_if(|kept| *kept < seq).is_some() {}
            kept.peek() == Some(&seq)
        };
        for page in Pages::new(self.db.records()) {
            let page = page?;
            if page.seq >= old.next_seq {
                break;
            }
            let mut left = Vec::with_capacity(page.bytes.len());
            for record in page.records() {
                let (record, bytes) = record?;
                if is_kept(record.meta.seq) {
                    put_item(&mut left, bytes);
                }
            }
            if left.len() == page.bytes.len() {
                continue;
            }
            for (key, value) in &page.parts {
                self.remove(key, value)?;
            }
            self.insert_page(page.seq, &left)?;
        }
        Ok(())
    }

    fn add_records(&mut self) -> Result<(), CheckpointError> {
        let since = self.old.map_or(0, |old| old.next_seq);
        let (mut page, mut page_seq, mut bytes) = (Vec::new(), 0, Vec::new());
        for record in self.position.state.records_since(since) {
            bytes.clear();
            codec::encode_record(&record, &mut bytes);
            if page.len() + ITEM_PREFIX_BYTES + bytes.len() > PART_BYTES {
                self.insert_page(page_seq, &page)?;
                page.clear();
            }
            if page.is_empty() {
                page_seq = record.seq();
            }
            put_item(&mut page, &bytes);
        }
        self.insert_page(page_seq, &page)
    }

    /// Nothing is written for a page without records.
    fn insert_page(&mut self, seq: u64, bytes: &[u8]) -> Result<(), CheckpointError> {
        for (part, content) in bytes.chunks(PART_BYTES).enumerate() {
            self.insert(&record_key(seq, part as u32), content)?;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Held, CheckpointError> {
        let manifest = self.manifest(false);
        let mut batch = std::mem::take(&mut self.batch);
        if self.split {
            // The parts must be on disk before the manifest says that they are complete.
            self.db.sync()?;
        }
        batch.insert(MANIFEST_KEY, manifest);
        self.db.apply(batch)?;
        Ok(self.held)
    }
}

#[cfg(test)]
mod tests;

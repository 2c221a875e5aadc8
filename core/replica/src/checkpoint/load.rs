//! Loading the checkpoint: everything in it is checked before anything of it is believed.

use std::collections::BTreeMap;
use std::path::Path;

use cfgstore_store::{StateLoader, Store, codec};

use super::format::{LEASE_PREFIX, MANIFEST_KEY, Manifest, ManifestError, item_hash, unseal};
use super::pages::{Page, Pages};
use super::sled_db::SledDb;
use super::{Checkpoint, CheckpointError, Held};
use crate::raft::types::StoredMembership;
use crate::wal::format::LogId;
use crate::wal::log::Owner;

/// What a valid checkpoint holds.
pub(crate) struct Loaded {
    pub(crate) checkpoint: Checkpoint,
    pub(crate) store: Store,
    pub(crate) log_id: Option<LogId>,
    pub(crate) membership: StoredMembership,
}

pub(super) fn damaged<T>(reason: impl ToString) -> Result<T, CheckpointError> {
    Err(CheckpointError::Damaged(reason.to_string()))
}

/// Opens the checkpoint and reads what it says of itself. `None` when there is none.
fn open(dir: &Path, owner: Owner) -> Result<Option<(SledDb, Manifest)>, CheckpointError> {
    if std::fs::symlink_metadata(dir).is_err() {
        return Ok(None);
    }
    let db = SledDb::open(dir)?;
    let Some(manifest) = db.get(MANIFEST_KEY)? else {
        // Created, but never written to.
        return match db.any().next() {
            None => Ok(None),
            Some(_) => damaged("it has no manifest"),
        };
    };
    let manifest = match Manifest::decode(&manifest) {
        Ok(manifest) => manifest,
        Err(ManifestError::Newer(version)) => return Err(CheckpointError::Newer(version)),
        Err(ManifestError::Damaged) => return damaged("its manifest is malformed"),
    };
    if manifest.owner != owner {
        return Err(CheckpointError::OtherMember);
    }
    if manifest.incomplete {
        return damaged("it was being written when the process ended");
    }
    Ok(Some((db, manifest)))
}

/// Opens the checkpoint to bring it up to date, though nothing was loaded from it. What it holds is only checked when
/// it is loaded one day.
pub(super) fn attach(
    dir: &Path,
    owner: Owner,
    state: &cfgstore_store::State,
) -> Result<Option<Checkpoint>, CheckpointError> {
    let Some((db, manifest)) = open(dir, owner)? else {
        return Ok(None);
    };
    let mut leases = BTreeMap::new();
    for item in db.with_prefix(LEASE_PREFIX) {
        let (key, value) = item?;
        let Some(content) = unseal(&key, &value) else {
            return damaged("a lease has a wrong checksum");
        };
        let lease = codec::decode_lease(content).or_else(damaged)?;
        leases.insert(lease.id, lease.ttl_secs);
    }
    let held = Held {
        state: manifest.state,
        log_id: manifest.log_id,
        leases,
        changes: None,
        items: manifest.items,
        sum: manifest.sum,
        // Near enough to notice when sled takes a multiple of it.
        bytes: state.size_bytes(),
    };
    Ok(Some(Checkpoint {
        dir: dir.to_owned(),
        owner,
        db,
        held: Some(held),
    }))
}

/// Opens the checkpoint and reads all of it. `None` when there is none.
pub(crate) fn load(dir: &Path, owner: Owner) -> Result<Option<Loaded>, CheckpointError> {
    let Some((db, manifest)) = open(dir, owner)? else {
        return Ok(None);
    };
    let mut reading = Reading {
        loader: StateLoader::new(manifest.state).or_else(damaged)?,
        leases: BTreeMap::new(),
        changes: Vec::new(),
        items: 0,
        sum: 0,
        bytes: 0,
    };
    for alarm in &manifest.alarms {
        reading.loader.alarm(*alarm).or_else(damaged)?;
    }
    for item in db.with_prefix(LEASE_PREFIX) {
        let (key, value) = item?;
        reading.lease(&key, &value)?;
    }
    reading.rules(&db)?;
    for page in Pages::new(db.records()) {
        reading.page(&page?)?;
    }
    reading.changes(&db)?;
    if (reading.items, reading.sum) != (manifest.items, manifest.sum) {
        return damaged(format!(
            "of {} items, {} with the right sum were found",
            manifest.items, reading.items
        ));
    }
    let store = reading.loader.finish().or_else(damaged)?;
    let held = Held {
        state: manifest.state,
        log_id: manifest.log_id,
        leases: reading.leases,
        changes: Some(reading.changes),
        items: reading.items,
        sum: reading.sum,
        bytes: reading.bytes,
    };
    let checkpoint = Checkpoint {
        dir: dir.to_owned(),
        owner,
        db,
        held: Some(held),
    };
    Ok(Some(Loaded {
        checkpoint,
        store,
        log_id: manifest.log_id,
        membership: manifest.membership,
    }))
}

pub(super) struct Reading {
    pub(super) loader: StateLoader,
    leases: BTreeMap<i64, i64>,
    pub(super) changes: Vec<(i64, u32)>,
    items: u64,
    sum: u64,
    bytes: u64,
}

impl Reading {
    pub(super) fn count(&mut self, key: &[u8], value: &[u8]) {
        self.items += 1;
        self.sum = self.sum.wrapping_add(item_hash(value));
        self.bytes += (key.len() + value.len()) as u64;
    }

    fn lease(&mut self, key: &[u8], value: &[u8]) -> Result<(), CheckpointError> {
        let Some(content) = unseal(key, value) else {
            return damaged("a lease has a wrong checksum");
        };
        self.count(key, value);
        let lease = codec::decode_lease(content).or_else(damaged)?;
        self.leases.insert(lease.id, lease.ttl_secs);
        self.loader.lease(lease).or_else(damaged)
    }

    fn page(&mut self, page: &Page) -> Result<(), CheckpointError> {
        for (key, value) in &page.parts {
            self.count(key, value);
        }
        for record in page.records() {
            self.loader.record(record?.0).or_else(damaged)?;
        }
        Ok(())
    }
}

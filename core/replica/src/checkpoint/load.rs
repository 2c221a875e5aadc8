//! Loading the checkpoint: everything in it is checked before anything of it is believed.

use std::collections::BTreeMap;
use std::path::Path;

use cfgstore_store::{StateLoader, Store, codec};

use super::format::{
    LEASE_PREFIX, MANIFEST_KEY, Manifest, ManifestError, item_hash, parse_record_key, unseal,
};
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

fn damaged<T>(reason: impl ToString) -> Result<T, CheckpointError> {
    Err(CheckpointError::Damaged(reason.to_string()))
}

/// Opens the checkpoint and reads all of it. `None` when there is none.
pub(crate) fn load(dir: &Path, owner: Owner) -> Result<Option<Loaded>, CheckpointError> {
    if std::fs::symlink_metadata(dir).is_err() {
        return Ok(None);
    }
    let db = SledDb::open(dir)?;
    let Some(manifest) = db.get(MANIFEST_KEY)? else {
        // Created, but never written to.
        return match db.items().next() {
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
    let mut reading = Reading {
        loader: StateLoader::new(manifest.state).or_else(damaged)?,
        leases: BTreeMap::new(),
        items: 0,
        sum: 0,
        bytes: 0,
        record: None,
    };
    for item in db.items() {
        let (key, value) = item?;
        if key == MANIFEST_KEY {
            continue;
        }
        reading.item(&key, &value)?;
    }
    reading.end_record()?;
    if (reading.items, reading.sum) != (manifest.items, manifest.sum) {
        return damaged(format!(
            "it holds {} items, and {} of the same sum were expected",
            reading.items, manifest.items
        ));
    }
    let store = reading.loader.finish().or_else(damaged)?;
    let held = Held {
        state: manifest.state,
        log_id: manifest.log_id,
        leases: reading.leases,
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

struct Reading {
    loader: StateLoader,
    leases: BTreeMap<i64, i64>,
    items: u64,
    sum: u64,
    bytes: u64,
    /// Seq, parts and bytes of the record being put together.
    record: Option<(u64, u32, Vec<u8>)>,
}

impl Reading {
    fn item(&mut self, key: &[u8], value: &[u8]) -> Result<(), CheckpointError> {
        let Some(content) = unseal(key, value) else {
            return damaged("an item has a wrong checksum");
        };
        self.items += 1;
        self.sum = self.sum.wrapping_add(item_hash(value));
        self.bytes += (key.len() + value.len()) as u64;
        // Leases sort before records.
        if key.first() == Some(&LEASE_PREFIX) {
            let lease = codec::decode_lease(content).or_else(damaged)?;
            self.leases.insert(lease.id, lease.ttl_secs);
            return self.loader.lease(lease).or_else(damaged);
        }
        let Some((seq, part)) = parse_record_key(key) else {
            return damaged("a key is malformed");
        };
        match &mut self.record {
            Some((current, parts, bytes)) if *current == seq && *parts == part => {
                *parts += 1;
                bytes.extend_from_slice(content);
            }
            _ if part == 0 => {
                self.end_record()?;
                self.record = Some((seq, 1, content.to_vec()));
            }
            _ => return damaged("a part of a record is missing"),
        }
        Ok(())
    }

    fn end_record(&mut self) -> Result<(), CheckpointError> {
        let Some((seq, _, bytes)) = self.record.take() else {
            return Ok(());
        };
        let record = codec::decode_record(&bytes).or_else(damaged)?;
        if record.meta.seq != seq {
            return damaged("a record has the key of another");
        }
        self.loader.record(record).or_else(damaged)
    }
}

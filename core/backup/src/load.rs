//! Reading a snapshot file.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use cfgstore_store::codec::{self, LeaseView, RecordView, RuleItem};
use cfgstore_store::{LoadError, RecordMeta, StateHeader, StateLoader, Store};
use sha2::{Digest, Sha256};

use crate::TRAILER_BYTES;
use crate::bolt::cursor::{Bucket, Entry};
use crate::bolt::file::BoltFile;
use crate::content::{
    BUCKET_CHANGES, BUCKET_KEY, BUCKET_LEASE, BUCKET_META, BUCKET_RULES, KeyValue, META_FINISHED_COMPACTION,
    META_SCHEDULED_COMPACTION, RULES_REVISION, Revision, decode_lease, decode_revision_key,
};
use crate::error::SnapshotError;

/// Every page is smaller than this, and a file whose size is so much more than a multiple of it ends with a checksum.
const SECTOR_BYTES: u64 = 512;

/// A snapshot file of etcd's, open for reading. Its pages are checked as they are read.
pub struct SnapshotFile {
    bolt: BoltFile,
    buckets: Vec<(Vec<u8>, Bucket)>,
    file_bytes: u64,
}

/// What `snapshot status` says of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotStatus {
    /// CRC-32C of all buckets' names, keys and values, as etcdctl computes it.
    pub hash: u32,
    /// The newest revision that has a record; 0 if there is none.
    pub revision: i64,
    /// Entries of all buckets, as etcdctl counts them: every kept revision of every key, and etcd's own.
    pub total_keys: u64,
    /// Size of the database in bytes, without the checksum.
    pub total_bytes: u64,
}

/// What was read.
#[derive(Debug)]
pub struct Loaded {
    /// The state.
    pub store: Store,
    /// Keys that named a lease that is not there; they are kept without one.
    pub detached_keys: usize,
}

impl SnapshotFile {
    /// Opens the file, and compares it with the checksum at its end unless `skip_hash_check`, which also lets a file
    /// pass that has none (one copied from etcd's data folder).
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub fn open(path: &Path, skip_hash_check: bool) -> Result<SnapshotFile, SnapshotError> {
        let io_error = |source| SnapshotError::Io {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(io_error)?;
        let file_bytes = file.metadata().map_err(io_error)?.len();
        let has_trailer = file_bytes % SECTOR_BYTES == TRAILER_BYTES;
        let content_bytes = if has_trailer {
            file_bytes - TRAILER_BYTES
        } else {
            file_bytes
        };
        // Before the checksum: a file of another kind, or one cut short, is better told so.
        let bolt = BoltFile::open(file.try_clone().map_err(io_error)?, path, content_bytes)?;
        if !skip_hash_check {
            if !has_trailer {
                return Err(SnapshotError::HashMissing {
                    path: path.to_owned(),
                });
            }
            if !matches_trailer(&file, content_bytes).map_err(io_error)? {
                return Err(SnapshotError::HashMismatch {
                    path: path.to_owned(),
                });
            }
        }
        let buckets = bolt.buckets()?;
        Ok(SnapshotFile {
            bolt,
            buckets,
            file_bytes: content_bytes,
        })
    }

    /// Reads everything once.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub fn status(&self) -> Result<SnapshotStatus, SnapshotError> {
        let mut status = SnapshotStatus {
            hash: 0,
            revision: 0,
            total_keys: 0,
            total_bytes: self.file_bytes,
        };
        for (name, bucket) in &self.buckets {
            status.hash = crc32c::crc32c_append(status.hash, name);
            self.bolt.walk(bucket, |entry| {
                status.hash = crc32c::crc32c_append(status.hash, entry.key);
                if !entry.is_bucket {
                    status.hash = crc32c::crc32c_append(status.hash, entry.value);
                }
                status.total_keys += 1;
                if name == BUCKET_KEY {
                    status.revision = self.revision(&entry)?.0.main;
                }
                Ok(())
            })?;
        }
        Ok(status)
    }

    /// Reads keys, with every revision that is not compacted, and leases. Needs memory for the state, and while it runs
    /// for its keys twice more.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub fn load(&self) -> Result<Loaded, SnapshotError> {
        let compact_revision = self.compact_revision()?;
        let leases = self.leases()?;
        let survey = self.survey(compact_revision, &leases)?;
        let state_error = |source: LoadError| SnapshotError::State {
            path: self.bolt.path().to_owned(),
            source,
        };
        let mut loader = StateLoader::new(survey.header).map_err(state_error)?;
        let mut ordered: Vec<LeaseView> = leases.values().copied().collect();
        ordered.sort_unstable_by_key(|lease| lease.id);
        for lease in ordered {
            loader.lease(lease).map_err(state_error)?;
        }
        let has_history = self.rules(
            |rule| loader.rule(rule).map_err(state_error),
            survey.header.revision,
        )?;
        let mut numbering = Numbering::new(compact_revision);
        // The newest record of each key so far: what the next one of it replaces.
        let mut newest: HashMap<Box<[u8]>, u64> = HashMap::new();
        self.records(|revision, tombstone, kv| {
            if !survey.keeps(revision, tombstone, kv.key) {
                return Ok(());
            }
            let seq = numbering.next(revision);
            let lease = if survey.detached.get(kv.key) == Some(&revision) {
                0
            } else {
                kv.lease
            };
            let mut meta = RecordMeta {
                mod_revision: revision.main,
                sub: revision.sub,
                tombstone,
                seq,
                prev_seq: newest.insert(kv.key.into(), seq).unwrap_or(0),
                ..RecordMeta::default()
            };
            if !tombstone {
                meta.create_revision = kv.create_revision;
                meta.version = kv.version;
                meta.lease = lease;
            }
            let record = RecordView {
                key: kv.key,
                value: kv.value,
                meta,
            };
            loader.record(record).map_err(state_error)
        })?;
        if let Some(changes) = self.bucket(BUCKET_CHANGES).filter(|_| has_history) {
            self.bolt.walk(changes, |entry| {
                let change = codec::decode_change(entry.value).map_err(|error| self.ours(&entry, &error))?;
                loader.change(change).map_err(state_error)
            })?;
        }
        Ok(Loaded {
            store: loader.finish().map_err(state_error)?,
            detached_keys: survey.detached.len(),
        })
    }

    /// Calls `take` for every rule of ours. Returns whether the history in the file is that of its keys: it is not if an
    /// etcd has gone on without it.
    fn rules(
        &self,
        mut take: impl FnMut(RuleItem) -> Result<(), SnapshotError>,
        revision: i64,
    ) -> Result<bool, SnapshotError> {
        let Some(rules) = self.bucket(BUCKET_RULES) else {
            return Ok(false);
        };
        let mut saved_at = None;
        self.bolt.walk(rules, |entry| {
            if entry.key == RULES_REVISION {
                saved_at = entry
                    .value
                    .first_chunk()
                    .map(|saved_at| i64::from_be_bytes(*saved_at));
            }
            Ok(())
        })?;
        let has_history = saved_at == Some(revision);
        self.bolt.walk(rules, |entry| {
            if entry.key == RULES_REVISION {
                return Ok(());
            }
            let rule = codec::decode_rule(entry.value).map_err(|error| self.ours(&entry, &error))?;
            // Without its numbers a history counts as lost.
            if !has_history && matches!(rule, RuleItem::Numbers { .. }) {
                return Ok(());
            }
            take(rule)
        })?;
        Ok(has_history)
    }

    fn ours(&self, entry: &Entry<'_>, error: &codec::DecodeError) -> SnapshotError {
        self.content(format!("page {}: {error}", entry.page))
    }

    fn bucket(&self, name: &[u8]) -> Option<&Bucket> {
        let place = self
            .buckets
            .binary_search_by(|(found, _)| found.as_slice().cmp(name));
        place.ok().map(|place| &self.buckets[place].1)
    }

    fn content(&self, fault: impl Into<String>) -> SnapshotError {
        SnapshotError::Content {
            path: self.bolt.path().to_owned(),
            fault: fault.into(),
        }
    }

    fn revision(&self, entry: &Entry<'_>) -> Result<(Revision, bool), SnapshotError> {
        decode_revision_key(entry.key).ok_or_else(|| {
            let fault = format!("page {}: {} is no revision", entry.page, entry.key.escape_ascii());
            self.content(fault)
        })
    }

    /// The revision that is compacted, or was about to be; -1 for none.
    fn compact_revision(&self) -> Result<i64, SnapshotError> {
        let mut compact_revision = -1;
        let Some(meta) = self.bucket(BUCKET_META) else {
            return Ok(compact_revision);
        };
        self.bolt.walk(meta, |entry| {
            if [META_FINISHED_COMPACTION, META_SCHEDULED_COMPACTION].contains(&entry.key) {
                // etcd writes zeros at first, in some versions.
                let main = entry.value.first_chunk().map(|main| i64::from_be_bytes(*main));
                let main = main.ok_or_else(|| self.content("the compacted revision is cut short"))?;
                compact_revision = compact_revision.max(if main > 0 { main } else { -1 });
            }
            Ok(())
        })?;
        Ok(compact_revision)
    }

    fn leases(&self) -> Result<HashMap<i64, LeaseView>, SnapshotError> {
        let mut leases = HashMap::new();
        let Some(bucket) = self.bucket(BUCKET_LEASE) else {
            return Ok(leases);
        };
        self.bolt.walk(bucket, |entry| {
            let lease = decode_lease(entry.value).filter(|lease| entry.key == lease.id.to_be_bytes());
            let lease = lease
                .ok_or_else(|| self.content(format!("page {}: a lease that cannot be read", entry.page)))?;
            leases.insert(lease.id, lease);
            Ok(())
        })?;
        Ok(leases)
    }

    /// Calls `take` for every record in the file, in order, kept or not.
    fn records(
        &self,
        mut take: impl FnMut(Revision, bool, &KeyValue<'_>) -> Result<(), SnapshotError>,
    ) -> Result<(), SnapshotError> {
        let bucket = self
            .bucket(BUCKET_KEY)
            .ok_or_else(|| self.content("there is no bucket \"key\": it is a database, but not etcd's"))?;
        self.bolt.walk(bucket, |entry| {
            let (revision, tombstone) = self.revision(&entry)?;
            let kv = KeyValue::decode(entry.value).ok_or_else(|| {
                let fault = format!("the record of revision {} cannot be read", revision.main);
                self.content(fault)
            })?;
            if !tombstone && kv.mod_revision != revision.main {
                let (main, found) = (revision.main, kv.mod_revision);
                return Err(self.content(format!("the record of revision {main} says it is of {found}")));
            }
            take(revision, tombstone, &kv)
        })
    }

    /// What must be known of all records before the first is loaded.
    fn survey(
        &self,
        compact_revision: i64,
        leases: &HashMap<i64, LeaseView>,
    ) -> Result<Survey, SnapshotError> {
        let mut survey = Survey {
            header: StateHeader {
                revision: compact_revision.max(1),
                compact_revision,
                next_seq: 1,
            },
            newest_at_compaction: HashMap::new(),
            detached: HashMap::new(),
        };
        let mut later = 0;
        self.records(|revision, tombstone, kv| {
            survey.header.revision = survey.header.revision.max(revision.main);
            if revision.main > compact_revision {
                later += 1;
            } else {
                survey
                    .newest_at_compaction
                    .insert(kv.key.into(), (revision, tombstone));
            }
            if kv.lease != 0 && !tombstone && !leases.contains_key(&kv.lease) {
                survey.detached.insert(kv.key.into(), revision);
            } else {
                survey.detached.remove(kv.key);
            }
            Ok(())
        })?;
        // Only records of a kind that may be old need their numbers looked at; the later ones are numbered in a row.
        let mut old: Vec<Revision> = survey
            .newest_at_compaction
            .values()
            .filter(|(revision, tombstone)| survey.is_readable(*revision, *tombstone))
            .map(|(revision, _)| *revision)
            .collect();
        old.sort_unstable();
        let mut numbering = Numbering::new(compact_revision);
        for revision in old {
            numbering.next(revision);
        }
        survey.header.next_seq = numbering.last_seq + later + 1;
        if survey.header.revision > 1 && survey.header.next_seq == 1 {
            // Everything was deleted and compacted: what made the revisions had numbers.
            survey.header.next_seq = 2;
        }
        Ok(survey)
    }
}

struct Survey {
    header: StateHeader,
    /// Of each key, the newest record up to the compacted revision, and whether it is a tombstone. A compaction that
    /// etcd had begun but not finished has left older ones, which are not read.
    newest_at_compaction: HashMap<Box<[u8]>, (Revision, bool)>,
    /// The keys whose newest record names a lease that is not there, and that record.
    detached: HashMap<Box<[u8]>, Revision>,
}

impl Survey {
    /// Whether compaction leaves a record that is the newest of its key at the compacted revision.
    fn is_readable(&self, revision: Revision, tombstone: bool) -> bool {
        !tombstone || revision.main == self.header.compact_revision
    }

    fn keeps(&self, revision: Revision, tombstone: bool, key: &[u8]) -> bool {
        if revision.main > self.header.compact_revision {
            return true;
        }
        let newest = self.newest_at_compaction.get(key);
        newest.is_some_and(|(newest, _)| *newest == revision) && self.is_readable(revision, tombstone)
    }
}

/// Gives records their numbers, which etcd does not have. Numbers are left out where a record certainly was, below the
/// compacted revision; from it on they have no gaps.
struct Numbering {
    compact_revision: i64,
    last: Option<Revision>,
    last_seq: u64,
}

impl Numbering {
    fn new(compact_revision: i64) -> Numbering {
        Numbering {
            compact_revision,
            last: None,
            last_seq: 0,
        }
    }

    fn next(&mut self, revision: Revision) -> u64 {
        let missing = match self.last {
            _ if revision.main >= self.compact_revision => 0,
            Some(last) if last.main == revision.main => revision.sub.saturating_sub(last.sub + 1),
            _ => revision.sub,
        };
        self.last = Some(revision);
        self.last_seq += u64::from(missing) + 1;
        self.last_seq
    }
}

fn matches_trailer(file: &File, content_bytes: u64) -> std::io::Result<bool> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut offset = 0;
    while offset < content_bytes {
        let len = buffer
            .len()
            .min(usize::try_from(content_bytes - offset).unwrap_or(usize::MAX));
        file.read_exact_at(&mut buffer[..len], offset)?;
        hash.update(&buffer[..len]);
        offset += len as u64;
    }
    let mut trailer = [0; TRAILER_BYTES as usize];
    file.read_exact_at(&mut trailer, content_bytes)?;
    Ok(hash.finalize().as_slice() == trailer)
}

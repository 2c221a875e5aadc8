//! A log on the simulated disk, and a model of what it must hold.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use rand::Rng;
use rand::rngs::StdRng;

use crate::disk::sim::SimDisk;
use crate::error::OpenError;
use crate::wal::format::{BaseState, LogId, RawEntry, Record, Vote};
use crate::wal::index::next_index;
use crate::wal::log::{Log, Owner, Place, Spare, SpareSource, prepare_spare, remove_segments, segment_name};
use crate::wal::recover::{self, TailCut};

pub(super) const OWNER: Owner = Owner {
    cluster_id: 0xc,
    member_id: 0xa,
};
pub(super) const SEGMENT_BYTES: u64 = 8 << 10;

pub(super) fn place(disk: &SimDisk) -> Place {
    Place {
        disk: Arc::new(disk.clone()),
        dir: PathBuf::from("/wal"),
        owner: OWNER,
        segment_size_bytes: SEGMENT_BYTES,
    }
}

pub(super) fn open(disk: &SimDisk) -> Result<(Log, Option<TailCut>), OpenError> {
    recover::open(place(disk))
}

pub(super) fn segment_path(id: u64) -> PathBuf {
    PathBuf::from("/wal").join(segment_name(id))
}

/// Prepares each segment when it is needed.
pub(super) struct OnDemand<'a>(pub(super) &'a SimDisk);

impl SpareSource for OnDemand<'_> {
    fn take(&mut self, size_bytes: u64) -> io::Result<Spare> {
        prepare_spare(&place(self.0), self.0.operations(), size_bytes, false)
    }
}

/// Commits and removes what is no longer needed, as the threads do.
pub(super) fn commit(disk: &SimDisk, log: &mut Log, records: &[Record]) -> io::Result<()> {
    let unused = log.commit(records, &mut OnDemand(disk))?;
    remove_segments(disk, &log.place.dir, &unused)
}

pub(super) fn id(index: u64) -> LogId {
    LogId {
        term: 1 + index / 10,
        leader: 7,
        index,
    }
}

pub(super) fn entry(index: u64, payload: &[u8]) -> Record {
    Record::Entry(RawEntry {
        log_id: id(index),
        kind: 1,
        payload: Bytes::copy_from_slice(payload),
    })
}

/// What the log must hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Model {
    pub(super) state: BaseState,
    pub(super) entries: BTreeMap<u64, RawEntry>,
}

impl Model {
    pub(super) fn apply(&mut self, records: &[Record]) {
        for record in records {
            match record {
                Record::Entry(entry) => {
                    self.state.last = Some(entry.log_id);
                    self.entries.insert(entry.log_id.index, entry.clone());
                }
                Record::Vote(vote) => self.state.vote = Some(*vote),
                Record::TruncateAfter(after) => {
                    self.entries.retain(|index, _| *index < next_index(*after));
                    self.state.last = *after;
                }
                Record::Purge(upto) => {
                    self.entries.retain(|index, _| *index > upto.index);
                    self.state.purged = Some(*upto);
                    if next_index(self.state.last) <= upto.index {
                        self.state.last = Some(*upto);
                    }
                }
                Record::Committed(upto) => self.state.committed = Some(*upto),
            }
        }
    }

    /// What the log does hold.
    pub(super) fn of(log: &Log) -> Model {
        let first = log.index.lock().first().max(next_index(log.state.purged));
        let entries = log
            .index
            .read(first, next_index(log.state.last))
            .expect("every entry of the log can be read");
        let entries = entries
            .into_iter()
            .map(|entry| (entry.log_id.index, entry))
            .collect();
        Model {
            state: log.state,
            entries,
        }
    }

    /// The next group of records a random member would write.
    pub(super) fn random_records(&self, rng: &mut StdRng) -> Vec<Record> {
        let mut next = self.clone();
        let mut records = Vec::new();
        for _ in 0..rng.random_range(1..4) {
            let record = next.random_record(rng);
            next.apply(std::slice::from_ref(&record));
            records.push(record);
        }
        records
    }

    fn random_record(&self, rng: &mut StdRng) -> Record {
        let (purged, last) = (next_index(self.state.purged), next_index(self.state.last));
        match rng.random_range(0..20) {
            0 => Record::Vote(Vote {
                term: rng.random_range(0..99),
                member: 7,
                committed: rng.random(),
            }),
            1 if last > purged => {
                let keep = rng.random_range(purged..last);
                Record::TruncateAfter(keep.checked_sub(1).map(id))
            }
            2 | 3 if last > purged => Record::Purge(id(rng.random_range(purged..last))),
            4 if last > 0 => Record::Committed(id(last - 1)),
            _ => {
                let len = if rng.random_ratio(1, 8) {
                    rng.random_range(0..3000)
                } else {
                    rng.random_range(0..100)
                };
                entry(last, &vec![rng.random(); len])
            }
        }
    }
}

//! Compaction: forgetting what no read at or after the compact revision can see.

use crate::error::CommandError;
use crate::record::Record;
use crate::state::State;
use crate::write::{key_cost_bytes, record_cost_bytes};

impl State {
    /// Makes `revision` the oldest readable one.
    ///
    /// Kept are all records made at `revision` or later, a tombstone exactly at it included, and of each key the last
    /// record made before, if it is a put that no record up to `revision` replaced.
    pub(crate) fn compact(&mut self, revision: i64) -> Result<(), CommandError> {
        if revision <= self.compact_revision {
            return Err(CommandError::Compacted {
                requested: revision,
                compact_revision: self.compact_revision,
            });
        }
        if revision > self.revision {
            return Err(CommandError::FutureRevision {
                requested: revision,
                revision: self.revision,
            });
        }
        let before = self.record_count;
        let first_seq = self.log.first_seq();
        let keep_from = self.log.seq_at_revision(revision);
        let replaced = self.drop_survivors_and_mark_replaced(revision);
        for record in self
            .log
            .iter_from(first_seq)
            .take((keep_from - first_seq) as usize)
        {
            if replaced.contains(record.seq() - first_seq) {
                self.forget(&record);
            } else if record.is_tombstone() {
                // Nothing of the key was made up to `revision` after it, so the key may still be deleted.
                if self
                    .tombstones
                    .get(record.key())
                    .is_some_and(|newest| newest.seq() == record.seq())
                {
                    self.tombstones.remove(record.key());
                    self.size_bytes -= key_cost_bytes(&record);
                }
                self.forget(&record);
            } else if self
                .live
                .get(record.key())
                .is_none_or(|live| live.seq() != record.seq())
            {
                self.survivors.insert(record.seq(), record);
            }
        }
        self.log.cut_before(keep_from);
        self.compact_revision = revision;
        self.written.compacted_records += before - self.record_count;
        Ok(())
    }

    /// Drops the survivors, and marks the records of the log, that a record made up to `revision` replaced.
    fn drop_survivors_and_mark_replaced(&mut self, revision: i64) -> SeqSet {
        let first_seq = self.log.first_seq();
        let end = self.log.seq_at_revision(revision + 1);
        let mut replaced = SeqSet::with_room_for(end - first_seq);
        for record in self.log.iter_from(first_seq).take((end - first_seq) as usize) {
            if record.prev_seq() >= first_seq {
                replaced.insert(record.prev_seq() - first_seq);
            } else if record.prev_seq() != 0
                && let Some(survivor) = self.survivors.remove(&record.prev_seq())
            {
                self.forget(&survivor);
            }
        }
        replaced
    }

    fn forget(&mut self, record: &Record) {
        self.record_count -= 1;
        self.size_bytes -= record_cost_bytes(record);
    }
}

/// A set of small numbers: one bit each.
struct SeqSet(Vec<u64>);

impl SeqSet {
    fn with_room_for(count: u64) -> SeqSet {
        SeqSet(vec![0; count.div_ceil(64) as usize])
    }

    fn insert(&mut self, number: u64) {
        self.0[(number / 64) as usize] |= 1 << (number % 64);
    }

    fn contains(&self, number: u64) -> bool {
        self.0[(number / 64) as usize] & 1 << (number % 64) != 0
    }
}

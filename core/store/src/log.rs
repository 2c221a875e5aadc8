//! The log: a persistent sequence of records with consecutive numbers, appended at the end, cut at the front.
//!
//! Records lie in chunks aligned to multiples of [`CHUNK`], the chunks in a persistent map by chunk number. So an append
//! copies at most one chunk of pointers (when a published state shares the last one), a lookup is one map search, and a
//! retained record costs its pointer and a byte or two.

use std::sync::Arc;

use crate::map::Map;
use crate::record::Record;

/// Records per chunk. Larger chunks cost more to copy on the first append after a state was published.
const CHUNK: u64 = 32;

/// The records of one chunk. Only the first and the last chunk of a log are not full.
struct Chunk {
    /// The number of the first record; above the chunk's aligned start once the front was cut off.
    first_seq: u64,
    records: Vec<Record>,
}

impl Clone for Chunk {
    /// Keeps room for the records to come, where a cloned `Vec` would have none.
    fn clone(&self) -> Chunk {
        let mut records = Vec::with_capacity(CHUNK as usize);
        records.extend(self.records.iter().cloned());
        Chunk {
            first_seq: self.first_seq,
            records,
        }
    }
}

/// A persistent sequence of records with consecutive numbers. A clone is O(1).
#[derive(Clone)]
pub(crate) struct Log {
    /// The number of the first record, or of the next one if the log is empty.
    first_seq: u64,
    /// The number the next record will have.
    next_seq: u64,
    chunks: Map<u64, Arc<Chunk>>,
}

impl Log {
    /// An empty log whose first record will have the number `next_seq`.
    pub fn starting_at(next_seq: u64) -> Log {
        Log {
            first_seq: next_seq,
            next_seq,
            chunks: Map::default(),
        }
    }

    pub fn first_seq(&self) -> u64 {
        self.first_seq
    }

    pub fn next_seq(&self) -> u64 {
        self.next_seq
    }

    pub fn push(&mut self, record: Record) {
        let seq = self.next_seq;
        assert_eq!(
            record.seq(),
            seq,
            "records are appended in order of their numbers"
        );
        match self.chunks.get_mut(&(seq / CHUNK)) {
            Some(chunk) => Arc::make_mut(chunk).records.push(record),
            None => {
                let mut records = Vec::with_capacity(CHUNK as usize);
                records.push(record);
                self.chunks.insert(
                    seq / CHUNK,
                    Arc::new(Chunk {
                        first_seq: seq,
                        records,
                    }),
                );
            }
        }
        self.next_seq += 1;
    }

    pub fn get(&self, seq: u64) -> Option<&Record> {
        if seq < self.first_seq || seq >= self.next_seq {
            return None;
        }
        let chunk = self.chunks.get(&(seq / CHUNK))?;
        chunk.records.get((seq - chunk.first_seq) as usize)
    }

    /// The number of the first record made at `revision` or later; the next number if there is none.
    pub fn seq_at_revision(&self, revision: i64) -> u64 {
        let (mut low, mut high) = (self.first_seq, self.next_seq);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.get(middle) {
                Some(record) if record.mod_revision() < revision => low = middle + 1,
                _ => high = middle,
            }
        }
        low
    }

    /// The records from `seq` (or the first one kept) on. The iterator keeps this version of the log alive.
    pub fn iter_from(&self, seq: u64) -> LogIter {
        LogIter {
            log: self.clone(),
            next: seq.max(self.first_seq),
            chunk: None,
        }
    }

    /// Forgets every record before `seq`.
    pub fn cut_before(&mut self, seq: u64) {
        let seq = seq.clamp(self.first_seq, self.next_seq);
        let gone: Vec<u64> = self
            .chunks
            .range(..seq / CHUNK)
            .map(|(&number, _)| number)
            .collect();
        if gone.len() * 2 > self.chunks.len() {
            self.chunks = self
                .chunks
                .range(seq / CHUNK..)
                .map(|(&n, chunk)| (n, chunk.clone()))
                .collect();
        } else {
            for number in gone {
                self.chunks.remove(&number);
            }
        }
        // What is left of the chunk that `seq` falls in is copied, for its dead records would pin their values.
        if let Some(chunk) = self.chunks.get_mut(&(seq / CHUNK)) {
            let dead = (seq - chunk.first_seq) as usize;
            if dead == chunk.records.len() {
                self.chunks.remove(&(seq / CHUNK));
            } else if dead > 0 {
                let mut records = Vec::with_capacity(CHUNK as usize);
                records.extend(chunk.records[dead..].iter().cloned());
                *chunk = Arc::new(Chunk {
                    first_seq: seq,
                    records,
                });
            }
        }
        self.first_seq = seq;
    }
}

/// The records of a log from some number on, in order; holds its own version of the log.
#[derive(Clone)]
pub(crate) struct LogIter {
    log: Log,
    next: u64,
    /// The chunk that `next` falls in, once looked up.
    chunk: Option<Arc<Chunk>>,
}

impl Iterator for LogIter {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        if self.next >= self.log.next_seq {
            return None;
        }
        if self.chunk.is_none() {
            self.chunk = self.log.chunks.get(&(self.next / CHUNK)).cloned();
        }
        let chunk = self.chunk.as_ref()?;
        let record = chunk.records.get((self.next - chunk.first_seq) as usize)?.clone();
        self.next += 1;
        if self.next.is_multiple_of(CHUNK) {
            self.chunk = None;
        }
        Some(record)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = (self.log.next_seq - self.next) as usize;
        (left, Some(left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Key;
    use crate::record::{RecordMeta, Skip};

    fn record(seq: u64) -> Record {
        let meta = RecordMeta {
            seq,
            mod_revision: seq as i64 * 10,
            ..RecordMeta::default()
        };
        Record::new(Key::copy_from(b"k"), b"", &meta, Skip::default())
    }

    /// `log` holds exactly the records `first..next`.
    fn assert_holds(log: &Log, first: u64, next: u64) {
        assert_eq!((log.first_seq(), log.next_seq()), (first, next));
        let seqs: Vec<u64> = log.iter_from(0).map(|record| record.seq()).collect();
        assert_eq!(seqs, (first..next).collect::<Vec<_>>());
        for seq in 0..next + 2 {
            let expected = (first..next).contains(&seq).then_some(seq);
            assert_eq!(log.get(seq).map(Record::seq), expected);
        }
        // No chunk may outlive its last record, nor hold one that was cut off.
        let kept: usize = log.chunks.iter().map(|(_, chunk)| chunk.records.len()).sum();
        assert_eq!(kept as u64, next - first);
        assert!(log.chunks.iter().all(|(_, chunk)| !chunk.records.is_empty()));
    }

    #[test]
    fn every_cut_of_every_length_keeps_exactly_the_rest() {
        let start = CHUNK - 3;
        for end in [start, start + 1, start + 3, start + CHUNK, start + 2 * CHUNK + 5] {
            for cut in start - 1..=end + 1 {
                let mut log = Log::starting_at(start);
                (start..end).for_each(|seq| log.push(record(seq)));
                let before = log.clone();
                log.cut_before(cut);
                let first = cut.clamp(start, end);
                assert_holds(&log, first, end);
                (end..end + CHUNK + 1).for_each(|seq| log.push(record(seq)));
                assert_holds(&log, first, end + CHUNK + 1);
                log.cut_before(end);
                assert_holds(&log, end, end + CHUNK + 1);
                assert_holds(&before, start, end);
            }
        }
    }

    #[test]
    fn a_revision_is_found_between_records() {
        let mut log = Log::starting_at(5);
        assert_eq!(log.seq_at_revision(1), 5);
        (5..100).for_each(|seq| log.push(record(seq)));
        assert_eq!(log.seq_at_revision(-1), 5);
        assert_eq!(log.seq_at_revision(500), 50);
        assert_eq!(log.seq_at_revision(501), 51);
        assert_eq!(log.seq_at_revision(i64::MAX), 100);
    }
}

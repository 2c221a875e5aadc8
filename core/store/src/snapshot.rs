//! Every record of a state in one sequence: what snapshots and checkpoints write.

use crate::log::LogIter;
use crate::record::Record;
use crate::state::State;

impl State {
    /// Every record kept, in order of seq. Together with the leases and the numbers of
    /// [`StateHeader`](crate::StateHeader) it is the whole state: [`StateLoader`](crate::StateLoader) rebuilds it.
    ///
    /// Costs one pass over the live keys at once and a pointer for each record older than the log.
    pub fn records_in_seq_order(&self) -> Records {
        self.records_since(1)
    }

    /// The kept records with a number of `seq` or higher, in order. From [`State::first_log_seq`] on this is a walk of
    /// the log.
    pub fn records_since(&self, seq: u64) -> Records {
        let first_log_seq = self.log.first_seq();
        let mut old = Vec::new();
        if seq < first_log_seq {
            old.extend(self.survivors.range(seq..).map(|(_, record)| record.clone()));
            let live = self.live.iter().map(|(_, record)| record);
            old.extend(
                live.filter(|record| (seq..first_log_seq).contains(&record.seq()))
                    .cloned(),
            );
            old.sort_unstable_by_key(Record::seq);
        }
        Records {
            old: old.into_iter(),
            log: self.log.iter_from(seq),
        }
    }

    /// Whether the record of `key` with the number `seq` is kept. A checkpoint uses it to find what compaction dropped:
    /// only records below [`State::first_log_seq`] can be.
    pub fn is_kept(&self, key: &[u8], seq: u64) -> bool {
        if seq >= self.log.first_seq() {
            return seq < self.log.next_seq();
        }
        self.survivors.contains_key(&seq) || self.live.get(key).is_some_and(|live| live.seq() == seq)
    }
}

/// Records in order of seq; holds its own version of the log, so it can go to another thread.
#[derive(Clone)]
pub struct Records {
    old: std::vec::IntoIter<Record>,
    log: LogIter,
}

impl Iterator for Records {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        self.old.next().or_else(|| self.log.next())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.old.len() + self.log.size_hint().0;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Records {}

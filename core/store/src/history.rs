//! Old records of a key: how they are linked, and how the one live at a revision is found.
//!
//! Each record names the previous one of its key by number. To read a key with a million old records at an old revision
//! in a few steps, each record also names one further back, chosen as in a skew-binary list: when the last two skips of
//! the chain are equally long, the new record skips over both, else to its predecessor. Any earlier record is a correct
//! choice, so skips are derived, not stored, and a rebuilt chain may choose others; only the number of steps
//! (logarithmic) depends on it.

use crate::record::{Record, Skip};
use crate::state::State;

impl State {
    /// A superseded record or tombstone by number, if kept. (A live record outside the log is found by its key only.)
    pub(crate) fn superseded(&self, seq: u64) -> Option<&Record> {
        if seq >= self.log.first_seq() {
            self.log.get(seq)
        } else {
            self.survivors.get(&seq)
        }
    }

    /// The skip for a record whose predecessor is `prev`.
    pub(crate) fn skip_after(&self, prev: Option<&Record>) -> Skip {
        let Some(prev) = prev else { return Skip::default() };
        let depth = prev.skip().depth.wrapping_add(1);
        let seq = self
            .superseded(prev.skip().seq)
            .and_then(|second| {
                let third = self.superseded(second.skip().seq)?;
                let first_length = prev.skip().depth.wrapping_sub(second.skip().depth);
                let second_length = second.skip().depth.wrapping_sub(third.skip().depth);
                (first_length == second_length).then(|| third.seq())
            })
            .unwrap_or(prev.seq());
        Skip { depth, seq }
    }

    /// The record that was live at a readable `revision`, in the chain that ends with `newest`.
    pub(crate) fn as_of<'a>(&'a self, newest: &'a Record, revision: i64) -> Option<&'a Record> {
        assert!(revision >= self.compact_revision);
        let mut record = newest;
        while record.mod_revision() > revision {
            record = match self.superseded(record.skip().seq) {
                Some(skipped_to) if skipped_to.mod_revision() > revision => skipped_to,
                // A link to a record that is not kept: a tombstone from before the compact revision.
                _ => self.superseded(record.prev_seq())?,
            };
        }
        (!record.is_tombstone()).then_some(record)
    }

    /// What `record` replaced: its key's record as of the revision before. Absent for a creation, and if the revision
    /// before `record`'s is compacted. `record` must be one of this state's.
    pub fn previous(&self, record: &Record) -> Option<&Record> {
        // What was replaced at or before the compact revision is not kept, so it is not found either.
        self.superseded(record.prev_seq())
            .filter(|prev| !prev.is_tombstone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Caller, Command, Compact, Put};
    use crate::store::Store;

    fn put(store: &mut Store) {
        let put = Put {
            key: "k".into(),
            ..Put::default()
        };
        store.apply(0, &Caller::default(), &Command::Put(put)).unwrap();
    }

    /// The number of links that reading the record of `revision` follows.
    fn steps_to(state: &State, revision: i64) -> u32 {
        let mut record = state.get(b"k").unwrap();
        let mut steps = 0;
        while record.mod_revision() > revision {
            let skipped_to = state
                .superseded(record.skip().seq)
                .filter(|r| r.mod_revision() > revision);
            record = skipped_to.unwrap_or_else(|| state.superseded(record.prev_seq()).unwrap());
            steps += 1;
        }
        assert_eq!(state.as_of(state.get(b"k").unwrap(), revision), Some(record));
        steps
    }

    #[test]
    fn an_old_record_is_a_logarithm_away_also_after_compaction() {
        let mut store = Store::new();
        (0..5000).for_each(|_| put(&mut store));
        let check = |state: &State| {
            let steps = (state.compact_revision().max(2)..=state.revision())
                .map(|r| steps_to(state, r))
                .max();
            assert!(
                steps.unwrap() <= 36,
                "{steps:?} steps in a chain of some thousand"
            );
        };
        check(&store.state);
        let compact = Command::Compact(Compact { revision: 3333 });
        store.apply(0, &Caller::default(), &compact).unwrap();
        (0..5000).for_each(|_| put(&mut store));
        check(&store.state);
    }
}

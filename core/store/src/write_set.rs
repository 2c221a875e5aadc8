//! Which keys a list of operations could write, to refuse transactions that could write one twice.
//!
//! Each key is written at most once per revision: history and watch rely on it (the record before a record of revision
//! r is the key's state at r - 1). The rule is about what could run together: operations of one list, with either path
//! of each nested transaction among them. The two paths of one transaction exclude each other and may repeat a key.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use crate::command::TxnOp;
use crate::error::CommandError;
use crate::key::KeyRange;

/// The keys that some operations could put, and those they could delete.
#[derive(Default)]
pub(crate) struct WriteSet<'a> {
    puts: BTreeSet<&'a [u8]>,
    deletes: Intervals,
}

impl<'a> WriteSet<'a> {
    /// The writes of a list of operations that run together; [`CommandError::DuplicateKey`] if two of them, or two
    /// inside one path of a nested transaction, could write one key. Two deletes may overlap: the second finds nothing.
    pub fn of_ops(ops: &'a [TxnOp]) -> Result<WriteSet<'a>, CommandError> {
        let mut all = WriteSet::default();
        for op in ops {
            let one = match op {
                TxnOp::Range(_) => continue,
                TxnOp::Put(put) => WriteSet {
                    puts: BTreeSet::from([put.key.as_ref()]),
                    deletes: Intervals::default(),
                },
                TxnOp::DeleteRange(delete) => WriteSet {
                    puts: BTreeSet::new(),
                    deletes: Intervals::of(&KeyRange::new(&delete.key, &delete.range_end)),
                },
                TxnOp::Txn(txn) => {
                    let mut either = WriteSet::of_ops(&txn.success)?;
                    either.add(WriteSet::of_ops(&txn.failure)?);
                    either
                }
            };
            if all.conflicts_with(&one) || one.conflicts_with(&all) {
                return Err(CommandError::DuplicateKey);
            }
            all.add(one);
        }
        Ok(all)
    }

    /// Whether a put of `self` is also put or deleted by `other`.
    fn conflicts_with(&self, other: &WriteSet<'_>) -> bool {
        if other.puts.is_empty() && other.deletes.0.is_empty() {
            return false;
        }
        // A list of single puts compares a growing set with one key: look the few up in the many.
        if self.puts.len() > other.puts.len() && other.deletes.0.is_empty() {
            return other.puts.iter().any(|key| self.puts.contains(key));
        }
        if self.puts.len() > other.deletes.0.len() && other.puts.is_empty() {
            return other.deletes.0.iter().any(|(start, end)| {
                let end = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
                self.puts
                    .range::<[u8], _>((Bound::Included(start.as_slice()), end))
                    .next()
                    .is_some()
            });
        }
        self.puts
            .iter()
            .any(|key| other.puts.contains(key) || other.deletes.contains(key))
    }

    fn add(&mut self, mut other: WriteSet<'a>) {
        if self.puts.len() < other.puts.len() {
            std::mem::swap(&mut self.puts, &mut other.puts);
        }
        // Not `append`, which builds the whole set anew: a list of puts is added one by one.
        self.puts.extend(other.puts);
        for (start, end) in other.deletes.0 {
            self.deletes.insert(start, end);
        }
    }
}

/// Disjoint, not touching, non-empty half-open intervals of keys, by start; an end of `None` is unbounded.
#[derive(Default)]
struct Intervals(BTreeMap<Vec<u8>, Option<Vec<u8>>>);

impl Intervals {
    fn of(range: &KeyRange<'_>) -> Intervals {
        let mut intervals = Intervals::default();
        match *range {
            _ if range.is_empty() => {}
            // No key lies between `key` and `key\0`.
            KeyRange::Single(key) => intervals.insert(key.to_vec(), Some([key, b"\0"].concat())),
            KeyRange::From(start) => intervals.insert(start.to_vec(), None),
            KeyRange::Between(start, end) => intervals.insert(start.to_vec(), Some(end.to_vec())),
        }
        intervals
    }

    fn contains(&self, key: &[u8]) -> bool {
        let before = self
            .0
            .range::<[u8], _>((Bound::Unbounded, Bound::Included(key)))
            .next_back();
        matches!(before, Some((_, end)) if end.as_deref().is_none_or(|end| key < end))
    }

    fn insert(&mut self, mut start: Vec<u8>, mut end: Option<Vec<u8>>) {
        let reaches = |end: &Option<Vec<u8>>, key: &[u8]| end.as_deref().is_none_or(|end| end >= key);
        // The interval that begins before may reach into this one; those that begin inside are swallowed.
        let before = self
            .0
            .range::<[u8], _>((Bound::Unbounded, Bound::Excluded(start.as_slice())))
            .next_back();
        if let Some((before, before_end)) = before
            && reaches(before_end, &start)
        {
            start = before.clone();
        }
        while let Some((next, next_end)) = self.0.range(start.clone()..).next()
            && reaches(&end, next)
        {
            let next = next.clone();
            if let (Some(ours), Some(theirs)) = (&end, next_end)
                && theirs > ours
            {
                end = Some(theirs.clone());
            } else if next_end.is_none() {
                end = None;
            }
            self.0.remove(&next);
        }
        self.0.insert(start, end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> Vec<u8> {
        vec![byte]
    }

    #[test]
    fn intervals_agree_with_a_bitmap() {
        // Every sequence of three intervals over five points, against one flag per point.
        let ends = [Some(1), Some(2), Some(3), Some(4), Some(5), None];
        let all: Vec<(u8, Option<u8>)> = (0..5u8)
            .flat_map(|s| {
                ends.iter()
                    .filter(move |e| e.is_none_or(|e| e > s))
                    .map(move |e| (s, *e))
            })
            .collect();
        for &a in &all {
            for &b in &all {
                for &c in &all {
                    let mut intervals = Intervals::default();
                    let mut expected = [false; 6];
                    for (start, end) in [a, b, c] {
                        intervals.insert(key(start), end.map(key));
                        (start..end.unwrap_or(6)).for_each(|point| expected[usize::from(point)] = true);
                    }
                    let found = [0, 1, 2, 3, 4, 5].map(|point| intervals.contains(&key(point)));
                    assert_eq!(found, expected, "{a:?} {b:?} {c:?}");
                    let flat: Vec<_> = intervals.0.iter().collect();
                    assert!(
                        flat.windows(2)
                            .all(|w| w[0].1.as_ref().is_some_and(|end| end < w[1].0)),
                        "intervals touch: {flat:?}"
                    );
                }
            }
        }
    }
}

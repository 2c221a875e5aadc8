//! Which watches want to hear of a key.

use std::collections::{BTreeSet, HashMap};

use bytes::Bytes;
use cfgstore_store::KeyRange;

use super::range_tree::{End, RangeTree};

/// Ids of watches by what they watch: one lookup for those of a single key, a walk down a tree for ranges.
#[derive(Debug, Default)]
pub(super) struct Index {
    single: HashMap<Bytes, BTreeSet<u64>>,
    ranges: RangeTree,
}

impl Index {
    pub fn insert(&mut self, keys: KeyRange<'_>, id: u64) {
        match bounds(keys) {
            None => {
                self.single
                    .entry(Bytes::copy_from_slice(keys.start()))
                    .or_default()
                    .insert(id);
            }
            Some((start, end)) => self.ranges.insert(start, end, id),
        }
    }

    /// Removes what was inserted with the same arguments; nothing if it was not.
    pub fn remove(&mut self, keys: KeyRange<'_>, id: u64) {
        match bounds(keys) {
            None => {
                if let Some(ids) = self.single.get_mut(keys.start()) {
                    ids.remove(&id);
                    if ids.is_empty() {
                        self.single.remove(keys.start());
                    }
                }
            }
            Some((start, end)) => self.ranges.remove(start, &end, id),
        }
    }

    /// Calls `found` with each id that watches `key`.
    pub fn watching(&self, key: &[u8], mut found: impl FnMut(u64)) {
        if let Some(ids) = self.single.get(key) {
            ids.iter().for_each(|id| found(*id));
        }
        self.ranges.holding(key, found);
    }
}

fn bounds(keys: KeyRange<'_>) -> Option<(&[u8], End)> {
    match keys {
        KeyRange::Single(_) => None,
        KeyRange::From(start) => Some((start, End::Unbounded)),
        KeyRange::Between(start, end) => Some((start, End::Before(Bytes::copy_from_slice(end)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_range_is_found_and_forgotten() {
        let ranges = [
            KeyRange::new(b"a", b""),
            KeyRange::new(b"a", b"c"),
            KeyRange::new(b"b", b"\0"),
            KeyRange::new(b"\0", b"\0"),
        ];
        let mut index = Index::default();
        for (id, range) in ranges.iter().enumerate() {
            index.insert(*range, id as u64);
        }
        let found = |index: &Index, key: &[u8]| {
            let mut ids = Vec::new();
            index.watching(key, |id| ids.push(id));
            ids.sort_unstable();
            ids
        };
        assert_eq!(found(&index, b"a"), [0, 1, 3]);
        assert_eq!(found(&index, b"b"), [1, 2, 3]);
        assert_eq!(found(&index, b"c"), [2, 3]);
        for (id, range) in ranges.iter().enumerate() {
            index.remove(*range, id as u64);
        }
        assert!(found(&index, b"a").is_empty() && index.single.is_empty());
    }
}

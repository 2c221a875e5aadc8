//! Ranges of keys, at the current revision and at older ones.

use std::cmp::Ordering;
use std::ops::ControlFlow;

use crate::check::check_range;
use crate::command::{Range, SortOrder, SortTarget};
use crate::error::CommandError;
use crate::key::KeyRange;
use crate::outcome::RangeOutcome;
use crate::record::Record;
use crate::state::State;

impl State {
    /// Reads a range of keys, at the current revision or an older one.
    ///
    /// Order of work is filter, sort, limit. `count` ignores both filters and limit. As in etcd, a limit is applied
    /// before the sort in one case: a sort target other than the key, with no order and no filter, sorts the first
    /// `limit + 1` keys.
    ///
    /// # Errors
    /// [`EmptyKey`](CommandError::EmptyKey), [`Compacted`](CommandError::Compacted) below the compact revision (reading
    /// at it is allowed), [`FutureRevision`](CommandError::FutureRevision) above the current one.
    pub fn range(&self, range: &Range) -> Result<RangeOutcome, CommandError> {
        check_range(range)?;
        self.check_readable(range.revision)?;
        Ok(self.range_readable(range))
    }

    /// The live record of a key: one map lookup.
    pub fn get(&self, key: &[u8]) -> Option<&Record> {
        self.live.get(key)
    }

    /// The record of a key that was live at `revision`; 0 or less is the current one.
    ///
    /// # Errors
    /// As [`State::range`].
    pub fn get_at(&self, key: &[u8], revision: i64) -> Result<Option<&Record>, CommandError> {
        self.check_readable(revision)?;
        Ok(self.get_readable(key, revision))
    }

    /// Calls `visit` for the live record of each key of a range, in key order.
    pub fn each_key<'a>(&'a self, keys: KeyRange<'_>, visit: impl FnMut(&'a Record) -> ControlFlow<()>) {
        self.for_each_live(keys, 0, false, visit);
    }

    /// Whether `revision` can be read; 0 or less is the current one.
    pub(crate) fn check_readable(&self, revision: i64) -> Result<(), CommandError> {
        if revision > self.revision {
            Err(CommandError::FutureRevision {
                requested: revision,
                revision: self.revision,
            })
        } else if revision > 0 && revision < self.compact_revision {
            let compact_revision = self.compact_revision;
            Err(CommandError::Compacted {
                requested: revision,
                compact_revision,
            })
        } else {
            Ok(())
        }
    }

    fn is_current(&self, revision: i64) -> bool {
        revision <= 0 || revision >= self.revision
    }

    fn get_readable(&self, key: &[u8], revision: i64) -> Option<&Record> {
        if self.is_current(revision) {
            return self.live.get(key);
        }
        let newest = self.live.get(key).or_else(|| self.tombstones.get(key))?;
        self.as_of(newest, revision)
    }

    /// Calls `visit` for each record of `keys` live at a readable `revision`, in key order or against it.
    pub(crate) fn for_each_live<'a>(
        &'a self,
        keys: KeyRange<'_>,
        revision: i64,
        reverse: bool,
        visit: impl FnMut(&'a Record) -> ControlFlow<()>,
    ) {
        if keys.is_empty() {
            return;
        }
        // Whether `visit` broke off is its own affair.
        if let KeyRange::Single(key) = keys {
            let _ = self.get_readable(key, revision).into_iter().try_for_each(visit);
            return;
        }
        let mut live = self
            .live
            .range::<[u8], _>(keys.bounds())
            .map(|(_, record)| record);
        if self.is_current(revision) {
            let _ = if reverse {
                live.rev().try_for_each(visit)
            } else {
                live.try_for_each(visit)
            };
            return;
        }
        let deleted = self
            .tombstones
            .range::<[u8], _>(keys.bounds())
            .map(|(_, record)| record);
        let then = |newest| self.as_of(newest, revision);
        if reverse {
            let newest = merge(live.rev(), deleted.rev(), |a, b| a.key() > b.key());
            let _ = newest.filter_map(then).try_for_each(visit);
        } else {
            let _ = merge(live, deleted, |a, b| a.key() < b.key())
                .filter_map(then)
                .try_for_each(visit);
        }
    }

    /// [`State::range`] for a range whose key and revision are known to be good.
    pub(crate) fn range_readable(&self, range: &Range) -> RangeOutcome {
        let keys = KeyRange::new(&range.key, &range.range_end);
        let limit = usize::try_from(range.limit)
            .ok()
            .filter(|&limit| limit > 0)
            .unwrap_or(usize::MAX);
        let sort_by_key = range.sort_target == SortTarget::Key;
        let reverse = sort_by_key && range.sort_order == SortOrder::Descend;
        // How many matching records are looked at in key order: all, if they are to be sorted otherwise.
        let candidates_max = match range.sort_order {
            _ if range.count_only => 0,
            SortOrder::Ascend | SortOrder::Descend if !sort_by_key => usize::MAX,
            SortOrder::None if !sort_by_key && has_filters(range) => usize::MAX,
            _ => limit.saturating_add(1),
        };

        let all_live = self.is_current(range.revision) && self.is_every_key(keys);
        let mut count = 0;
        let mut candidates: Vec<&Record> = Vec::new();
        let mut counted_all = true;
        self.for_each_live(keys, range.revision, reverse, |record| {
            count += 1;
            if candidates.len() < candidates_max && passes_filters(range, record) {
                candidates.push(record);
            }
            if candidates.len() >= candidates_max && all_live {
                counted_all = false;
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        });
        if !counted_all {
            count = self.live.len() as i64;
        }

        if !sort_by_key {
            sort(&mut candidates, range.sort_target, range.sort_order);
        }
        let more = candidates.len() > limit;
        candidates.truncate(limit);
        RangeOutcome {
            revision: self.revision,
            records: candidates.into_iter().cloned().collect(),
            count,
            more,
        }
    }

    /// Whether every live key is in `keys`, so that its count needs no walk.
    fn is_every_key(&self, keys: KeyRange<'_>) -> bool {
        matches!(keys, KeyRange::From(start) if self.live.first().is_none_or(|(first, _)| start <= first.as_bytes()))
    }
}

fn has_filters(range: &Range) -> bool {
    range.min_mod_revision != 0
        || range.max_mod_revision != 0
        || range.min_create_revision != 0
        || range.max_create_revision != 0
}

fn passes_filters(range: &Range, record: &Record) -> bool {
    let within = |value: i64, min: i64, max: i64| (min == 0 || value >= min) && (max == 0 || value <= max);
    within(
        record.mod_revision(),
        range.min_mod_revision,
        range.max_mod_revision,
    ) && within(
        record.create_revision(),
        range.min_create_revision,
        range.max_create_revision,
    )
}

/// Stable, so that equal records stay in key order whichever way the target is sorted.
fn sort(records: &mut [&Record], target: SortTarget, order: SortOrder) {
    let compare = |a: &&Record, b: &&Record| match target {
        SortTarget::Key => a.key().cmp(b.key()),
        SortTarget::Version => a.version().cmp(&b.version()),
        SortTarget::Create => a.create_revision().cmp(&b.create_revision()),
        SortTarget::Mod => a.mod_revision().cmp(&b.mod_revision()),
        SortTarget::Value => a.value().cmp(b.value()),
    };
    match order {
        SortOrder::None | SortOrder::Ascend => records.sort_by(compare),
        SortOrder::Descend => records.sort_by(|a, b| match compare(a, b) {
            Ordering::Less => Ordering::Greater,
            Ordering::Equal => Ordering::Equal,
            Ordering::Greater => Ordering::Less,
        }),
    }
}

/// Merges two sorted sequences without common keys.
fn merge<'a>(
    a: impl Iterator<Item = &'a Record>,
    b: impl Iterator<Item = &'a Record>,
    a_first: impl Fn(&Record, &Record) -> bool,
) -> impl Iterator<Item = &'a Record> {
    let (mut a, mut b) = (a.peekable(), b.peekable());
    std::iter::from_fn(move || match (a.peek(), b.peek()) {
        (Some(x), Some(y)) if a_first(x, y) => a.next(),
        (Some(_), None) => a.next(),
        _ => b.next(),
    })
}

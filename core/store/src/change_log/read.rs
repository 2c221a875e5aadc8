//! Reading the change log: queries, and the keys as they were.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};

use super::{ChangeLog, Live, LoggedChange, Retention};
use crate::error::CommandError;
use crate::key::{Key, KeyRange};
use crate::record::Record;
use crate::state::State;

/// Which changes a query is about. Bounds are inclusive; 0 is no bound.
#[derive(Clone, Copy, Debug)]
pub struct ChangeFilter<'a> {
    /// Of which keys.
    pub keys: KeyRange<'a>,
    /// Made at this revision or later.
    pub from_revision: i64,
    /// Made at this revision or earlier.
    pub to_revision: i64,
    /// Made at this time or later, in milliseconds since 1970.
    pub from_time_unix_ms: i64,
    /// Made at this time or earlier.
    pub to_time_unix_ms: i64,
    /// By this user, or by a client of this name that has not authenticated; empty is anybody.
    pub author: &'a str,
}

impl<'a> ChangeFilter<'a> {
    /// All changes of some keys.
    pub fn of(keys: KeyRange<'a>) -> ChangeFilter<'a> {
        ChangeFilter {
            keys,
            from_revision: 0,
            to_revision: 0,
            from_time_unix_ms: 0,
            to_time_unix_ms: 0,
            author: "",
        }
    }

    fn revisions(&self) -> (i64, i64) {
        let to = if self.to_revision > 0 {
            self.to_revision
        } else {
            i64::MAX
        };
        (self.from_revision.max(0), to)
    }

    /// Whether the query selects it.
    pub fn selects(&self, change: &LoggedChange) -> bool {
        let within = |number: i64, from: i64, to: i64| number >= from && (to <= 0 || number <= to);
        let commit = &change.commit;
        self.keys.contains(change.record.key())
            && within(change.record.mod_revision(), self.from_revision, self.to_revision)
            && within(commit.time_unix_ms, self.from_time_unix_ms, self.to_time_unix_ms)
            && (self.author.is_empty() || commit.caller.name() == Some(self.author))
    }
}

impl ChangeLog {
    /// The keys of a range that are gone but have changes, in order.
    fn deleted_keys(&self, keys: KeyRange<'_>) -> impl Iterator<Item = &Key> {
        let found = (!keys.is_empty()).then(|| self.deleted.range::<[u8], _>(keys.bounds()));
        found.into_iter().flatten().map(|(key, _)| key)
    }

    /// The value of a key at a revision, if the log tells.
    fn find(&self, live: &Live, key: &[u8], revision: i64) -> Found<'_> {
        let mut kept_from = None;
        for change in self.of_key(live, key) {
            let made = change.record.mod_revision();
            if made <= revision {
                return Found::Change(change);
            }
            if change.previous_revision() == 0 {
                return Found::NotYet;
            }
            kept_from = Some(made);
        }
        Found::Unknown { kept_from }
    }
}

enum Found<'a> {
    Change(&'a LoggedChange),
    /// The key had never been there.
    NotYet,
    Unknown {
        kept_from: Option<i64>,
    },
}

impl State {
    /// How many changes are kept.
    pub fn change_count(&self) -> usize {
        self.change_log.len()
    }

    /// Approximately what the kept changes take in memory when they share nothing with the rest of the state, in bytes.
    /// Not part of [`State::size_bytes`]; at most [`MAX_CHANGE_LOG_BYTES`](crate::MAX_CHANGE_LOG_BYTES).
    pub fn change_log_bytes(&self) -> u64 {
        self.change_log.size_bytes()
    }

    /// The retention rules, by prefix.
    pub fn retention(&self) -> impl Iterator<Item = (&[u8], &Retention)> {
        self.change_log.retention.iter()
    }

    /// Every kept change, in order: what snapshots and checkpoints write beside records and rules.
    pub fn all_logged_changes(&self) -> impl Iterator<Item = &LoggedChange> {
        self.change_log.changes.iter().map(|(_, change)| change)
    }

    /// The kept changes after a place, revision and sub-revision, in order.
    pub fn logged_changes_after(&self, place: (i64, u32)) -> impl Iterator<Item = &LoggedChange> {
        let after = (Bound::Excluded(place), Bound::Unbounded);
        self.change_log.changes.range(after).map(|(_, change)| change)
    }

    /// The change made at a place, if it is kept.
    pub fn logged_change(&self, place: (i64, u32)) -> Option<&LoggedChange> {
        self.change_log.changes.get(&place)
    }

    /// The kept changes that a query selects, in order of revision and sub-revision, or against it.
    pub fn logged_changes<'a>(
        &'a self,
        filter: ChangeFilter<'a>,
        descending: bool,
    ) -> Box<dyn Iterator<Item = &'a LoggedChange> + 'a> {
        let log = &self.change_log;
        let (from, to) = filter.revisions();
        if from > to || filter.keys.is_empty() {
            return Box::new(std::iter::empty());
        }
        let selects = move |change: &&LoggedChange| filter.selects(change);
        if let KeyRange::Single(key) = filter.keys {
            let mut found: Vec<_> = log.of_key(&self.live, key).filter(selects).collect();
            if !descending {
                found.reverse();
            }
            return Box::new(found.into_iter());
        }
        let all = log
            .changes
            .range((from, 0)..=(to, u32::MAX))
            .map(|(_, change)| change);
        if descending {
            Box::new(all.rev().filter(selects))
        } else {
            Box::new(all.filter(selects))
        }
    }

    /// The change before this one of the same key, if it is kept.
    pub fn change_before(&self, change: &LoggedChange) -> Option<&LoggedChange> {
        self.change_log.changes.get(&change.previous)
    }

    /// The change that made a key's present value, if it is kept.
    pub fn last_change(&self, key: &[u8]) -> Option<&LoggedChange> {
        self.change_log.newest(&self.live, key)
    }

    /// The oldest revision that [`State::keys_at`] may know of, going by what was forgotten of whole keys.
    pub fn kept_from(&self, keys: KeyRange<'_>) -> i64 {
        self.change_log.retention.floor_of(keys)
    }

    /// The keys of a range as they were at a revision, in order, from the change log where compaction has been. Keys
    /// attached to a lease are left out: they have no history.
    ///
    /// # Errors
    /// [`CommandError::FutureRevision`]; [`CommandError::NotKept`] if what was there is no longer known.
    pub fn keys_at(&self, keys: KeyRange<'_>, revision: i64) -> Result<Vec<Record>, CommandError> {
        if revision > self.revision {
            return Err(CommandError::FutureRevision {
                requested: revision,
                revision: self.revision,
            });
        }
        let mut live = BTreeMap::new();
        let at = if revision >= self.compact_revision {
            revision
        } else {
            0
        };
        self.for_each_live(keys, at, false, |record| {
            live.insert(record.shared_key().clone(), record.clone());
            ControlFlow::Continue(())
        });
        if revision >= self.compact_revision {
            return Ok(live.into_values().filter(|record| record.lease() == 0).collect());
        }
        let not_kept = |kept_from| CommandError::NotKept {
            requested: revision,
            kept_from,
        };
        let floor = self.kept_from(keys);
        if revision < floor {
            return Err(not_kept(floor));
        }
        let deleted: Vec<Key> = self.change_log.deleted_keys(keys).cloned().collect();
        let mut found = BTreeMap::new();
        for (key, live) in live
            .iter()
            .map(|(key, live)| (key, Some(live)))
            .chain(deleted.iter().map(|key| (key, None)))
        {
            let record = match live {
                Some(live) if live.mod_revision() <= revision => live.clone(),
                _ => match self.change_log.find(&self.live, key.as_bytes(), revision) {
                    Found::Change(change) if change.record.is_tombstone() => continue,
                    Found::Change(change) => change.record.clone(),
                    Found::NotYet => continue,
                    Found::Unknown { kept_from: None } if live.is_some_and(|live| live.lease() != 0) => {
                        continue;
                    }
                    Found::Unknown { kept_from } => {
                        let since = live.map_or(floor, Record::mod_revision);
                        return Err(not_kept(kept_from.unwrap_or(since)));
                    }
                },
            };
            if record.lease() == 0 {
                found.insert(key.clone(), record);
            }
        }
        Ok(found.into_values().collect())
    }
}

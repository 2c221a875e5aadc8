//! The change log: who changed what, when and why. It outlives compaction, and is bounded by retention rules.
//!
//! It differs from the watch history (`log`) in what it forgets: that one everything before a revision, this one the
//! oldest changes of each key. A change shares its [`Record`] with the rest of the state for as long as that keeps it.
//!
//! Keys that were made with a lease (locks, registrations) have no history: they are not configuration, and there can
//! be very many changes of them. A lease that is attached later changes nothing.

mod read;
mod retention;

use std::ops::Bound;
use std::sync::Arc;

use crate::command::Caller;
use crate::key::Key;
use crate::map::Map;
use crate::record::Record;

pub use read::ChangeFilter;
pub(crate) use retention::RetentionRules;
pub use retention::{DEFAULT_RETENTION_COUNT, MAX_RETENTION_RULES, Retention};

/// The most that all kept changes together may take, in bytes, by [`State::change_log_bytes`](crate::State::change_log_bytes):
/// beyond it the oldest are forgotten, whatever the retention rules say.
pub const MAX_CHANGE_LOG_BYTES: u64 = 64 << 20;

/// What a change counts beyond its key and value: two map entries, its commit, its record's numbers.
const CHANGE_COST_BYTES: u64 = 280;

/// When, by whom and why a revision was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Milliseconds since 1970, stamped by the leader; never less than that of an earlier revision.
    pub time_unix_ms: i64,
    /// Whose it was.
    pub caller: Arc<Caller>,
}

/// One change of one key, as the change log keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedChange {
    /// The put or tombstone. In a store restored from a backup its number may be another than the one it had.
    pub record: Record,
    /// When, by whom and why.
    pub commit: Arc<Commit>,
    /// The place of the key's change before this one, kept or not; zeros if there was none.
    pub(crate) previous: Place,
    /// Numbers the changes of a key, modulo 2^32; without gaps among those that are kept.
    pub(crate) ordinal: u32,
}

impl LoggedChange {
    /// The revision of the key's change before this one, kept or not; 0 if the key had not been there before, or only
    /// with a lease.
    pub fn previous_revision(&self) -> i64 {
        self.previous.0
    }

    fn cost_bytes(&self) -> u64 {
        cost_bytes(&self.record, &self.commit.caller)
    }
}

/// What the change log has to know to go on as it would have: so every member forgets the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChangeLogNumbers {
    /// Time of the last revision, in milliseconds since 1970.
    pub time_unix_ms: i64,
    /// Where the search for changes that need not be kept has got to: revision and sub-revision.
    pub swept: (i64, u32),
    /// About how many changes there are beyond what the rules count.
    pub surplus: u64,
}

/// Revision and sub-revision.
pub(crate) type Place = (i64, u32);

pub(crate) fn place_of(record: &Record) -> Place {
    (record.mod_revision(), record.sub())
}

fn cost_bytes(record: &Record, caller: &Caller) -> u64 {
    let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let texts = text(&caller.user) + text(&caller.client) + text(&caller.address) + text(&caller.comment);
    CHANGE_COST_BYTES + (record.key().len() + record.value().len() + texts) as u64
}

/// See the module.
///
/// The changes of a key are a chain: its newest one is found by the key's live record, or, when it is gone, in `deleted`;
/// each names the place of the one before. What is kept of a chain is its end. So a put costs an entry at the end of
/// one map, and nothing in the middle of any.
#[derive(Clone)]
pub(crate) struct ChangeLog {
    changes: Map<Place, LoggedChange>,
    /// The newest change, a tombstone, of each key that is not there but has changes.
    deleted: Map<Key, Place>,
    pub retention: RetentionRules,
    size_bytes: u64,
    /// Time of the last commit.
    time_unix_ms: i64,
    /// Up to where the search for changes that need not be kept has got.
    swept: Place,
    /// About how many changes there are beyond what the rules count.
    surplus: u64,
    /// The last caller: most commits have the same one as the commit before.
    caller: Arc<Caller>,
}

/// The live keys of the state whose log it is: what leads to the newest change of a key.
type Live = Map<Key, Record>;

impl ChangeLog {
    /// An empty one; what was before `floor_revision` is not known.
    pub fn new(floor_revision: i64) -> ChangeLog {
        ChangeLog {
            changes: Map::default(),
            deleted: Map::default(),
            retention: RetentionRules::new(floor_revision),
            size_bytes: 0,
            time_unix_ms: 0,
            swept: (0, 0),
            surplus: 0,
            caller: Arc::default(),
        }
    }

    pub fn len(&self) -> usize {
        self.changes.len()
    }

    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// The commit of a revision that is about to be made.
    pub fn commit(&mut self, time_unix_ms: i64, caller: &Caller) -> Arc<Commit> {
        self.time_unix_ms = self.time_unix_ms.max(time_unix_ms);
        self.past_commit(self.time_unix_ms, caller)
    }

    /// A commit made before, as it was.
    pub fn past_commit(&mut self, time_unix_ms: i64, caller: &Caller) -> Arc<Commit> {
        if *self.caller != *caller {
            self.caller = Arc::new(caller.clone());
        }
        Arc::new(Commit {
            time_unix_ms,
            caller: self.caller.clone(),
        })
    }

    /// Takes in a record that has just been made, and is in `live` already, if it is a put. `replaced` is the record of its key before,
    /// put or tombstone, if the state holds one.
    pub fn push(&mut self, live: &Live, record: &Record, replaced: Option<&Record>, commit: &Arc<Commit>) {
        let key = record.shared_key();
        let newest = replaced
            .and_then(|replaced| self.changes.get(&place_of(replaced)))
            .or_else(|| self.newest_of_deleted(key))
            .map(|newest| (place_of(&newest.record), newest.ordinal));
        if newest.is_none() && is_ephemeral(record, replaced) {
            return;
        }
        let count = self.retention.of(key.as_bytes()).count;
        if count == 0 {
            self.retention.raise_floor(key.as_bytes(), record.mod_revision());
            return;
        }
        let missing = || {
            replaced
                .filter(|replaced| is_known_to_be_there(replaced))
                .map(place_of)
        };
        let ordinal = newest.map_or(0, |(_, ordinal)| ordinal.wrapping_add(1));
        self.surplus += u64::from(ordinal >= count);
        self.insert(LoggedChange {
            record: record.clone(),
            commit: commit.clone(),
            previous: newest
                .map(|(place, _)| place)
                .or_else(missing)
                .unwrap_or_default(),
            ordinal,
        });
        while self.size_bytes > MAX_CHANGE_LOG_BYTES
            && let Some(oldest) = self.changes.first().map(|(place, _)| *place)
        {
            self.forget(oldest);
        }
        if self.surplus > 0 || self.retention.has_ages() {
            self.sweep(live);
        }
    }

    /// Adds a change at the end.
    pub fn insert(&mut self, change: LoggedChange) {
        self.size_bytes += change.cost_bytes();
        let place = place_of(&change.record);
        let key = change.record.shared_key();
        if change.record.is_tombstone() {
            self.deleted.insert(key.clone(), place);
        } else if self.deleted.len() > 0 {
            self.deleted.remove(key);
        }
        self.changes.insert(place, change);
    }

    /// Sets or removes the rule of a prefix, and forgets at once what the rules do not keep.
    pub fn set_retention(&mut self, live: &Live, prefix: &[u8], rule: Option<Retention>) {
        self.retention.set(prefix, rule);
        let places: Vec<Place> = self.changes.iter().map(|(place, _)| *place).collect();
        places
            .into_iter()
            .for_each(|place| self.forget_unless_kept(live, place));
        self.surplus = 0;
    }

    /// The newest kept change of a key.
    pub fn newest(&self, live: &Live, key: &[u8]) -> Option<&LoggedChange> {
        match live.get(key) {
            Some(record) => self.changes.get(&place_of(record)),
            None => self.newest_of_deleted(key),
        }
    }

    fn newest_of_deleted<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&LoggedChange>
    where
        Key: std::borrow::Borrow<Q>,
    {
        self.changes.get(self.deleted.get(key)?)
    }

    /// The kept changes of a key, newest first.
    pub fn of_key<'a>(&'a self, live: &Live, key: &[u8]) -> impl Iterator<Item = &'a LoggedChange> + use<'a> {
        std::iter::successors(self.newest(live, key), |change| {
            self.changes.get(&change.previous)
        })
    }

    /// Looks at two changes more: so the search gets to the end, though a new one comes with each.
    fn sweep(&mut self, live: &Live) {
        for _ in 0..2 {
            let rest = (Bound::Excluded(self.swept), Bound::Unbounded);
            let next = self.changes.range(rest).next().map(|(place, _)| *place);
            let Some(place) = next else {
                self.swept = (0, 0);
                self.surplus = 0;
                return;
            };
            self.swept = place;
            self.forget_unless_kept(live, place);
        }
    }

    fn forget_unless_kept(&mut self, live: &Live, place: Place) {
        let Some(change) = self.changes.get(&place) else {
            return;
        };
        let key = change.record.key();
        let rule = self.retention.of(key);
        let age_ms = self.time_unix_ms.saturating_sub(change.commit.time_unix_ms);
        let is_old = rule.max_age_ms().is_some_and(|max_age_ms| age_ms > max_age_ms);
        let is_surplus = || {
            let newest = self.newest(live, key);
            let ordinal = newest.map_or(change.ordinal, |newest| newest.ordinal);
            ordinal.wrapping_sub(change.ordinal) >= rule.count
        };
        if is_old || is_surplus() {
            // A search that began in the middle meets the end of a chain first: what is before goes along.
            let mut next = Some(place);
            while let Some(previous) = next.and_then(|place| self.forget(place)) {
                next = Some(previous);
                self.surplus = self.surplus.saturating_sub(u64::from(!is_old));
            }
        }
    }

    /// Returns the place of the change before it of the same key.
    fn forget(&mut self, place: Place) -> Option<Place> {
        let change = self.changes.remove(&place)?;
        self.size_bytes -= change.cost_bytes();
        // Nothing else says that a key was ever there which is gone altogether, or which a lease holds now.
        let key = change.record.shared_key();
        let is_last = change.record.is_tombstone() && self.deleted.get(key) == Some(&place);
        if is_last {
            self.deleted.remove(key);
        }
        if is_last || change.record.lease() != 0 {
            self.retention.raise_floor(key.as_bytes(), place.0);
        }
        Some(change.previous)
    }

    /// What a snapshot keeps beside changes and rules.
    pub fn numbers(&self) -> ChangeLogNumbers {
        ChangeLogNumbers {
            time_unix_ms: self.time_unix_ms,
            swept: self.swept,
            surplus: self.surplus,
        }
    }

    pub fn set_numbers(&mut self, numbers: ChangeLogNumbers) {
        self.time_unix_ms = numbers.time_unix_ms;
        self.swept = numbers.swept;
        self.surplus = numbers.surplus;
    }
}

/// Whether what a key's first kept change replaced is history that is missing. A lease's key is none; and of a key that
/// was gone altogether, the floor tells where it is not known.
fn is_known_to_be_there(replaced: &Record) -> bool {
    !replaced.is_tombstone() && replaced.lease() == 0
}

/// Whether a change is of a key that a lease brought into being.
fn is_ephemeral(record: &Record, replaced: Option<&Record>) -> bool {
    if record.is_tombstone() {
        return replaced.is_some_and(|replaced| replaced.lease() != 0);
    }
    record.lease() != 0 && !replaced.is_some_and(is_known_to_be_there)
}

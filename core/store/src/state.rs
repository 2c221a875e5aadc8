//! One immutable version of the whole store, and what can be read from it.

use std::fmt;

use bytes::Bytes;

use crate::alarm::{Alarm, AlarmKind, Alarms};
use crate::change_log::ChangeLog;
use crate::key::Key;
use crate::lease::Lease;
use crate::log::Log;
use crate::map::Map;
use crate::record::Record;
use crate::rules::{NotificationRule, Rules, SchemaRule};
use crate::written::Written;

/// What a lease counts towards [`State::size_bytes`].
const LEASE_COST_BYTES: u64 = 128;

/// One version of the whole store. A clone is O(1); readers keep one for as long as they like, on any thread, and
/// neither block the writer nor see it.
///
/// Every record made is counted by `seq`. Kept are, with C the compact revision:
/// * every live key's newest record, in `live`;
/// * every record made at C or later, in `log`, in order: index = seq - first seq;
/// * the newest record of a deleted key, a tombstone, in `tombstones`, if it is in the log;
/// * records made before C, superseded since, that a read at C still sees, in `survivors` by seq. No tombstone is here.
///
/// A key's older records are found from its newest one by following `prev_seq` through log and survivors; a link whose
/// record is not kept means that the key did not exist at any readable revision before.
#[derive(Clone)]
pub struct State {
    pub(crate) revision: i64,
    pub(crate) compact_revision: i64,
    pub(crate) live: Map<Key, Record>,
    pub(crate) tombstones: Map<Key, Record>,
    pub(crate) log: Log,
    pub(crate) survivors: Map<u64, Record>,
    pub(crate) leases: Map<i64, Lease>,
    pub(crate) alarms: Alarms,
    pub(crate) change_log: ChangeLog,
    pub(crate) rules: Rules,
    pub(crate) written: Written,
    pub(crate) record_count: u64,
    pub(crate) size_bytes: u64,
    pub(crate) live_bytes: u64,
}

impl State {
    /// The empty store: revision 1, nothing compacted.
    pub(crate) fn empty() -> State {
        State {
            revision: 1,
            compact_revision: -1,
            live: Map::default(),
            tombstones: Map::default(),
            log: Log::starting_at(1),
            survivors: Map::default(),
            leases: Map::default(),
            alarms: Alarms::default(),
            change_log: ChangeLog::new(0),
            rules: Rules::default(),
            written: Written::default(),
            record_count: 0,
            size_bytes: 0,
            live_bytes: 0,
        }
    }

    /// The current revision; 1 in an empty store, so that the first write makes 2.
    pub fn revision(&self) -> i64 {
        self.revision
    }

    /// The oldest revision that can be read and watched; -1 if the store was never compacted.
    pub fn compact_revision(&self) -> i64 {
        self.compact_revision
    }

    /// The number that the next record will have.
    pub fn next_seq(&self) -> u64 {
        self.log.next_seq()
    }

    /// The number of the first record in the log: every record from it on is kept. Older ones are kept only as far as
    /// they are live or a read at the compact revision sees them.
    pub fn first_log_seq(&self) -> u64 {
        self.log.first_seq()
    }

    /// How many keys are live.
    pub fn key_count(&self) -> usize {
        self.live.len()
    }

    /// How many records are kept: live ones, tombstones and old revisions.
    pub fn record_count(&self) -> u64 {
        self.record_count
    }

    /// Approximately what the kept records and leases take in memory, in bytes. The same on every member that holds
    /// the same state, so that a quota on it decides alike everywhere.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// The part of [`State::size_bytes`] that is history: old revisions and tombstones. A compaction to the current revision
    /// leaves nothing of it but the tombstones made at that very revision.
    pub fn history_bytes(&self) -> u64 {
        self.size_bytes - self.live_bytes
    }

    /// How much this process has written to it.
    pub fn written(&self) -> Written {
        self.written
    }

    /// A lease; `None` if it does not exist.
    pub fn lease(&self, id: i64) -> Option<&Lease> {
        self.leases.get(&id)
    }

    /// All leases, in order of their ids.
    pub fn leases(&self) -> impl Iterator<Item = &Lease> {
        self.leases.iter().map(|(_, lease)| lease)
    }

    /// The alarms that are raised, by kind, then by member.
    pub fn alarms(&self) -> &[Alarm] {
        self.alarms.as_slice()
    }

    /// Whether an alarm of the kind is raised, by whichever member.
    pub fn has_alarm(&self, kind: AlarmKind) -> bool {
        self.alarms.contains(kind)
    }

    /// A number that grows with each change of any schema; 0 as long as there has never been one.
    pub fn schema_revision(&self) -> i64 {
        self.rules.schema_revision()
    }

    /// The schemas, by pattern.
    pub fn schemas(&self) -> impl Iterator<Item = (&Bytes, &SchemaRule)> {
        self.rules.schemas()
    }

    /// The schema bound to exactly this pattern.
    pub fn schema(&self, pattern: &[u8]) -> Option<&SchemaRule> {
        self.rules.schema(pattern)
    }

    /// The notification rules, by name.
    pub fn notifications(&self) -> impl Iterator<Item = (&str, &NotificationRule)> {
        self.rules.notifications()
    }

    pub(crate) fn add_lease(&mut self, lease: Lease) {
        self.size_bytes += LEASE_COST_BYTES;
        self.live_bytes += LEASE_COST_BYTES;
        self.leases.insert(lease.id, lease);
    }

    pub(crate) fn remove_lease(&mut self, id: i64) -> Option<Lease> {
        let lease = self.leases.remove(&id)?;
        self.size_bytes -= LEASE_COST_BYTES;
        self.live_bytes -= LEASE_COST_BYTES;
        Some(lease)
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("revision", &self.revision)
            .field("compact_revision", &self.compact_revision)
            .field("key_count", &self.key_count())
            .field("next_seq", &self.next_seq())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_on_any_thread_may_hold_what_they_read() {
        fn is_send_and_sync<T: Send + Sync + 'static>() {}
        is_send_and_sync::<State>();
        is_send_and_sync::<Record>();
        is_send_and_sync::<crate::Events>();
        is_send_and_sync::<crate::Records>();
    }
}

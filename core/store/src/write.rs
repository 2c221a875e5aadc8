//! Writing: new records of one revision, and the indexes that go with them.

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::change_log::Commit;
use crate::command::{Caller, DeleteRange, Put};
use crate::key::{Key, KeyRange};
use crate::outcome::{DeleteRangeOutcome, PutOutcome};
use crate::record::{Record, RecordMeta};
use crate::state::State;

/// What a kept record counts towards [`State::size_bytes`] beyond its value: its allocation, its places in log and index.
const RECORD_COST_BYTES: u64 = 100;
/// What a key with kept records counts beyond its bytes.
const KEY_COST_BYTES: u64 = 48;

/// When and by whom a command was proposed.
#[derive(Clone, Copy)]
pub(crate) struct Origin<'a> {
    pub time_unix_ms: i64,
    pub caller: &'a Caller,
}

/// The writes of one command: all at one revision, which begins with the first of them.
pub(crate) struct Writer<'a> {
    state: &'a mut State,
    origin: Origin<'a>,
    /// Of the revision, once it has begun.
    commit: Option<Arc<Commit>>,
    /// How many records were written: the next sub-revision.
    written: u32,
}

impl<'a> Writer<'a> {
    pub fn new(state: &'a mut State, origin: Origin<'a>) -> Writer<'a> {
        Writer {
            state,
            origin,
            commit: None,
            written: 0,
        }
    }

    /// The state as written so far.
    pub fn state(&self) -> &State {
        self.state
    }

    /// Puts a key. That it can was checked: a lease it names exists, and the key if it keeps something of it.
    pub fn put(&mut self, put: &Put) -> PutOutcome {
        let prev = self.state.live.get(put.key.as_ref()).cloned();
        let kept = |keeps: bool| if keeps { prev.as_ref() } else { None };
        let lease = kept(put.ignore_lease).map_or(put.lease, Record::lease);
        let value = kept(put.ignore_value).map_or(put.value.as_ref(), Record::value);

        let before = prev
            .as_ref()
            .or_else(|| self.state.tombstones.get(put.key.as_ref()));
        let key = before.map_or_else(|| Key::copy_from(&put.key), |record| record.shared_key().clone());
        let meta = RecordMeta {
            lease,
            ..RecordMeta::default()
        };
        let before = before.cloned();
        let record = self.link(key, value, before.as_ref(), meta);
        self.install(record, before.as_ref());
        PutOutcome {
            revision: self.state.revision,
            prev: prev.filter(|_| put.prev_kv),
        }
    }

    /// Deletes a range of keys, in key order.
    pub fn delete_range(&mut self, delete: &DeleteRange) -> DeleteRangeOutcome {
        let keys = KeyRange::new(&delete.key, &delete.range_end);
        let mut doomed = Vec::new();
        self.state.for_each_live(keys, 0, false, |record| {
            doomed.push(record.clone());
            ControlFlow::Continue(())
        });
        for record in &doomed {
            self.delete(record);
        }
        DeleteRangeOutcome {
            revision: self.state.revision,
            deleted: doomed.len() as i64,
            prev: if delete.prev_kv { doomed } else { Vec::new() },
        }
    }

    /// Deletes the key of a live record.
    pub fn delete(&mut self, live: &Record) {
        let meta = RecordMeta {
            tombstone: true,
            ..RecordMeta::default()
        };
        let record = self.link(live.shared_key().clone(), b"", Some(live), meta);
        self.install(record, Some(live));
    }

    /// Makes the next record of a key whose newest record is `before`; `meta` says its lease and whether it deletes.
    fn link(&self, key: Key, value: &[u8], before: Option<&Record>, mut meta: RecordMeta) -> Record {
        // The first write begins the new revision; ranges later in the same transaction report it.
        meta.mod_revision = self.state.revision + i64::from(self.written == 0);
        meta.sub = self.written;
        meta.seq = self.state.log.next_seq();
        meta.prev_seq = before.map_or(0, Record::seq);
        if !meta.tombstone {
            let live = before.filter(|record| !record.is_tombstone());
            meta.create_revision = live.map_or(meta.mod_revision, Record::create_revision);
            meta.version = live.map_or(1, |record| record.version() + 1);
        }
        Record::new(key, value, &meta, self.state.skip_after(before))
    }

    fn install(&mut self, record: Record, replaced: Option<&Record>) {
        self.state.revision = record.mod_revision();
        self.written += 1;
        let Origin { time_unix_ms, caller } = self.origin;
        self.state.written.count(&record);
        // Before the change log, which looks there for the newest change of each key.
        self.state.index(&record);
        let change_log = &mut self.state.change_log;
        let commit = self
            .commit
            .get_or_insert_with(|| change_log.commit(time_unix_ms, caller));
        change_log.push(&self.state.live, &record, replaced, commit);
        self.state.log.push(record);
    }
}

impl State {
    /// Makes `record` the newest of its key in every index but the log. The record it replaces goes to the survivors if
    /// the log does not hold it. Only in a store being loaded can a tombstone be the first record of its key.
    pub(crate) fn index(&mut self, record: &Record) {
        let key = record.shared_key();
        let replaced = if record.is_tombstone() {
            self.tombstones.insert(key.clone(), record.clone());
            let replaced = self.live.remove(key);
            if replaced.is_none() {
                self.size_bytes += key_cost_bytes(record);
            }
            replaced
        } else if !record.is_creation()
            && let Some(live) = self.live.get_mut(key)
        {
            Some(std::mem::replace(live, record.clone()))
        } else {
            self.live.insert(key.clone(), record.clone());
            if self.tombstones.remove(key).is_none() {
                self.size_bytes += key_cost_bytes(record);
            }
            None
        };
        self.record_count += 1;
        self.size_bytes += record_cost_bytes(record);
        if let Some(replaced) = &replaced {
            self.live_bytes -= key_cost_bytes(replaced) + record_cost_bytes(replaced);
        }
        if !record.is_tombstone() {
            self.live_bytes += key_cost_bytes(record) + record_cost_bytes(record);
        }

        let lease_before = replaced.as_ref().map_or(0, Record::lease);
        if lease_before != record.lease() {
            if let Some(lease) = self.leases.get_mut(&lease_before) {
                lease.attached.remove(key);
            }
            if let Some(lease) = self.leases.get_mut(&record.lease()) {
                lease.attached.insert(key.clone(), ());
            }
        }
        if let Some(replaced) = replaced
            && replaced.seq() < self.log.first_seq()
        {
            self.survivors.insert(replaced.seq(), replaced);
        }
    }
}

pub(crate) fn record_cost_bytes(record: &Record) -> u64 {
    RECORD_COST_BYTES + record.value().len() as u64
}

pub(crate) fn key_cost_bytes(record: &Record) -> u64 {
    KEY_COST_BYTES + record.key().len() as u64
}

//! Rebuilds a store from what a snapshot or checkpoint holds.

use std::sync::Arc;

use thiserror::Error;

use crate::alarm::Alarm;
use crate::change_log::{Commit, LoggedChange};
use crate::check::MAX_LEASE_TTL_SECS;
use crate::codec::{ChangeView, LeaseView, RecordView, RuleItem};
use crate::error::CommandError;
use crate::key::{Key, MAX_KEY_BYTES};
use crate::lease::Lease;
use crate::log::Log;
use crate::record::{MAX_RECORDS_PER_REVISION, Record, RecordMeta, Skip};
use crate::state::State;
use crate::store::Store;

/// The numbers that a snapshot or checkpoint starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateHeader {
    /// [`State::revision`].
    pub revision: i64,
    /// [`State::compact_revision`].
    pub compact_revision: i64,
    /// [`State::next_seq`].
    pub next_seq: u64,
}

impl StateHeader {
    /// The header of a state.
    pub fn of(state: &State) -> StateHeader {
        StateHeader {
            revision: state.revision(),
            compact_revision: state.compact_revision(),
            next_seq: state.next_seq(),
        }
    }
}

/// Why what was loaded is no state: it is damaged, incomplete, or was put together wrongly. There is no repair; load
/// another snapshot or replay the log.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The header's numbers contradict each other.
    #[error("revision {}, compact revision {} and next record number {} contradict each other",
        .0.revision, .0.compact_revision, .0.next_seq)]
    Header(StateHeader),
    /// A lease that cannot be.
    #[error("lease {id:x}: {fault}")]
    Lease {
        /// The lease's id.
        id: i64,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// More alarms than can be raised at once.
    #[error("there are more alarms than {}", crate::alarm::MAX_ALARMS)]
    TooManyAlarms,
    /// A record that cannot be, or not after those before it.
    #[error("record {seq}: {fault}")]
    Record {
        /// The record's number.
        seq: u64,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// A change of the change log that cannot be, or not after those before it.
    #[error("the change of revision {revision}: {fault}")]
    Change {
        /// Its revision.
        revision: i64,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// A rule that cannot be.
    #[error("a rule cannot be: {0}")]
    Rule(CommandError),
    /// Records are missing at the end.
    #[error(
        "the last record is number {last_seq}, but the next one should be {next_seq}: records are missing"
    )]
    Incomplete {
        /// The number of the last record given; 0 if none was.
        last_seq: u64,
        /// The header's next number.
        next_seq: u64,
    },
}

/// Rebuilds a [`Store`]: give it the header, then every lease, then the rules, then every record in order of seq, then every
/// change of the change log, then finish.
///
/// It checks all invariants that can be checked: it never builds a state that commands could not have built, with one
/// exception: of the compact revision, records may be missing, even all when it is the current one. etcd before 3.5.16
/// drops tombstones there, so its snapshots lack them. It cannot notice that a whole key is missing; checksums must.
pub struct StateLoader {
    header: StateHeader,
    state: State,
    last: RecordMeta,
    /// The numbers of the records that the log does not hold, ascending.
    old_seqs: Vec<u64>,
    /// Whether the numbers of change log and schemas were given.
    has_numbers: bool,
    last_change: (i64, u32),
    last_commit: Option<Arc<Commit>>,
}

impl StateLoader {
    /// Starts with the header.
    ///
    /// # Errors
    /// [`LoadError::Header`].
    pub fn new(header: StateHeader) -> Result<StateLoader, LoadError> {
        let StateHeader {
            revision,
            compact_revision,
            next_seq,
        } = header;
        let is_empty = revision == 1 && next_seq == 1;
        let is_written = revision > 1 && next_seq > 1;
        if !(is_empty || is_written) || compact_revision < -1 || compact_revision > revision {
            return Err(LoadError::Header(header));
        }
        let mut state = State::empty();
        state.revision = revision;
        state.compact_revision = compact_revision;
        // Until the first record of the log comes, every record is one that the log does not hold.
        state.log = Log::starting_at(next_seq);
        Ok(StateLoader {
            header,
            state,
            last: RecordMeta::default(),
            old_seqs: Vec::new(),
            has_numbers: false,
            last_change: (0, 0),
            last_commit: None,
        })
    }

    /// Adds a lease. All leases come before the first record.
    ///
    /// # Errors
    /// [`LoadError::Lease`].
    pub fn lease(&mut self, lease: LeaseView) -> Result<(), LoadError> {
        let LeaseView { id, ttl_secs } = lease;
        let fault = if id == 0 {
            "the id is 0"
        } else if !(1..=MAX_LEASE_TTL_SECS).contains(&ttl_secs) {
            "the time to live is out of bounds"
        } else if self.state.lease(id).is_some() {
            "it is there twice"
        } else if self.last.seq != 0 {
            "it comes after a record"
        } else {
            self.state.add_lease(Lease::new(id, ttl_secs));
            return Ok(());
        };
        Err(LoadError::Lease { id, fault })
    }

    /// Adds an alarm, at any time before the end.
    ///
    /// # Errors
    /// [`LoadError::TooManyAlarms`].
    pub fn alarm(&mut self, alarm: Alarm) -> Result<(), LoadError> {
        if self.state.alarms.raise(alarm) {
            Ok(())
        } else {
            Err(LoadError::TooManyAlarms)
        }
    }

    /// Adds a record; key and value are copied.
    ///
    /// # Errors
    /// [`LoadError::Record`].
    pub fn record(&mut self, record: RecordView<'_>) -> Result<(), LoadError> {
        let RecordView { key, value, ref meta } = record;
        let fail = |fault| Err(LoadError::Record { seq: meta.seq, fault });
        let newest = self
            .state
            .live
            .get(key)
            .or_else(|| self.state.tombstones.get(key));
        let faults = [
            check_alone(&self.header, &record),
            check_place(&self.header, &self.last, meta),
            check_chain(&self.header, newest, meta),
            self.check_forgotten(newest, meta),
        ];
        if let Some(fault) = faults.into_iter().flatten().next() {
            return fail(fault);
        }

        let key = newest.map_or_else(|| Key::copy_from(key), |newest| newest.shared_key().clone());
        let record = Record::new(key, value, meta, self.state.skip_after(newest));
        let in_log = is_in_log(&self.header, meta);
        if in_log && !is_in_log(&self.header, &self.last) {
            self.state.log = Log::starting_at(meta.seq);
        }
        self.state.index(&record);
        if in_log {
            self.state.log.push(record);
        } else {
            self.old_seqs.push(meta.seq);
        }
        self.last = *meta;
        Ok(())
    }

    /// Adds a rule, or the numbers that belong to them, at any time before the first change. Without numbers, nothing is
    /// known of what was before this state: it comes from a store without a change log.
    ///
    /// # Errors
    /// [`LoadError::Rule`].
    pub fn rule(&mut self, item: RuleItem) -> Result<(), LoadError> {
        let state = &mut self.state;
        match item {
            RuleItem::Numbers {
                change_log,
                schema_revision,
            } => {
                self.has_numbers = true;
                state.change_log.set_numbers(change_log);
                state.rules.set_schema_revision(schema_revision);
                Ok(())
            }
            RuleItem::Retention { prefix, rule } => {
                state.change_log.retention.load(&prefix, rule);
                Ok(())
            }
            RuleItem::Schema { pattern, rule } => {
                let schema_revision = state.schema_revision();
                let set = state.rules.set_schema(&pattern, Some(&rule));
                // Loading changes no schema.
                state.rules.set_schema_revision(schema_revision);
                set.map_err(LoadError::Rule)
            }
            RuleItem::Notification { name, rule } => {
                state.rules.load_notification(&name, rule);
                Ok(())
            }
        }
    }

    /// Adds a change of the change log, in order of revision and sub-revision, after all records.
    ///
    /// # Errors
    /// [`LoadError::Change`].
    pub fn change(&mut self, change: ChangeView<'_>) -> Result<(), LoadError> {
        let RecordView { key, value, meta } = change.record;
        let place = (meta.mod_revision, meta.sub);
        let fail = |fault| {
            Err(LoadError::Change {
                revision: meta.mod_revision,
                fault,
            })
        };
        if place <= self.last_change {
            return fail("it is out of order");
        }
        if meta.mod_revision > self.header.revision || change.previous.0 >= meta.mod_revision {
            return fail("its revision is out of bounds");
        }
        self.last_change = place;
        let state = &mut self.state;
        let newest = state.live.get(key).or_else(|| state.tombstones.get(key));
        let same = |record: &&Record| (record.mod_revision(), record.sub()) == place;
        let record = newest
            .filter(same)
            .or_else(|| {
                state
                    .superseded(meta.seq)
                    .filter(same)
                    .filter(|record| record.key() == key)
            })
            .cloned();
        let record = record.unwrap_or_else(|| {
            let logged = || state.change_log.newest(&state.live, key);
            let logged = || logged().map(|change| change.record.shared_key().clone());
            let shared = newest.map(|record| record.shared_key().clone()).or_else(logged);
            Record::new(
                shared.unwrap_or_else(|| Key::copy_from(key)),
                value,
                &meta,
                Skip::default(),
            )
        });
        let commit = match &self.last_commit {
            Some(commit) if commit.time_unix_ms == change.time_unix_ms && *commit.caller == change.caller => {
                commit.clone()
            }
            _ => state.change_log.past_commit(change.time_unix_ms, &change.caller),
        };
        self.last_commit = Some(commit.clone());
        state.change_log.insert(LoggedChange {
            record,
            commit,
            previous: change.previous,
            ordinal: change.ordinal,
        });
        Ok(())
    }

    /// A link from the first kept record of a key must lead to a record that is not kept: reads trust that it does not
    /// lead to another key.
    fn check_forgotten(&self, newest: Option<&Record>, meta: &RecordMeta) -> Option<&'static str> {
        let is_kept =
            |seq: u64| self.state.log.get(seq).is_some() || self.old_seqs.binary_search(&seq).is_ok();
        first_fault(&[(
            newest.is_none() && is_kept(meta.prev_seq),
            "it names a record of another key",
        )])
    }

    /// Checks that nothing is missing at the end.
    ///
    /// # Errors
    /// [`LoadError::Incomplete`], and [`LoadError::Record`] for a live record whose lease is missing.
    pub fn finish(self) -> Result<Store, LoadError> {
        let StateLoader {
            header,
            mut state,
            last,
            has_numbers,
            ..
        } = self;
        if !has_numbers {
            state.change_log.retention.raise_floors(header.revision);
            let has_schemas = state.schemas().next().is_some();
            state.rules.set_schema_revision(i64::from(has_schemas));
        }
        // The newest revision is never compacted, so the last record is there and was made at it, unless the newest is
        // the compact revision, whose records may be missing.
        let is_newest =
            last.seq + 1 == header.next_seq && (last.seq == 0 || last.mod_revision == header.revision);
        let is_dropped = header.compact_revision == header.revision && !is_in_log(&header, &last);
        if !is_newest && !is_dropped {
            return Err(LoadError::Incomplete {
                last_seq: last.seq,
                next_seq: header.next_seq,
            });
        }
        for (_, record) in state.live.iter() {
            if record.lease() != 0 && !state.leases.contains_key(&record.lease()) {
                return Err(LoadError::Record {
                    seq: record.seq(),
                    fault: "its lease is missing",
                });
            }
        }
        Ok(Store { state })
    }
}

/// Whether the log holds the record; not for the zero that stands for no record.
fn is_in_log(header: &StateHeader, meta: &RecordMeta) -> bool {
    meta.seq != 0 && meta.mod_revision >= header.compact_revision
}

/// What is wrong with a record, whatever came before it.
fn check_alone(header: &StateHeader, record: &RecordView<'_>) -> Option<&'static str> {
    let RecordView { key, value, meta } = record;
    let is_put = !meta.tombstone;
    let faults = [
        (
            key.is_empty() || key.len() > MAX_KEY_BYTES,
            "the key is empty or too long",
        ),
        (
            meta.sub >= MAX_RECORDS_PER_REVISION,
            "the sub-revision is out of bounds",
        ),
        (
            !(2..=header.revision).contains(&meta.mod_revision),
            "the mod revision is out of bounds",
        ),
        (
            !(1..header.next_seq).contains(&meta.seq),
            "the number is out of bounds",
        ),
        (meta.prev_seq >= meta.seq, "its predecessor is not before it"),
        (
            meta.tombstone
                && !(value.is_empty() && [meta.create_revision, meta.version, meta.lease] == [0; 3]),
            "a tombstone with a value, version, create revision or lease",
        ),
        (
            is_put && (meta.version < 1 || !(2..=meta.mod_revision).contains(&meta.create_revision)),
            "the version or create revision is out of bounds",
        ),
        (
            is_put && (meta.version == 1) != (meta.create_revision == meta.mod_revision),
            "version and create revision contradict each other",
        ),
        (
            meta.tombstone && meta.mod_revision < header.compact_revision,
            "a tombstone from before the compact revision",
        ),
    ];
    first_fault(&faults)
}

/// What is wrong with the place of a record after the `last` one (all zero at the start).
fn check_place(header: &StateHeader, last: &RecordMeta, meta: &RecordMeta) -> Option<&'static str> {
    let in_order = meta.seq > last.seq && meta.mod_revision >= last.mod_revision;
    let same_revision = meta.mod_revision == last.mod_revision;
    let last_in_log = is_in_log(header, last);
    let starts_log = is_in_log(header, meta) && !last_in_log;
    let adjacent = meta.seq.wrapping_sub(last.seq) == 1;
    // See StateLoader: here records may be missing.
    let compacted = meta.mod_revision == header.compact_revision;
    let faults = [
        (!in_order, "it is out of order"),
        (
            same_revision && meta.sub <= last.sub,
            "it is out of order in its revision",
        ),
        (last_in_log && !adjacent, "the record before it is missing"),
        (
            last_in_log && same_revision && !compacted && meta.sub != last.sub + 1,
            "its sub-revision leaves a gap",
        ),
        (
            (adjacent || starts_log) && !same_revision && !compacted && meta.sub != 0,
            "the first of a revision with a sub-revision above 0",
        ),
    ];
    first_fault(&faults)
}

/// What is wrong with the links of a record to the `newest` one of its key so far.
fn check_chain(header: &StateHeader, newest: Option<&Record>, meta: &RecordMeta) -> Option<&'static str> {
    let after_compaction = meta.mod_revision > header.compact_revision;
    let Some(newest) = newest else {
        // What it replaced was compacted, which leaves a creation or a record that compaction itself could see.
        return first_fault(&[(
            after_compaction && meta.version != 1,
            "the record it replaced is missing",
        )]);
    };
    let continues = match (newest.is_tombstone(), meta.tombstone) {
        (true, true) => false,
        (false, true) => true,
        (true, false) => meta.version == 1,
        (false, false) => {
            meta.version == newest.version() + 1 && meta.create_revision == newest.create_revision()
        }
    };
    first_fault(&[
        (
            meta.prev_seq != newest.seq(),
            "it does not name the record it replaced",
        ),
        (
            meta.mod_revision <= newest.mod_revision(),
            "it replaced a record of its own revision",
        ),
        (
            !after_compaction,
            "the record it replaced should have been compacted",
        ),
        (!continues, "it does not continue the history of its key"),
    ])
}

fn first_fault(faults: &[(bool, &'static str)]) -> Option<&'static str> {
    faults
        .iter()
        .find(|(is_fault, _)| *is_fault)
        .map(|&(_, fault)| fault)
}

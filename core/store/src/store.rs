//! The writer: applies commands, one after the other.

use crate::alarm::{AlarmKind, MAX_ALARMS};
use crate::check::{CheckLimits, check, check_txn};
use crate::command::{AlarmChange, Caller, Command, LeaseGrant, LeaseRevoke, Txn};
use crate::error::CommandError;
use crate::lease::Lease;
use crate::outcome::{Outcome, TxnOutcome};
use crate::record::Record;
use crate::state::State;
use crate::txn;
use crate::write::Writer;

/// The store, as its single writer owns it. Deterministic: the same commands in the same order give the same outcomes
/// and the same state on every machine. Reads no clock, starts no thread, does no I/O.
#[derive(Clone, Debug)]
pub struct Store {
    pub(crate) state: State,
}

impl Default for Store {
    fn default() -> Store {
        Store::new()
    }
}

impl Store {
    /// The empty store, at revision 1.
    pub fn new() -> Store {
        Store {
            state: State::empty(),
        }
    }

    /// The present state: O(1), to be handed to readers.
    pub fn state(&self) -> State {
        self.state.clone()
    }

    /// Applies one command, wholly or, with an error, not at all.
    ///
    /// `time_unix_ms` (stamped by the proposer) and `caller` belong to the command in the replicated log and so reach
    /// every command here; no key-value semantics depend on them. Keys and values are copied out of `command`.
    ///
    /// # Errors
    /// Every [`CommandError`] that [`check`] gives without limits, and those that depend on the state.
    pub fn apply(
        &mut self,
        time_unix_ms: i64,
        caller: &Caller,
        command: &Command,
    ) -> Result<Outcome, CommandError> {
        let _ = (time_unix_ms, caller);
        check(command, &CheckLimits::NONE)?;
        self.check_alarms(command)?;
        match command {
            Command::Put(put) => {
                txn::check_put_can_run(&self.state, put)?;
                Ok(Outcome::Put(Writer::new(&mut self.state).put(put)))
            }
            Command::DeleteRange(delete) => Ok(Outcome::DeleteRange(
                Writer::new(&mut self.state).delete_range(delete),
            )),
            Command::Txn(txn) => self.txn(txn).map(Outcome::Txn),
            Command::Compact(compact) => self.state.compact(compact.revision).map(|()| Outcome::Compact),
            Command::LeaseGrant(grant) => self.lease_grant(grant),
            Command::LeaseRevoke(revoke) => self.lease_revoke(revoke),
            Command::Alarm(change) => self.alarm(change),
        }
    }

    /// While an alarm is raised, every member refuses the same commands: the alarm is part of the state.
    fn check_alarms(&self, command: &Command) -> Result<(), CommandError> {
        let alarms = &self.state.alarms;
        if alarms.contains(AlarmKind::Corrupt) && !matches!(command, Command::Alarm(_)) {
            return Err(CommandError::Corrupt);
        }
        let grows = match command {
            Command::Put(_) | Command::LeaseGrant(_) => true,
            Command::Txn(txn) => txn.has_puts(),
            Command::DeleteRange(_) | Command::Compact(_) | Command::LeaseRevoke(_) | Command::Alarm(_) => {
                false
            }
        };
        if grows && alarms.contains(AlarmKind::NoSpace) {
            return Err(CommandError::NoSpace);
        }
        Ok(())
    }

    fn alarm(&mut self, change: &AlarmChange) -> Result<Outcome, CommandError> {
        let AlarmChange { alarm, raised } = *change;
        if !raised {
            let was_raised = self.state.alarms.lower(alarm);
            return Ok(Outcome::Alarm(was_raised.then_some(alarm)));
        }
        if !self.state.alarms.raise(alarm) {
            return Err(CommandError::TooManyAlarms { limit: MAX_ALARMS });
        }
        Ok(Outcome::Alarm(Some(alarm)))
    }

    /// Runs a transaction that passed its static checks.
    fn txn(&mut self, txn: &Txn) -> Result<TxnOutcome, CommandError> {
        let path = txn::plan(&self.state, txn)?;
        Ok(txn::execute(&mut Writer::new(&mut self.state), txn, &path))
    }

    fn lease_grant(&mut self, grant: &LeaseGrant) -> Result<Outcome, CommandError> {
        let &LeaseGrant { id, ttl_secs } = grant;
        if self.state.leases.contains_key(&id) {
            return Err(CommandError::LeaseExists { id });
        }
        let ttl_secs = ttl_secs.max(1);
        self.state.add_lease(Lease::new(id, ttl_secs));
        Ok(Outcome::LeaseGrant { id, ttl_secs })
    }

    /// Deletes the attached keys in key order, so that every member numbers them alike.
    fn lease_revoke(&mut self, revoke: &LeaseRevoke) -> Result<Outcome, CommandError> {
        let id = revoke.id;
        let lease = self
            .state
            .remove_lease(id)
            .ok_or(CommandError::LeaseNotFound { id })?;
        let mut writer = Writer::new(&mut self.state);
        for key in lease.keys() {
            let record: Option<Record> = writer.state().get(key.as_bytes()).cloned();
            writer.delete(&record.expect("a key attached to a lease is live"));
        }
        Ok(Outcome::LeaseRevoke)
    }
}

impl State {
    /// Answers a transaction that cannot write on any path; it sees this one state throughout.
    ///
    /// # Errors
    /// [`CommandError::NotReadOnly`] if some path writes, taken or not; else those of any transaction. The number of
    /// operations is not checked.
    pub fn read_txn(&self, txn: &Txn) -> Result<TxnOutcome, CommandError> {
        if !txn.is_read_only() {
            return Err(CommandError::NotReadOnly);
        }
        check_txn(txn, &CheckLimits::NONE)?;
        // A store over a clone of this state: nothing will be written, so nothing is copied.
        Store { state: self.clone() }.txn(txn)
    }
}

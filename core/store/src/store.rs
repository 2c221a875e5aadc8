//! The writer: applies commands, one after the other.

use crate::alarm::{AlarmKind, MAX_ALARMS};
use crate::change_log::{MAX_RETENTION_RULES, Retention};
use crate::check::{CheckLimits, check, check_txn};
use crate::command::{
    AlarmChange, Caller, Command, LeaseGrant, LeaseRevoke, PutViolation, SetRetention, SetSchema, Txn,
};
use crate::error::CommandError;
use crate::key::{KeyRange, MAX_KEY_BYTES};
use crate::lease::Lease;
use crate::outcome::{Outcome, TxnOutcome};
use crate::record::Record;
use crate::rules::{not_found, pattern_range};
use crate::state::State;
use crate::txn;
use crate::write::{Origin, Writer};

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
    /// every command here; no key-value semantics depend on them, only the change log's. Keys and values are copied out of
    /// `command`.
    ///
    /// # Errors
    /// Every [`CommandError`] that [`check`] gives without limits, and those that depend on the state.
    pub fn apply(
        &mut self,
        time_unix_ms: i64,
        caller: &Caller,
        command: &Command,
    ) -> Result<Outcome, CommandError> {
        check(command, &CheckLimits::NONE)?;
        self.check_alarms(command)?;
        let by = Origin { time_unix_ms, caller };
        match command {
            Command::Judged(judged) => {
                self.check_schema_revision(judged.schema_revision)?;
                self.write(by, &judged.command, &judged.violations)
            }
            Command::Put(_) | Command::Txn(_) | Command::DeleteRange(_) => {
                if self.state.schema_revision() != 0 && command.has_puts() {
                    self.check_schema_revision(0)?;
                }
                self.write(by, command, &[])
            }
            Command::Compact(compact) => self.state.compact(compact.revision).map(|()| Outcome::Compact),
            Command::LeaseGrant(grant) => self.lease_grant(grant),
            Command::LeaseRevoke(revoke) => self.lease_revoke(by, revoke),
            Command::Alarm(change) => self.alarm(change),
            Command::SetSchema(set) => self.set_schema(set),
            Command::SetRetention(set) => self.set_retention(set),
            Command::SetNotification(set) => {
                let revision = self.state.revision;
                let rules = &mut self.state.rules;
                rules.set_notification(&set.name, set.rule.as_ref(), revision)?;
                Ok(Outcome::Rules)
            }
            Command::NotificationProgress(progress) => {
                let revision = self.state.revision;
                self.state.rules.notification_progress(progress, revision)?;
                Ok(Outcome::Rules)
            }
        }
    }

    fn check_schema_revision(&self, judged_by: i64) -> Result<(), CommandError> {
        let schema_revision = self.state.schema_revision();
        if judged_by == schema_revision {
            Ok(())
        } else {
            Err(CommandError::SchemasChanged { schema_revision })
        }
    }

    /// Runs what passed its static checks, unless a put that would run is among the `violations`.
    fn write(
        &mut self,
        by: Origin<'_>,
        command: &Command,
        violations: &[PutViolation],
    ) -> Result<Outcome, CommandError> {
        match command {
            Command::Put(put) => {
                txn::check_put_can_run(&self.state, put)?;
                if let Some(violation) = violations.iter().find(|violation| violation.put == 0) {
                    let report = violation.report.clone();
                    return Err(CommandError::SchemaViolation { report });
                }
                Ok(Outcome::Put(Writer::new(&mut self.state, by).put(put)))
            }
            Command::DeleteRange(delete) => Ok(Outcome::DeleteRange(
                Writer::new(&mut self.state, by).delete_range(delete),
            )),
            Command::Txn(txn) => {
                let path = txn::plan(&self.state, txn)?;
                if !violations.is_empty()
                    && let Some(violation) = txn::first_violation(txn, &path, violations)
                {
                    let report = violation.report.clone();
                    return Err(CommandError::SchemaViolation { report });
                }
                let mut writer = Writer::new(&mut self.state, by);
                Ok(Outcome::Txn(txn::execute(&mut writer, txn, &path)))
            }
            _ => Err(CommandError::NotJudgeable),
        }
    }

    fn set_schema(&mut self, set: &SetSchema) -> Result<Outcome, CommandError> {
        if set.schema.is_some() {
            // Judged were the values at `checked_revision`: what came later must not concern the pattern.
            let later = self.state.changes(set.checked_revision.saturating_add(1));
            let mut later = later.map_err(|_| CommandError::ValuesChanged)?;
            let (start, end) = pattern_range(&set.pattern);
            let keys = KeyRange::new(&start, &end);
            if later.any(|record| !record.is_tombstone() && keys.contains(record.key())) {
                return Err(CommandError::ValuesChanged);
            }
        }
        self.state.rules.set_schema(&set.pattern, set.schema.as_ref())?;
        Ok(Outcome::Rules)
    }

    fn set_retention(&mut self, set: &SetRetention) -> Result<Outcome, CommandError> {
        let log = &mut self.state.change_log;
        let is_known = log.retention.contains(&set.prefix);
        if set.retention.is_some() && !is_known && log.retention.len() >= MAX_RETENTION_RULES {
            let kind = "retention rules";
            let limit = MAX_RETENTION_RULES as u64;
            return Err(CommandError::TooManyRules { kind, limit });
        }
        if set.prefix.len() > MAX_KEY_BYTES {
            return Err(CommandError::KeyTooLarge {
                size_bytes: set.prefix.len(),
                limit_bytes: MAX_KEY_BYTES,
            });
        }
        if set.retention.is_none() && !is_known {
            return Err(not_found("retention rule", &set.prefix));
        }
        let rule = set.retention.map(|rule| Retention {
            floor_revision: 0,
            ..rule
        });
        log.set_retention(&self.state.live, &set.prefix, rule);
        Ok(Outcome::Rules)
    }

    /// While an alarm is raised, every member refuses the same commands: the alarm is part of the state.
    fn check_alarms(&self, command: &Command) -> Result<(), CommandError> {
        let alarms = &self.state.alarms;
        if alarms.contains(AlarmKind::Corrupt) && !matches!(command, Command::Alarm(_)) {
            return Err(CommandError::Corrupt);
        }
        let grows = match command {
            Command::LeaseGrant(_) => true,
            Command::SetSchema(set) => set.schema.is_some(),
            Command::SetNotification(set) => set.rule.is_some(),
            command => command.has_puts(),
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
    fn lease_revoke(&mut self, by: Origin<'_>, revoke: &LeaseRevoke) -> Result<Outcome, CommandError> {
        let id = revoke.id;
        let lease = self
            .state
            .remove_lease(id)
            .ok_or(CommandError::LeaseNotFound { id })?;
        let mut writer = Writer::new(&mut self.state, by);
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
        // Over a clone of this state: nothing will be written, so nothing is copied.
        let mut state = self.clone();
        let path = txn::plan(&state, txn)?;
        let nobody = Origin {
            time_unix_ms: 0,
            caller: &Caller::default(),
        };
        Ok(txn::execute(&mut Writer::new(&mut state, nobody), txn, &path))
    }
}

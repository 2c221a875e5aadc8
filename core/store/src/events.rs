//! Watch history: what happened, in order, from any revision that is not compacted.

use crate::error::CommandError;
use crate::key::KeyRange;
use crate::log::LogIter;
use crate::record::Record;
use crate::state::State;

impl State {
    /// What happened at `from_revision` or later, in order of revision and sub-revision, with what each change
    /// replaced. Nothing, if `from_revision` is in the future.
    ///
    /// # Errors
    /// [`CommandError::Compacted`] if `from_revision` is below the compact revision; at it is allowed.
    pub fn events(&self, from_revision: i64) -> Result<Events, CommandError> {
        Ok(Events {
            changes: self.changes(from_revision)?,
        })
    }

    /// As [`State::events`], only the records: cheaper, and [`State::previous`] finds what one of them replaced.
    ///
    /// # Errors
    /// As [`State::events`].
    pub fn changes(&self, from_revision: i64) -> Result<Changes, CommandError> {
        if from_revision < self.compact_revision {
            let compact_revision = self.compact_revision;
            return Err(CommandError::Compacted {
                requested: from_revision,
                compact_revision,
            });
        }
        let records = self.log.iter_from(self.log.seq_at_revision(from_revision));
        Ok(Changes {
            state: self.clone(),
            records,
        })
    }
}

/// One change of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The put or tombstone. Its `mod_revision` is the event's revision.
    pub record: Record,
    /// The key's record before, as of the revision before; absent for a creation, and if that revision is compacted.
    pub prev: Option<Record>,
}

/// Events in order of revision and sub-revision; holds its own version of the state.
#[derive(Clone)]
pub struct Events {
    changes: Changes,
}

impl Events {
    /// Only the events of keys in `keys`.
    pub fn within(self, keys: KeyRange<'_>) -> impl Iterator<Item = Event> + use<'_> {
        let Changes { state, records } = self.changes;
        records
            .filter(move |record| keys.contains(record.key()))
            .map(move |record| event(&state, record))
    }
}

impl Iterator for Events {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        let record = self.changes.next()?;
        Some(event(&self.changes.state, record))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.changes.size_hint()
    }
}

fn event(state: &State, record: Record) -> Event {
    let prev = state.previous(&record).cloned();
    Event { record, prev }
}

/// Records in order of revision and sub-revision; holds its own version of the state.
#[derive(Clone)]
pub struct Changes {
    state: State,
    records: LogIter,
}

impl Changes {
    /// The state whose history this is.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Only the records of keys in `keys`.
    pub fn within(self, keys: KeyRange<'_>) -> impl Iterator<Item = Record> + use<'_> {
        self.records.filter(move |record| keys.contains(record.key()))
    }
}

impl Iterator for Changes {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        self.records.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.records.size_hint()
    }
}

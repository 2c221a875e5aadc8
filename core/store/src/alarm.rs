//! Alarms: what stops a cluster from taking some commands until a person has looked at it.

use std::sync::Arc;

/// The most alarms raised at once. Members raise two each at most; but a caller may name members that do not exist.
pub const MAX_ALARMS: usize = 1_024;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AlarmKind {
    /// The data has reached its quota, or the disk is full: nothing that makes the data larger is applied.
    NoSpace = 1,
    /// Members hold different data: nothing is applied at all but the end of the alarm.
    Corrupt = 2,
}

impl AlarmKind {
    /// The kind with etcd's enum number; `None` for other numbers.
    pub fn from_number(number: u8) -> Option<AlarmKind> {
        match number {
            1 => Some(AlarmKind::NoSpace),
            2 => Some(AlarmKind::Corrupt),
            _ => None,
        }
    }
}

/// An alarm that is raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Alarm {
    /// What is wrong.
    pub kind: AlarmKind,
    /// Where: the id of the member that said so.
    pub member_id: u64,
}

/// The alarms that are raised, in order. A clone is O(1).
#[derive(Clone, Debug, Default)]
pub(crate) struct Alarms(Arc<[Alarm]>);

impl Alarms {
    pub fn as_slice(&self) -> &[Alarm] {
        &self.0
    }

    pub fn contains(&self, kind: AlarmKind) -> bool {
        self.0.iter().any(|alarm| alarm.kind == kind)
    }

    /// `false` if there is no room for it.
    #[must_use]
    pub fn raise(&mut self, alarm: Alarm) -> bool {
        let Err(at) = self.0.binary_search(&alarm) else {
            return true;
        };
        if self.0.len() >= MAX_ALARMS {
            return false;
        }
        let mut alarms = self.0.to_vec();
        alarms.insert(at, alarm);
        self.0 = alarms.into();
        true
    }

    /// Whether it was raised.
    pub fn lower(&mut self, alarm: Alarm) -> bool {
        let Ok(at) = self.0.binary_search(&alarm) else {
            return false;
        };
        let mut alarms = self.0.to_vec();
        alarms.remove(at);
        self.0 = alarms.into();
        true
    }
}

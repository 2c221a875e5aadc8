//! What is known of the rules that this member serves.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// By rule. There are none while this member does not lead.
#[derive(Debug, Default)]
pub(crate) struct Stats(Mutex<BTreeMap<String, RuleStats>>);

/// Of one rule, since this member began to serve it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RuleStats {
    /// Messages delivered.
    pub deliveries: u64,
    /// Attempts that failed.
    pub failures: u64,
    /// Why the last attempt failed; `None` if it did not.
    pub trouble: Option<String>,
}

impl Stats {
    pub fn update(&self, name: &str, change: impl FnOnce(&mut RuleStats)) {
        let mut rules = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stats) = rules.get_mut(name) {
            return change(stats);
        }
        change(rules.entry(name.to_owned()).or_default());
    }

    pub fn of(&self, name: &str) -> RuleStats {
        let rules = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rules.get(name).cloned().unwrap_or_default()
    }

    pub fn forget_except(&self, keep: impl Fn(&str) -> bool) {
        let mut rules = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rules.retain(|name, _| keep(name));
    }
}

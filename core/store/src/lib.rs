//! The key-value state machine of cfgstore: etcd v3's semantics, deterministic and free of I/O.
//!
//! [`Store`] is the single writer: it applies [`Command`]s in order. [`State`] is what readers hold: an immutable
//! version of everything, cloned in O(1), on which ranges, old revisions, watch history and snapshots are read without
//! blocking the writer. [`codec`] gives commands, records and leases their bytes; [`StateLoader`] rebuilds a store.
//!
//! ```
//! use cfgstore_store::{Caller, Command, Put, Range, Store};
//!
//! let mut store = Store::new();
//! let put = Put { key: "app/theme".into(), value: "dark".into(), ..Put::default() };
//! store.apply(0, &Caller::default(), &Command::Put(put))?;
//!
//! let state = store.state();
//! assert_eq!(state.get(b"app/theme").unwrap().value(), b"dark");
//! assert_eq!(state.range(&Range { key: "app/".into(), range_end: "app0".into(), ..Range::default() })?.count, 1);
//! assert_eq!(state.events(2)?.count(), 1);
//! # Ok::<(), cfgstore_store::CommandError>(())
//! ```
//!
//! The crate reads no clock, starts no thread, knows no network and no disk: time, randomness and ids arrive inside
//! the commands.

mod alarm;
mod change_log;
mod check;
pub mod codec;
mod command;
mod compact;
mod error;
mod events;
mod history;
mod key;
mod lease;
mod loader;
mod log;
mod map;
mod outcome;
mod range;
mod record;
mod rules;
mod snapshot;
mod state;
mod store;
mod txn;
mod write;
mod write_set;
mod written;

pub use alarm::{Alarm, AlarmKind, MAX_ALARMS};
pub use change_log::{
    ChangeFilter, ChangeLogNumbers, Commit, DEFAULT_RETENTION_COUNT, LoggedChange, MAX_CHANGE_LOG_BYTES,
    MAX_RETENTION_RULES, Retention,
};
pub use check::{CheckLimits, MAX_LEASE_TTL_SECS, MAX_TXN_DEPTH, check};
pub use command::{
    AlarmChange, Caller, Command, Compact, Compare, CompareResult, CompareTarget, DeleteRange, Judged,
    LeaseGrant, LeaseRevoke, NotificationProgress, Put, PutViolation, Range, SetNotification, SetRetention,
    SetSchema, SortOrder, SortTarget, Txn, TxnOp,
};
pub use error::CommandError;
pub use events::{Changes, Event, Events};
pub use key::{Key, KeyRange, MAX_KEY_BYTES, prefix_range_end};
pub use lease::Lease;
pub use loader::{LoadError, StateHeader, StateLoader};
pub use outcome::{DeleteRangeOutcome, Outcome, PutOutcome, RangeOutcome, TxnOpOutcome, TxnOutcome};
pub use record::{MAX_RECORDS_PER_REVISION, Record, RecordMeta};
pub use rules::{
    DeadLetter, MAX_DEAD_LETTERS, MAX_NOTIFICATION_BYTES, MAX_NOTIFICATIONS, MAX_REASON_BYTES,
    MAX_SCHEMA_BYTES, MAX_SCHEMAS, NotificationRule, SchemaRule, pattern_range,
};
pub use snapshot::Records;
pub use state::State;
pub use store::Store;
pub use written::Written;

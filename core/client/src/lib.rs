//! The client core of cfgstore.
//!
//! One implementation of addresses, connections, retries, watches, locks and the start of an embedded
//! `cfgstored`, for every language. It speaks etcd v3, so it works against a cfgstore member, a host agent and
//! a real etcd alike; what only an agent can do (a lock bound to the life of a connection) it says clearly.
//!
//! - [`Client`] is the asynchronous client. It needs a tokio runtime with I/O and time enabled.
//! - [`blocking::Client`] is the same for programs without a runtime: with no thread at all (PHP), or with
//!   one background thread (C, Python).
//! - [`host`] knows where the files of a host are, and [`trust`] whose word counts there.
//!
//! Keys and values are bytes. Every key is seen below [`Options::prefix`]: it is put before keys on the way in
//! and taken off on the way out. Keys below [`RESERVED_PREFIX`] belong to cfgstore itself.
//!
//! With a [keyring](Options::keyring), values are sealed on the way in and opened on the way out.
//!
//! Every failure is an [`Error`] with a [`kind`](ErrorKind) that C, PHP and Python share, and says whether a
//! write may have happened.

mod address;
mod apply;
pub mod autostart;
mod blame;
pub mod blocking;
mod call;
mod client;
mod cluster;
mod comment;
mod connection;
mod difference;
mod endpoint;
mod error;
mod follow;
mod fork;
mod history;
pub mod host;
mod keyspace;
mod kv;
mod leases;
mod lock;
mod maintenance;
mod notification_target;
mod notifications;
mod options;
mod pin;
mod refusal;
mod schemas;
mod status;
mod sys;
pub mod trust;
mod txn;
pub mod upstream;
mod watch;

pub use cfgstore_documents as documents;
pub use cfgstore_seal::{self as seal, LiveKeyring};

pub use address::{Address, MemberAddress};
pub use apply::{Applied, Apply};
pub use blame::{Blame, BlamedLeaf};
pub use client::Client;
pub use cluster::{Member, Members};
pub use comment::{MAX_COMMENT_BYTES, checked_comment};
pub use difference::{Diff, DifferenceKind, KeyDifference};
pub use error::{Error, ErrorKind, Result, RevisionConflict};
pub use follow::ChangeFollower;
pub use history::{Author, HistoryChange, HistoryQuery, KeyAt, Retention};
pub use keyspace::{MAX_KEY_BYTES, RESERVED_PREFIX};
pub use kv::{DeleteOptions, Deleted, KeyValue, PutOptions, Range, RangeResult};
pub use leases::LeaseTime;
pub use lock::{Lock, LockOptions};
pub use maintenance::{Alarm, KvHash, MemberStatus, Snapshot};
pub use notification_target::NotificationTarget;
pub use notifications::{DeadLetter, NotificationRule, NotificationStatus};
pub use options::Options;
pub use pin::ClusterPin;
pub use schemas::{BoundSchema, Violation, Violations};
pub use status::{AgentStatus, Status};
pub use txn::{Txn, TxnOutcome};
pub use watch::{Change, ChangeBatch, ChangeKind, Watch, WatchOptions};

/// Version of this crate, and so of the client core.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

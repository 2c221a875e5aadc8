//! What commands and reads answer.
//!
//! `revision` in an outcome is what the header of its etcd response says: for an operation inside a transaction, the
//! revision that operation saw or made.

use crate::alarm::Alarm;
use crate::record::Record;

/// What an applied [`Command`](crate::Command) answers, variant by variant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Of [`Command::Put`](crate::Command::Put).
    Put(PutOutcome),
    /// Of [`Command::DeleteRange`](crate::Command::DeleteRange).
    DeleteRange(DeleteRangeOutcome),
    /// Of [`Command::Txn`](crate::Command::Txn).
    Txn(TxnOutcome),
    /// Of [`Command::Compact`](crate::Command::Compact).
    Compact,
    /// Of [`Command::LeaseGrant`](crate::Command::LeaseGrant).
    LeaseGrant {
        /// The lease's id.
        id: i64,
        /// The time to live granted, in seconds.
        ttl_secs: i64,
    },
    /// Of [`Command::LeaseRevoke`](crate::Command::LeaseRevoke).
    LeaseRevoke,
    /// Of [`Command::Alarm`](crate::Command::Alarm): the alarm that is raised now, or was until now. `None` if one was
    /// to be lowered that was not raised.
    Alarm(Option<Alarm>),
    /// Of the commands that set rules: schemas, retention, notifications and their progress.
    Rules,
}

/// What a put answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PutOutcome {
    /// The revision the put made.
    pub revision: i64,
    /// The record that was replaced, if it was asked for and the key existed.
    pub prev: Option<Record>,
}

/// What a delete answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteRangeOutcome {
    /// The revision the delete made; the one before if it deleted nothing and nothing came before it.
    pub revision: i64,
    /// How many keys were deleted.
    pub deleted: i64,
    /// The deleted records in key order, if asked for.
    pub prev: Vec<Record>,
}

/// What a range answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RangeOutcome {
    /// The current revision (not the one read at).
    pub revision: i64,
    /// The records, filtered, sorted, limited. Empty for `count_only`.
    pub records: Vec<Record>,
    /// How many keys the range holds at the revision read, whatever the limit and the revision filters left out.
    pub count: i64,
    /// Whether the limit left something out.
    pub more: bool,
}

/// What a transaction answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TxnOutcome {
    /// The revision after the transaction. For a nested transaction: after its last operation (etcd leaves the header
    /// of a nested response empty).
    pub revision: i64,
    /// Whether every comparison held.
    pub succeeded: bool,
    /// One outcome for each operation that ran, in order.
    pub responses: Vec<TxnOpOutcome>,
}

/// What one operation of a transaction answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TxnOpOutcome {
    /// Of [`TxnOp::Range`](crate::TxnOp::Range).
    Range(RangeOutcome),
    /// Of [`TxnOp::Put`](crate::TxnOp::Put).
    Put(PutOutcome),
    /// Of [`TxnOp::DeleteRange`](crate::TxnOp::DeleteRange).
    DeleteRange(DeleteRangeOutcome),
    /// Of [`TxnOp::Txn`](crate::TxnOp::Txn).
    Txn(TxnOutcome),
}

//! Why a command or a read was refused. A refused command has changed nothing.

use bytes::Bytes;
use thiserror::Error;

/// Why a command or a read was refused. The server maps each variant to etcd's exact text and code.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CommandError {
    /// A key was empty.
    #[error("the key is empty; give a key of at least one byte")]
    EmptyKey,
    /// A key was longer than [`MAX_KEY_BYTES`](crate::MAX_KEY_BYTES).
    #[error("the key has {size_bytes} bytes; the limit is {limit_bytes}")]
    KeyTooLarge {
        /// The key's length in bytes.
        size_bytes: usize,
        /// The most that is allowed.
        limit_bytes: usize,
    },
    /// `ignore_value` or `ignore_lease` on a key that does not exist.
    #[error("the key does not exist, so it has no value or lease to keep")]
    KeyNotFound,
    /// `ignore_value` together with a value.
    #[error("ignore_value keeps the present value, but a value was given too")]
    ValueProvided,
    /// `ignore_lease` together with a lease.
    #[error("ignore_lease keeps the present lease, but a lease was given too")]
    LeaseProvided,
    /// The lease does not exist: never granted, revoked, or expired. Lease id 0 never exists.
    #[error("lease {id:x} does not exist; it may have expired or been revoked")]
    LeaseNotFound {
        /// The lease asked for.
        id: i64,
    },
    /// A lease with this id exists already.
    #[error("lease {id:x} exists already; choose another id")]
    LeaseExists {
        /// The id asked for.
        id: i64,
    },
    /// The time to live is above [`MAX_LEASE_TTL_SECS`](crate::MAX_LEASE_TTL_SECS).
    #[error("a time to live of {ttl_secs} s is above the limit of {limit_secs} s")]
    LeaseTtlTooLarge {
        /// The time to live asked for, in seconds.
        ttl_secs: i64,
        /// The most that is allowed, in seconds.
        limit_secs: i64,
    },
    /// A transaction has more comparisons or operations than allowed; a nested one has what its outer ones left over.
    #[error("the transaction has {count} comparisons or operations in one list, {limit} are allowed here")]
    TooManyOps {
        /// The length of the longest of its lists.
        count: usize,
        /// The most that is allowed at this depth.
        limit: usize,
    },
    /// Transactions nested deeper than [`MAX_TXN_DEPTH`](crate::MAX_TXN_DEPTH). etcd reports too many operations.
    #[error("transactions are nested deeper than {limit} levels")]
    TxnTooDeep {
        /// The deepest nesting allowed.
        limit: usize,
    },
    /// A transaction could write one key twice: two puts, or a put and a delete, on one path.
    #[error("the transaction could write the same key twice; each key may be written once per transaction")]
    DuplicateKey,
    /// The revision has been compacted away.
    #[error("revision {requested} has been compacted; the oldest readable revision is {compact_revision}")]
    Compacted {
        /// The revision asked for.
        requested: i64,
        /// The state's compact revision.
        compact_revision: i64,
    },
    /// The revision has not happened yet.
    #[error("revision {requested} is in the future; the current revision is {revision}")]
    FutureRevision {
        /// The revision asked for.
        requested: i64,
        /// The state's revision.
        revision: i64,
    },
    /// A number that is no sort order or sort target.
    #[error("{number} is not a sort order or sort target")]
    InvalidSortOption {
        /// The number given.
        number: i32,
    },
    /// An alarm is raised because space has run out; only what makes the data no larger is applied.
    #[error("the store is out of space; delete keys, compact, then disarm the alarm NOSPACE")]
    NoSpace,
    /// An alarm is raised because members hold different data; nothing is applied.
    #[error("members hold different data; replace the corrupt member, then disarm the alarm CORRUPT")]
    Corrupt,
    /// One more alarm than can be raised at once.
    #[error("{limit} alarms are raised already; disarm some first")]
    TooManyAlarms {
        /// The most that is allowed.
        limit: usize,
    },
    /// The history does not go back that far.
    #[error(
        "what was there at revision {requested} is no longer kept; the history is whole from revision {kept_from} on"
    )]
    NotKept {
        /// The revision asked for.
        requested: i64,
        /// Where the history of what is missing begins.
        kept_from: i64,
    },
    /// The values of the command were judged by other schemas than those that are bound now; judge and propose again.
    #[error("the schemas have changed meanwhile; the values have to be judged again")]
    SchemasChanged {
        /// The state's schema revision.
        schema_revision: i64,
    },
    /// A value that violates a schema.
    #[error("a value violates its schema")]
    SchemaViolation {
        /// What is wrong with it, in the words of whoever judged.
        report: Bytes,
    },
    /// Keys under the pattern of a schema have been put since their values were judged; judge and propose again.
    #[error("values under the pattern have changed meanwhile; they have to be judged again")]
    ValuesChanged,
    /// No schema, retention rule or notification rule of that name.
    #[error("there is no {kind} {name:?}")]
    RuleNotFound {
        /// What was looked for.
        kind: &'static str,
        /// Its pattern, prefix or name.
        name: String,
    },
    /// One more rule than there may be, or more bytes of them.
    #[error("{limit} are the most that can be kept of {kind}; remove some first")]
    TooManyRules {
        /// Of what.
        kind: &'static str,
        /// The most that is allowed.
        limit: u64,
    },
    /// A command that wraps what it must not.
    #[error("only a put or a transaction with puts can have been judged")]
    NotJudgeable,
    /// A transaction with writes was given to [`State::read_txn`](crate::State::read_txn); propose it instead.
    #[error("the transaction writes; it has to be proposed as a command")]
    NotReadOnly,
}

//! What a client asks of the store: the commands that change it, and the reads inside transactions.
//!
//! The types mirror etcd's requests one to one; byte strings are [`Bytes`], so that a decoded network buffer or log
//! entry is not copied. [`Store::apply`](crate::Store::apply) copies what it keeps, so a command never pins its buffer
//! for longer than it lives itself.

use bytes::Bytes;

use crate::alarm::Alarm;
use crate::change_log::Retention;
use crate::error::CommandError;
use crate::rules::{DeadLetter, SchemaRule};

/// On whose behalf a command runs, and why. The default is an anonymous caller.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Caller {
    /// The authenticated user, once the server has checked who it is.
    pub user: Option<String>,
    /// What the client calls itself; nobody has verified it.
    pub client: Option<String>,
    /// Where the call came from: an address, or `unix:uid=33` for a process of the member's host.
    pub address: Option<String>,
    /// What the caller gave as the reason.
    pub comment: Option<String>,
}

impl Caller {
    /// The name by which changes are looked for: the user, else the client's.
    pub fn name(&self) -> Option<&str> {
        self.user.as_deref().or(self.client.as_deref())
    }
}

/// One change to the store, applied as a whole or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Writes one key.
    Put(Put),
    /// Deletes a key or a range of keys.
    DeleteRange(DeleteRange),
    /// Compares, then runs one of two lists of operations, all at one revision.
    Txn(Txn),
    /// Forgets superseded records.
    Compact(Compact),
    /// Creates a lease.
    LeaseGrant(LeaseGrant),
    /// Removes a lease, and every key attached to it.
    LeaseRevoke(LeaseRevoke),
    /// Raises or lowers an alarm.
    Alarm(AlarmChange),
    /// A command with puts whose values were judged by the schemas.
    Judged(Judged),
    /// Binds a schema, or unbinds it.
    SetSchema(SetSchema),
    /// Says how much history a prefix keeps.
    SetRetention(SetRetention),
    /// Sets a notification rule, or removes it.
    SetNotification(SetNotification),
    /// Says how far notifications have got.
    NotificationProgress(NotificationProgress),
}

/// A put or transaction, and what the schemas say of its values.
///
/// Values are judged by the member that proposes, never here: members of different versions could judge differently,
/// and a slow schema would hold up all of them. What is applied is only whether the judgement holds: it was made with the
/// schemas that are bound now, and none of the puts that run is among those found wanting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// [`State::schema_revision`](crate::State::schema_revision) of the state whose schemas judged.
    pub schema_revision: i64,
    /// The puts whose values violate a schema, in order of their numbers.
    pub violations: Vec<PutViolation>,
    /// The command; neither judged itself nor one that [`Command::has_puts`] denies.
    pub command: Box<Command>,
}

/// A put whose value violates a schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutViolation {
    /// Which put of the command: they are numbered from 0 in the order they are written, those of `success` before
    /// those of `failure`, those of nested transactions where these stand.
    pub put: u32,
    /// What is wrong, in the words of whoever judged.
    pub report: Bytes,
}

/// Binds a schema to a pattern, or unbinds it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SetSchema {
    /// A key, or a prefix followed by `*`.
    pub pattern: Bytes,
    /// The schema; `None` unbinds.
    pub schema: Option<SchemaRule>,
    /// The revision at which the existing values were judged: that no key under the pattern has been put since is checked
    /// here.
    pub checked_revision: i64,
}

/// Says how much history the keys of a prefix keep.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SetRetention {
    /// The prefix; empty is every key.
    pub prefix: Bytes,
    /// The rule; its floor is ignored. `None` removes it.
    pub retention: Option<Retention>,
}

/// Sets a notification rule, or removes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SetNotification {
    /// Its name.
    pub name: String,
    /// What it says, in the words of whoever sends notifications; `None` removes it.
    pub rule: Option<Bytes>,
}

/// How far the notifications of a rule have got.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NotificationProgress {
    /// The rule.
    pub name: String,
    /// Every change up to this revision was delivered or is a dead letter. It never goes back.
    pub done_through_revision: i64,
    /// What could not be delivered; their ids are given here, those that they carry are ignored.
    pub dead_letters: Vec<DeadLetter>,
    /// Ids of dead letters that are done with.
    pub forget: Vec<u64>,
}

impl Command {
    /// Whether an operation on any path puts a key, and so makes the data larger.
    pub fn has_puts(&self) -> bool {
        match self {
            Command::Put(_) => true,
            Command::Txn(txn) => txn.has_puts(),
            Command::Judged(judged) => judged.command.has_puts(),
            _ => false,
        }
    }
}

/// Writes one key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Put {
    /// The key, not empty, at most [`MAX_KEY_BYTES`](crate::MAX_KEY_BYTES).
    pub key: Bytes,
    /// The value.
    pub value: Bytes,
    /// The lease to attach the key to; 0 attaches to none, and detaches from the lease it had.
    pub lease: i64,
    /// Whether the outcome carries the record that was replaced.
    pub prev_kv: bool,
    /// Keep the value the key has; then `value` must be empty and the key must exist.
    pub ignore_value: bool,
    /// Keep the lease the key has; then `lease` must be 0 and the key must exist.
    pub ignore_lease: bool,
}

/// Deletes the keys that `(key, range_end)` names (see [`KeyRange`](crate::KeyRange)).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteRange {
    /// The key or the start of the range, not empty.
    pub key: Bytes,
    /// The end of the range.
    pub range_end: Bytes,
    /// Whether the outcome carries the deleted records.
    pub prev_kv: bool,
}

/// Reads the keys that `(key, range_end)` names (see [`KeyRange`](crate::KeyRange)).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// The key or the start of the range, not empty.
    pub key: Bytes,
    /// The end of the range.
    pub range_end: Bytes,
    /// The most records to return; 0 or less is no limit.
    pub limit: i64,
    /// The revision to read at; 0 or less is the current one.
    pub revision: i64,
    /// The order of the records.
    pub sort_order: SortOrder,
    /// What the records are ordered by.
    pub sort_target: SortTarget,
    /// The caller wants no values. The records still carry them (they are shared, not copied): the wire leaves them out.
    pub keys_only: bool,
    /// The caller wants the count only; no record is returned.
    pub count_only: bool,
    /// Leaves out records with a lower mod revision; 0 is no bound.
    pub min_mod_revision: i64,
    /// Leaves out records with a higher mod revision; 0 is no bound.
    pub max_mod_revision: i64,
    /// Leaves out records with a lower create revision; 0 is no bound.
    pub min_create_revision: i64,
    /// Leaves out records with a higher create revision; 0 is no bound.
    pub max_create_revision: i64,
}

/// The order of a range's records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SortOrder {
    /// By key ascending; with a sort target other than the key, ascending by that target.
    #[default]
    None,
    /// Ascending.
    Ascend,
    /// Descending.
    Descend,
}

/// What a range's records are ordered by. Records that compare equal come in ascending order of their keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SortTarget {
    /// The key.
    #[default]
    Key,
    /// The version.
    Version,
    /// The create revision.
    Create,
    /// The mod revision.
    Mod,
    /// The value.
    Value,
}

impl TryFrom<i32> for SortOrder {
    type Error = CommandError;

    /// Reads etcd's enum number; an unknown one is [`CommandError::InvalidSortOption`].
    fn try_from(number: i32) -> Result<SortOrder, CommandError> {
        match number {
            0 => Ok(SortOrder::None),
            1 => Ok(SortOrder::Ascend),
            2 => Ok(SortOrder::Descend),
            number => Err(CommandError::InvalidSortOption { number }),
        }
    }
}

impl TryFrom<i32> for SortTarget {
    type Error = CommandError;

    /// Reads etcd's enum number; an unknown one is [`CommandError::InvalidSortOption`].
    fn try_from(number: i32) -> Result<SortTarget, CommandError> {
        match number {
            0 => Ok(SortTarget::Key),
            1 => Ok(SortTarget::Version),
            2 => Ok(SortTarget::Create),
            3 => Ok(SortTarget::Mod),
            4 => Ok(SortTarget::Value),
            number => Err(CommandError::InvalidSortOption { number }),
        }
    }
}

/// A transaction: if every comparison holds, `success` runs, else `failure`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Txn {
    /// The comparisons, all of which must hold; none is true.
    pub compare: Vec<Compare>,
    /// What runs when they hold.
    pub success: Vec<TxnOp>,
    /// What runs when one does not.
    pub failure: Vec<TxnOp>,
}

impl Txn {
    /// Whether no operation on any path can write. Such a transaction needs no replication:
    /// [`State::read_txn`](crate::State::read_txn) answers it.
    pub fn is_read_only(&self) -> bool {
        self.success.iter().chain(&self.failure).all(|op| match op {
            TxnOp::Range(_) => true,
            TxnOp::Put(_) | TxnOp::DeleteRange(_) => false,
            TxnOp::Txn(txn) => txn.is_read_only(),
        })
    }

    /// Whether an operation on any path puts a key, and so makes the data larger.
    pub fn has_puts(&self) -> bool {
        self.success.iter().chain(&self.failure).any(|op| match op {
            TxnOp::Put(_) => true,
            TxnOp::Range(_) | TxnOp::DeleteRange(_) => false,
            TxnOp::Txn(txn) => txn.has_puts(),
        })
    }
}

/// One operation of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TxnOp {
    /// Reads; sees what earlier operations of the transaction wrote.
    Range(Range),
    /// Writes one key.
    Put(Put),
    /// Deletes keys.
    DeleteRange(DeleteRange),
    /// A transaction in the transaction. Its comparisons see the store as it was before the outermost transaction.
    Txn(Txn),
}

/// One comparison of a transaction: `<target of the key> <result> <given operand>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compare {
    /// The key or the start of the range, not empty.
    pub key: Bytes,
    /// The end of the range. The comparison must hold for every key in the range; a range without keys compares like
    /// one key that is missing.
    pub range_end: Bytes,
    /// How the target must compare to the operand.
    pub result: CompareResult,
    /// What is compared, and with what.
    pub target: CompareTarget,
}

/// How a comparison's target must relate to its operand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CompareResult {
    /// Equal to it.
    #[default]
    Equal,
    /// Greater than it.
    Greater,
    /// Less than it.
    Less,
    /// Not equal to it.
    NotEqual,
}

/// What of a key is compared, with the operand. A missing key has 0 for every number and fails any comparison of its
/// value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CompareTarget {
    /// The version.
    Version(i64),
    /// The create revision.
    Create(i64),
    /// The mod revision.
    Mod(i64),
    /// The value.
    Value(Bytes),
    /// The lease.
    Lease(i64),
}

/// Forgets what no read at or after `revision` can see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compact {
    /// The oldest revision that can still be read; more than the compact revision, at most the current one.
    pub revision: i64,
}

/// Creates a lease.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeaseGrant {
    /// The id, chosen before the command is proposed; not 0.
    pub id: i64,
    /// Time to live, in seconds. The proposer has raised it to its minimum already; the store takes less than 1 as 1,
    /// and refuses more than [`MAX_LEASE_TTL_SECS`](crate::MAX_LEASE_TTL_SECS).
    pub ttl_secs: i64,
}

/// Removes a lease and deletes every key attached to it, all at one revision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeaseRevoke {
    /// The id.
    pub id: i64,
}

/// Raises or lowers an alarm. To raise one that is raised, or to lower one that is not, changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlarmChange {
    /// The alarm.
    pub alarm: Alarm,
    /// Whether it is raised.
    pub raised: bool,
}

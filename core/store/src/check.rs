//! What can be said about a command without looking at the store.

use crate::command::{Command, DeleteRange, LeaseGrant, Put, Range, Txn, TxnOp};
use crate::error::CommandError;
use crate::key::MAX_KEY_BYTES;
use crate::write_set::WriteSet;

/// The deepest nesting of transactions; a transaction in a transaction has depth 2. Bounds every recursion over a
/// transaction; protobuf libraries stop decoding at about the same depth.
pub const MAX_TXN_DEPTH: usize = 48;

/// The longest time to live of a lease, in seconds (etcd's limit).
pub const MAX_LEASE_TTL_SECS: i64 = 9_000_000_000;

/// Limits that are a setting of the server, not of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckLimits {
    /// The most comparisons, and the most operations on either path, of a transaction. A nested transaction has what
    /// the outer one left over: the limit less the length of the outer one's longest list (etcd's `--max-txn-ops`).
    pub max_txn_ops: usize,
}

impl CheckLimits {
    /// No limit: what [`Store::apply`](crate::Store::apply) checks with.
    pub const NONE: CheckLimits = CheckLimits {
        max_txn_ops: usize::MAX,
    };
}

impl Default for CheckLimits {
    /// etcd's default: 128 operations.
    fn default() -> CheckLimits {
        CheckLimits { max_txn_ops: 128 }
    }
}

/// Checks what can be checked before a command is proposed, so that a hopeless one costs no replication.
///
/// [`Store::apply`](crate::Store::apply) checks the same again, save `limits`: a limit is a setting, may differ between
/// members, and must not decide what a replicated command does.
pub fn check(command: &Command, limits: &CheckLimits) -> Result<(), CommandError> {
    match command {
        Command::Put(put) => check_put(put),
        Command::DeleteRange(delete) => check_delete_range(delete),
        Command::Txn(txn) => check_txn(txn, limits),
        Command::LeaseGrant(grant) => check_lease_grant(grant),
        Command::Judged(judged) => match &*judged.command {
            command @ (Command::Put(_) | Command::Txn(_)) if command.has_puts() => check(command, limits),
            _ => Err(CommandError::NotJudgeable),
        },
        Command::SetSchema(set) => check_not_empty(&set.pattern),
        Command::SetNotification(set) => check_not_empty(set.name.as_bytes()),
        Command::Compact(_)
        | Command::LeaseRevoke(_)
        | Command::Alarm(_)
        | Command::SetRetention(_)
        | Command::NotificationProgress(_) => Ok(()),
    }
}

fn check_put(put: &Put) -> Result<(), CommandError> {
    check_not_empty(&put.key)?;
    if put.key.len() > MAX_KEY_BYTES {
        return Err(CommandError::KeyTooLarge {
            size_bytes: put.key.len(),
            limit_bytes: MAX_KEY_BYTES,
        });
    }
    if put.ignore_value && !put.value.is_empty() {
        return Err(CommandError::ValueProvided);
    }
    if put.ignore_lease && put.lease != 0 {
        return Err(CommandError::LeaseProvided);
    }
    Ok(())
}

fn check_delete_range(delete: &DeleteRange) -> Result<(), CommandError> {
    check_not_empty(&delete.key)
}

pub(crate) fn check_range(range: &Range) -> Result<(), CommandError> {
    check_not_empty(&range.key)
}

fn check_not_empty(key: &[u8]) -> Result<(), CommandError> {
    if key.is_empty() {
        Err(CommandError::EmptyKey)
    } else {
        Ok(())
    }
}

fn check_lease_grant(grant: &LeaseGrant) -> Result<(), CommandError> {
    if grant.id == 0 {
        return Err(CommandError::LeaseNotFound { id: 0 });
    }
    if grant.ttl_secs > MAX_LEASE_TTL_SECS {
        return Err(CommandError::LeaseTtlTooLarge {
            ttl_secs: grant.ttl_secs,
            limit_secs: MAX_LEASE_TTL_SECS,
        });
    }
    Ok(())
}

/// Checks a transaction: its operations, their number and nesting, and that no path can write a key twice.
pub(crate) fn check_txn(txn: &Txn, limits: &CheckLimits) -> Result<(), CommandError> {
    check_txn_ops(txn, limits.max_txn_ops, 1)?;
    WriteSet::of_ops(&txn.success)?;
    WriteSet::of_ops(&txn.failure)?;
    Ok(())
}

fn check_txn_ops(txn: &Txn, limit: usize, depth: usize) -> Result<(), CommandError> {
    if depth > MAX_TXN_DEPTH {
        return Err(CommandError::TxnTooDeep { limit: MAX_TXN_DEPTH });
    }
    let count = txn.compare.len().max(txn.success.len()).max(txn.failure.len());
    if count > limit {
        return Err(CommandError::TooManyOps { count, limit });
    }
    for compare in &txn.compare {
        check_not_empty(&compare.key)?;
    }
    for op in txn.success.iter().chain(&txn.failure) {
        match op {
            TxnOp::Range(range) => check_range(range)?,
            TxnOp::Put(put) => check_put(put)?,
            TxnOp::DeleteRange(delete) => check_delete_range(delete)?,
            TxnOp::Txn(nested) => check_txn_ops(nested, limit - count, depth + 1)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_limited_where_they_are_kept() {
        let put = |length: usize| Put {
            key: vec![b'k'; length].into(),
            ..Put::default()
        };
        let limits = CheckLimits::default();
        assert_eq!(check(&Command::Put(put(MAX_KEY_BYTES)), &limits), Ok(()));
        let too_large = CommandError::KeyTooLarge {
            size_bytes: MAX_KEY_BYTES + 1,
            limit_bytes: MAX_KEY_BYTES,
        };
        assert_eq!(
            check(&Command::Put(put(MAX_KEY_BYTES + 1)), &limits),
            Err(too_large.clone())
        );
        let txn = Txn {
            failure: vec![TxnOp::Put(put(MAX_KEY_BYTES + 1))],
            ..Txn::default()
        };
        assert_eq!(check(&Command::Txn(txn), &limits), Err(too_large));
        // A read or delete of a longer key finds nothing, but is no error, as in etcd.
        let delete = DeleteRange {
            key: vec![b'k'; MAX_KEY_BYTES + 1].into(),
            ..DeleteRange::default()
        };
        assert_eq!(check(&Command::DeleteRange(delete), &limits), Ok(()));
    }
}

//! Transactions: which path is taken, whether it can run, and running it.
//!
//! All three walk the transaction in the same order. The path is decided first, for nested transactions too, on the
//! state before the transaction; then everything on the path that could fail is checked; then it runs and cannot fail.

use std::ops::ControlFlow;

use crate::command::{Compare, CompareResult, CompareTarget, Put, PutViolation, Txn, TxnOp};
use crate::error::CommandError;
use crate::key::KeyRange;
use crate::outcome::{TxnOpOutcome, TxnOutcome};
use crate::record::Record;
use crate::state::State;
use crate::write::Writer;

/// For each transaction on the path, in the order they are met: whether its comparisons held.
pub(crate) type Path = Vec<bool>;

fn ops(txn: &Txn, succeeded: bool) -> &[TxnOp] {
    if succeeded { &txn.success } else { &txn.failure }
}

/// Decides the path and checks that everything on it can run.
pub(crate) fn plan(state: &State, txn: &Txn) -> Result<Path, CommandError> {
    let mut path = Path::new();
    plan_into(state, txn, &mut path)?;
    Ok(path)
}

fn plan_into(state: &State, txn: &Txn, path: &mut Path) -> Result<(), CommandError> {
    let succeeded = txn.compare.iter().all(|compare| holds(state, compare));
    path.push(succeeded);
    for op in ops(txn, succeeded) {
        match op {
            TxnOp::Range(range) => state.check_readable(range.revision)?,
            TxnOp::Put(put) => check_put_can_run(state, put)?,
            TxnOp::DeleteRange(_) => {}
            TxnOp::Txn(nested) => plan_into(state, nested, path)?,
        }
    }
    Ok(())
}

/// Whether the lease that a put names, and the key whose value or lease it keeps, exist. Inside a transaction too it is
/// enough to look at the state before it: no other operation on the path may write the key, and none a lease.
pub(crate) fn check_put_can_run(state: &State, put: &Put) -> Result<(), CommandError> {
    if put.lease != 0 && !state.leases.contains_key(&put.lease) {
        return Err(CommandError::LeaseNotFound { id: put.lease });
    }
    if (put.ignore_value || put.ignore_lease) && !state.live.contains_key(put.key.as_ref()) {
        return Err(CommandError::KeyNotFound);
    }
    Ok(())
}

/// The first of the violating puts that lies on the path.
pub(crate) fn first_violation<'a>(
    txn: &Txn,
    path: &Path,
    violations: &'a [PutViolation],
) -> Option<&'a PutViolation> {
    let mut on_path = Vec::new();
    number_puts(txn, true, &mut path.iter(), &mut 0, &mut on_path);
    violations
        .iter()
        .find(|violation| on_path.binary_search(&violation.put).is_ok())
}

/// Numbers the puts as [`PutViolation::put`] says, and collects those that run: all those of the branches on the path,
/// if the transaction itself runs.
fn number_puts(
    txn: &Txn,
    runs: bool,
    path: &mut std::slice::Iter<'_, bool>,
    next: &mut u32,
    running: &mut Vec<u32>,
) {
    let succeeded = runs.then(|| *path.next().expect("the path was planned for this transaction"));
    for branch in [true, false] {
        let runs = succeeded == Some(branch);
        for op in ops(txn, branch) {
            match op {
                TxnOp::Put(_) => {
                    if runs {
                        running.push(*next);
                    }
                    *next += 1;
                }
                TxnOp::Txn(nested) => number_puts(nested, runs, path, next, running),
                TxnOp::Range(_) | TxnOp::DeleteRange(_) => {}
            }
        }
    }
}

/// Runs a planned transaction.
pub(crate) fn execute(writer: &mut Writer<'_>, txn: &Txn, path: &Path) -> TxnOutcome {
    let mut path = path.iter().copied();
    let outcome = execute_next(writer, txn, &mut path);
    assert!(
        path.next().is_none(),
        "a transaction runs along the whole path planned for it"
    );
    outcome
}

fn execute_next(writer: &mut Writer<'_>, txn: &Txn, path: &mut impl Iterator<Item = bool>) -> TxnOutcome {
    let succeeded = path.next().expect("the path was planned for this transaction");
    let responses = ops(txn, succeeded)
        .iter()
        .map(|op| match op {
            TxnOp::Range(range) => TxnOpOutcome::Range(writer.state().range_readable(range)),
            TxnOp::Put(put) => TxnOpOutcome::Put(writer.put(put)),
            TxnOp::DeleteRange(delete) => TxnOpOutcome::DeleteRange(writer.delete_range(delete)),
            TxnOp::Txn(nested) => TxnOpOutcome::Txn(execute_next(writer, nested, path)),
        })
        .collect();
    TxnOutcome {
        revision: writer.state().revision(),
        succeeded,
        responses,
    }
}

/// Whether a comparison holds: for every key of its range; for a range without keys, as for one missing key.
fn holds(state: &State, compare: &Compare) -> bool {
    let keys = KeyRange::new(&compare.key, &compare.range_end);
    let mut found = false;
    let mut all = true;
    state.for_each_live(keys, 0, false, |record| {
        found = true;
        all = record_holds(compare, Some(record));
        if all {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    });
    if found { all } else { record_holds(compare, None) }
}

fn record_holds(compare: &Compare, record: Option<&Record>) -> bool {
    let number = |of: fn(&Record) -> i64| record.map_or(0, of);
    let ordering = match &compare.target {
        CompareTarget::Version(operand) => number(Record::version).cmp(operand),
        CompareTarget::Create(operand) => number(Record::create_revision).cmp(operand),
        CompareTarget::Mod(operand) => number(Record::mod_revision).cmp(operand),
        CompareTarget::Lease(operand) => number(Record::lease).cmp(operand),
        CompareTarget::Value(operand) => match record {
            Some(record) => record.value().cmp(operand.as_ref()),
            None => return false,
        },
    };
    match compare.result {
        CompareResult::Equal => ordering.is_eq(),
        CompareResult::Greater => ordering.is_gt(),
        CompareResult::Less => ordering.is_lt(),
        CompareResult::NotEqual => ordering.is_ne(),
    }
}

//! From the wire's requests to the store's commands. What the store checks itself is not checked here.

use cfgstore_proto::etcdserverpb as pb;
use cfgstore_store::{
    CommandError, Compact, Compare, CompareResult, CompareTarget, DeleteRange, Put, Range, Txn, TxnOp,
};
use pb::compare::TargetUnion;
use pb::request_op::Request;
use tonic::Status;

use crate::errors;

pub(crate) fn range(request: pb::RangeRequest) -> Result<Range, CommandError> {
    Ok(Range {
        key: request.key,
        range_end: request.range_end,
        limit: request.limit,
        revision: request.revision,
        sort_order: request.sort_order.try_into()?,
        sort_target: request.sort_target.try_into()?,
        keys_only: request.keys_only,
        count_only: request.count_only,
        min_mod_revision: request.min_mod_revision,
        max_mod_revision: request.max_mod_revision,
        min_create_revision: request.min_create_revision,
        max_create_revision: request.max_create_revision,
    })
}

pub(crate) fn put(request: pb::PutRequest) -> Put {
    Put {
        key: request.key,
        value: request.value,
        lease: request.lease,
        prev_kv: request.prev_kv,
        ignore_value: request.ignore_value,
        ignore_lease: request.ignore_lease,
    }
}

pub(crate) fn delete_range(request: pb::DeleteRangeRequest) -> DeleteRange {
    DeleteRange {
        key: request.key,
        range_end: request.range_end,
        prev_kv: request.prev_kv,
    }
}

pub(crate) fn compact(request: &pb::CompactionRequest) -> Compact {
    Compact {
        revision: request.revision,
    }
}

/// A transaction. The recursion is bounded: the decoder has refused messages nested deeper than 100.
pub(crate) fn txn(request: pb::TxnRequest) -> Result<Txn, Status> {
    let ops = |ops: Vec<pb::RequestOp>| ops.into_iter().map(op).collect::<Result<Vec<_>, _>>();
    Ok(Txn {
        compare: request
            .compare
            .into_iter()
            .map(compare)
            .collect::<Result<_, _>>()?,
        success: ops(request.success)?,
        failure: ops(request.failure)?,
    })
}

fn op(op: pb::RequestOp) -> Result<TxnOp, Status> {
    match op.request {
        Some(Request::RequestRange(request)) => range(request).map(TxnOp::Range).map_err(errors::of_command),
        Some(Request::RequestPut(request)) => Ok(TxnOp::Put(put(request))),
        Some(Request::RequestDeleteRange(request)) => Ok(TxnOp::DeleteRange(delete_range(request))),
        Some(Request::RequestTxn(request)) => txn(request).map(TxnOp::Txn),
        // etcd takes an operation without content, or of a newer kind, for one without a key.
        None => Err(errors::empty_key()),
    }
}

fn compare(compare: pb::Compare) -> Result<Compare, Status> {
    use pb::compare::{CompareResult as Wire, CompareTarget as Target};
    let result = match Wire::try_from(compare.result) {
        Ok(Wire::Equal) => CompareResult::Equal,
        Ok(Wire::Greater) => CompareResult::Greater,
        Ok(Wire::Less) => CompareResult::Less,
        Ok(Wire::NotEqual) => CompareResult::NotEqual,
        Err(_) => return Err(unknown("comparison", compare.result)),
    };
    // The target names the kind; an operand that is missing or of another kind counts as empty, as in etcd.
    let operand = compare.target_union;
    let target = match Target::try_from(compare.target) {
        Ok(Target::Version) => CompareTarget::Version(match operand {
            Some(TargetUnion::Version(version)) => version,
            _ => 0,
        }),
        Ok(Target::Create) => CompareTarget::Create(match operand {
            Some(TargetUnion::CreateRevision(revision)) => revision,
            _ => 0,
        }),
        Ok(Target::Mod) => CompareTarget::Mod(match operand {
            Some(TargetUnion::ModRevision(revision)) => revision,
            _ => 0,
        }),
        Ok(Target::Value) => CompareTarget::Value(match operand {
            Some(TargetUnion::Value(value)) => value,
            _ => bytes::Bytes::new(),
        }),
        Ok(Target::Lease) => CompareTarget::Lease(match operand {
            Some(TargetUnion::Lease(lease)) => lease,
            _ => 0,
        }),
        Err(_) => return Err(unknown("comparison target", compare.target)),
    };
    Ok(Compare {
        key: compare.key,
        range_end: compare.range_end,
        result,
        target,
    })
}

fn unknown(what: &str, number: i32) -> Status {
    Status::invalid_argument(format!("cfgstore: {number} is not a {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_operand_counts_as_empty() {
        let converted = compare(pb::Compare {
            key: "k".into(),
            target: 3,
            ..Default::default()
        })
        .unwrap();
        assert_eq!(converted.target, CompareTarget::Value(bytes::Bytes::new()));
        let other_kind = pb::Compare {
            target: 1,
            target_union: Some(TargetUnion::Version(7)),
            ..Default::default()
        };
        assert_eq!(compare(other_kind).unwrap().target, CompareTarget::Create(0));
    }

    #[test]
    fn unknown_numbers_are_refused() {
        compare(pb::Compare {
            result: 9,
            ..Default::default()
        })
        .unwrap_err();
        compare(pb::Compare {
            target: 9,
            ..Default::default()
        })
        .unwrap_err();
        let error = range(pb::RangeRequest {
            sort_order: 9,
            ..Default::default()
        })
        .unwrap_err();
        assert_eq!(
            errors::of_command(error).message(),
            "etcdserver: invalid sort option"
        );
        assert_eq!(
            op(pb::RequestOp::default()).unwrap_err().message(),
            "etcdserver: key is not provided"
        );
    }
}

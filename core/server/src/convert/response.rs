//! From the store's outcomes to the wire's responses.

use cfgstore_proto::etcdserverpb as pb;
use cfgstore_proto::mvccpb::KeyValue;
use cfgstore_store::{
    DeleteRangeOutcome, PutOutcome, RangeOutcome, Record, Txn, TxnOp, TxnOpOutcome, TxnOutcome,
};
use pb::ResponseHeader;
use pb::response_op::Response;

/// A record as the wire has it; a tombstone as its key and revision alone.
pub(crate) fn key_value(record: &Record) -> KeyValue {
    KeyValue {
        value: record.value_bytes(),
        ..key_without_value(record)
    }
}

fn key_without_value(record: &Record) -> KeyValue {
    KeyValue {
        key: record.key_bytes(),
        create_revision: record.create_revision(),
        mod_revision: record.mod_revision(),
        version: record.version(),
        value: bytes::Bytes::new(),
        lease: record.lease(),
    }
}

/// A record as a range answers it.
pub(crate) fn range_key_value(record: &Record, keys_only: bool) -> KeyValue {
    if keys_only {
        key_without_value(record)
    } else {
        key_value(record)
    }
}

pub(crate) fn range_response(
    header: ResponseHeader,
    outcome: &RangeOutcome,
    keys_only: bool,
) -> pb::RangeResponse {
    let convert = |record| range_key_value(record, keys_only);
    pb::RangeResponse {
        header: Some(header),
        kvs: outcome.records.iter().map(convert).collect(),
        more: outcome.more,
        count: outcome.count,
    }
}

pub(crate) fn put_response(header: ResponseHeader, outcome: &PutOutcome) -> pb::PutResponse {
    pb::PutResponse {
        header: Some(header),
        prev_kv: outcome.prev.as_ref().map(key_value),
    }
}

pub(crate) fn delete_response(
    header: ResponseHeader,
    outcome: &DeleteRangeOutcome,
) -> pb::DeleteRangeResponse {
    pb::DeleteRangeResponse {
        header: Some(header),
        deleted: outcome.deleted,
        prev_kvs: outcome.prev.iter().map(key_value).collect(),
    }
}

/// The response to a transaction. `shape` is the transaction itself if one of its ranges wants no values:
/// outcomes carry them all the same.
pub(crate) fn txn_response(
    header: ResponseHeader,
    outcome: &TxnOutcome,
    shape: Option<&Txn>,
) -> pb::TxnResponse {
    let ops = shape.map(|txn| {
        if outcome.succeeded {
            &txn.success[..]
        } else {
            &txn.failure[..]
        }
    });
    let responses = outcome.responses.iter().enumerate().map(|(index, outcome)| {
        let op = ops.and_then(|ops| ops.get(index));
        pb::ResponseOp {
            response: Some(op_response(outcome, op)),
        }
    });
    pb::TxnResponse {
        header: Some(header),
        succeeded: outcome.succeeded,
        responses: responses.collect(),
    }
}

/// Responses inside a transaction have a header of their own, with the revision only. Some clients read it.
fn op_response(outcome: &TxnOpOutcome, op: Option<&TxnOp>) -> Response {
    let header = |revision| ResponseHeader {
        revision,
        ..Default::default()
    };
    match outcome {
        TxnOpOutcome::Range(range) => {
            let keys_only = matches!(op, Some(TxnOp::Range(range)) if range.keys_only);
            Response::ResponseRange(range_response(header(range.revision), range, keys_only))
        }
        TxnOpOutcome::Put(put) => Response::ResponsePut(put_response(header(put.revision), put)),
        TxnOpOutcome::DeleteRange(delete) => {
            Response::ResponseDeleteRange(delete_response(header(delete.revision), delete))
        }
        TxnOpOutcome::Txn(txn) => {
            let shape = match op {
                Some(TxnOp::Txn(shape)) => Some(shape),
                _ => None,
            };
            Response::ResponseTxn(txn_response(header(txn.revision), txn, shape))
        }
    }
}

/// Whether a range on any path of `txn` wants no values.
pub(crate) fn wants_keys_only(txn: &Txn) -> bool {
    txn.success.iter().chain(&txn.failure).any(|op| match op {
        TxnOp::Range(range) => range.keys_only,
        TxnOp::Txn(txn) => wants_keys_only(txn),
        TxnOp::Put(_) | TxnOp::DeleteRange(_) => false,
    })
}

//! A range in pieces (etcd 3.7): for clients that would choke on it as one message.

use std::pin::Pin;

use cfgstore_proto::etcdserverpb as pb;
use cfgstore_store::{RangeOutcome, Record, SortOrder, SortTarget};
use futures_util::{Stream, stream};
use prost::Message;
use tonic::Status;

use crate::convert;

/// What RangeStream answers.
pub(super) type RangeStream = Pin<Box<dyn Stream<Item = Result<pb::RangeStreamResponse, Status>> + Send>>;

/// Records of the first piece (etcd's number): something to work on soon.
const FIRST_RECORDS: usize = 10;

/// Refuses ranges that could not be sent before all of them was read (as etcd does).
pub(super) fn check(range: &cfgstore_store::Range) -> Result<(), Status> {
    let by_key = range.sort_target == SortTarget::Key && range.sort_order != SortOrder::Descend;
    let filters = [
        range.min_mod_revision,
        range.max_mod_revision,
        range.min_create_revision,
        range.max_create_revision,
    ];
    if by_key && filters == [0; 4] {
        return Ok(());
    }
    Err(Status::unimplemented(
        "cfgstore: RangeStream takes no other order than that of the keys, and no revision filter; use Range",
    ))
}

/// Sends what was read, in pieces of about `piece_bytes`. Only the last piece has header, count and whether there is
/// more.
pub(super) fn in_pieces(
    header: pb::ResponseHeader,
    outcome: RangeOutcome,
    keys_only: bool,
    piece_bytes: usize,
) -> RangeStream {
    let pieces = Pieces {
        header,
        count: outcome.count,
        more: outcome.more,
        records: outcome.records.into_iter(),
        keys_only,
        piece_bytes,
        is_first: true,
    };
    Box::pin(stream::unfold(Some(pieces), |pieces| async move {
        let mut pieces = pieces?;
        let piece = pieces.next();
        let rest = (pieces.records.len() > 0).then_some(pieces);
        let response = pb::RangeStreamResponse {
            range_response: Some(piece),
        };
        Some((Ok(response), rest))
    }))
}

struct Pieces {
    header: pb::ResponseHeader,
    count: i64,
    more: bool,
    records: std::vec::IntoIter<Record>,
    keys_only: bool,
    piece_bytes: usize,
    is_first: bool,
}

impl Pieces {
    fn next(&mut self) -> pb::RangeResponse {
        let most = if self.is_first { FIRST_RECORDS } else { usize::MAX };
        self.is_first = false;
        let (mut kvs, mut bytes) = (Vec::new(), 0);
        while kvs.len() < most
            && bytes < self.piece_bytes
            && let Some(record) = self.records.next()
        {
            let kv = convert::range_key_value(&record, self.keys_only);
            bytes += kv.encoded_len();
            kvs.push(kv);
        }
        if self.records.len() > 0 {
            return pb::RangeResponse {
                kvs,
                ..Default::default()
            };
        }
        pb::RangeResponse {
            header: Some(self.header),
            kvs,
            more: self.more,
            count: self.count,
        }
    }
}

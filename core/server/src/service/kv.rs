//! etcd's KV service.

use std::sync::Arc;

use cfgstore_proto::etcdserverpb as pb;
use cfgstore_proto::etcdserverpb::kv_server;
use cfgstore_store::{Caller, Command, CommandError, Outcome, State, Txn, TxnOp};
use prost::Message;
use tokio::sync::watch;
use tonic::{Request, Response, Status};

use super::range_stream::{self, RangeStream};
use crate::context::{Context, Done};
use crate::mirror_outlet::{MirrorProgress, wait_until_mirrored};
use crate::{caller, convert, errors};

/// Ranges over more keys than this are read on a thread of their own, so that other calls go on meanwhile.
const INLINE_RANGE_KEYS: usize = 4_096;
/// What a put counts towards the quota besides its key and value, before it is known what it really takes (etcd's
/// number).
const PUT_COST_BYTES: usize = 256;

pub(super) struct Kv {
    pub ctx: Arc<Context>,
    /// This host's mirror, if it is this host's processes that are served: a write is answered once they all read it.
    pub mirror: Option<watch::Receiver<MirrorProgress>>,
}

impl Kv {
    /// Proposes a write of keys, and answers when it is applied and, for this host's own, in the mirror.
    async fn write(&self, caller: Caller, command: Command) -> Result<Done, Status> {
        let done = self.ctx.propose(caller, command).await?;
        if let Some(mirror) = &self.mirror {
            wait_until_mirrored(mirror, done.header.revision).await;
        }
        Ok(done)
    }

    fn check_size(&self, request: &impl Message) -> Result<(), Status> {
        if request.encoded_len() > self.ctx.config.max_request_bytes {
            return Err(errors::too_large());
        }
        Ok(())
    }

    /// Answers a transaction without writes from this member's state.
    async fn read_txn(&self, txn: Txn) -> Result<pb::TxnResponse, Status> {
        let limits = cfgstore_store::CheckLimits {
            max_txn_ops: self.ctx.config.max_txn_ops,
        };
        let command = Command::Txn(txn);
        cfgstore_store::check(&command, &limits).map_err(errors::of_command)?;
        let Command::Txn(txn) = command else {
            unreachable!("it was made one above")
        };
        let state = self.ctx.member.state();
        let header = self.ctx.header(state.revision());
        read_off_thread(&state.clone(), ranges_of_txn(&txn), move || {
            let outcome = state.read_txn(&txn)?;
            Ok(convert::txn_response(header, &outcome, Some(&txn)))
        })
        .await
    }

    async fn write_txn(&self, caller: Caller, txn: Txn) -> Result<pb::TxnResponse, Status> {
        if txn.has_puts() {
            self.ctx.check_quota(cost_of_txn(&txn)).await?;
        }
        let shape = convert::wants_keys_only(&txn).then(|| txn.clone());
        let Done { outcome, header } = self.write(caller, Command::Txn(txn)).await?;
        match outcome {
            Outcome::Txn(outcome) => Ok(convert::txn_response(header, &outcome, shape.as_ref())),
            other => Err(mismatch(&other)),
        }
    }
}

/// Runs `read`, on another thread if it may walk over many keys.
async fn read_off_thread<T: Send + 'static>(
    state: &State,
    walks: bool,
    read: impl FnOnce() -> Result<T, CommandError> + Send + 'static,
) -> Result<T, Status> {
    let result = if walks && state.key_count() > INLINE_RANGE_KEYS {
        tokio::task::spawn_blocking(read)
            .await
            .map_err(|_| errors::stopped())?
    } else {
        read()
    };
    result.map_err(errors::of_command)
}

fn ranges_of_txn(txn: &Txn) -> bool {
    txn.success.iter().chain(&txn.failure).any(|op| match op {
        TxnOp::Range(range) => !range.range_end.is_empty(),
        TxnOp::Txn(txn) => ranges_of_txn(txn),
        TxnOp::Put(_) | TxnOp::DeleteRange(_) => false,
    })
}

/// What a transaction may add to the data at most: the costlier of its paths.
fn cost_of_txn(txn: &Txn) -> usize {
    let cost_of_path = |ops: &[TxnOp]| -> usize {
        let cost = |op: &TxnOp| match op {
            TxnOp::Put(put) => PUT_COST_BYTES + put.key.len() + put.value.len(),
            TxnOp::Txn(txn) => cost_of_txn(txn),
            TxnOp::Range(_) | TxnOp::DeleteRange(_) => 0,
        };
        ops.iter().map(cost).sum()
    };
    cost_of_path(&txn.success).max(cost_of_path(&txn.failure))
}

/// Whether every range of the transaction is content with this member's state as it is.
fn is_serializable(txn: &pb::TxnRequest) -> bool {
    use pb::request_op::Request as Op;
    txn.success
        .iter()
        .chain(&txn.failure)
        .all(|op| match &op.request {
            Some(Op::RequestRange(range)) => range.serializable,
            Some(Op::RequestTxn(txn)) => is_serializable(txn),
            _ => false,
        })
}

/// The member answered a command with the outcome of another kind: a mistake of ours.
pub(crate) fn mismatch(outcome: &Outcome) -> Status {
    tracing::error!(?outcome, "a command was answered with the outcome of another");
    Status::internal("cfgstore: a command was answered with the outcome of another")
}

#[tonic::async_trait]
impl kv_server::Kv for Kv {
    async fn range(&self, request: Request<pb::RangeRequest>) -> Result<Response<pb::RangeResponse>, Status> {
        let request = request.into_inner();
        if request.key.is_empty() {
            return Err(errors::empty_key());
        }
        if !request.serializable {
            if self.ctx.member.is_learner() {
                return Err(errors::not_for_learners());
            }
            self.ctx.linearizable().await?;
        }
        let range = convert::range(request).map_err(errors::of_command)?;
        let state = self.ctx.member.state();
        let header = self.ctx.header(state.revision());
        let response = read_off_thread(&state.clone(), !range.range_end.is_empty(), move || {
            let outcome = state.range(&range)?;
            Ok(convert::range_response(header, &outcome, range.keys_only))
        })
        .await?;
        Ok(Response::new(response))
    }

    type RangeStreamStream = RangeStream;

    async fn range_stream(
        &self,
        request: Request<pb::RangeRequest>,
    ) -> Result<Response<RangeStream>, Status> {
        let request = request.into_inner();
        if request.key.is_empty() {
            return Err(errors::empty_key());
        }
        let serializable = request.serializable;
        let range = convert::range(request).map_err(errors::of_command)?;
        range_stream::check(&range)?;
        if !serializable {
            self.ctx.linearizable().await?;
        }
        let (state, keys_only) = (self.ctx.member.state(), range.keys_only);
        let header = self.ctx.header(state.revision());
        // The records are shared with the state, not copied: it is their conversion that costs, and that is spread.
        let outcome = read_off_thread(&state.clone(), true, move || state.range(&range)).await?;
        let piece_bytes = self.ctx.config.max_request_bytes;
        Ok(Response::new(range_stream::in_pieces(
            header,
            outcome,
            keys_only,
            piece_bytes,
        )))
    }

    async fn put(&self, request: Request<pb::PutRequest>) -> Result<Response<pb::PutResponse>, Status> {
        let caller = caller::of(&request);
        let request = request.into_inner();
        self.check_size(&request)?;
        let cost = PUT_COST_BYTES + request.key.len() + request.value.len();
        self.ctx.check_quota(cost).await?;
        let Done { outcome, header } = self.write(caller, Command::Put(convert::put(request))).await?;
        match outcome {
            Outcome::Put(outcome) => Ok(Response::new(convert::put_response(header, &outcome))),
            other => Err(mismatch(&other)),
        }
    }

    async fn delete_range(
        &self,
        request: Request<pb::DeleteRangeRequest>,
    ) -> Result<Response<pb::DeleteRangeResponse>, Status> {
        let caller = caller::of(&request);
        let request = request.into_inner();
        self.check_size(&request)?;
        let command = Command::DeleteRange(convert::delete_range(request));
        let Done { outcome, header } = self.write(caller, command).await?;
        match outcome {
            Outcome::DeleteRange(outcome) => Ok(Response::new(convert::delete_response(header, &outcome))),
            other => Err(mismatch(&other)),
        }
    }

    async fn txn(&self, request: Request<pb::TxnRequest>) -> Result<Response<pb::TxnResponse>, Status> {
        let caller = caller::of(&request);
        let request = request.into_inner();
        self.check_size(&request)?;
        let serializable = is_serializable(&request);
        let txn = convert::txn(request)?;
        if !txn.is_read_only() {
            return self.write_txn(caller, txn).await.map(Response::new);
        }
        if !serializable {
            self.ctx.linearizable().await?;
        }
        self.read_txn(txn).await.map(Response::new)
    }

    async fn compact(
        &self,
        request: Request<pb::CompactionRequest>,
    ) -> Result<Response<pb::CompactionResponse>, Status> {
        let caller = caller::of(&request);
        // `physical` asks to wait until the space is free: in memory that is at once.
        let command = Command::Compact(convert::compact(request.get_ref()));
        let Done { header, .. } = self.ctx.propose(caller, command).await?;
        Ok(Response::new(pb::CompactionResponse { header: Some(header) }))
    }
}

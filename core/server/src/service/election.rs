//! etcd's Election service: a lock whose holder says something.

use std::sync::Arc;

use cfgstore_proto::etcdserverpb::ResponseHeader;
use cfgstore_proto::v3electionpb as pb;
use cfgstore_proto::v3electionpb::election_server;
use cfgstore_store::{
    Caller, Command, Compare, CompareResult, CompareTarget, DeleteRange, Outcome, Put, Txn, TxnOp,
};
use tokio::sync::oneshot;
use tonic::{Request, Response, Status};

use super::observe::{self, Observed};
use crate::context::{Context, Done};
use crate::mutex::{self, Place};
use crate::service::mismatch;
use crate::{caller, convert, errors, session};

pub(super) struct Elections(pub Arc<Context>);

/// The words of etcd's concurrency package, which its server passes on without a code of its own.
fn not_leader() -> Status {
    Status::unknown("election: not leader")
}

fn no_leader() -> Status {
    Status::unknown("election: no leader")
}

fn missing_leader() -> Status {
    Status::unknown("\"leader\" field must be provided")
}

/// Runs `op` if the leader key is still the one the caller means. Answers whether it was.
async fn if_leading(
    ctx: &Context,
    caller: Caller,
    leader: &pb::LeaderKey,
    op: TxnOp,
) -> Result<(bool, ResponseHeader), Status> {
    let txn = Txn {
        compare: vec![Compare {
            key: leader.key.clone(),
            range_end: bytes::Bytes::new(),
            result: CompareResult::Equal,
            target: CompareTarget::Create(leader.rev),
        }],
        success: vec![op],
        failure: Vec::new(),
    };
    let Done { outcome, header } = ctx.propose(caller, Command::Txn(txn)).await?;
    match outcome {
        Outcome::Txn(txn) => Ok((txn.succeeded, header)),
        other => Err(mismatch(&other)),
    }
}

async fn proclaim(
    ctx: &Context,
    caller: Caller,
    leader: &pb::LeaderKey,
    value: bytes::Bytes,
) -> Result<ResponseHeader, Status> {
    let put = TxnOp::Put(Put {
        key: leader.key.clone(),
        value,
        lease: leader.lease,
        ..Default::default()
    });
    match if_leading(ctx, caller, leader, put).await? {
        (true, header) => Ok(header),
        (false, _) => Err(not_leader()),
    }
}

#[tonic::async_trait]
impl election_server::Election for Elections {
    async fn campaign(
        &self,
        request: Request<pb::CampaignRequest>,
    ) -> Result<Response<pb::CampaignResponse>, Status> {
        let caller = caller::of(&request);
        let mut request = request.into_inner();
        self.0.check_quota(request.value.len()).await?;
        request.lease = session::lease_or_orphan(&self.0, caller.clone(), request.lease).await?;
        // A task of its own: when the client goes away, this call is dropped wherever it stands, and the candidacy must be
        // given up all the same.
        let (answer, waiting) = oneshot::channel();
        tokio::spawn(campaign(self.0.clone(), caller, request, answer));
        waiting
            .await
            .unwrap_or_else(|_| Err(errors::stopped()))
            .map(Response::new)
    }

    async fn proclaim(
        &self,
        request: Request<pb::ProclaimRequest>,
    ) -> Result<Response<pb::ProclaimResponse>, Status> {
        let caller = caller::of(&request);
        let pb::ProclaimRequest { leader, value } = request.into_inner();
        let mut leader = leader.ok_or_else(missing_leader)?;
        self.0.check_quota(value.len()).await?;
        leader.lease = session::lease_or_orphan(&self.0, caller.clone(), leader.lease).await?;
        let header = proclaim(&self.0, caller, &leader, value).await?;
        Ok(Response::new(pb::ProclaimResponse { header: Some(header) }))
    }

    async fn leader(
        &self,
        request: Request<pb::LeaderRequest>,
    ) -> Result<Response<pb::LeaderResponse>, Status> {
        self.0.linearizable().await?;
        let state = self.0.member.state();
        let leader = mutex::first(&state, &request.get_ref().name)?.ok_or_else(no_leader)?;
        Ok(Response::new(pb::LeaderResponse {
            header: Some(self.0.header(state.revision())),
            kv: Some(convert::key_value(&leader)),
        }))
    }

    type ObserveStream = Observed;

    async fn observe(&self, request: Request<pb::LeaderRequest>) -> Result<Response<Observed>, Status> {
        self.0.linearizable().await?;
        let name = request.into_inner().name;
        Ok(Response::new(observe::observe(self.0.clone(), name)))
    }

    async fn resign(
        &self,
        request: Request<pb::ResignRequest>,
    ) -> Result<Response<pb::ResignResponse>, Status> {
        let caller = caller::of(&request);
        let leader = request.into_inner().leader.ok_or_else(missing_leader)?;
        let delete = TxnOp::DeleteRange(DeleteRange {
            key: leader.key.clone(),
            ..Default::default()
        });
        // Who does not lead has nothing to give up, which is no error.
        let (_, header) = if_leading(&self.0, caller, &leader, delete).await?;
        Ok(Response::new(pb::ResignResponse { header: Some(header) }))
    }
}

async fn campaign(
    ctx: Arc<Context>,
    caller: Caller,
    request: pb::CampaignRequest,
    mut answer: oneshot::Sender<Result<pb::CampaignResponse, Status>>,
) {
    let pb::CampaignRequest { name, lease, value } = request;
    let place = match mutex::enqueue_with_value(&ctx, caller.clone(), &name, lease, value.clone()).await {
        Ok(place) => place,
        Err(status) => return drop(answer.send(Err(status))),
    };
    let leader = pb::LeaderKey {
        name,
        key: place.key.clone(),
        rev: place.create_revision,
        lease,
    };
    // The same session again, with something else to say.
    if place.value != value
        && let Err(status) = proclaim(&ctx, caller.clone(), &leader, value).await
    {
        mutex::withdraw_later(ctx, caller, place);
        return drop(answer.send(Err(status)));
    }
    let turn = tokio::select! {
        turn = mutex::turn(&ctx, &place) => turn,
        () = answer.closed() => return abandon(ctx, caller, place),
    };
    let result = turn.and_then(|turn| match turn {
        Some(_) => Ok(pb::CampaignResponse {
            header: Some(place.header),
            leader: Some(leader),
        }),
        None if ctx.member.state().lease(lease).is_none() => Err(errors::lease_not_found(lease)),
        None => Err(not_leader()),
    });
    if answer.send(result).is_err() {
        abandon(ctx, caller, place);
    }
}

/// The client is gone. A candidacy that an earlier call with the same lease began is that call's to give up.
fn abandon(ctx: Arc<Context>, caller: Caller, place: Place) {
    if place.is_new {
        mutex::withdraw_later(ctx, caller, place);
    }
}

//! etcd's Lock service.

use std::sync::Arc;

use cfgstore_proto::v3lockpb as pb;
use cfgstore_proto::v3lockpb::lock_server;
use cfgstore_store::{Caller, Command, DeleteRange};
use tokio::sync::oneshot;
use tonic::{Request, Response, Status};

use crate::context::{Context, Done};
use crate::mutex::{self, Place};
use crate::{caller, session};

pub(super) struct Locks(pub Arc<Context>);

#[tonic::async_trait]
impl lock_server::Lock for Locks {
    async fn lock(&self, request: Request<pb::LockRequest>) -> Result<Response<pb::LockResponse>, Status> {
        let caller = caller::of(&request);
        let pb::LockRequest { name, lease } = request.into_inner();
        let lease = session::lease_or_orphan(&self.0, caller.clone(), lease).await?;
        // A task of its own: when the client goes away, this call is dropped wherever it stands, and the
        // place in the queue must be given up all the same.
        let (answer, waiting) = oneshot::channel();
        tokio::spawn(lock(self.0.clone(), caller, name, lease, answer));
        waiting
            .await
            .unwrap_or_else(|_| Err(crate::errors::stopped()))
            .map(Response::new)
    }

    async fn unlock(
        &self,
        request: Request<pb::UnlockRequest>,
    ) -> Result<Response<pb::UnlockResponse>, Status> {
        let caller = caller::of(&request);
        let delete = DeleteRange {
            key: request.into_inner().key,
            ..Default::default()
        };
        let Done { header, .. } = self.0.propose(caller, Command::DeleteRange(delete)).await?;
        Ok(Response::new(pb::UnlockResponse { header: Some(header) }))
    }
}

async fn lock(
    ctx: Arc<Context>,
    caller: Caller,
    name: bytes::Bytes,
    lease: i64,
    mut answer: oneshot::Sender<Result<pb::LockResponse, Status>>,
) {
    let place = match mutex::enqueue(&ctx, caller.clone(), &name, lease).await {
        Ok(place) => place,
        Err(status) => return drop(answer.send(Err(status))),
    };
    let turn = tokio::select! {
        turn = mutex::wait_for_turn(&ctx, &place) => turn,
        () = answer.closed() => return abandon(ctx, caller, place),
    };
    let result = turn.map(|revision| pb::LockResponse {
        header: Some(ctx.header(revision)),
        key: place.key.clone(),
    });
    if answer.send(result).is_err() {
        abandon(ctx, caller, place);
    }
}

/// The client is gone. A place that an earlier call with the same lease took is that call's to give up.
fn abandon(ctx: Arc<Context>, caller: Caller, place: Place) {
    if place.is_new {
        mutex::withdraw_later(ctx, caller, place);
    }
}

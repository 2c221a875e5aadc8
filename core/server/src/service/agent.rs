//! The agent of this host: `cfgstore.v1`.

use std::sync::Arc;
use std::time::Duration;

use cfgstore_proto::cfgstore::v1 as pb;
use cfgstore_proto::cfgstore::v1::agent_server;
use cfgstore_store::{Caller, Command, LeaseRevoke, Outcome};
use tokio::time::Instant;
use tonic::{Request, Response, Status, Streaming};

use crate::context::Context;
use crate::hold::{self, Answers, End, HoldStream, Holder};
use crate::mirror_feed::Mirror;
use crate::mutex::{self, Place};
use crate::service::kv::mismatch;
use crate::{caller, errors, session};

pub(super) struct AgentService {
    pub ctx: Arc<Context>,
    pub mirror: Mirror,
    /// Whether it answers processes of this host.
    pub local: bool,
}

#[tonic::async_trait]
impl agent_server::Agent for AgentService {
    async fn status(&self, _: Request<pb::StatusRequest>) -> Result<Response<pb::StatusResponse>, Status> {
        // Whoever asks here is about to read it.
        let asked = if self.local {
            self.mirror.ask().await
        } else {
            Ok(())
        };
        let mirror = *self.mirror.progress().borrow();
        Ok(Response::new(pb::StatusResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            data_dir: self.ctx.config.data_dir.display().to_string(),
            mirror_dir: self
                .mirror
                .folder()
                .map_or_else(String::new, |folder| folder.display().to_string()),
            revision: self.ctx.member.state().revision(),
            mirror_generation: mirror.generation,
            member_id: self.ctx.member_id,
            pid: std::process::id(),
            mirror_revision: mirror.revision,
            trouble: asked.err().or(mirror.trouble()).unwrap_or_default(),
        }))
    }

    type HoldStream = Answers;

    async fn hold(
        &self,
        request: Request<Streaming<pb::HoldRequest>>,
    ) -> Result<Response<Self::HoldStream>, Status> {
        let holder = MemberHolder {
            ctx: self.ctx.clone(),
            caller: caller::of(&request),
        };
        Ok(hold::serve(request.into_inner(), holder))
    }
}

/// Takes locks at this member.
struct MemberHolder {
    ctx: Arc<Context>,
    caller: Caller,
}

/// Time within which a lease must be renewed before its holder has to fear that it is gone.
struct Lease {
    id: i64,
    ttl: Duration,
}

impl Holder for MemberHolder {
    /// The place in the queue goes with the lease.
    async fn hold(self, acquire: pb::Acquire, stream: &mut HoldStream) -> End {
        let lease = match self.grant(acquire.ttl_ms).await {
            Ok(lease) => lease,
            Err(status) => return End::Failed(status),
        };
        let end = match mutex::enqueue(&self.ctx, self.caller.clone(), &acquire.name, lease.id).await {
            Ok(place) => {
                self.wait_and_keep(&lease, &place, Duration::from_millis(acquire.wait_ms), stream)
                    .await
            }
            Err(status) => End::Failed(status),
        };
        self.revoke(lease.id).await;
        end
    }
}

impl MemberHolder {
    async fn grant(&self, ttl_ms: u64) -> Result<Lease, Status> {
        let ttl_secs = i64::try_from(ttl_ms.div_ceil(1_000)).unwrap_or(i64::MAX);
        match session::grant(&self.ctx, self.caller.clone(), 0, ttl_secs)
            .await?
            .outcome
        {
            Outcome::LeaseGrant { id, ttl_secs } => Ok(Lease {
                id,
                ttl: Duration::from_secs(ttl_secs.unsigned_abs()),
            }),
            other => Err(mismatch(&other)),
        }
    }

    async fn revoke(&self, id: i64) {
        let revoke = Command::LeaseRevoke(LeaseRevoke { id });
        match self.ctx.propose(self.caller.clone(), revoke).await {
            Ok(_) => {}
            Err(status) if status.code() == tonic::Code::NotFound => {}
            Err(error) => {
                tracing::warn!(lease = %format_args!("{id:x}"), %error, "a lock's lease was not revoked; it expires")
            }
        }
    }

    async fn wait_and_keep(
        &self,
        lease: &Lease,
        place: &Place,
        wait: Duration,
        stream: &mut HoldStream,
    ) -> End {
        let ctx = &self.ctx;
        let mut alive = std::pin::pin!(keep_alive(ctx, lease));
        let turn = tokio::select! {
            // First, so that a free lock is had with no time to wait.
            biased;
            turn = mutex::wait_for_turn(ctx, place) => turn,
            reason = &mut alive => return End::Lost(reason),
            end = stream.asked_to_end() => return end,
            () = tokio::time::sleep(wait) => return End::TimedOut,
        };
        if let Err(status) = turn {
            return End::Failed(status);
        }
        let acquired = pb::Acquired {
            key: place.key.clone(),
            token: place.create_revision,
            lease: lease.id,
        };
        stream.acquired(acquired).await;
        tokio::select! {
            () = gone(ctx, place) => End::deleted(),
            reason = &mut alive => End::Lost(reason),
            end = stream.asked_to_end() => end,
            () = ctx.stop.stopped() => End::Failed(errors::stopped()),
        }
    }
}

/// Waits until the place is no longer in the queue.
async fn gone(ctx: &Context, place: &Place) {
    loop {
        let deletion = ctx.hub.deletion(&place.key);
        if !mutex::exists(&ctx.member.state(), place) {
            return;
        }
        deletion.await;
    }
}

/// Renews the lease as long as it can be renewed, and answers why it can no more.
async fn keep_alive(ctx: &Context, lease: &Lease) -> String {
    let pause = lease.ttl / 3;
    let mut renewed_at = Instant::now();
    loop {
        tokio::time::sleep(pause).await;
        let asked_at = Instant::now();
        let error = match tokio::time::timeout(pause, ctx.member.lease_keep_alive(lease.id)).await {
            Ok(Ok(0)) => return "the lease has expired or was revoked".to_owned(),
            Ok(Ok(_)) => {
                renewed_at = asked_at;
                continue;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer".to_owned(),
        };
        // Until the lease's end another try may succeed; after it, somebody else may have the lock.
        if renewed_at.elapsed() >= lease.ttl {
            return format!("the lease could not be renewed in time: {error}");
        }
    }
}

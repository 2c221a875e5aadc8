//! The agent of this host: `cfgstore.v1`.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use cfgstore_proto::cfgstore::v1 as pb;
use cfgstore_proto::cfgstore::v1::agent_server;
use cfgstore_store::{Caller, Command, LeaseRevoke, Outcome};
use futures_util::{Stream, StreamExt};
use pb::hold_request::Request as Ask;
use pb::hold_response::Response as Answer;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::context::Context;
use crate::mirror_outlet::MirrorProgress;
use crate::mutex::{self, Place};
use crate::service::kv::mismatch;
use crate::{caller, errors, session};

/// What the agent knows beside the member.
#[derive(Clone)]
pub(crate) struct AgentInfo {
    pub mirror_dir: PathBuf,
    pub mirror: watch::Receiver<MirrorProgress>,
}

pub(super) struct AgentService {
    ctx: Arc<Context>,
    info: AgentInfo,
}

impl AgentService {
    pub fn new(ctx: Arc<Context>, info: AgentInfo) -> AgentService {
        AgentService { ctx, info }
    }
}

#[tonic::async_trait]
impl agent_server::Agent for AgentService {
    async fn status(&self, _: Request<pb::StatusRequest>) -> Result<Response<pb::StatusResponse>, Status> {
        let mirror = *self.info.mirror.borrow();
        Ok(Response::new(pb::StatusResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            data_dir: self.ctx.config.data_dir.display().to_string(),
            mirror_dir: self.info.mirror_dir.display().to_string(),
            revision: self.ctx.member.state().revision(),
            mirror_generation: mirror.generation,
            member_id: self.ctx.member_id,
            pid: std::process::id(),
            mirror_revision: mirror.revision,
            trouble: String::new(),
        }))
    }

    type HoldStream = Pin<Box<dyn Stream<Item = Result<pb::HoldResponse, Status>> + Send + 'static>>;

    async fn hold(
        &self,
        request: Request<Streaming<pb::HoldRequest>>,
    ) -> Result<Response<Self::HoldStream>, Status> {
        let caller = caller::of(request.metadata());
        // At most three answers are ever sent; the channel never makes the holder wait.
        let (answers, stream) = mpsc::channel(4);
        let holder = Holder {
            ctx: self.ctx.clone(),
            caller,
            asks: request.into_inner(),
            answers,
        };
        tokio::spawn(holder.run());
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }
}

/// One stream that holds, or waits for, one lock.
struct Holder {
    ctx: Arc<Context>,
    caller: Caller,
    asks: Streaming<pb::HoldRequest>,
    answers: mpsc::Sender<Result<pb::HoldResponse, Status>>,
}

/// How a wait, or a hold, ended.
enum End {
    /// The client asked for it.
    Released,
    /// The stream ended, or broke.
    Gone,
    TimedOut,
    Lost(String),
    Failed(Status),
}

/// Time within which a lease must be renewed before its holder has to fear that it is gone.
struct Lease {
    id: i64,
    ttl: Duration,
}

impl Holder {
    async fn run(mut self) {
        let end = match self.first().await {
            Ok(acquire) => self.hold(acquire).await,
            Err(end) => end,
        };
        let answer = match end {
            End::Gone => return,
            End::Released => Ok(Answer::Released(pb::Released {})),
            End::TimedOut => Ok(Answer::TimedOut(pb::TimedOut {})),
            End::Lost(reason) => Ok(Answer::Lost(pb::Lost { reason })),
            End::Failed(status) => Err(status),
        };
        self.answer(answer).await;
    }

    async fn answer(&self, answer: Result<Answer, Status>) {
        let answer = answer.map(|answer| pb::HoldResponse {
            response: Some(answer),
        });
        // A client that is gone needs no answer.
        let _ = self.answers.send(answer).await;
    }

    async fn first(&mut self) -> Result<pb::Acquire, End> {
        match self.asks.next().await {
            Some(Ok(pb::HoldRequest {
                request: Some(Ask::Acquire(acquire)),
            })) => Ok(acquire),
            Some(Ok(_)) => Err(End::Failed(Status::invalid_argument(
                "cfgstore: the first request of Hold must be acquire",
            ))),
            Some(Err(_)) | None => Err(End::Gone),
        }
    }

    /// From the lease to its end. Whatever happens in between, the lease is revoked at the end, and the place
    /// in the queue goes with it.
    async fn hold(&mut self, acquire: pb::Acquire) -> End {
        if acquire.name.is_empty() {
            return End::Failed(errors::empty_key());
        }
        let lease = match self.grant(acquire.ttl_ms).await {
            Ok(lease) => lease,
            Err(status) => return End::Failed(status),
        };
        let end = match mutex::enqueue(&self.ctx, self.caller.clone(), &acquire.name, lease.id).await {
            Ok(place) => {
                self.wait_and_keep(&lease, &place, Duration::from_millis(acquire.wait_ms))
                    .await
            }
            Err(status) => End::Failed(status),
        };
        self.revoke(lease.id).await;
        end
    }

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

    async fn wait_and_keep(&mut self, lease: &Lease, place: &Place, wait: Duration) -> End {
        let ctx = self.ctx.clone();
        let mut alive = std::pin::pin!(keep_alive(&ctx, lease));
        let turn = tokio::select! {
            // First, so that a free lock is had with no time to wait.
            biased;
            turn = mutex::wait_for_turn(&ctx, place) => turn,
            reason = &mut alive => return End::Lost(reason),
            end = self.asked_to_end() => return end,
            () = tokio::time::sleep(wait) => return End::TimedOut,
        };
        if let Err(status) = turn {
            return End::Failed(status);
        }
        self.answer(Ok(Answer::Acquired(pb::Acquired {
            key: place.key.clone(),
            token: place.create_revision,
            lease: lease.id,
        })))
        .await;
        tokio::select! {
            () = gone(&ctx, place) => End::Lost("the lock's key was deleted, or its lease revoked".to_owned()),
            reason = &mut alive => End::Lost(reason),
            end = self.asked_to_end() => end,
            () = ctx.stop.stopped() => End::Failed(errors::stopped()),
        }
    }

    /// Waits until the client releases the lock or goes away.
    async fn asked_to_end(&mut self) -> End {
        loop {
            let ask = tokio::select! {
                ask = self.asks.next() => ask,
                () = self.answers.closed() => return End::Gone,
            };
            match ask {
                Some(Ok(pb::HoldRequest {
                    request: Some(Ask::Release(_)),
                })) => return End::Released,
                Some(Ok(pb::HoldRequest {
                    request: Some(Ask::Acquire(_)),
                })) => {
                    let reason = "cfgstore: this stream has its lock already; open another for another lock";
                    return End::Failed(Status::failed_precondition(reason));
                }
                // From a newer client; what this agent does not know it need not do.
                Some(Ok(pb::HoldRequest { request: None })) => {}
                Some(Err(_)) | None => return End::Gone,
            }
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

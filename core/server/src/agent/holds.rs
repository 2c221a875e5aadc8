//! The agent's own service, `cfgstore.v1`, in front of remote members: its status, and locks bound to a stream.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use cfgstore_client::{Client, Error, ErrorKind, Lock, LockOptions, Range};
use cfgstore_proto::cfgstore::v1 as pb;
use cfgstore_proto::cfgstore::v1::agent_server;
use futures_util::{Stream, StreamExt};
use pb::hold_request::Request as Ask;
use pb::hold_response::Response as Answer;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::feed::Trouble;
use super::lock_keys::LockKeys;
use crate::errors;
use crate::mirror_outlet::MirrorProgress;
use crate::stop::Stop;

/// What the service works with.
#[derive(Clone)]
pub(super) struct Holds {
    pub client: Client,
    pub keys: Arc<LockKeys>,
    pub stop: Arc<Stop>,
    pub data_dir: PathBuf,
    pub mirror_dir: PathBuf,
    pub mirror: watch::Receiver<MirrorProgress>,
    pub trouble: watch::Receiver<Trouble>,
}

#[tonic::async_trait]
impl agent_server::Agent for Holds {
    async fn status(&self, _: Request<pb::StatusRequest>) -> Result<Response<pb::StatusResponse>, Status> {
        let mirror = *self.mirror.borrow();
        let trouble = match &*self.trouble.borrow() {
            Trouble::None => String::new(),
            Trouble::Starting => "the first copy of the members' store is being made".to_owned(),
            Trouble::Because(reason) => reason.clone(),
        };
        Ok(Response::new(pb::StatusResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            data_dir: self.data_dir.display().to_string(),
            mirror_dir: self.mirror_dir.display().to_string(),
            revision: mirror.revision,
            mirror_generation: mirror.generation,
            // It is none.
            member_id: 0,
            pid: std::process::id(),
            mirror_revision: mirror.revision,
            trouble,
        }))
    }

    type HoldStream = Pin<Box<dyn Stream<Item = Result<pb::HoldResponse, Status>> + Send + 'static>>;

    async fn hold(
        &self,
        request: Request<Streaming<pb::HoldRequest>>,
    ) -> Result<Response<Self::HoldStream>, Status> {
        // At most three answers are ever sent; the channel never makes the holder wait.
        let (answers, stream) = mpsc::channel(4);
        let holder = Holder {
            holds: self.clone(),
            asks: request.into_inner(),
            answers,
        };
        tokio::spawn(holder.run());
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }
}

/// One stream that holds, or waits for, one lock.
struct Holder {
    holds: Holds,
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

    /// From the lease to its end. Whatever happens in between, the lease is revoked at the end.
    async fn hold(&mut self, acquire: pb::Acquire) -> End {
        if acquire.name.is_empty() {
            return End::Failed(errors::empty_key());
        }
        let options = LockOptions {
            ttl: Duration::from_millis(acquire.ttl_ms.max(1)),
            wait: Duration::from_millis(acquire.wait_ms),
        };
        let Holds { client, stop, .. } = self.holds.clone();
        // Dropped half-way, it gives up its place in the queue.
        let taken = tokio::select! {
            taken = client.lock_as_is(acquire.name, &options) => taken,
            end = self.asked_to_end() => return end,
            () = stop.stopped() => return End::Failed(errors::stopped()),
        };
        let mut lock = match taken {
            Ok(lock) => lock,
            Err(error) => return refused(&error),
        };
        let end = self.keep(&lock).await;
        // Already lost, or left to end by itself: nothing more can be done.
        let _ = lock.release().await;
        end
    }

    async fn keep(&mut self, lock: &Lock) -> End {
        let key = bytes::Bytes::copy_from_slice(lock.key());
        let deleted = self.holds.keys.deletion(key.clone());
        // It may have been deleted before the deletion was waited for.
        match self.holds.client.range(&Range::key(&key).keys_only()).await {
            Ok(found) if found.kvs.is_empty() => return End::Lost(DELETED.to_owned()),
            Ok(_) => {}
            Err(error) => return refused(&error),
        }
        self.answer(Ok(Answer::Acquired(pb::Acquired {
            key,
            token: lock.token(),
            lease: lock.lease(),
        })))
        .await;
        let stop = self.holds.stop.clone();
        tokio::select! {
            () = deleted => End::Lost(DELETED.to_owned()),
            reason = lock.lease_lost() => End::Lost(reason),
            end = self.asked_to_end() => end,
            () = stop.stopped() => End::Failed(errors::stopped()),
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

const DELETED: &str = "the lock's key was deleted, or its lease revoked";

fn refused(error: &Error) -> End {
    let text = error.message.clone();
    match error.kind {
        ErrorKind::Timeout if !error.maybe_committed => End::TimedOut,
        ErrorKind::LockLost => End::Lost(text),
        ErrorKind::InvalidArgument => End::Failed(Status::invalid_argument(text)),
        ErrorKind::TooLarge => End::Failed(Status::invalid_argument("etcdserver: request is too large")),
        ErrorKind::Denied => End::Failed(Status::permission_denied(text)),
        ErrorKind::Exhausted => End::Failed(Status::resource_exhausted(text)),
        _ => End::Failed(Status::unavailable(text)),
    }
}

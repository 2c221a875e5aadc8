//! The stream of `cfgstore.v1.Agent/Hold`: what client and agent say on it, whoever takes the lock.

use std::future::Future;
use std::pin::Pin;

use cfgstore_proto::cfgstore::v1 as pb;
use futures_util::{Stream, StreamExt};
use pb::hold_request::Request as Ask;
use pb::hold_response::Response as Answer;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Response, Status, Streaming};

use crate::errors;

/// What the client of a hold is sent.
pub(crate) type Answers = Pin<Box<dyn Stream<Item = Result<pb::HoldResponse, Status>> + Send + 'static>>;

/// How a wait, or a hold, ended.
pub(crate) enum End {
    /// The client asked for it.
    Released,
    /// The stream ended, or broke.
    Gone,
    TimedOut,
    Lost(String),
    Failed(Status),
}

impl End {
    /// The key that stood for the lock is no more.
    pub fn deleted() -> End {
        End::Lost("the lock's key was deleted, or its lease revoked".to_owned())
    }
}

/// Who takes a lock, keeps it and gives it up again.
pub(crate) trait Holder: Send + 'static {
    /// From the lease to its end. Whatever happens in between, the lease is revoked at the end.
    fn hold(self, acquire: pb::Acquire, stream: &mut HoldStream) -> impl Future<Output = End> + Send;
}

/// One stream that holds, or waits for, one lock.
pub(crate) struct HoldStream {
    asks: Streaming<pb::HoldRequest>,
    answers: mpsc::Sender<Result<pb::HoldResponse, Status>>,
}

/// Serves a stream in a task of its own.
pub(crate) fn serve(asks: Streaming<pb::HoldRequest>, holder: impl Holder) -> Response<Answers> {
    // At most three answers are ever sent; the channel never makes the holder wait.
    let (answers, stream) = mpsc::channel(4);
    tokio::spawn(HoldStream { asks, answers }.run(holder));
    Response::new(Box::pin(ReceiverStream::new(stream)))
}

impl HoldStream {
    async fn run(mut self, holder: impl Holder) {
        let end = match self.first().await {
            Ok(acquire) => holder.hold(acquire, &mut self).await,
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

    /// Tells the client that it has the lock.
    pub async fn acquired(&self, acquired: pb::Acquired) {
        self.answer(Ok(Answer::Acquired(acquired))).await;
    }

    async fn first(&mut self) -> Result<pb::Acquire, End> {
        match self.asks.next().await {
            Some(Ok(pb::HoldRequest {
                request: Some(Ask::Acquire(acquire)),
            })) if acquire.name.is_empty() => Err(End::Failed(errors::empty_key())),
            Some(Ok(pb::HoldRequest {
                request: Some(Ask::Acquire(acquire)),
            })) => Ok(acquire),
            Some(Ok(_)) => Err(End::Failed(Status::invalid_argument(
                "cfgstore: the first request of Hold must be acquire",
            ))),
            Some(Err(_)) | None => Err(End::Gone),
        }
    }

    /// Waits until the client releases the lock or goes away.
    pub async fn asked_to_end(&mut self) -> End {
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

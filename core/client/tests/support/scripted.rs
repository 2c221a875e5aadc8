//! A server on a unix socket whose watches and locks do what a test tells them to.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use cfgstore_proto::cfgstore::v1 as agent;
use cfgstore_proto::cfgstore::v1::agent_server::{Agent, AgentServer};
use cfgstore_proto::cfgstore::v1::hold_request::Request as HoldRequest;
use cfgstore_proto::cfgstore::v1::hold_response::Response as HoldResponse;
use cfgstore_proto::etcdserverpb as pb;
use cfgstore_proto::etcdserverpb::watch_request::RequestUnion;
use cfgstore_proto::etcdserverpb::watch_server::{Watch, WatchServer};
use tokio::net::UnixListener;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::{ReceiverStream, UnboundedReceiverStream, UnixListenerStream};
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;
pub type WatchAnswer = Result<pb::WatchResponse, Status>;

/// What happened to the server, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Seen {
    /// A watch was asked for from this revision.
    Watch(i64),
    Acquire(agent::Acquire),
    Release,
    /// The stream of a lock ended.
    Gone,
}

#[derive(Default)]
struct Script {
    /// Each watch takes one list of answers; a stream ends after its list unless it is the last, which stays open.
    watches: VecDeque<Vec<WatchAnswer>>,
    /// Each lock is answered with one.
    locks: VecDeque<HoldResponse>,
    seen: Vec<Seen>,
    /// To push to the latest lock.
    lock: Option<mpsc::Sender<Result<agent::HoldResponse, Status>>>,
    /// To push to the latest open watch.
    watch: Option<mpsc::UnboundedSender<WatchAnswer>>,
}

#[derive(Clone, Default)]
struct Service(Arc<Mutex<Script>>);

/// The server; ends when dropped.
pub struct Scripted {
    path: PathBuf,
    service: Service,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Scripted {
    pub fn start(path: &Path) -> Scripted {
        let service = Service::default();
        let (stop, stopped) = oneshot::channel::<()>();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let (serving, at) = (service.clone(), path.to_owned());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async move {
                let _ = std::fs::remove_file(&at);
                let listener = UnixListener::bind(&at).unwrap();
                ready.send(()).unwrap();
                let server = tonic::transport::Server::builder()
                    .add_service(WatchServer::new(serving.clone()))
                    .add_service(AgentServer::new(serving))
                    .serve_with_incoming(UnixListenerStream::new(listener));
                tokio::select! { _ = server => {}, _ = stopped => {} }
            });
        });
        is_ready.recv().unwrap();
        Scripted {
            path: path.to_owned(),
            service,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn on_watch(&self, answers: Vec<WatchAnswer>) {
        self.service.0.lock().unwrap().watches.push_back(answers);
    }

    pub fn on_lock(&self, answer: HoldResponse) {
        self.service.0.lock().unwrap().locks.push_back(answer);
    }

    pub fn push_to_watch(&self, answer: WatchAnswer) {
        self.service
            .0
            .lock()
            .unwrap()
            .watch
            .as_ref()
            .unwrap()
            .send(answer)
            .unwrap();
    }

    pub fn push_to_lock(&self, answer: HoldResponse) {
        let sender = self.service.0.lock().unwrap().lock.clone().unwrap();
        sender
            .blocking_send(Ok(agent::HoldResponse {
                response: Some(answer),
            }))
            .unwrap();
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.service.0.lock().unwrap().seen.clone()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        drop(self.stop.take());
        let _ = self.thread.take().unwrap().join();
    }
}

#[tonic::async_trait]
impl Watch for Service {
    type WatchStream = Answers<pb::WatchResponse>;

    async fn watch(
        &self,
        request: Request<Streaming<pb::WatchRequest>>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let first = request.into_inner().message().await?.unwrap();
        let Some(RequestUnion::CreateRequest(create)) = first.request_union else {
            panic!("{first:?}")
        };
        let mut script = self.0.lock().unwrap();
        script.seen.push(Seen::Watch(create.start_revision));
        let answers = script.watches.pop_front().unwrap_or_default();
        let (pushes, pushed) = mpsc::unbounded_channel();
        let stays_open = script.watches.is_empty();
        script.watch = stays_open.then_some(pushes);
        let answers = tokio_stream::iter(answers);
        if stays_open {
            return Ok(Response::new(Box::pin(
                answers.chain(UnboundedReceiverStream::new(pushed)),
            )));
        }
        Ok(Response::new(Box::pin(answers)))
    }
}

#[tonic::async_trait]
impl Agent for Service {
    type HoldStream = Answers<agent::HoldResponse>;

    async fn status(
        &self,
        _: Request<agent::StatusRequest>,
    ) -> Result<Response<agent::StatusResponse>, Status> {
        Err(Status::unimplemented("not scripted"))
    }

    async fn hold(
        &self,
        request: Request<Streaming<agent::HoldRequest>>,
    ) -> Result<Response<Self::HoldStream>, Status> {
        let mut requests = request.into_inner();
        let first = requests.message().await?.unwrap();
        let Some(HoldRequest::Acquire(acquire)) = first.request else {
            panic!("{first:?}")
        };
        let (answers, answered) = mpsc::channel(4);
        {
            let mut script = self.0.lock().unwrap();
            script.seen.push(Seen::Acquire(acquire));
            let answer = script.locks.pop_front().unwrap();
            answers
                .try_send(Ok(agent::HoldResponse {
                    response: Some(answer),
                }))
                .unwrap();
            script.lock = Some(answers.clone());
        }
        let script = self.0.clone();
        tokio::spawn(async move {
            while let Ok(Some(_release)) = requests.message().await {
                script.lock().unwrap().seen.push(Seen::Release);
                let released = HoldResponse::Released(agent::Released {});
                let _ = answers
                    .send(Ok(agent::HoldResponse {
                        response: Some(released),
                    }))
                    .await;
            }
            script.lock().unwrap().seen.push(Seen::Gone);
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(answered))))
    }
}

//! Calls to the leader on behalf of this member's clients.

use std::future::Future;
use std::time::Duration;

use cfgstore_proto::cfgstore::peer::v1 as pb;
use cfgstore_proto::cfgstore::peer::v1::leader_client::LeaderClient;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

use crate::leadership::Leader;
use crate::peer::link::{MAX_MESSAGE_BYTES, Peers};

/// Proposals that may wait for the connection: those on their way, and what asks after lost ones.
const STREAM_PLACES: usize = 8;

pub(crate) type Client = LeaderClient<Channel>;

/// One call to member `to`, answered within `limit` or failed.
pub(crate) async fn call<M, T, F>(
    peers: &Peers,
    to: u64,
    limit: Duration,
    message: M,
    call: impl FnOnce(Client, Request<M>) -> F,
) -> Result<T, Status>
where
    F: Future<Output = Result<Response<T>, Status>>,
{
    let peer = peers.peer(to, None);
    let (channel, generation) = peers.channel(&peer, &peer.leader)?;
    let client = LeaderClient::new(channel)
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    let status = match timeout(limit, call(client, peers.request(&peer, message))).await {
        Ok(Ok(response)) => return Ok(response.into_inner()),
        Ok(Err(status)) => status,
        Err(_) => Status::unavailable(format!("no answer within {limit:?}")),
    };
    peers.failed(&peer.leader, generation, Some(&status));
    Err(status)
}

/// What happens on a stream of proposals.
#[derive(Debug)]
pub(crate) enum StreamEvent {
    /// It is established: what is sent may arrive. Before, nothing could.
    Open,
    /// A proposal was refused.
    Refused(u64, pb::Refusal),
    /// It has ended.
    Closed,
}

/// A stream of proposals to one leader.
pub(crate) struct ProposeStream {
    pub(crate) leader: Leader,
    pub(crate) is_open: bool,
    requests: mpsc::Sender<pb::ProposeRequest>,
    events: mpsc::UnboundedReceiver<StreamEvent>,
    task: JoinHandle<()>,
}

impl ProposeStream {
    /// Begins to establish one.
    pub(crate) fn start(peers: &Peers, leader: Leader, limit: Duration) -> ProposeStream {
        let (requests, receiver) = mpsc::channel(STREAM_PLACES);
        let (events, event_receiver) = mpsc::unbounded_channel();
        let task = tokio::spawn(run(peers.clone(), leader.id, limit, receiver, events));
        ProposeStream {
            leader,
            is_open: false,
            requests,
            events: event_receiver,
            task,
        }
    }

    /// The next event; there is always a [`StreamEvent::Closed`] at the end.
    pub(crate) async fn event(&mut self) -> StreamEvent {
        self.events.recv().await.unwrap_or(StreamEvent::Closed)
    }

    /// Sends a proposal. It may or may not arrive.
    pub(crate) fn send(&self, request: pb::ProposeRequest) {
        // When the stream has ended, or its peer takes nothing, the proposal's fate is found out as after any loss.
        let _ = self.requests.try_send(request);
    }
}

impl Drop for ProposeStream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(
    peers: Peers,
    leader: u64,
    limit: Duration,
    requests: mpsc::Receiver<pb::ProposeRequest>,
    events: mpsc::UnboundedSender<StreamEvent>,
) {
    let open = |mut client: Client, request| async move { client.propose(request).await };
    let opened = call(&peers, leader, limit, ReceiverStream::new(requests), open).await;
    let mut responses = match opened {
        Ok(responses) => responses,
        Err(status) => return tracing::debug!(%status, leader, "cannot send proposals to the leader"),
    };
    if events.send(StreamEvent::Open).is_err() {
        return;
    }
    loop {
        match responses.message().await {
            Ok(Some(response)) => {
                let Some(refusal) = response.refusal else { continue };
                if events
                    .send(StreamEvent::Refused(response.sequence, refusal))
                    .is_err()
                {
                    return;
                }
            }
            Ok(None) => return,
            Err(status) => return tracing::debug!(%status, leader, "a stream of proposals ended"),
        }
    }
}

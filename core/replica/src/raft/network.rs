//! openraft's way to other members.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use cfgstore_proto::cfgstore::peer::v1 as pb;
use cfgstore_proto::cfgstore::peer::v1::raft_client::RaftClient;
use futures_util::{Stream, StreamExt, stream};
use openraft::alias::{SnapshotOf, VoteOf};
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{Backoff, RPCOption, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendError, StreamAppendResult,
    TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::{OptionalSend, RaftNetworkFactory};
use prost::Message;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

use crate::peer::convert;
use crate::peer::link::{MAX_MESSAGE_BYTES, Peer, Peers};
use crate::raft::types::{LogId, MemberNode, TypeConfig};
use crate::snapshot::SnapshotFile;
use crate::transfer;

/// Appends on their way to one member, unanswered.
const IN_FLIGHT_REQUESTS: usize = 64;
/// Bytes of entries on their way to one member, unless one append alone has more.
const IN_FLIGHT_BYTES: usize = 16 << 20;

type Rpc<T> = Result<T, RPCError<TypeConfig>>;
type BoxFuture<'s, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 's>>;
type BoxStream<'s, T> = std::pin::Pin<Box<dyn Stream<Item = T> + Send + 's>>;

/// Makes connections for openraft.
pub(crate) struct Network {
    pub(crate) peers: Peers,
    pub(crate) snapshots: transfer::Sender,
    /// How long an append may stay unanswered before the connection counts as broken.
    pub(crate) append_timeout: Duration,
    /// How long to wait before a member that can't be reached is tried again.
    pub(crate) backoff: Duration,
}

impl Network {
    fn client(&self, target: u64, node: &MemberNode, heartbeats: bool) -> PeerNetwork {
        PeerNetwork {
            peer: self.peers.peer(target, Some(node)),
            peers: self.peers.clone(),
            snapshots: self.snapshots.clone(),
            append_timeout: self.append_timeout,
            backoff: self.backoff,
            heartbeats,
        }
    }
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = PeerNetwork;

    async fn new_client(&mut self, target: u64, node: &MemberNode) -> PeerNetwork {
        self.client(target, node, false)
    }

    async fn new_heartbeat_client(&mut self, target: u64, node: &MemberNode) -> PeerNetwork {
        self.client(target, node, true)
    }
}

/// Calls to one member.
pub(crate) struct PeerNetwork {
    peer: Arc<Peer>,
    peers: Peers,
    snapshots: transfer::Sender,
    append_timeout: Duration,
    backoff: Duration,
    /// openraft sends each heartbeat as a stream of one; a plain call is cheaper.
    heartbeats: bool,
}

fn client(channel: Channel) -> RaftClient<Channel> {
    RaftClient::new(channel)
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES)
}

/// Raft must know an unreachable member from one that is merely slow: it backs off from the former.
fn rpc_error(status: &Status) -> RPCError<TypeConfig> {
    match status.code() {
        tonic::Code::Unavailable | tonic::Code::FailedPrecondition | tonic::Code::Unimplemented => {
            Unreachable::from_string(status.message()).into()
        }
        _ => NetworkError::from_string(format!("{:?}: {}", status.code(), status.message())).into(),
    }
}

impl PeerNetwork {
    /// One call on Raft's connection, with a deadline.
    async fn call<M, T, F>(
        &self,
        limit: Duration,
        message: M,
        call: impl FnOnce(RaftClient<Channel>, tonic::Request<M>) -> F,
    ) -> Rpc<T>
    where
        M: Message,
        T: Message,
        F: Future<Output = Result<tonic::Response<T>, Status>>,
    {
        let PeerNetwork { peers, peer, .. } = self;
        let link = &peer.raft;
        let (channel, generation) = peers.channel(peer, link).map_err(|status| rpc_error(&status))?;
        let (started, sent_bytes) = (Instant::now(), message.encoded_len());
        let status = match timeout(limit, call(client(channel), peers.request(peer, message))).await {
            Ok(Ok(response)) => {
                let response = response.into_inner();
                let took = started.elapsed();
                peer.counters.answered(took, sent_bytes, response.encoded_len());
                return Ok(response);
            }
            Ok(Err(status)) => Some(status),
            Err(_) => None,
        };
        peer.counters.failed();
        // One late heartbeat says nothing about the connection, on which appends may be under way.
        if status.is_some() || limit >= self.append_timeout {
            peers.failed(link, generation, status.as_ref());
        }
        let late = || Status::unavailable(format!("no answer within {limit:?}"));
        Err(rpc_error(&status.unwrap_or_else(late)))
    }

    async fn append_once(
        &self,
        request: AppendEntriesRequest<TypeConfig>,
        limit: Duration,
    ) -> Rpc<StreamAppendResult<TypeConfig>> {
        let (previous, last) = range(&request);
        let message = convert::from_append(&request);
        let append =
            |mut client: RaftClient<Channel>, message| async move { client.append_once(message).await };
        let response = self.call(limit, message, append).await?;
        convert::to_stream_result(response, previous, last).map_err(|status| rpc_error(&status))
    }

    async fn ask_vote(
        &self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
        pre: bool,
    ) -> Rpc<VoteResponse<TypeConfig>> {
        let message = convert::from_vote_request(&request, pre);
        let ask = |mut client: RaftClient<Channel>, message| async move { client.vote(message).await };
        let response = self.call(option.hard_ttl(), message, ask).await?;
        convert::to_vote_response(&response).map_err(|status| rpc_error(&status))
    }

    async fn open_append(&self) -> Result<Call, Status> {
        let PeerNetwork {
            peers,
            peer,
            append_timeout,
            ..
        } = self;
        let (channel, generation) = peers.channel(peer, &peer.raft)?;
        let (requests, receiver) = mpsc::channel(IN_FLIGHT_REQUESTS);
        let mut client = client(channel);
        let call = client.append(peers.request(peer, ReceiverStream::new(receiver)));
        let status = match timeout(*append_timeout, call).await {
            Ok(Ok(response)) => {
                return Ok(Call {
                    requests,
                    responses: response.into_inner(),
                    generation,
                });
            }
            Ok(Err(status)) => status,
            Err(_) => Status::unavailable(format!("no answer within {append_timeout:?}")),
        };
        peers.failed(&peer.raft, generation, Some(&status));
        Err(status)
    }
}

/// The entry before those of the request, and the last of them.
fn range(request: &AppendEntriesRequest<TypeConfig>) -> (Option<LogId>, Option<LogId>) {
    let last = request.entries.last().map(|entry| entry.log_id);
    (request.prev_log_id, last.or(request.prev_log_id))
}

impl RaftNetworkV2<TypeConfig> for PeerNetwork {
    type SnapshotData = SnapshotFile;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Rpc<AppendEntriesResponse<TypeConfig>> {
        let (_, last) = range(&request);
        Ok(match self.append_once(request, option.hard_ttl()).await? {
            Ok(upto) if upto == last => AppendEntriesResponse::Success,
            Ok(upto) => AppendEntriesResponse::PartialSuccess(upto),
            Err(StreamAppendError::Conflict(_)) => AppendEntriesResponse::Conflict,
            Err(StreamAppendError::HigherVote(vote)) => AppendEntriesResponse::HigherVote(vote),
        })
    }

    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        option: RPCOption,
    ) -> BoxFuture<'s, Rpc<BoxStream<'s, Rpc<StreamAppendResult<TypeConfig>>>>>
    where
        S: Stream<Item = AppendEntriesRequest<TypeConfig>> + OptionalSend + Unpin + 'static,
    {
        // Everything is done while openraft polls the stream: it can't cancel this future, but it drops the stream.
        let this = &*self;
        let responses: BoxStream<'s, _> = if self.heartbeats {
            // Before openraft gives up by itself.
            let limit = option.hard_ttl() * 9 / 10;
            let one = move |mut input: S| async move {
                let request = input.next().await?;
                let answer = this.append_once(request, limit).await;
                if answer.is_err() {
                    this.peers
                        .counters()
                        .heartbeat_send_failures
                        .fetch_add(1, Relaxed);
                }
                Some((answer, input))
            };
            Box::pin(stream::unfold(input, one))
        } else {
            let pipeline = Pipeline {
                network: this,
                input: Some(input),
                held_back: None,
                call: None,
                in_flight: VecDeque::new(),
                in_flight_bytes: 0,
            };
            Box::pin(stream::unfold(Some(pipeline), Pipeline::next))
        };
        Box::pin(async move { Ok(responses) })
    }

    async fn vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Rpc<VoteResponse<TypeConfig>> {
        self.ask_vote(request, option, false).await
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Rpc<VoteResponse<TypeConfig>> {
        self.ask_vote(request, option, true).await
    }

    async fn full_snapshot(
        &mut self,
        vote: VoteOf<TypeConfig>,
        snapshot: SnapshotOf<TypeConfig, SnapshotFile>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let Some(last) = snapshot.meta.last_log_id else {
            return Err(Unreachable::from_string("there is no snapshot to send").into());
        };
        let sending = self.snapshots.send(&self.peer, &vote, &last, &snapshot.snapshot);
        let sent = tokio::select! {
            sent = sending => sent,
            closed = cancel => return Err(closed.into()),
        };
        // It is tried again, after a while.
        sent.map(SnapshotResponse::new)
            .map_err(|status| Unreachable::from_string(status.message()).into())
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Rpc<TransferLeaderResponse<TypeConfig>> {
        let message = convert::from_transfer(&request);
        let transfer =
            |mut client: RaftClient<Channel>, message| async move { client.transfer_leader(message).await };
        self.call(option.hard_ttl(), message, transfer).await?;
        Ok(Ok(()))
    }

    fn backoff(&self) -> Option<Backoff> {
        Some(Backoff::new(std::iter::repeat(self.backoff)))
    }
}

/// An append that waits for its answer.
struct Unanswered {
    previous: Option<LogId>,
    last: Option<LogId>,
    bytes: usize,
    sent: Instant,
}

/// The call under way.
struct Call {
    requests: mpsc::Sender<pb::AppendRequest>,
    responses: Streaming<pb::AppendResponse>,
    generation: u64,
}

/// Several appends on their way at once; answers come in their order.
struct Pipeline<'s, S> {
    network: &'s PeerNetwork,
    /// `None` once openraft has no more to send.
    input: Option<S>,
    /// Taken from the input while there was no room for it.
    held_back: Option<AppendEntriesRequest<TypeConfig>>,
    call: Option<Call>,
    in_flight: VecDeque<Unanswered>,
    in_flight_bytes: usize,
}

enum Event {
    Request(Option<AppendEntriesRequest<TypeConfig>>),
    Response(Result<Option<pb::AppendResponse>, Status>),
    Late,
}

impl<'s, S> Pipeline<'s, S>
where
    S: Stream<Item = AppendEntriesRequest<TypeConfig>> + OptionalSend + Unpin + 'static,
{
    /// The next answer; an error ends the stream.
    async fn next(state: Option<Self>) -> Option<(Rpc<StreamAppendResult<TypeConfig>>, Option<Self>)> {
        let mut this = state?;
        match this.answer().await {
            Ok(None) => None,
            Ok(Some(Ok(acknowledged))) => Some((Ok(Ok(acknowledged)), Some(this))),
            // After a refusal the rest of the stream means nothing.
            Ok(Some(Err(refusal))) => Some((Ok(Err(refusal)), None)),
            Err(status) => {
                this.network.peer.counters.failed();
                let generation = this.call.as_ref().map(|call| call.generation);
                if let Some(generation) = generation {
                    this.network
                        .peers
                        .failed(&this.network.peer.raft, generation, Some(&status));
                }
                Some((Err(rpc_error(&status)), None))
            }
        }
    }

    async fn answer(&mut self) -> Result<Option<StreamAppendResult<TypeConfig>>, Status> {
        loop {
            if let Some(request) = self.held_back.take() {
                let bytes = payload_bytes(&request);
                if self.has_room(bytes) {
                    self.send(request, bytes).await?;
                } else {
                    self.held_back = Some(request);
                }
            }
            if self.input.is_none() && self.held_back.is_none() && self.in_flight.is_empty() {
                return Ok(None);
            }
            match self.event().await {
                Event::Request(request) => {
                    if request.is_none() {
                        self.input = None;
                    }
                    self.held_back = request;
                }
                Event::Response(response) => {
                    let response = response?
                        .ok_or_else(|| Status::unavailable("the peer ended the stream of appends"))?;
                    let Some(oldest) = self.in_flight.pop_front() else {
                        return Err(Status::internal("the peer answered more than it was asked"));
                    };
                    self.in_flight_bytes -= oldest.bytes;
                    let counters = &self.network.peer.counters;
                    counters.answered(oldest.sent.elapsed(), oldest.bytes, response.encoded_len());
                    return convert::to_stream_result(response, oldest.previous, oldest.last).map(Some);
                }
                Event::Late => {
                    let limit = self.network.append_timeout;
                    return Err(Status::unavailable(format!(
                        "no answer to an append within {limit:?}"
                    )));
                }
            }
        }
    }

    fn has_room(&self, bytes: usize) -> bool {
        self.in_flight.is_empty()
            || (self.in_flight.len() < IN_FLIGHT_REQUESTS && self.in_flight_bytes + bytes <= IN_FLIGHT_BYTES)
    }

    async fn event(&mut self) -> Event {
        let wants_request = self.held_back.is_none();
        let input = self.input.as_mut().filter(|_| wants_request);
        let request = async {
            match input {
                Some(input) => input.next().await,
                None => std::future::pending().await,
            }
        };
        let responses = self.call.as_mut().map(|call| &mut call.responses);
        let response = async {
            match responses {
                Some(responses) => responses.message().await,
                None => std::future::pending().await,
            }
        };
        let limit = self.network.append_timeout;
        let deadline = self.in_flight.front().map(|oldest| oldest.sent + limit);
        let late = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            response = response => Event::Response(response),
            request = request => Event::Request(request),
            () = late => Event::Late,
        }
    }

    async fn send(&mut self, request: AppendEntriesRequest<TypeConfig>, bytes: usize) -> Result<(), Status> {
        let (previous, last) = range(&request);
        if self.call.is_none() {
            self.call = Some(self.network.open_append().await?);
        }
        let Some(call) = &self.call else {
            unreachable!("it was opened above")
        };
        // The channel has as many places as there may be requests in flight.
        let sent = call.requests.send(convert::from_append(&request)).await;
        sent.map_err(|_| Status::unavailable("the peer ended the stream of appends"))?;
        self.in_flight.push_back(Unanswered {
            previous,
            last,
            bytes,
            sent: Instant::now(),
        });
        self.in_flight_bytes += bytes;
        Ok(())
    }
}

fn payload_bytes(request: &AppendEntriesRequest<TypeConfig>) -> usize {
    let bytes = |entry: &crate::raft::types::Entry| match &entry.payload {
        openraft::EntryPayload::Normal(batch) => batch.0.encoded.len(),
        openraft::EntryPayload::Blank | openraft::EntryPayload::Membership(_) => 0,
    };
    request.entries.iter().map(bytes).sum()
}

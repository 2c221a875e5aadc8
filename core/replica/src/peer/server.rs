//! What this member answers to others.

use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use cfgstore_proto::cfgstore::peer::v1 as pb;
use cfgstore_proto::cfgstore::peer::v1::join_server::{Join, JoinServer};
use cfgstore_proto::cfgstore::peer::v1::leader_server::LeaderServer;
use cfgstore_proto::cfgstore::peer::v1::raft_server::{self, RaftServer};
use cfgstore_proto::cfgstore::peer::v1::snapshots_server::SnapshotsServer;
use futures_util::{Stream, StreamExt};
use openraft::raft::{AppendEntriesResponse, StreamAppendError};
use tokio::task::JoinHandle;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

use crate::append::Appender;
use crate::error::OpenError;
use crate::identity::Identity;
use crate::leadership::{Contact, Leadership};
use crate::lease_calls::LeaseDesk;
use crate::membership;
use crate::membership::lead::Lead;
use crate::peer::convert;
use crate::peer::handshake::Gate;
use crate::peer::leader_service::{LeaderService, Space};
use crate::peer::link::MAX_MESSAGE_BYTES;
use crate::propose::Proposer;
use crate::raft::state_machine::Published;
use crate::raft::types::Raft;
use crate::snapshot::SnapshotDir;
use crate::stats::Counters;
use crate::transfer::SnapshotService;

/// The sockets on which other members are answered.
pub(crate) struct Listeners(Vec<TcpListener>);

impl Listeners {
    /// Takes the addresses, before anything else is done.
    pub(crate) fn bind(addresses: &[SocketAddr]) -> Result<Listeners, OpenError> {
        let bind = |address: &SocketAddr| {
            let listener = TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            Ok(listener)
        };
        let listeners = addresses.iter().map(|address| {
            bind(address).map_err(|source| OpenError::Listen {
                address: *address,
                source,
            })
        });
        listeners.collect::<Result<_, _>>().map(Listeners)
    }

    /// The addresses taken: with the ports that the system chose, where it was left to it.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.0
            .iter()
            .filter_map(|listener| listener.local_addr().ok())
            .collect()
    }
}

/// What the services work with.
#[derive(Clone)]
pub(crate) struct Services {
    pub(crate) identity: Identity,
    pub(crate) raft: Raft,
    pub(crate) published: Published,
    pub(crate) contact: Contact,
    pub(crate) leadership: Leadership,
    pub(crate) proposer: Proposer,
    pub(crate) appender: Appender,
    pub(crate) desk: LeaseDesk,
    pub(crate) space: Space,
    pub(crate) lead: Lead,
    pub(crate) snapshots: SnapshotDir,
    pub(crate) counters: Arc<Counters>,
    /// How long a connection may be silent before it is asked for a sign of life, and how long that may take.
    pub(crate) keep_alive: Duration,
}

/// Answers other members until the tasks are aborted.
pub(crate) fn serve(listeners: Listeners, services: &Services) -> Result<Vec<JoinHandle<()>>, OpenError> {
    let gate = Arc::new(Gate::new(services.identity, services.published.clone()));
    let check = move |request: Request<()>| gate.check(request);
    let raft = RaftServer::new(RaftService(services.clone()))
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    let leader = LeaderServer::new(LeaderService::new(services.clone()))
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    let snapshots = SnapshotService::new(
        services.snapshots.clone(),
        services.raft.clone(),
        services.counters.clone(),
    );
    let snapshots = SnapshotsServer::new(snapshots);
    let router = Server::builder()
        .http2_keepalive_interval(Some(services.keep_alive))
        .http2_keepalive_timeout(Some(services.keep_alive))
        .add_service(InterceptedService::new(raft, check.clone()))
        .add_service(InterceptedService::new(leader, check.clone()))
        .add_service(InterceptedService::new(snapshots, check))
        .add_service(JoinServer::new(JoinService(services.clone())));
    let serve = |listener: TcpListener| {
        let address = listener.local_addr().ok();
        let listener = tokio::net::TcpListener::from_std(listener).map_err(|source| OpenError::Listen {
            address: address.unwrap_or_else(|| ([0, 0, 0, 0], 0).into()),
            source,
        })?;
        // Not by the builder, which looks only at connections it accepts itself: with Nagle's algorithm, answers wait for
        // the other side's delayed acknowledgement.
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let serving = router.clone().serve_with_incoming(incoming);
        Ok(tokio::spawn(async move {
            if let Err(error) = serving.await {
                tracing::error!(%error, "other members are no longer answered");
            }
        }))
    };
    listeners.0.into_iter().map(serve).collect()
}

struct RaftService(Services);

fn ended(error: &dyn std::fmt::Display) -> Status {
    Status::unavailable(format!("Raft has ended: {error}"))
}

#[tonic::async_trait]
impl raft_server::Raft for RaftService {
    type AppendStream = Pin<Box<dyn Stream<Item = Result<pb::AppendResponse, Status>> + Send>>;

    async fn append(
        &self,
        request: Request<Streaming<pb::AppendRequest>>,
    ) -> Result<Response<Self::AppendStream>, Status> {
        // What can't be understood ends the stream; the sender sees that its appends stay unanswered.
        let requests = tokio_stream::StreamExt::map_while(request.into_inner(), |message| {
            let request = message.and_then(convert::to_append);
            request
                .inspect_err(|status| tracing::debug!(%status, "a stream of appends ended"))
                .ok()
        });
        let contact = self.0.contact.clone();
        let responses = self.0.raft.stream_append(requests);
        let responses = responses.map(move |response| match response {
            Ok(result) => {
                if !matches!(result, Err(StreamAppendError::HigherVote(_))) {
                    contact.note();
                }
                Ok(convert::from_stream_result(result))
            }
            Err(fatal) => Err(ended(&fatal)),
        });
        Ok(Response::new(Box::pin(responses)))
    }

    async fn append_once(
        &self,
        request: Request<pb::AppendRequest>,
    ) -> Result<Response<pb::AppendResponse>, Status> {
        let request = convert::to_append(request.into_inner())?;
        let response = self.0.raft.append_entries(request).await;
        let response = response.map_err(|error| ended(&error))?;
        if !matches!(response, AppendEntriesResponse::HigherVote(_)) {
            self.0.contact.note();
        }
        Ok(Response::new(convert::from_append_response(&response)))
    }

    async fn vote(&self, request: Request<pb::VoteRequest>) -> Result<Response<pb::VoteResponse>, Status> {
        let request = request.into_inner();
        let vote = convert::to_vote_request(&request)?;
        let response = if request.pre {
            self.0.raft.pre_vote(vote).await
        } else {
            self.0.raft.vote(vote).await
        };
        let response = response.map_err(|error| ended(&error))?;
        Ok(Response::new(convert::from_vote_response(&response)))
    }

    async fn transfer_leader(
        &self,
        request: Request<pb::TransferLeaderRequest>,
    ) -> Result<Response<pb::TransferLeaderResponse>, Status> {
        let request = convert::to_transfer(request.into_inner())?;
        let response = self.0.raft.handle_transfer_leader(request).await;
        match response.map_err(|error| ended(&error))? {
            Ok(()) => Ok(Response::new(pb::TransferLeaderResponse {})),
            Err(refusal) => Err(Status::aborted(refusal.to_string())),
        }
    }
}

struct JoinService(Services);

#[tonic::async_trait]
impl Join for JoinService {
    async fn cluster(
        &self,
        _request: Request<pb::ClusterRequest>,
    ) -> Result<Response<pb::ClusterResponse>, Status> {
        let position = self.0.published.position();
        let lives = position.membership.membership();
        let member = |info: crate::MemberInfo| pb::Member {
            life: lives.get_node(&info.id).map_or(0, |node| node.life),
            id: info.id,
            name: info.name,
            peer_urls: info.peer_urls,
            client_urls: info.client_urls,
            learner: info.is_learner,
        };
        Ok(Response::new(pb::ClusterResponse {
            cluster_id: self.0.identity.owner.cluster_id,
            member_id: self.0.identity.owner.member_id,
            members: membership::members(&position.membership)
                .into_iter()
                .map(member)
                .collect(),
            applied_index: position.index(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }))
    }
}

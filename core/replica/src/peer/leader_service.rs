//! What this member answers as the leader, to other members that ask for their clients.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};

use cfgstore_proto::cfgstore::peer::v1 as pb;
use cfgstore_proto::cfgstore::peer::v1::leader_server;
use cfgstore_proto::cfgstore::peer::v1::refusal::Reason;
use futures_util::Stream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::append::Appended;
use crate::error::ReadError;
use crate::leadership::Leader;
use crate::lease_calls::Question;
use crate::membership::wire;
use crate::peer::convert;
use crate::peer::handshake::From;
use crate::peer::server::Services;
use crate::raft::codec;

/// Most leases in one call.
const MAX_LEASES: usize = 1 << 20;

/// The service.
pub(crate) struct LeaderService {
    services: Services,
    streams: Streams,
}

/// The newest stream of proposals of each member. What an older one still brings is dropped: so a member that opens a new
/// one knows that nothing is appended after it that it sent before.
#[derive(Clone, Default)]
struct Streams(Arc<Mutex<BTreeMap<u64, u64>>>);

impl Streams {
    fn begin(&self, member: u64) -> u64 {
        let mut streams = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = streams.entry(member).or_default();
        *newest += 1;
        *newest
    }

    fn is_newest(&self, member: u64, stream: u64) -> bool {
        let streams = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        streams.get(&member) == Some(&stream)
    }
}

impl LeaderService {
    pub(crate) fn new(services: Services) -> Self {
        Self {
            services,
            streams: Streams::default(),
        }
    }
}

fn caller<T>(request: &Request<T>) -> Result<u64, Status> {
    let from = request.extensions().get::<From>();
    from.map(|from| from.0)
        .ok_or_else(|| Status::internal("the call was not checked"))
}

fn unavailable(error: &ReadError) -> Status {
    Status::unavailable(error.to_string())
}

type Refusals = mpsc::UnboundedSender<Result<pb::ProposeResponse, Status>>;

/// Refuses a proposal. At most as many are unsent as the sender has on their way.
fn refuse(refusals: &Refusals, sequence: u64, reason: Reason, leader: u64) {
    let refusal = pb::Refusal {
        reason: reason.into(),
        leader,
    };
    // The sender may be gone.
    let _ = refusals.send(Ok(pb::ProposeResponse {
        sequence,
        refusal: Some(refusal),
    }));
}

impl Services {
    /// Appends what a member proposes.
    fn propose(&self, from: u64, request: pb::ProposeRequest, refusals: &Refusals) {
        let sequence = request.sequence;
        if self.proposer.is_closed() {
            refuse(refusals, sequence, Reason::ShuttingDown, 0);
            return;
        }
        if self.space.is_short() {
            refuse(refusals, sequence, Reason::NoSpace, 0);
            return;
        }
        let batch = match codec::decode_proposal(request.batch, self.proposer.stamp()) {
            Ok(batch) if batch.0.origin.is_some_and(|origin| origin.member == from) => batch,
            Ok(_) => {
                refuse(refusals, sequence, Reason::Unreadable, 0);
                return;
            }
            Err(error) => {
                tracing::error!(%error, member = from, "a member's proposal cannot be read");
                refuse(refusals, sequence, Reason::Unreadable, 0);
                return;
            }
        };
        let leader = Leader {
            term: request.term,
            id: self.identity.owner.member_id,
        };
        let (told, leadership) = (refusals.clone(), self.leadership.clone());
        self.appender.offer(leader, batch, move |appended| {
            if appended == Appended::Refused {
                let leader = leadership.newest().map_or(0, |leader| leader.id);
                refuse(&told, sequence, Reason::NotLeader, leader);
            }
        });
    }
}

#[tonic::async_trait]
impl leader_server::Leader for LeaderService {
    type ProposeStream = Pin<Box<dyn Stream<Item = Result<pb::ProposeResponse, Status>> + Send>>;

    async fn propose(
        &self,
        request: Request<Streaming<pb::ProposeRequest>>,
    ) -> Result<Response<Self::ProposeStream>, Status> {
        let from = caller(&request)?;
        let mut requests = request.into_inner();
        let (services, streams) = (self.services.clone(), self.streams.clone());
        let (refusals, responses) = mpsc::unbounded_channel();
        let stream = streams.begin(from);
        tokio::spawn(async move {
            // An error ends the stream; the sender finds out what became of what it sent.
            while let Ok(Some(request)) = requests.message().await {
                // Nothing may come between this and offering it.
                if !streams.is_newest(from, stream) {
                    return;
                }
                services.propose(from, request, &refusals);
            }
        });
        Ok(Response::new(Box::pin(UnboundedReceiverStream::new(responses))))
    }

    async fn read_index(
        &self,
        _request: Request<pb::ReadIndexRequest>,
    ) -> Result<Response<pb::ReadIndexResponse>, Status> {
        let asked = self
            .services
            .desk
            .barrier
            .ask()
            .map_err(|error| unavailable(&error))?;
        let answer = asked.await.map_err(|_| unavailable(&ReadError::ShuttingDown))?;
        Ok(Response::new(match answer {
            Ok(log_id) => pb::ReadIndexResponse {
                index: Some(convert::from_log_id(&log_id)),
                leader: self.services.identity.owner.member_id,
            },
            Err(ReadError::NoLeader { leader_id }) => pb::ReadIndexResponse {
                index: None,
                leader: leader_id.unwrap_or(0),
            },
            Err(error) => return Err(unavailable(&error)),
        }))
    }

    async fn renew_leases(
        &self,
        request: Request<pb::RenewLeasesRequest>,
    ) -> Result<Response<pb::RenewLeasesResponse>, Status> {
        let ttl_secs = self.leases(Question::Renew, &request.into_inner().ids).await?;
        Ok(Response::new(pb::RenewLeasesResponse { ttl_secs }))
    }

    async fn lease_times(
        &self,
        request: Request<pb::LeaseTimesRequest>,
    ) -> Result<Response<pb::LeaseTimesResponse>, Status> {
        let remaining_secs = self.leases(Question::Times, &request.into_inner().ids).await?;
        Ok(Response::new(pb::LeaseTimesResponse { remaining_secs }))
    }

    async fn change_membership(
        &self,
        request: Request<pb::ChangeMembershipRequest>,
    ) -> Result<Response<pb::ChangeMembershipResponse>, Status> {
        let change = wire::to_change(request.into_inner())
            .ok_or_else(|| Status::unimplemented("this change of the membership is of a newer version"))?;
        let made = self.services.lead.make(&change).await;
        Ok(Response::new(wire::from_made(&made)))
    }
}

impl LeaderService {
    async fn leases(&self, question: Question, ids: &[i64]) -> Result<Vec<i64>, Status> {
        if ids.len() > MAX_LEASES {
            return Err(Status::invalid_argument(format!(
                "more than {MAX_LEASES} leases in one call"
            )));
        }
        let answer = self.services.desk.answer(question, ids).await;
        answer.map_err(|error| unavailable(&error))
    }
}

/// Whether the log has room for more.
#[derive(Clone)]
pub(crate) struct Space {
    pub(crate) log: crate::raft::log_store::LogStore,
    /// Less than this is too little.
    pub(crate) reserve_bytes: u64,
}

impl Space {
    pub(crate) fn is_short(&self) -> bool {
        let stats = self.log.writer().stats();
        stats.no_space.load(Relaxed) && stats.remaining.load(Relaxed) < self.reserve_bytes
    }
}

//! Messages of the peer protocol as openraft's types, and back.

use cfgstore_proto::cfgstore::peer::v1 as pb;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, StreamAppendError, StreamAppendResult,
    TransferLeaderRequest, VoteRequest, VoteResponse,
};
use tonic::Status;

use crate::raft::codec::{decode_payload, encode_payload};
use crate::raft::types::{
    Entry, LogId, TypeConfig, Vote, from_wal_id, from_wal_vote, new_entry, to_wal_id, to_wal_vote,
};
use crate::wal::format;

fn missing(field: &str) -> Status {
    Status::invalid_argument(format!("the message has no {field}"))
}

pub(crate) fn from_log_id(log_id: &LogId) -> pb::LogId {
    let format::LogId { term, leader, index } = to_wal_id(log_id);
    pb::LogId { term, leader, index }
}

pub(crate) fn to_log_id(log_id: pb::LogId) -> LogId {
    let pb::LogId { term, leader, index } = log_id;
    from_wal_id(format::LogId { term, leader, index })
}

pub(crate) fn from_vote(vote: &Vote) -> pb::Vote {
    let format::Vote {
        term,
        member,
        committed,
    } = to_wal_vote(vote);
    pb::Vote {
        term,
        member,
        committed,
    }
}

pub(crate) fn to_vote(vote: Option<pb::Vote>) -> Result<Vote, Status> {
    let pb::Vote {
        term,
        member,
        committed,
    } = vote.ok_or_else(|| missing("vote"))?;
    Ok(from_wal_vote(format::Vote {
        term,
        member,
        committed,
    }))
}

pub(crate) fn from_append(request: &AppendEntriesRequest<TypeConfig>) -> pb::AppendRequest {
    let entry = |entry: &Entry| {
        let (kind, payload) = encode_payload(&entry.payload);
        pb::Entry {
            log_id: Some(from_log_id(&entry.log_id)),
            kind: u32::from(kind),
            payload,
        }
    };
    pb::AppendRequest {
        vote: Some(from_vote(&request.vote)),
        previous: request.prev_log_id.as_ref().map(from_log_id),
        entries: request.entries.iter().map(entry).collect(),
        committed: request.leader_commit.as_ref().map(from_log_id),
    }
}

pub(crate) fn to_append(request: pb::AppendRequest) -> Result<AppendEntriesRequest<TypeConfig>, Status> {
    let entry = |entry: pb::Entry| {
        let log_id = to_log_id(entry.log_id.ok_or_else(|| missing("log id"))?);
        let kind = u8::try_from(entry.kind).unwrap_or(u8::MAX);
        let payload = decode_payload(kind, entry.payload)
            .map_err(|error| Status::invalid_argument(format!("log entry {}: {error}", log_id.index)))?;
        Ok(new_entry(to_wal_id(&log_id), payload))
    };
    Ok(AppendEntriesRequest {
        vote: to_vote(request.vote)?,
        prev_log_id: request.previous.map(to_log_id),
        entries: request
            .entries
            .into_iter()
            .map(entry)
            .collect::<Result<_, Status>>()?,
        leader_commit: request.committed.map(to_log_id),
    })
}

fn respond(result: pb::append_response::Result) -> pb::AppendResponse {
    pb::AppendResponse { result: Some(result) }
}

fn done(last: Option<LogId>) -> pb::Done {
    pb::Done {
        last: last.as_ref().map(from_log_id),
    }
}

pub(crate) fn from_append_response(response: &AppendEntriesResponse<TypeConfig>) -> pb::AppendResponse {
    use pb::append_response::Result as R;
    respond(match response {
        // The sender knows what it sent.
        AppendEntriesResponse::Success => R::Done(done(None)),
        AppendEntriesResponse::PartialSuccess(last) => {
            R::Partial(last.as_ref().map(from_log_id).unwrap_or_default())
        }
        AppendEntriesResponse::Conflict => R::Conflict(done(None)),
        AppendEntriesResponse::HigherVote(vote) => R::HigherVote(from_vote(vote)),
    })
}

pub(crate) fn from_stream_result(result: StreamAppendResult<TypeConfig>) -> pb::AppendResponse {
    use pb::append_response::Result as R;
    respond(match result {
        Ok(last) => R::Done(done(last)),
        Err(StreamAppendError::Conflict(log_id)) => R::Conflict(done(Some(log_id))),
        Err(StreamAppendError::HigherVote(vote)) => R::HigherVote(from_vote(&vote)),
    })
}

/// The answer to one request of the stream, or to a single one, whose range of entries was `previous..=last`.
pub(crate) fn to_stream_result(
    response: pb::AppendResponse,
    previous: Option<LogId>,
    last: Option<LogId>,
) -> Result<StreamAppendResult<TypeConfig>, Status> {
    use pb::append_response::Result as R;
    match response.result.ok_or_else(|| missing("result"))? {
        R::Done(done) => Ok(Ok(done.last.map(to_log_id).or(last))),
        R::Partial(upto) if upto.term == 0 => Ok(Ok(None)),
        R::Partial(upto) => Ok(Ok(Some(to_log_id(upto)))),
        R::Conflict(done) => {
            let log_id = done.last.map(to_log_id).or(previous);
            let log_id = log_id.ok_or_else(|| missing("log id of a conflict"))?;
            Ok(Err(StreamAppendError::Conflict(log_id)))
        }
        R::HigherVote(vote) => Ok(Err(StreamAppendError::HigherVote(to_vote(Some(vote))?))),
        R::Failure(reason) => Err(Status::internal(reason)),
    }
}

pub(crate) fn from_vote_request(request: &VoteRequest<TypeConfig>, pre: bool) -> pb::VoteRequest {
    pb::VoteRequest {
        vote: Some(from_vote(&request.vote)),
        last: request.last_log_id.as_ref().map(from_log_id),
        pre,
        leader_transfer: request.leadership_transfer,
    }
}

pub(crate) fn to_vote_request(request: &pb::VoteRequest) -> Result<VoteRequest<TypeConfig>, Status> {
    let mut vote = VoteRequest::new(to_vote(request.vote)?, request.last.map(to_log_id));
    vote.leadership_transfer = request.leader_transfer;
    Ok(vote)
}

pub(crate) fn from_vote_response(response: &VoteResponse<TypeConfig>) -> pb::VoteResponse {
    pb::VoteResponse {
        vote: Some(from_vote(&response.vote)),
        last: response.last_log_id.as_ref().map(from_log_id),
        granted: response.vote_granted,
    }
}

pub(crate) fn to_vote_response(response: &pb::VoteResponse) -> Result<VoteResponse<TypeConfig>, Status> {
    Ok(VoteResponse::new(
        to_vote(response.vote)?,
        response.last.map(to_log_id),
        response.granted,
    ))
}

pub(crate) fn from_transfer(request: &TransferLeaderRequest<TypeConfig>) -> pb::TransferLeaderRequest {
    pb::TransferLeaderRequest {
        from: Some(from_vote(request.from_leader())),
        to: *request.to_node_id(),
        last: request.last_log_id().map(from_log_id),
    }
}

pub(crate) fn to_transfer(
    request: pb::TransferLeaderRequest,
) -> Result<TransferLeaderRequest<TypeConfig>, Status> {
    Ok(TransferLeaderRequest::new(
        to_vote(request.from)?,
        request.to,
        request.last.map(to_log_id),
    ))
}

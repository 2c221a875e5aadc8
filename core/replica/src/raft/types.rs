//! The types openraft is instantiated with.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use cfgstore_store::{Caller, Command, CommandError, Outcome};
use openraft::RaftTypeConfig;
use openraft::entry::RaftEntry;
use openraft::impls::leader_id_adv;
use openraft::raft::responder::Responder;
use openraft::vote::RaftLeaderId;

use crate::raft::state_machine::StateMachine;
use crate::wal::format;

/// openraft, instantiated for cfgstore.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TypeConfig;

impl RaftTypeConfig for TypeConfig {
    type D = Batches;
    type R = BatchReply;
    type NodeId = u64;
    type Node = MemberNode;
    type Term = u64;
    type LeaderId = leader_id_adv::LeaderId<u64, u64>;
    type Vote = openraft::impls::Vote<Self::LeaderId>;
    type Payload = openraft::EntryPayload<Batches, u64, MemberNode>;
    type Entry = openraft::impls::Entry<<Self::LeaderId as RaftLeaderId>::Committed, Self::Payload>;
    type AsyncRuntime = openraft::impls::TokioRuntime;
    type Responder<T>
        = CallbackResponder<T>
    where
        T: openraft::OptionalSend + 'static;
    type Batch<T>
        = openraft::impls::InlineBatch<T>
    where
        T: openraft::OptionalSend + 'static;
    type ErrorSource = openraft::impls::BoxedErrorSource;
}

pub(crate) type Raft = openraft::Raft<TypeConfig, StateMachine>;
pub(crate) type Entry = openraft::alias::EntryOf<TypeConfig>;
pub(crate) type Payload = openraft::alias::PayloadOf<TypeConfig>;
pub(crate) type LogId = openraft::alias::LogIdOf<TypeConfig>;
pub(crate) type Vote = openraft::alias::VoteOf<TypeConfig>;
pub(crate) type Membership = openraft::Membership<u64, MemberNode>;
pub(crate) type StoredMembership = openraft::alias::StoredMembershipOf<TypeConfig>;
pub(crate) type SnapshotMeta = openraft::alias::SnapshotMetaOf<TypeConfig>;

/// What the membership says of a member, besides its id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct MemberNode {
    /// Human-readable name.
    pub(crate) name: String,
    /// Where other members reach it.
    pub(crate) peer_urls: Vec<String>,
    /// Where clients reach it.
    pub(crate) client_urls: Vec<String>,
    /// Drawn at random with the member's data folder; 0 until the member has told. Who speaks with its id but has
    /// another life has lost the folder, and with it the votes it gave.
    pub(crate) life: u64,
    /// A learner that is to become a voter as soon as it has caught up.
    pub(crate) promote_when_ready: bool,
}

/// Names a batch: the member that proposed it answers its clients when it applies it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchOrigin {
    /// The member that proposed it.
    pub(crate) member: u64,
    /// Drawn at each start of that member, so that it doesn't take a batch of an earlier run for one of this.
    pub(crate) session: u64,
    /// Ascends in the order in which that member sent its batches.
    pub(crate) sequence: u64,
}

/// Commands that one member proposed together. A clone is a reference count.
#[derive(Clone)]
pub(crate) struct Batch(pub(crate) Arc<BatchContent>);

/// See [`Batch`].
pub(crate) struct BatchContent {
    /// Who proposed it; `None` in logs of the first format.
    pub(crate) origin: Option<BatchOrigin>,
    /// When the leader was offered it.
    pub(crate) time_unix_ms: i64,
    /// In the order they are applied.
    pub(crate) commands: Vec<(Caller, Command)>,
    /// The same as bytes.
    pub(crate) encoded: Bytes,
}

/// What one log entry holds. A clone is a reference count.
#[derive(Clone)]
pub(crate) struct Batches(pub(crate) Arc<BatchesContent>);

/// See [`Batches`].
pub(crate) struct BatchesContent {
    /// In the order they are applied; at least one.
    pub(crate) batches: Vec<Batch>,
    /// The same as bytes: what the log stores and peers are sent.
    pub(crate) encoded: Bytes,
}

impl PartialEq for Batches {
    fn eq(&self, other: &Self) -> bool {
        self.0.encoded == other.0.encoded
    }
}

impl fmt::Debug for Batches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let commands: usize = self.0.batches.iter().map(|batch| batch.0.commands.len()).sum();
        write!(f, "{commands} commands, {} bytes", self.0.encoded.len())
    }
}

impl fmt::Display for Batches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What the state machine answered to the commands of one batch, in their order.
#[derive(Debug, Default)]
pub(crate) struct BatchReply {
    /// Verdict, and revision after the command.
    pub(crate) outcomes: Vec<(Result<Outcome, CommandError>, i64)>,
}

/// Hands the result of a proposed entry to a function, without a task in between.
pub(crate) struct CallbackResponder<T>(pub(crate) Box<dyn FnOnce(T) + Send>);

impl<T: 'static> Responder<TypeConfig, T> for CallbackResponder<T> {
    fn on_complete(self, result: T) {
        (self.0)(result);
    }
}

/// openraft's log id as ours.
pub(crate) fn to_wal_id(log_id: &LogId) -> format::LogId {
    format::LogId {
        term: log_id.leader_id.term,
        leader: log_id.leader_id.node_id,
        index: log_id.index,
    }
}

/// Our log id as openraft's.
pub(crate) fn from_wal_id(log_id: format::LogId) -> LogId {
    LogId::new(
        leader_id_adv::LeaderId {
            term: log_id.term,
            node_id: log_id.leader,
        },
        log_id.index,
    )
}

/// openraft's vote as ours.
pub(crate) fn to_wal_vote(vote: &Vote) -> format::Vote {
    format::Vote {
        term: vote.leader_id.term,
        member: vote.leader_id.node_id,
        committed: vote.committed,
    }
}

/// Our vote as openraft's.
pub(crate) fn from_wal_vote(vote: format::Vote) -> Vote {
    Vote {
        leader_id: leader_id_adv::LeaderId {
            term: vote.term,
            node_id: vote.member,
        },
        committed: vote.committed,
    }
}

/// An entry with this identity and payload.
pub(crate) fn new_entry(log_id: format::LogId, payload: Payload) -> Entry {
    Entry::new(from_wal_id(log_id), payload)
}

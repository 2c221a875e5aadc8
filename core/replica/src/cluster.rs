//! What callers see of the cluster: its members, how one comes into being, and how its membership changes.

use thiserror::Error;

/// How a member that has no data yet comes by its cluster. Without effect on a folder that holds a member already.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Bootstrap {
    /// A cluster of its own, with random ids: the embedded default.
    #[default]
    Alone,
    /// One of the first members of a new cluster. All of them are given the same list and token, from which each
    /// computes the same ids as etcd does.
    New {
        /// All first members, this one among them.
        members: Vec<InitialMember>,
        /// Tells clusters apart that were given the same URLs.
        token: String,
    },
    /// A member that was added to an existing cluster ([`Member::add_member`](crate::Member::add_member)) and now
    /// starts for the first time. It asks the others who it is.
    Existing {
        /// The members there are, this one among them.
        members: Vec<InitialMember>,
    },
}

/// A member as `--initial-cluster` names it. One with several peer URLs is named several times there, and once here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitialMember {
    /// Its name.
    pub name: String,
    /// Where other members reach it.
    pub peer_urls: Vec<String>,
}

impl InitialMember {
    /// Adds a URL to the member of this name, which is put at the end of the list when it is not in it.
    pub fn add(members: &mut Vec<InitialMember>, name: &str, peer_url: String) {
        match members.iter_mut().find(|member| member.name == name) {
            Some(member) => member.peer_urls.push(peer_url),
            None => members.push(InitialMember {
                name: name.to_owned(),
                peer_urls: vec![peer_url],
            }),
        }
    }
}

/// A member as the membership has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberInfo {
    /// Its id, never reused.
    pub id: u64,
    /// Its name; empty until it has started.
    pub name: String,
    /// Where other members reach it.
    pub peer_urls: Vec<String>,
    /// Where clients reach it; empty until it has started.
    pub client_urls: Vec<String>,
    /// True when it was added as a learner, and has no vote. A member added as a voter counts as one from the start,
    /// though its vote begins only when it has caught up: until then it can neither be missed nor stop the others.
    pub is_learner: bool,
    /// Whether it has ever started.
    pub started: bool,
}

/// Why the membership, or the leader, was not changed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum MembershipError {
    /// No member has this id.
    #[error("member {id:016x} is not in the cluster; `cfgctl member list` names those that are")]
    NotFound {
        /// The id.
        id: u64,
    },
    /// A member already has one of these peer URLs.
    #[error("peer URL {url} belongs to member {id:016x} already")]
    PeerUrlExists {
        /// The URL.
        url: String,
        /// Whose it is.
        id: u64,
    },
    /// The id drawn for a new member is in use; ask again.
    #[error("member id {id:016x} is in use already; try again")]
    IdExists {
        /// The id.
        id: u64,
    },
    /// A peer URL is not one.
    #[error("peer URL {url:?} is not of the form http://host:port")]
    InvalidUrl {
        /// The URL.
        url: String,
    },
    /// The learner has not caught up with the leader yet.
    #[error("learner {id:016x} has not caught up with the leader yet; try again later")]
    LearnerNotReady {
        /// The learner.
        id: u64,
    },
    /// Only a learner can be promoted.
    #[error("member {id:016x} is no learner")]
    NotLearner {
        /// The member.
        id: u64,
    },
    /// One more learner than allowed.
    #[error(
        "the cluster has {limit} learner(s) already, the most that are allowed; promote or remove one first"
    )]
    TooManyLearners {
        /// The limit.
        limit: usize,
    },
    /// The change would leave fewer started members than a majority.
    #[error(
        "the change would leave too few started members for a majority; start or remove unstarted members first"
    )]
    NotEnoughStarted,
    /// A voting member does not answer the leader, so that a member can't be added; or too few would be left that do.
    #[error(
        "voting members do not answer the leader, so the change could cost the majority; bring them back, or remove those \
         that are gone, first"
    )]
    Unhealthy,
    /// The member cannot become the leader: it is unknown, a learner, or does not answer.
    #[error("member {id:016x} cannot become the leader")]
    BadTransferee {
        /// The member.
        id: u64,
    },
    /// There is no leader to ask.
    #[error("no leader: the change cannot be made now, try again")]
    NoLeader,
    /// Only the leader can be asked for this, and this member is not it.
    #[error("not leader: ask the leader, `cfgctl endpoint status` shows which member that is")]
    NotLeader,
    /// The member has ended, or is about to.
    #[error("the member is shutting down")]
    ShuttingDown,
    /// Another change is under way; nothing was changed.
    #[error("another change of the membership is under way; try again")]
    Busy,
    /// No outcome in time; the change may still be made.
    #[error("the change was not finished within {timeout_ms} ms; it may still be made")]
    Timeout {
        /// The limit.
        timeout_ms: u64,
    },
}

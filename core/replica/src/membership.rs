//! Changes of the membership. The leader makes them, one at a time; other members pass them on to it.
//!
//! Two entries make a change of voters: a joint membership, then the one it leads to. A member that is to vote begins as
//! a learner with a mark, and becomes a voter when it has caught up ([`lead`]): so growth never takes a majority away.

pub(crate) mod lead;
pub(crate) mod pass_on;
mod plan;
pub(crate) mod publish;
pub(crate) mod silence;
pub(crate) mod wire;

use crate::cluster::MemberInfo;
use crate::raft::types::{MemberNode, StoredMembership};

/// A change of the membership.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Adds a member under an id that was drawn for it.
    Add {
        id: u64,
        peer_urls: Vec<String>,
        learner: bool,
    },
    Remove {
        id: u64,
    },
    Update {
        id: u64,
        peer_urls: Vec<String>,
    },
    Promote {
        id: u64,
    },
    /// A started member tells who it is now.
    Publish(Published),
    /// Lets another member lead; `None` leaves it to the leader to choose.
    MoveLeader {
        to: Option<u64>,
    },
}

/// What a member tells of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Published {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) client_urls: Vec<String>,
    pub(crate) life: u64,
    /// Only where the membership has none yet: a group of one that becomes a cluster.
    pub(crate) peer_urls: Vec<String>,
}

impl Published {
    /// The member with what it tells.
    fn merged(&self, node: &MemberNode) -> MemberNode {
        let peer_urls = if node.peer_urls.is_empty() {
            &self.peer_urls
        } else {
            &node.peer_urls
        };
        MemberNode {
            name: self.name.clone(),
            peer_urls: peer_urls.clone(),
            client_urls: self.client_urls.clone(),
            life: self.life,
            promote_when_ready: node.promote_when_ready,
        }
    }
}

/// The members of a membership, in the order of their ids.
pub(crate) fn members(membership: &StoredMembership) -> Vec<MemberInfo> {
    let membership = membership.membership();
    let voters: std::collections::BTreeSet<u64> = membership.voter_ids().collect();
    let info = |(id, node): (&u64, &MemberNode)| MemberInfo {
        id: *id,
        name: node.name.clone(),
        peer_urls: node.peer_urls.clone(),
        client_urls: node.client_urls.clone(),
        is_learner: !voters.contains(id) && !node.promote_when_ready,
        started: node.life != 0,
    };
    membership.nodes().map(info).collect()
}

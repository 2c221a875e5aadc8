//! Changes of the membership. The leader makes them; other members pass them on.

use crate::cluster::{MemberInfo, MembershipError};
use crate::member::Inner;
use crate::raft::types::StoredMembership;

/// The members of a membership, in the order of their ids.
pub(crate) fn members(membership: &StoredMembership) -> Vec<MemberInfo> {
    let membership = membership.membership();
    let voters: std::collections::BTreeSet<u64> = membership.voter_ids().collect();
    let info = |(id, node): (&u64, &crate::raft::types::MemberNode)| MemberInfo {
        id: *id,
        name: node.name.clone(),
        peer_urls: node.peer_urls.clone(),
        client_urls: node.client_urls.clone(),
        is_learner: !voters.contains(id) && !node.promote_when_ready,
        started: node.life != 0,
    };
    membership.nodes().map(info).collect()
}

/// Adds a member.
pub(crate) async fn add(
    _inner: &Inner,
    _peer_urls: Vec<String>,
    _learner: bool,
) -> Result<MemberInfo, MembershipError> {
    Err(MembershipError::NoLeader)
}

/// Removes a member.
pub(crate) async fn remove(_inner: &Inner, _id: u64) -> Result<(), MembershipError> {
    Err(MembershipError::NoLeader)
}

/// Gives a member other peer URLs.
pub(crate) async fn update(_inner: &Inner, _id: u64, _peer_urls: Vec<String>) -> Result<(), MembershipError> {
    Err(MembershipError::NoLeader)
}

/// Makes a learner a voter.
pub(crate) async fn promote(_inner: &Inner, _id: u64) -> Result<(), MembershipError> {
    Err(MembershipError::NoLeader)
}

/// Lets another member lead.
pub(crate) async fn move_leader(_inner: &Inner, _id: u64) -> Result<(), MembershipError> {
    Err(MembershipError::NoLeader)
}

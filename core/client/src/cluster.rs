//! The members of a cluster: who they are, and changes of who is one.

use cfgstore_proto::etcdserverpb as pb;
use cfgstore_proto::etcdserverpb::cluster_client::ClusterClient;
use cfgstore_proto::etcdserverpb::maintenance_client::MaintenanceClient;

use crate::call::{Call, attempt};
use crate::client::Client;
use crate::error::Result;

/// A member of a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Member {
    /// Its id.
    pub id: u64,
    /// Its name; empty until it has started.
    pub name: String,
    /// Where other members reach it.
    pub peer_urls: Vec<String>,
    /// Where clients reach it; empty until it has started.
    pub client_urls: Vec<String>,
    /// Whether it has no vote.
    pub is_learner: bool,
}

impl From<pb::Member> for Member {
    fn from(member: pb::Member) -> Member {
        Member {
            id: member.id,
            name: member.name,
            peer_urls: member.peer_ur_ls,
            client_urls: member.client_ur_ls,
            is_learner: member.is_learner,
        }
    }
}

/// The members, as one that answered, or a change of them, said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Members {
    /// Id of the cluster.
    pub cluster_id: u64,
    /// Its members; after a change, as they are then.
    pub members: Vec<Member>,
}

impl Members {
    fn new(header: Option<pb::ResponseHeader>, members: Vec<pb::Member>) -> Members {
        Members {
            cluster_id: header.map_or(0, |header| header.cluster_id),
            members: members.into_iter().map(Member::from).collect(),
        }
    }
}

impl Client {
    /// The members of the cluster.
    pub async fn members(&self) -> Result<Members> {
        let request = pb::MemberListRequest { linearizable: true };
        let call = Call::read("member list", b"");
        let answer = self
            .call(call, attempt!(ClusterClient, member_list, request))
            .await?;
        Ok(Members::new(answer.header, answer.members))
    }

    /// Adds a member, which is then to be started; also returns its id.
    pub async fn add_member(&self, peer_urls: Vec<String>, is_learner: bool) -> Result<(u64, Members)> {
        let request = pb::MemberAddRequest {
            peer_ur_ls: peer_urls,
            is_learner,
        };
        let call = Call::write("member add", b"");
        let answer = self
            .call(call, attempt!(ClusterClient, member_add, request))
            .await?;
        let id = answer.member.map_or(0, |member| member.id);
        Ok((id, Members::new(answer.header, answer.members)))
    }

    /// Removes a member.
    pub async fn remove_member(&self, id: u64) -> Result<Members> {
        let request = pb::MemberRemoveRequest { id };
        let call = Call::write("member remove", b"");
        let answer = self
            .call(call, attempt!(ClusterClient, member_remove, request))
            .await?;
        Ok(Members::new(answer.header, answer.members))
    }

    /// Changes where other members reach a member.
    pub async fn update_member(&self, id: u64, peer_urls: Vec<String>) -> Result<Members> {
        let request = pb::MemberUpdateRequest {
            id,
            peer_ur_ls: peer_urls,
        };
        let call = Call::write("member update", b"");
        let answer = self
            .call(call, attempt!(ClusterClient, member_update, request))
            .await?;
        Ok(Members::new(answer.header, answer.members))
    }

    /// Gives a learner a vote.
    pub async fn promote_member(&self, id: u64) -> Result<Members> {
        let request = pb::MemberPromoteRequest { id };
        let call = Call::write("member promote", b"");
        let answer = self
            .call(call, attempt!(ClusterClient, member_promote, request))
            .await?;
        Ok(Members::new(answer.header, answer.members))
    }

    /// Makes another member the leader. Only the leader itself takes this call.
    pub async fn move_leader(&self, target_id: u64) -> Result<()> {
        let request = pb::MoveLeaderRequest { target_id };
        let call = Call::write("move leader", b"");
        self.call(call, attempt!(MaintenanceClient, move_leader, request))
            .await?;
        Ok(())
    }
}

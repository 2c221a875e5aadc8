//! etcd's Cluster service: the member list. Changing it answers Unimplemented.

use std::sync::Arc;

use cfgstore_proto::etcdserverpb as pb;
use cfgstore_proto::etcdserverpb::cluster_server;
use tonic::{Request, Response, Status};

use crate::context::Context;
use crate::errors::not_supported;

pub(super) struct Cluster(pub Arc<Context>);

#[tonic::async_trait]
impl cluster_server::Cluster for Cluster {
    async fn member_list(
        &self,
        request: Request<pb::MemberListRequest>,
    ) -> Result<Response<pb::MemberListResponse>, Status> {
        if request.into_inner().linearizable {
            self.0.linearizable().await?;
        }
        let status = self.0.member.status();
        let member = pb::Member {
            id: status.member_id,
            name: status.name,
            peer_ur_ls: Vec::new(),
            client_ur_ls: self.0.config.client_urls(),
            is_learner: status.is_learner,
        };
        // etcd leaves the revision out of the header of member calls.
        Ok(Response::new(pb::MemberListResponse {
            header: Some(self.0.header(0)),
            members: vec![member],
        }))
    }

    async fn member_add(
        &self,
        _: Request<pb::MemberAddRequest>,
    ) -> Result<Response<pb::MemberAddResponse>, Status> {
        Err(not_supported("MemberAdd"))
    }

    async fn member_remove(
        &self,
        _: Request<pb::MemberRemoveRequest>,
    ) -> Result<Response<pb::MemberRemoveResponse>, Status> {
        Err(not_supported("MemberRemove"))
    }

    async fn member_update(
        &self,
        _: Request<pb::MemberUpdateRequest>,
    ) -> Result<Response<pb::MemberUpdateResponse>, Status> {
        Err(not_supported("MemberUpdate"))
    }

    async fn member_promote(
        &self,
        _: Request<pb::MemberPromoteRequest>,
    ) -> Result<Response<pb::MemberPromoteResponse>, Status> {
        Err(not_supported("MemberPromote"))
    }
}

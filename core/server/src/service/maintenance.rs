//! etcd's Maintenance service: Status. The rest answers Unimplemented.

use std::sync::Arc;

use cfgstore_proto::etcdserverpb as pb;
use cfgstore_proto::etcdserverpb::maintenance_server;
use tokio_stream::Empty;
use tonic::{Request, Response, Status};

use crate::context::Context;
use crate::errors::not_supported;

/// The etcd whose API this server speaks. Clients look at it to tell what they may ask for.
pub(crate) const ETCD_API_VERSION: &str = "3.6.0";
const ETCD_STORAGE_VERSION: &str = "3.6.0";

pub(super) struct Maintenance(pub Arc<Context>);

#[tonic::async_trait]
impl maintenance_server::Maintenance for Maintenance {
    async fn status(&self, _: Request<pb::StatusRequest>) -> Result<Response<pb::StatusResponse>, Status> {
        let status = self.0.member.status();
        let mut errors = Vec::new();
        if status.leader_id.is_none() {
            errors.push("etcdserver: no leader".to_owned());
        }
        if status.no_space {
            errors.push("etcdserver: mvcc: database space exceeded".to_owned());
        }
        Ok(Response::new(pb::StatusResponse {
            header: Some(self.0.current_header()),
            version: ETCD_API_VERSION.to_owned(),
            db_size: status.db_size_bytes as i64,
            leader: status.leader_id.unwrap_or(0),
            raft_index: status.last_log_index,
            raft_term: status.term,
            raft_applied_index: status.applied_index,
            errors,
            db_size_in_use: status.db_size_in_use_bytes as i64,
            is_learner: status.is_learner,
            storage_version: ETCD_STORAGE_VERSION.to_owned(),
            db_size_quota: i64::try_from(self.0.config.quota_backend_bytes).unwrap_or(i64::MAX),
            downgrade_info: Some(pb::DowngradeInfo::default()),
        }))
    }

    async fn alarm(&self, _: Request<pb::AlarmRequest>) -> Result<Response<pb::AlarmResponse>, Status> {
        Err(not_supported("Alarm"))
    }

    async fn defragment(
        &self,
        _: Request<pb::DefragmentRequest>,
    ) -> Result<Response<pb::DefragmentResponse>, Status> {
        Err(not_supported("Defragment"))
    }

    async fn hash(&self, _: Request<pb::HashRequest>) -> Result<Response<pb::HashResponse>, Status> {
        Err(not_supported("Hash"))
    }

    async fn hash_kv(&self, _: Request<pb::HashKvRequest>) -> Result<Response<pb::HashKvResponse>, Status> {
        Err(not_supported("HashKV"))
    }

    type SnapshotStream = Empty<Result<pb::SnapshotResponse, Status>>;

    async fn snapshot(
        &self,
        _: Request<pb::SnapshotRequest>,
    ) -> Result<Response<Self::SnapshotStream>, Status> {
        Err(not_supported("Snapshot"))
    }

    async fn move_leader(
        &self,
        _: Request<pb::MoveLeaderRequest>,
    ) -> Result<Response<pb::MoveLeaderResponse>, Status> {
        Err(not_supported("MoveLeader"))
    }

    async fn downgrade(
        &self,
        _: Request<pb::DowngradeRequest>,
    ) -> Result<Response<pb::DowngradeResponse>, Status> {
        Err(not_supported("Downgrade"))
    }
}

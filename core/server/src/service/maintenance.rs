//! etcd's Maintenance service.

use std::sync::Arc;

use cfgstore_proto::etcdserverpb as pb;
use cfgstore_proto::etcdserverpb::maintenance_server;
use cfgstore_store::{Alarm, AlarmChange, AlarmKind, Command, Outcome, codec};
use pb::alarm_request::AlarmAction;
use pb::downgrade_request::DowngradeAction;
use tonic::{Request, Response, Status};

use super::snapshot::{self, SnapshotStream};
use crate::caller;
use crate::context::{Context, Done};
use crate::errors;
use crate::hash_kv::hash_kv;
use crate::service::kv::mismatch;

/// The etcd whose API this server speaks. Clients look at it to tell what they may ask for.
pub(crate) const ETCD_API_VERSION: &str = "3.6.0";
/// The version of its data files, and of the snapshots that this server writes.
pub(super) const ETCD_STORAGE_VERSION: &str = "3.6.0";

pub(super) struct Maintenance(pub Arc<Context>);

fn kind_of(alarm: pb::AlarmType) -> Option<AlarmKind> {
    match alarm {
        pb::AlarmType::None => None,
        pb::AlarmType::Nospace => Some(AlarmKind::NoSpace),
        pb::AlarmType::Corrupt => Some(AlarmKind::Corrupt),
    }
}

fn alarm_type(kind: AlarmKind) -> pb::AlarmType {
    match kind {
        AlarmKind::NoSpace => pb::AlarmType::Nospace,
        AlarmKind::Corrupt => pb::AlarmType::Corrupt,
    }
}

fn alarm_member(alarm: &Alarm) -> pb::AlarmMember {
    pb::AlarmMember {
        member_id: alarm.member_id,
        alarm: alarm_type(alarm.kind).into(),
    }
}

/// An alarm as etcd's status spells it, which is how Go's protobuf prints the message.
fn alarm_text(alarm: &Alarm) -> String {
    let name = alarm_type(alarm.kind).as_str_name();
    match alarm.member_id {
        0 => format!("alarm:{name} "),
        id => format!("memberID:{id} alarm:{name} "),
    }
}

impl Maintenance {
    /// The alarms of a kind, or of any.
    async fn alarms(&self, kind: Option<AlarmKind>) -> Result<pb::AlarmResponse, Status> {
        self.0.linearizable().await?;
        let state = self.0.member.state();
        let wanted = |alarm: &&Alarm| kind.is_none_or(|kind| alarm.kind == kind);
        Ok(pb::AlarmResponse {
            header: Some(self.0.header(state.revision())),
            alarms: state.alarms().iter().filter(wanted).map(alarm_member).collect(),
        })
    }
}

#[tonic::async_trait]
impl maintenance_server::Maintenance for Maintenance {
    async fn status(&self, _: Request<pb::StatusRequest>) -> Result<Response<pb::StatusResponse>, Status> {
        let status = self.0.member.status();
        let mut errors = Vec::new();
        if status.leader_id.is_none() {
            errors.push("etcdserver: no leader".to_owned());
        }
        let state = self.0.member.state();
        errors.extend(state.alarms().iter().map(alarm_text));
        let quota = self.0.config.quota_backend_bytes;
        Ok(Response::new(pb::StatusResponse {
            header: Some(self.0.header(state.revision())),
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
            db_size_quota: i64::try_from(quota).unwrap_or(i64::MAX),
            downgrade_info: Some(pb::DowngradeInfo::default()),
        }))
    }

    async fn alarm(&self, request: Request<pb::AlarmRequest>) -> Result<Response<pb::AlarmResponse>, Status> {
        let caller = caller::of(&request);
        let request = request.into_inner();
        let kind = kind_of(request.alarm());
        let raised = match AlarmAction::try_from(request.action) {
            Ok(AlarmAction::Get) => return self.alarms(kind).await.map(Response::new),
            Ok(AlarmAction::Activate) => true,
            Ok(AlarmAction::Deactivate) => false,
            Err(_) => {
                return Err(Status::invalid_argument(format!(
                    "cfgstore: {} is not an action on alarms",
                    request.action
                )));
            }
        };
        let Some(kind) = kind else {
            // To raise or lower nothing is no error in etcd.
            return Ok(Response::new(pb::AlarmResponse {
                header: Some(self.0.current_header()),
                alarms: Vec::new(),
            }));
        };
        let alarm = Alarm {
            kind,
            member_id: request.member_id,
        };
        let change = Command::Alarm(AlarmChange { alarm, raised });
        let Done { outcome, header } = self.0.propose(caller, change).await?;
        match outcome {
            Outcome::Alarm(alarm) => Ok(Response::new(pb::AlarmResponse {
                header: Some(header),
                alarms: alarm.iter().map(alarm_member).collect(),
            })),
            other => Err(mismatch(&other)),
        }
    }

    /// Does nothing, at once: there is no file with holes. The log gives its space back when a snapshot covers it, and
    /// the checkpoint is built anew by itself when it has outgrown its content.
    async fn defragment(
        &self,
        _: Request<pb::DefragmentRequest>,
    ) -> Result<Response<pb::DefragmentResponse>, Status> {
        // etcd's answer has no header.
        Ok(Response::new(pb::DefragmentResponse::default()))
    }

    /// Covers what this server holds, in its own encoding: to compare its members, not to compare it with an etcd.
    async fn hash(&self, _: Request<pb::HashRequest>) -> Result<Response<pb::HashResponse>, Status> {
        let state = self.0.member.state();
        let header = self.0.header(state.revision());
        let hash = tokio::task::spawn_blocking(move || {
            let (mut hash, mut encoded) = (0, Vec::new());
            for lease in state.leases() {
                codec::encode_lease(lease, &mut encoded);
            }
            for alarm in state.alarms() {
                codec::encode_alarm(alarm, &mut encoded);
            }
            for record in state.records_in_seq_order() {
                codec::encode_record(&record, &mut encoded);
                hash = crc32c::crc32c_append(hash, &encoded);
                encoded.clear();
            }
            crc32c::crc32c_append(hash, &encoded)
        });
        Ok(Response::new(pb::HashResponse {
            header: Some(header),
            hash: hash.await.map_err(|_| errors::stopped())?,
        }))
    }

    async fn hash_kv(
        &self,
        request: Request<pb::HashKvRequest>,
    ) -> Result<Response<pb::HashKvResponse>, Status> {
        let revision = request.into_inner().revision;
        let state = self.0.member.state();
        let header = self.0.header(state.revision());
        let hash = tokio::task::spawn_blocking(move || hash_kv(&state, revision))
            .await
            .map_err(|_| errors::stopped())?
            .map_err(errors::of_command)?;
        Ok(Response::new(pb::HashKvResponse {
            header: Some(header),
            hash: hash.hash,
            compact_revision: hash.compact_revision,
            hash_revision: hash.revision,
        }))
    }

    type SnapshotStream = SnapshotStream;

    async fn snapshot(
        &self,
        _: Request<pb::SnapshotRequest>,
    ) -> Result<Response<Self::SnapshotStream>, Status> {
        snapshot::start(&self.0).map(Response::new)
    }

    async fn move_leader(
        &self,
        request: Request<pb::MoveLeaderRequest>,
    ) -> Result<Response<pb::MoveLeaderResponse>, Status> {
        let target = request.into_inner().target_id;
        if !self.0.member.status().is_leader {
            return Err(errors::not_leader());
        }
        if target != self.0.member_id {
            self.0
                .member
                .move_leader(target)
                .await
                .map_err(errors::of_membership)?;
        }
        // etcd's answer has no header.
        Ok(Response::new(pb::MoveLeaderResponse::default()))
    }

    async fn downgrade(
        &self,
        request: Request<pb::DowngradeRequest>,
    ) -> Result<Response<pb::DowngradeResponse>, Status> {
        let request = request.into_inner();
        Err(match DowngradeAction::try_from(request.action) {
            Ok(DowngradeAction::Validate | DowngradeAction::Enable) => {
                if is_version(&request.version) {
                    // No older version reads the files of this one.
                    Status::invalid_argument("etcdserver: invalid downgrade target version")
                } else {
                    Status::invalid_argument("etcdserver: wrong downgrade target version format")
                }
            }
            Ok(DowngradeAction::Cancel) => {
                Status::failed_precondition("etcdserver: no inflight downgrade job")
            }
            Err(_) => Status::invalid_argument(format!(
                "cfgstore: {} is not an action on a downgrade",
                request.action
            )),
        })
    }
}

/// `major.minor` or `major.minor.patch`.
fn is_version(text: &str) -> bool {
    let parts: Vec<&str> = text.split('.').collect();
    let is_number = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    (2..=3).contains(&parts.len()) && parts.iter().all(is_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alarms_are_spelled_as_go_prints_them() {
        let alarm = |member_id| Alarm {
            kind: AlarmKind::NoSpace,
            member_id,
        };
        assert_eq!(alarm_text(&alarm(12)), "memberID:12 alarm:NOSPACE ");
        assert_eq!(alarm_text(&alarm(0)), "alarm:NOSPACE ");
    }

    #[test]
    fn versions() {
        for version in ["3.5", "3.5.0", "10.20.30"] {
            assert!(is_version(version), "{version}");
        }
        for version in ["", "3", "3.", "3.x", "v3.5", "3.5.0.1"] {
            assert!(!is_version(version), "{version}");
        }
    }
}

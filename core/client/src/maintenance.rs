//! What an operator asks of a member or a cluster.

use bytes::Bytes;
use cfgstore_proto::etcdserverpb as pb;
use cfgstore_proto::etcdserverpb::kv_client::KvClient;
use cfgstore_proto::etcdserverpb::maintenance_client::MaintenanceClient;
use pb::alarm_request::AlarmAction;
use tokio::time::timeout;
use tonic::Streaming;

use crate::call::{Call, attempt, on};
use crate::client::Client;
use crate::connection::Connection;
use crate::error::{Error, ErrorKind, Result};
use crate::refusal::Failure;

/// What a member says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemberStatus {
    /// Its id.
    pub member_id: u64,
    /// Id of its cluster.
    pub cluster_id: u64,
    /// Its version, as it reports it.
    pub version: String,
    /// Size of its stored data, in bytes.
    pub db_size_bytes: i64,
    /// What of it is in use, in bytes.
    pub db_size_in_use_bytes: i64,
    /// The leader's member id; 0: none known.
    pub leader_id: u64,
    /// Whether it has no vote.
    pub is_learner: bool,
    /// Raft term.
    pub raft_term: u64,
    /// Index of the last log entry.
    pub raft_index: u64,
    /// Index of the last entry applied.
    pub raft_applied_index: u64,
    /// Revision of the store.
    pub revision: i64,
    /// What is wrong, in its words.
    pub errors: Vec<String>,
}

/// A hash over every revision of every key up to one revision; equal on all members that hold the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KvHash {
    /// The hash.
    pub hash: u32,
    /// The revision compacted, which is where it begins.
    pub compact_revision: i64,
    /// The revision it reaches to; 0: the server does not say (etcd before 3.6).
    pub hash_revision: i64,
}

/// An alarm that is raised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// Where.
    pub member_id: u64,
    /// What: `NOSPACE` or `CORRUPT`.
    pub kind: &'static str,
}

fn alarms(answer: pb::AlarmResponse) -> Vec<Alarm> {
    let alarm = |alarm: pb::AlarmMember| Alarm {
        member_id: alarm.member_id,
        kind: alarm.alarm().as_str_name(),
    };
    answer.alarms.into_iter().map(alarm).collect()
}

impl Client {
    /// What the member that answers says of itself. Needs no leader.
    pub async fn member_status(&self) -> Result<MemberStatus> {
        let call = Call::read("status", b"");
        let answer = self
            .call(call, attempt!(MaintenanceClient, status, pb::StatusRequest {}))
            .await?;
        let header = answer.header.unwrap_or_default();
        Ok(MemberStatus {
            member_id: header.member_id,
            cluster_id: header.cluster_id,
            version: answer.version,
            db_size_bytes: answer.db_size,
            db_size_in_use_bytes: answer.db_size_in_use,
            leader_id: answer.leader,
            is_learner: answer.is_learner,
            raft_term: answer.raft_term,
            raft_index: answer.raft_index,
            raft_applied_index: answer.raft_applied_index,
            revision: header.revision,
            errors: answer.errors,
        })
    }

    /// The hash of the member that answers, up to a revision; 0: the current one.
    pub async fn kv_hash(&self, revision: i64) -> Result<KvHash> {
        let request = pb::HashKvRequest { revision };
        let call = Call::read("hash", b"");
        let answer = self
            .call(call, attempt!(MaintenanceClient, hash_kv, request))
            .await?;
        Ok(KvHash {
            hash: answer.hash,
            compact_revision: answer.compact_revision,
            hash_revision: answer.hash_revision,
        })
    }

    /// The alarms that are raised.
    pub async fn alarms(&self) -> Result<Vec<Alarm>> {
        Ok(alarms(self.raised().await?))
    }

    async fn raised(&self) -> Result<pb::AlarmResponse> {
        let request = pb::AlarmRequest::default();
        let call = Call::read("alarm list", b"");
        self.call(call, attempt!(MaintenanceClient, alarm, request)).await
    }

    /// Ends all alarms; returns those it ended. Servers end one at a time.
    pub async fn disarm_alarms(&self) -> Result<Vec<Alarm>> {
        let mut ended = Vec::new();
        for raised in self.raised().await?.alarms {
            let request = pb::AlarmRequest {
                action: AlarmAction::Deactivate.into(),
                member_id: raised.member_id,
                alarm: raised.alarm,
            };
            let call = Call::write("alarm disarm", b"");
            let answer = self
                .call(call, attempt!(MaintenanceClient, alarm, request))
                .await?;
            ended.extend(alarms(answer));
        }
        Ok(ended)
    }

    /// Has the member that answers give unused space back. An etcd serves nothing else meanwhile.
    pub async fn defragment(&self) -> Result<()> {
        let call = Call::write("defragment", b"");
        self.call(
            call,
            attempt!(MaintenanceClient, defragment, pb::DefragmentRequest {}),
        )
        .await?;
        Ok(())
    }

    /// Forgets what was before a revision: it becomes the oldest that can be read. With `physical`, waits until the
    /// space is free to be used again.
    pub async fn compact(&self, revision: i64, physical: bool) -> Result<()> {
        let request = pb::CompactionRequest { revision, physical };
        let call = Call::write("compaction", b"");
        self.call(call, attempt!(KvClient, compact, request)).await?;
        Ok(())
    }

    /// A snapshot of everything, from one member, as etcd's file.
    pub async fn snapshot(&self) -> Result<Snapshot> {
        let connection = self.connections().dedicated(self.deadline()).await?;
        let mut service = on!(MaintenanceClient, connection.clone());
        let chunks = self
            .in_time(&connection, service.snapshot(pb::SnapshotRequest {}))
            .await?
            .into_inner();
        Ok(Snapshot {
            client: self.clone(),
            connection,
            chunks,
        })
    }

    async fn in_time<T>(
        &self,
        connection: &Connection,
        answer: impl Future<Output = std::result::Result<T, tonic::Status>>,
    ) -> Result<T> {
        let call = Call::read("snapshot", b"");
        let bound = self.options().call_timeout;
        match timeout(bound, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(status)) => Err(call.error(connection, &Failure::of(&status))),
            Err(_) => Err(Error::new(
                ErrorKind::Timeout,
                format!(
                    "snapshot: {} was silent for {:.1} s; try another member, or allow more time",
                    connection.endpoint(),
                    bound.as_secs_f64()
                ),
            )),
        }
    }
}

/// A snapshot as it arrives: etcd's database, then the SHA-256 of it.
pub struct Snapshot {
    client: Client,
    connection: Connection,
    chunks: Streaming<pb::SnapshotResponse>,
}

impl Snapshot {
    /// The next part; `None` after the last. The server may be silent for [`Options::call_timeout`] at a time.
    ///
    /// [`Options::call_timeout`]: crate::Options::call_timeout
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        let Snapshot {
            client,
            connection,
            chunks,
        } = self;
        let chunk = client.in_time(connection, chunks.message()).await?;
        Ok(chunk.map(|chunk| chunk.blob))
    }
}

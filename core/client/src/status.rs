//! What a server says of itself.

use std::path::PathBuf;

use cfgstore_proto::cfgstore::v1 as agent;
use cfgstore_proto::cfgstore::v1::agent_client::AgentClient;
use cfgstore_proto::etcdserverpb as pb;
use cfgstore_proto::etcdserverpb::maintenance_client::MaintenanceClient;

use crate::call::{Call, on};
use crate::client::{Client, revision};
use crate::error::{ErrorKind, Result};

/// What a server says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// Where it was reached.
    pub endpoint: String,
    /// Its version: etcd's, as it reports it.
    pub version: String,
    /// Its member id.
    pub member_id: u64,
    /// The leader's member id; 0: none known.
    pub leader_id: u64,
    /// Revision of the store.
    pub revision: i64,
    /// Raft term.
    pub term: u64,
    /// Size of its stored data.
    pub db_size_bytes: i64,
    /// What the host's agent adds; `None` when the server is none.
    pub agent: Option<AgentStatus>,
}

/// What a host's agent says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AgentStatus {
    /// Version of cfgstore.
    pub version: String,
    /// Its process id.
    pub pid: u32,
    /// Its data folder.
    pub data_dir: PathBuf,
    /// Folder of its shared-memory mirror.
    pub mirror_dir: PathBuf,
    /// Generation of the mirror last published; 0: none yet.
    pub mirror_generation: u64,
    /// Revision the mirror holds; 0: none yet.
    pub mirror_revision: i64,
    /// Why the mirror does not follow the members at present; empty: it does.
    pub trouble: String,
}

impl Client {
    /// What the server that answers says of itself.
    pub async fn status(&self) -> Result<Status> {
        let call = Call::read("status", b"");
        let (endpoint, answer) = self
            .call(call, |connection| async move {
                let endpoint = connection.endpoint().to_string();
                let answer = on!(MaintenanceClient, connection)
                    .status(pb::StatusRequest {})
                    .await?;
                Ok(answer.map(|answer| (endpoint, answer)))
            })
            .await?;
        let mut status = Status {
            endpoint,
            version: answer.version,
            member_id: answer.header.as_ref().map_or(0, |header| header.member_id),
            leader_id: answer.leader,
            revision: revision(answer.header),
            term: answer.raft_term,
            db_size_bytes: answer.db_size,
            agent: None,
        };
        if self.connections().endpoints()[0].is_unix() {
            status.agent = self.agent_status().await?;
        }
        Ok(status)
    }

    /// What the agent behind a unix socket says of itself, without asking the members behind it; `None`: no agent is
    /// there.
    pub async fn agent_status(&self) -> Result<Option<AgentStatus>> {
        let answer = self
            .call(Call::read("agent status", b""), |connection| async move {
                on!(AgentClient, connection).status(agent::StatusRequest {}).await
            })
            .await;
        match answer {
            Ok(answer) => Ok(Some(AgentStatus {
                version: answer.version,
                pid: answer.pid,
                data_dir: answer.data_dir.into(),
                mirror_dir: answer.mirror_dir.into(),
                mirror_generation: answer.mirror_generation,
                mirror_revision: answer.mirror_revision,
                trouble: answer.trouble,
            })),
            Err(error) if error.kind == ErrorKind::Unsupported => Ok(None),
            Err(error) => Err(error),
        }
    }
}

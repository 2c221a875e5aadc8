//! What every service works with.

use cfgstore_proto::etcdserverpb::ResponseHeader;
use cfgstore_replica::Member;
use cfgstore_store::{Caller, CheckLimits, Command, Outcome};
use tonic::Status;

use crate::config::Config;
use crate::errors;
use crate::metrics::Metrics;
use crate::stop::Stop;
use crate::watch::Hub;

/// What every service of one server shares.
pub(crate) struct Context {
    pub member: Member,
    pub hub: Hub,
    pub stop: Stop,
    pub metrics: Metrics,
    pub config: Config,
    pub cluster_id: u64,
    pub member_id: u64,
}

/// A command that was applied and changed what it was meant to.
pub(crate) struct Done {
    pub outcome: Outcome,
    /// Header of the response.
    pub header: ResponseHeader,
}

impl Context {
    pub fn new(member: Member, config: Config) -> Context {
        let status = member.status();
        let hub = Hub::new(member.state().revision(), config.max_watches);
        Context {
            hub,
            stop: Stop::default(),
            metrics: Metrics::new(),
            config,
            cluster_id: status.cluster_id,
            member_id: status.member_id,
            member,
        }
    }

    /// The header of a response that shows `revision`.
    pub fn header(&self, revision: i64) -> ResponseHeader {
        self.header_of_term(revision, self.member.term())
    }

    fn header_of_term(&self, revision: i64, term: u64) -> ResponseHeader {
        ResponseHeader {
            cluster_id: self.cluster_id,
            member_id: self.member_id,
            revision,
            raft_term: term,
        }
    }

    /// The header of a response that shows the present revision of this member.
    pub fn current_header(&self) -> ResponseHeader {
        self.header(self.member.state().revision())
    }

    /// Checks `command`, has it committed and applied, and answers what became of it.
    pub async fn propose(&self, caller: Caller, command: Command) -> Result<Done, Status> {
        let limits = CheckLimits {
            max_txn_ops: self.config.max_txn_ops,
        };
        cfgstore_store::check(&command, &limits).map_err(errors::of_command)?;
        let applied = self
            .member
            .propose(caller, command)
            .await
            .map_err(errors::of_propose)?;
        let outcome = applied.result.map_err(errors::of_command)?;
        Ok(Done {
            outcome,
            header: self.header_of_term(applied.revision, applied.term),
        })
    }

    /// Waits until this member has applied every write that was acknowledged anywhere before the call.
    pub async fn linearizable(&self) -> Result<(), Status> {
        self.member.read_barrier().await.map_err(errors::of_read)
    }

    /// Refuses what would make the data larger than its quota allows.
    pub fn check_quota(&self) -> Result<(), Status> {
        if self.member.state().size_bytes() > self.config.quota_backend_bytes {
            return Err(errors::no_space());
        }
        Ok(())
    }
}

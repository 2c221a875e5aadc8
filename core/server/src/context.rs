//! What every service works with.

use cfgstore_proto::etcdserverpb::ResponseHeader;
use cfgstore_replica::{Member, ProposeError};
use cfgstore_store::{
    Alarm, AlarmChange, AlarmKind, Caller, CheckLimits, Command, CommandError, Outcome, State,
};
use tokio::sync::Mutex;
use tonic::Status;

use crate::compactor::{self, AutoCompaction};
use crate::config::Config;
use crate::errors;
use crate::judge::Judge;
use crate::leader::LeaderLoss;
use crate::metrics::Metrics;
use crate::notify::Notifier;
use crate::stop::Stop;
use crate::watch::Hub;

/// How often a command is proposed that was judged by what has changed meanwhile.
pub(crate) const PROPOSALS: usize = 10;

/// What every service of one server shares.
pub(crate) struct Context {
    pub member: Member,
    pub hub: Hub,
    pub stop: Stop,
    pub metrics: Metrics,
    pub leader_loss: LeaderLoss,
    pub notifier: Notifier,
    pub config: Config,
    pub judge: Judge,
    /// Held by whoever compacts so that a write has room.
    pub making_room: Mutex<()>,
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
            leader_loss: LeaderLoss::default(),
            notifier: Notifier::new(config.notify_secrets_dir.clone(), config.notify_give_up_after),
            config,
            judge: Judge::default(),
            making_room: Mutex::new(()),
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

    /// Checks `command`, has it judged by the schemas, committed and applied, and answers what became of it.
    pub async fn propose(&self, caller: Caller, command: Command) -> Result<Done, Status> {
        self.propose_within(self.limits(), caller, command).await
    }

    /// The same with other limits: for what this server has put together itself.
    pub async fn propose_within(
        &self,
        limits: CheckLimits,
        caller: Caller,
        command: Command,
    ) -> Result<Done, Status> {
        let proposals = if command.has_puts() { PROPOSALS } else { 1 };
        for _ in 1..proposals {
            let judged = self.judge.judged(&self.member.state(), command.clone()).await?;
            match self.propose_as_is(limits, caller.clone(), judged).await? {
                // The judgement was by others: this member has not applied the change of the schemas before it judged.
                Err(CommandError::SchemasChanged { .. }) => {}
                applied => return applied.map_err(errors::of_command),
            }
        }
        // Never applied, so that the caller may try again.
        let judged = self.judge.judged(&self.member.state(), command).await?;
        self.propose_as_is(limits, caller, judged)
            .await?
            .map_err(errors::of_command)
    }

    /// The limits of what clients send.
    pub fn limits(&self) -> CheckLimits {
        CheckLimits {
            max_txn_ops: self.config.max_txn_ops,
        }
    }

    /// As [`propose_within`](Context::propose_within), without judging; the inner error is the store's.
    pub async fn propose_as_is(
        &self,
        limits: CheckLimits,
        caller: Caller,
        command: Command,
    ) -> Result<Result<Done, CommandError>, Status> {
        cfgstore_store::check(&command, &limits).map_err(errors::of_command)?;
        let applied = self
            .member
            .propose(caller, command)
            .await
            .map_err(|error| self.refusal(error))?;
        Ok(applied.result.map(|outcome| Done {
            outcome,
            header: self.header_of_term(applied.revision, applied.term),
        }))
    }

    /// Waits until this member has applied every write that was acknowledged anywhere before the call.
    pub async fn linearizable(&self) -> Result<(), Status> {
        self.member.read_barrier().await.map_err(errors::of_read)
    }

    fn refusal(&self, error: ProposeError) -> Status {
        match error {
            ProposeError::Timeout { .. } if !self.is_connected() => errors::timed_out_unconnected(),
            error => errors::of_propose(error),
        }
    }

    /// Whether this member hears from those it needs for a write: as the leader from a majority, else from the leader.
    fn is_connected(&self) -> bool {
        let status = self.member.status();
        let peers = self.member.stats().peers;
        match status.leader_id {
            _ if status.is_leader => {
                let reached = 1 + peers.iter().filter(|peer| peer.active).count();
                2 * reached > 1 + peers.len()
            }
            Some(leader) => !peers.iter().any(|peer| peer.id == leader && !peer.active),
            None => true,
        }
    }

    /// Refuses what would make the data larger by `cost_bytes` if its quota does not allow that, and raises the alarm
    /// then: from there on every member refuses until the alarm is disarmed. Where history is bounded, it makes room first.
    pub async fn check_quota(&self, cost_bytes: usize) -> Result<(), Status> {
        let fits = |state: &State| {
            state.size_bytes().saturating_add(cost_bytes as u64) <= self.config.quota_backend_bytes
        };
        if fits(&self.member.state()) {
            return Ok(());
        }
        if self.config.auto_compaction == AutoCompaction::Bounded {
            compactor::make_room(self, fits).await;
            if fits(&self.member.state()) {
                return Ok(());
            }
        }
        self.set_alarm(AlarmKind::NoSpace, true).await;
        Err(errors::no_space())
    }

    /// Raises or lowers an alarm of this member, unless that is so already. A failure is only logged: whoever needs it
    /// tries again.
    pub async fn set_alarm(&self, kind: AlarmKind, raised: bool) {
        let alarm = Alarm {
            kind,
            member_id: self.member_id,
        };
        if self.member.state().alarms().contains(&alarm) == raised {
            return;
        }
        let change = Command::Alarm(AlarmChange { alarm, raised });
        match self.propose(Caller::default(), change).await {
            Ok(_) => tracing::warn!(?kind, raised, "an alarm of this member has changed"),
            Err(error) => {
                tracing::warn!(?kind, raised, %error, "an alarm of this member could not be changed")
            }
        }
    }
}

//! Asking for a change, on any member: the leader makes it, and it counts once it is applied here.

use std::time::Duration;

use cfgstore_proto::cfgstore::peer::v1::leader_client::LeaderClient;
use openraft::async_runtime::watch::WatchReceiver;
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout_at};
use tonic::Status;

use super::lead::{Lead, Made};
use super::{Change, wire};
use crate::MemberConfig;
use crate::cluster::MembershipError;
use crate::peer::link::Peers;
use crate::raft::state_machine::Published;
use crate::raft::types::Raft;

/// How long to wait, at most, before the leader is looked for again.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Asks for changes. Clones share it.
#[derive(Clone)]
pub(crate) struct Changes {
    pub(crate) lead: Lead,
    raft: Raft,
    peers: Peers,
    published: Published,
    /// The Raft thread's: what talks to other members runs there.
    runtime: Handle,
    timeout: Duration,
}

/// What asking once came to.
enum Asked {
    Made(Made),
    /// The leader was not found, or lost; then the change may have been made all the same.
    Lost {
        maybe_made: bool,
    },
}

impl Changes {
    pub(crate) fn new(
        config: &MemberConfig,
        lead: Lead,
        raft: Raft,
        peers: Peers,
        published: Published,
        runtime: Handle,
    ) -> Self {
        Self {
            lead,
            raft,
            peers,
            published,
            runtime,
            timeout: Duration::from_millis(config.propose_timeout_ms),
        }
    }

    /// Has the leader make the change; returns once this member has applied it.
    pub(crate) async fn change(&self, change: Change) -> Result<(), MembershipError> {
        let this = self.clone();
        let changing = self.runtime.spawn(async move { this.change_here(change).await });
        changing.await.unwrap_or(Err(MembershipError::ShuttingDown))
    }

    /// Lets another member lead, if this one does.
    pub(crate) async fn move_leader(&self, to: u64) -> Result<(), MembershipError> {
        let lead = self.lead.clone();
        let moving = async move { lead.make(&Change::MoveLeader { to: Some(to) }).await };
        let moved = self.runtime.spawn(moving).await;
        moved.unwrap_or(Err(MembershipError::ShuttingDown)).map(|_| ())
    }

    async fn change_here(&self, change: Change) -> Result<(), MembershipError> {
        let deadline = Instant::now() + self.timeout;
        let mut maybe_made = false;
        let mut seen_leader = false;
        let index = loop {
            if Instant::now() >= deadline {
                return Err(if seen_leader {
                    self.timed_out()
                } else {
                    MembershipError::NoLeader
                });
            }
            let leader = self.raft.metrics().borrow_watched().current_leader;
            let asked = match leader {
                Some(leader) => {
                    seen_leader = true;
                    self.ask(leader, &change, deadline).await
                }
                None => Asked::Lost { maybe_made: false },
            };
            match asked {
                Asked::Made(Ok(index)) => break index,
                Asked::Made(Err(error)) if maybe_made && is_done(&change, &error) => {
                    break self.published.position().index();
                }
                Asked::Made(Err(error)) => return Err(error),
                Asked::Lost { maybe_made: maybe } => maybe_made |= maybe,
            }
            let mut receiver = self.raft.metrics();
            if let Ok(Err(_)) = tokio::time::timeout(LOOK_AGAIN, receiver.changed()).await {
                return Err(MembershipError::ShuttingDown);
            }
        };
        if change
            == (Change::Remove {
                id: self.peers.own_id(),
            })
        {
            // Nobody will tell this member that it is done.
            return Ok(());
        }
        let mut applied = self.published.applied_index();
        match timeout_at(deadline, applied.wait_for(|applied| *applied >= index)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(MembershipError::ShuttingDown),
            Err(_) => Err(self.timed_out()),
        }
    }

    fn timed_out(&self) -> MembershipError {
        MembershipError::Timeout {
            timeout_ms: self.timeout.as_millis() as u64,
        }
    }

    async fn ask(&self, leader: u64, change: &Change, deadline: Instant) -> Asked {
        let made = if leader == self.peers.own_id() {
            self.lead.make(change).await
        } else {
            match self.ask_other(leader, change, deadline).await {
                Ok(made) => made,
                Err(_) => return Asked::Lost { maybe_made: true },
            }
        };
        match made {
            // Also when leadership ended while the change was under way.
            Err(MembershipError::NotLeader) => Asked::Lost { maybe_made: true },
            made => Asked::Made(made),
        }
    }

    async fn ask_other(&self, leader: u64, change: &Change, deadline: Instant) -> Result<Made, Status> {
        let peer = self.peers.peer(leader, None);
        let (channel, generation) = self.peers.channel(&peer, &peer.leader)?;
        let request = self.peers.request(&peer, wire::from_change(change));
        let mut client = LeaderClient::new(channel);
        let status = match timeout_at(deadline, client.change_membership(request)).await {
            Ok(Ok(response)) => return Ok(wire::to_made(response.into_inner())),
            Ok(Err(status)) => status,
            Err(_) => Status::unavailable("the leader did not answer in time"),
        };
        self.peers.failed(&peer.leader, generation, Some(&status));
        Err(status)
    }
}

/// Whether the refusal of a change that was asked for before means that it was made then.
fn is_done(change: &Change, error: &MembershipError) -> bool {
    matches!(
        (change, error),
        (Change::Remove { .. }, MembershipError::NotFound { .. })
            | (Change::Promote { .. }, MembershipError::NotLearner { .. })
    )
}

//! Connections to other members.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use crate::MemberConfig;
use crate::identity::Identity;
use crate::peer::handshake::{self, Refused};
use crate::raft::state_machine::Published;
use crate::raft::types::MemberNode;
use crate::stats::{Counters, PeerCounters};

/// Largest message between members: the largest command that can be allowed (1 GiB), and what goes with it.
pub(crate) const MAX_MESSAGE_BYTES: usize = (1 << 30) + (64 << 20);

/// The other members, and the connections to them. Clones share them. Connections are made on the Raft thread only.
#[derive(Clone)]
pub(crate) struct Peers(Arc<Shared>);

struct Shared {
    identity: Identity,
    published: Published,
    counters: Arc<Counters>,
    connect_timeout: Duration,
    /// How long a connection may be silent before it is asked for a sign of life, and how long that may take.
    keep_alive: Duration,
    peers: Mutex<BTreeMap<u64, Arc<Peer>>>,
    refused: mpsc::UnboundedSender<Refused>,
    #[cfg(test)]
    reach: BTreeMap<String, String>,
}

/// One other member.
pub(crate) struct Peer {
    id: u64,
    pub(crate) counters: Arc<PeerCounters>,
    /// From the configuration of Raft, which may be ahead of the membership applied.
    urls: Mutex<Vec<String>>,
    /// Raft's own messages, which never queue behind anything large.
    pub(crate) raft: Link,
    /// Snapshots.
    pub(crate) snapshots: Link,
    /// What clients of this member ask of the leader.
    pub(crate) leader: Link,
}

/// One connection, made anew when it fails.
#[derive(Default)]
pub(crate) struct Link(Mutex<LinkState>);

#[derive(Default)]
struct LinkState {
    channel: Option<Channel>,
    /// Counts connections, so that only the one that failed is given up.
    generation: u64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics halfway through a change of what these protect.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Peers {
    /// `refused` is told when other members will have nothing to do with this one any more.
    pub(crate) fn new(
        config: &MemberConfig,
        identity: Identity,
        published: Published,
        counters: Arc<Counters>,
        refused: mpsc::UnboundedSender<Refused>,
    ) -> Self {
        Self(Arc::new(Shared {
            identity,
            published,
            counters,
            connect_timeout: Duration::from_millis(config.election_timeout_min_ms),
            keep_alive: Duration::from_millis((config.election_timeout_min_ms / 2).max(1)),
            peers: Mutex::default(),
            refused,
            #[cfg(test)]
            reach: config.reach.clone(),
        }))
    }

    /// What this member counts.
    pub(crate) fn counters(&self) -> &Counters {
        &self.0.counters
    }

    /// This member's own id.
    pub(crate) fn own_id(&self) -> u64 {
        self.0.identity.owner.member_id
    }

    /// The peer with this id; `node` is what Raft knows of it, when it is Raft that asks.
    pub(crate) fn peer(&self, id: u64, node: Option<&MemberNode>) -> Arc<Peer> {
        let peer = lock(&self.0.peers)
            .entry(id)
            .or_insert_with(|| {
                Arc::new(Peer {
                    id,
                    counters: self.0.counters.peer(id),
                    urls: Mutex::default(),
                    raft: Link::default(),
                    snapshots: Link::default(),
                    leader: Link::default(),
                })
            })
            .clone();
        if let Some(node) = node {
            lock(&peer.urls).clone_from(&node.peer_urls);
        }
        peer
    }

    /// A request to `peer` with everything by which it knows this member.
    pub(crate) fn request<T>(&self, peer: &Peer, message: T) -> Request<T> {
        handshake::request(&self.0.identity, peer.id, message)
    }

    /// A channel on the connection, and its number for [`Peers::failed`].
    pub(crate) fn channel(&self, peer: &Peer, link: &Link) -> Result<(Channel, u64), Status> {
        let mut state = lock(&link.0);
        if let Some(channel) = &state.channel {
            return Ok((channel.clone(), state.generation));
        }
        let urls = self.urls(peer);
        if urls.is_empty() {
            return Err(Status::unavailable(format!(
                "member {:016x} has no peer URL",
                peer.id
            )));
        }
        let url = &urls[state.generation as usize % urls.len()];
        #[cfg(test)]
        let url = self.0.reach.get(url).unwrap_or(url);
        let endpoint = Endpoint::from_shared(url.clone()).map_err(|error| {
            Status::unavailable(format!("peer URL {url} of member {:016x}: {error}", peer.id))
        })?;
        // A cut that drops packets shows only in that nothing comes back.
        let channel = endpoint
            .connect_timeout(self.0.connect_timeout)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(self.0.keep_alive)
            .keep_alive_timeout(self.0.keep_alive)
            .keep_alive_while_idle(true)
            .connect_lazy();
        state.channel = Some(channel.clone());
        Ok((channel, state.generation))
    }

    /// A call failed: looks whether this member was refused, and has the next call connect anew, to the next URL.
    pub(crate) fn failed(&self, link: &Link, generation: u64, status: Option<&Status>) {
        if let Some(status) = status {
            let membership = self.0.published.position().membership;
            let own_index = membership.log_id().as_ref().map(|log_id| log_id.index);
            if let Some(refused) = handshake::refused(status, own_index) {
                // Nobody listens any more when the member has ended.
                let _ = self.0.refused.send(refused);
            }
        }
        let mut state = lock(&link.0);
        if state.generation == generation && state.channel.take().is_some() {
            state.generation += 1;
        }
    }

    /// The peer's URLs: of the membership applied, or as Raft was given them.
    fn urls(&self, peer: &Peer) -> Vec<String> {
        let membership = self.0.published.position().membership;
        match membership.membership().get_node(&peer.id) {
            Some(node) if !node.peer_urls.is_empty() => node.peer_urls.clone(),
            _ => lock(&peer.urls).clone(),
        }
    }
}

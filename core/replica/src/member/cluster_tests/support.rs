//! Three members in one process, with a network between them that can be cut link by link.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::{Duration, Instant};

use cfgstore_store::{Caller, Command, Put};

use super::proxy::{Cut, Proxy};
use crate::{Bootstrap, InitialMember, Member, MemberConfig};

pub(super) const CUT: Cut = Cut {
    inward: true,
    outward: true,
};
pub(super) const WHOLE: Cut = Cut {
    inward: false,
    outward: false,
};

pub(super) struct Cluster {
    dirs: Vec<tempfile::TempDir>,
    /// `links[from][to]`.
    links: Vec<Vec<Proxy>>,
    members: Vec<Option<Member>>,
    pub(super) token: String,
    /// How long writes and reads wait; short where a test waits for them to fail.
    pub(super) timeout_ms: u64,
}

fn url(member: usize) -> String {
    format!("http://m{member}.test:2380")
}

impl Cluster {
    pub(super) async fn start(size: usize) -> Cluster {
        Cluster::prepare(size).await.opened().await
    }

    /// One in which writes and reads that can't succeed fail soon.
    pub(super) async fn start_impatient(size: usize) -> Cluster {
        let mut cluster = Cluster::prepare(size).await;
        cluster.timeout_ms = 3_000;
        cluster.opened().await
    }

    async fn opened(self) -> Cluster {
        let mut cluster = self;
        let size = cluster.dirs.len();
        for member in 0..size {
            cluster.open(member).await;
        }
        cluster
    }

    pub(super) async fn prepare(size: usize) -> Cluster {
        let mut links = Vec::new();
        for _ in 0..size {
            let mut row = Vec::new();
            for _ in 0..size {
                row.push(Proxy::start().await);
            }
            links.push(row);
        }
        Cluster {
            dirs: (0..size).map(|_| tempfile::tempdir().unwrap()).collect(),
            links,
            members: vec![None; size],
            token: "test".to_owned(),
            timeout_ms: 30_000,
        }
    }

    pub(super) fn config(&self, member: usize) -> MemberConfig {
        let mut config = MemberConfig::new(self.dirs[member].path());
        config.name = format!("m{member}");
        config.peer_urls = vec![url(member)];
        config.listen_peers = vec![([127, 0, 0, 1], 0).into()];
        let initial = |member| InitialMember {
            name: format!("m{member}"),
            peer_urls: vec![url(member)],
        };
        config.bootstrap = Bootstrap::New {
            members: (0..self.dirs.len()).map(initial).collect(),
            token: self.token.clone(),
        };
        config.propose_timeout_ms = self.timeout_ms;
        config.read_timeout_ms = self.timeout_ms;
        config.election_timeout_min_ms = 300;
        config.election_timeout_max_ms = 600;
        config.heartbeat_interval_ms = 60;
        config.reach = (self.links[member].iter().enumerate())
            .map(|(to, proxy)| (url(to), format!("http://{}", proxy.address)))
            .collect::<BTreeMap<_, _>>();
        config
    }

    pub(super) async fn open(&mut self, member: usize) {
        self.open_with(member, self.config(member)).await;
    }

    pub(super) async fn open_with(&mut self, member: usize, config: MemberConfig) {
        self.try_open(member, config).await.unwrap();
    }

    /// Gives a member that has ended an empty folder.
    pub(super) fn wipe(&mut self, member: usize) {
        assert!(self.members[member].is_none());
        self.dirs[member] = tempfile::tempdir().unwrap();
    }

    /// Opens a member that may be refused.
    pub(super) async fn try_open(
        &mut self,
        member: usize,
        mut config: MemberConfig,
    ) -> Result<(), crate::OpenError> {
        let (sender, mut bound) = tokio::sync::mpsc::unbounded_channel();
        config.bound = Some(sender);
        // One that joins must be reached before it is open.
        let reachable = async {
            if let Some(addresses) = bound.recv().await {
                self.lead_to(member, addresses.first().copied());
            }
        };
        let (opened, ()) = tokio::join!(Member::open(config), reachable);
        self.members[member] = Some(opened?);
        Ok(())
    }

    fn lead_to(&self, member: usize, address: Option<std::net::SocketAddr>) {
        self.links.iter().for_each(|row| row[member].lead_to(address));
    }

    /// Ends a member in good order; the others learn nothing of it but that it does not answer.
    pub(super) async fn end(&mut self, member: usize) {
        self.lead_to(member, None);
        self.members[member].take().unwrap().shutdown().await.unwrap();
    }

    /// Cuts, or mends, everything between a member and the others.
    pub(super) fn isolate(&self, member: usize, cut: Cut) {
        for other in 0..self.links.len() {
            self.links[member][other].cut(cut);
            self.links[other][member].cut(cut);
        }
    }

    /// Cuts, or mends, the connections that a member makes to the others.
    pub(super) fn cut_from(&self, member: usize, cut: Cut) {
        self.links[member].iter().for_each(|link| link.cut(cut));
    }

    /// Breaks the connections of one member to another; new ones are taken.
    pub(super) fn reset(&self, from: usize, to: usize) {
        self.links[from][to].reset();
    }

    pub(super) fn member(&self, member: usize) -> &Member {
        self.members[member].as_ref().unwrap()
    }

    pub(super) fn running(&self) -> impl Iterator<Item = (usize, &Member)> {
        let members = self.members.iter().enumerate();
        members.filter_map(|(number, member)| Some((number, member.as_ref()?)))
    }

    /// Waits until all running members but `except` follow one leader among them.
    pub(super) async fn leader_but(&self, except: Option<usize>) -> usize {
        wait_for("a leader", || async {
            let asked: Vec<_> = self
                .running()
                .filter(|(number, _)| Some(*number) != except)
                .collect();
            let leader = asked.iter().find(|(_, member)| member.status().is_leader)?;
            let status = leader.1.status();
            let follow = |member: &Member| {
                let seen = member.status();
                (seen.leader_id, seen.term) == (Some(status.member_id), status.term)
            };
            asked.iter().all(|(_, member)| follow(member)).then_some(leader.0)
        })
        .await
    }

    pub(super) async fn leader(&self) -> usize {
        self.leader_but(None).await
    }

    /// Waits until all running members have applied the same.
    pub(super) async fn agree(&self) {
        wait_for("members to agree", || async {
            let mut applied = self.running().map(|(_, member)| member.status().applied_index);
            let first = applied.next()?;
            applied.all(|index| index == first).then_some(())
        })
        .await;
        let mut states = self.running().map(|(_, member)| member.state());
        let first = states.next().unwrap();
        assert!(states.all(|state| state.revision() == first.revision()));
    }

    pub(super) async fn shutdown(mut self) {
        for member in 0..self.members.len() {
            if self.members[member].is_some() {
                self.end(member).await;
            }
        }
    }
}

/// Waits, for as long as a loaded machine may take.
pub(super) async fn wait_for<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "waited in vain for {what}"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(super) fn put(key: &str, value: &str) -> Command {
    Command::Put(Put {
        key: key.to_owned().into(),
        value: value.to_owned().into(),
        ..Put::default()
    })
}

/// Writes, and returns the revision.
pub(super) async fn write(member: &Member, key: &str, value: &str) -> i64 {
    let applied = member.propose(Caller::default(), put(key, value)).await.unwrap();
    applied.result.unwrap();
    applied.revision
}

/// The value of a key in a member's own state.
pub(super) fn read(member: &Member, key: &str) -> Option<Vec<u8>> {
    let state = member.state();
    state.get(key.as_bytes()).map(|record| record.value().to_vec())
}

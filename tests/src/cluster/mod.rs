//! Clusters of processes: members of `cfgstored`, or of Debian's etcd, which take the same flags. A scenario that
//! passes against both says that cfgstored does what etcd does.

mod client;
mod member;
mod place;
mod ports;

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

pub(crate) use client::prefix_end;
pub use client::{Calls, MemberClient, Read};
pub use member::Member;
pub use ports::Port;

use crate::http::HttpConnection;
use crate::netns::Bridge;
use crate::process::Process;
use member::ClusterFlags;
use place::Place;

/// How long a cluster may take to do what is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// Which server the members are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The `cfgstored` that `scripts/build.sh` built.
    Cfgstored,
    /// The `etcd` of the search path.
    Etcd,
}

impl Kind {
    /// What the scenarios run: cfgstored; etcd when `CFGSTORE_TEST_CLUSTER=etcd`, which proves the scenarios themselves.
    pub fn under_test() -> Kind {
        match std::env::var("CFGSTORE_TEST_CLUSTER").as_deref() {
            Ok("etcd") => Kind::Etcd,
            Ok("cfgstored") | Err(_) => Kind::Cfgstored,
            Ok(other) => panic!("CFGSTORE_TEST_CLUSTER is {other:?}: set it to etcd or cfgstored"),
        }
    }

    fn program(self) -> PathBuf {
        match self {
            Kind::Etcd => PathBuf::from("etcd"),
            Kind::Cfgstored => crate::host::build_folder().join("cfgstored"),
        }
    }
}

/// A cluster of processes, in a fresh folder. All end when it is dropped; after a panic, their logs are kept.
#[derive(Debug)]
pub struct Cluster {
    kind: Kind,
    token: String,
    flags: Vec<String>,
    // Before the bridge, so that namespaces go before what they are attached to.
    members: Vec<Member>,
    bridge: Option<Bridge>,
    /// `--initial-cluster` of members that start an existing data folder: it counts for nothing then.
    initial_cluster: String,
    folder: Option<tempfile::TempDir>,
}

impl Cluster {
    /// `count` members on loopback that have elected a leader, with default settings.
    ///
    /// # Panics
    /// When they don't.
    pub fn start(count: usize, kind: Kind) -> Cluster {
        Cluster::with_flags(count, kind, &[])
    }

    /// The same, with more flags.
    pub fn with_flags(count: usize, kind: Kind, flags: &[&str]) -> Cluster {
        Cluster::make(count, kind, flags, None)
    }

    /// The same, each member in a network namespace of its own; they need root.
    pub fn in_namespaces(count: usize, kind: Kind, flags: &[&str]) -> Cluster {
        Cluster::make(count, kind, flags, Some(Bridge::new()))
    }

    fn make(count: usize, kind: Kind, flags: &[&str], bridge: Option<Bridge>) -> Cluster {
        let mut cluster = Cluster::not_started(count, kind, flags, bridge);
        for index in 0..count {
            cluster.start_member(index);
        }
        for index in 0..count {
            cluster.wait_serving(index);
        }
        cluster
    }

    /// The members with their addresses, none of them started.
    pub fn not_started(count: usize, kind: Kind, flags: &[&str], bridge: Option<Bridge>) -> Cluster {
        let folder = tempfile::Builder::new()
            .prefix("cfgstore-cluster-")
            .tempdir()
            .expect("temporary folder");
        let mut cluster = Cluster {
            kind,
            token: folder
                .path()
                .file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned(),
            flags: flags.iter().map(|&flag| flag.to_owned()).collect(),
            members: Vec::new(),
            bridge,
            initial_cluster: String::new(),
            folder: Some(folder),
        };
        for _ in 0..count {
            let index = cluster.new_member();
            cluster.members[index].present = true;
        }
        cluster.initial_cluster = cluster.peers();
        cluster
    }

    /// Which server it is made of.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its `--initial-cluster-token`.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The folder that all data folders and logs are in.
    pub fn folder(&self) -> &Path {
        self.folder.as_ref().expect("until it is dropped").path()
    }

    /// A member by its number, in the order they were made.
    pub fn member(&self, index: usize) -> &Member {
        &self.members[index]
    }

    /// The numbers of those that are in the cluster.
    pub fn present(&self) -> Vec<usize> {
        (0..self.members.len())
            .filter(|&index| self.members[index].present)
            .collect()
    }

    /// The numbers of those that run and are not paused.
    pub fn running(&self) -> Vec<usize> {
        let mut running = self.present();
        running.retain(|&index| self.members[index].process.is_some() && !self.members[index].paused);
        running
    }

    /// The client addresses of all members that are in the cluster, running or not.
    pub fn endpoints(&self) -> Vec<String> {
        let present = self.present();
        present
            .iter()
            .map(|&index| self.members[index].client_url().to_owned())
            .collect()
    }

    /// `name=peer-url,…` of all members that are in the cluster.
    pub fn peers(&self) -> String {
        let present = self.present();
        let named = present.iter().map(|&index| &self.members[index]);
        let pairs: Vec<String> = named
            .map(|member| format!("{}={}", member.name, member.peer_url()))
            .collect();
        pairs.join(",")
    }

    /// Makes a member with addresses and a name, neither started nor in the cluster; see [`Cluster::join`].
    pub fn new_member(&mut self) -> usize {
        let index = self.members.len();
        let place = match &mut self.bridge {
            None => Place::loopback(),
            Some(bridge) => Place::within(bridge.namespace()),
        };
        self.members.push(Member {
            process: None,
            name: format!("m{index}"),
            place,
            folder: self.folder().to_owned(),
            present: false,
            paused: false,
        });
        index
    }

    /// The command that starts a member of a new cluster, to be changed before it is run.
    pub fn command(&self, index: usize) -> Command {
        self.command_with(index, &self.initial_cluster, "new")
    }

    /// The same with other bootstrap settings; `state` is `new` or `existing`.
    pub fn command_with(&self, index: usize, initial_cluster: &str, state: &str) -> Command {
        let flags = ClusterFlags {
            initial_cluster,
            state,
            token: &self.token,
            flags: &self.flags,
        };
        self.members[index].command(self.kind, &self.kind.program(), &flags)
    }

    /// Starts a member that is down, without waiting until it serves.
    pub fn start_member(&mut self, index: usize) {
        let command = self.command(index);
        self.run(index, command);
    }

    /// Starts a member by this command. It ends with the thread that calls.
    ///
    /// # Panics
    /// When it runs already.
    pub fn run(&mut self, index: usize, mut command: Command) {
        // A test that is killed ends its members so.
        let die_with_me = || {
            // SAFETY: PR_SET_PDEATHSIG takes a signal and touches no memory.
            unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
            Ok(())
        };
        // SAFETY: between fork and exec, one system call is made, and nothing is allocated.
        unsafe { command.pre_exec(die_with_me) };
        let member = &mut self.members[index];
        assert!(member.process.is_none(), "{} runs already", member.name);
        member.process = Some(Process::spawn(&mut command));
    }

    /// Ends a member with SIGKILL.
    pub fn kill(&mut self, index: usize) {
        self.members[index].paused = false;
        let process = self.members[index].process.take();
        process.expect("a running member").kill();
    }

    /// Ends a member with SIGTERM, and waits for its end.
    pub fn stop(&mut self, index: usize) {
        let process = self.members[index].process.take().expect("a running member");
        process.signal(libc::SIGTERM);
        process.wait();
    }

    /// Waits until the process of a member has ended by itself, and returns how.
    ///
    /// # Panics
    /// When it does not end within 30 seconds.
    pub fn wait_ended(&mut self, index: usize) -> std::process::ExitStatus {
        let process = self.members[index].process.take();
        process.expect("a running member").wait()
    }

    /// Stops a member's process (SIGSTOP): its connections stay, and nothing moves.
    pub fn pause(&mut self, index: usize) {
        self.signal(index, libc::SIGSTOP);
        self.members[index].paused = true;
    }

    /// Lets a paused member go on.
    pub fn resume(&mut self, index: usize) {
        self.signal(index, libc::SIGCONT);
        self.members[index].paused = false;
    }

    fn signal(&self, index: usize, signal: i32) {
        let process = self.members[index].process.as_ref();
        process.expect("a running member").signal(signal);
    }

    /// Removes the data folder of a member that is down.
    pub fn wipe(&self, index: usize) {
        let member = &self.members[index];
        assert!(member.process.is_none(), "{} runs", member.name);
        std::fs::remove_dir_all(member.data_dir()).expect("data folder");
    }

    /// Loses all packets between these two, one way or both; see [`crate::Namespace::cut_to`].
    pub fn cut(&self, from: usize, to: usize, both_ways: bool) {
        let (from, to) = (
            self.members[from].place.namespace(),
            self.members[to].place.namespace(),
        );
        from.cut_to(to);
        if both_ways {
            to.cut_to(from);
        }
    }

    /// Cuts a member from all others, both ways. Its clients still reach it.
    pub fn isolate(&self, index: usize) {
        for other in self.present() {
            if other != index {
                self.cut(index, other, true);
            }
        }
    }

    /// Heals every cut.
    pub fn heal(&self) {
        let present = self.present();
        for &from in &present {
            for &to in present.iter().filter(|&&to| to != from) {
                self.members[from]
                    .place
                    .namespace()
                    .heal_to(self.members[to].place.namespace());
            }
        }
    }

    /// A client of one member alone.
    pub fn client(&self, index: usize) -> MemberClient {
        MemberClient::new(self.members[index].client_url())
    }

    /// Waits until a member answers a linearizable read.
    ///
    /// # Panics
    /// When it doesn't in a minute.
    pub fn wait_serving(&self, index: usize) {
        let client = self.client(index);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let Err(error) = client.get(b"\0", false) else {
                return;
            };
            let member = &self.members[index];
            assert!(
                Instant::now() < deadline,
                "{} did not serve in a minute: {error}",
                member.name
            );
            let running = member
                .process
                .as_ref()
                .is_some_and(|process| !process.has_ended());
            assert!(running, "{} ended instead of serving", member.name);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until all running members have applied what any had when this was called.
    ///
    /// # Panics
    /// When they haven't in a minute.
    pub fn wait_caught_up(&self) {
        let running = self.running();
        let clients: Vec<MemberClient> = running.iter().map(|&index| self.client(index)).collect();
        let revision = |client: &MemberClient| client.get(b"\0", true).map_or(0, |read| read.revision);
        let newest = clients.iter().map(revision).max().unwrap_or(0);
        for (client, index) in clients.iter().zip(running) {
            let what = format!("{} to reach revision {newest}", self.members[index].name);
            self.wait_until(&what, || revision(client) >= newest);
        }
    }

    /// The member that leads, as a majority of the running ones says; waits for one.
    ///
    /// # Panics
    /// When there is none in a minute.
    pub fn leader(&self) -> usize {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(leader) = self.agreed_leader(self.running()) {
                return leader;
            }
            assert!(Instant::now() < deadline, "no leader in a minute");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The member that leads, if the members with these client addresses agree and it is one of them.
    pub fn leader_of(&self, endpoints: &[String]) -> Option<usize> {
        let mut asked = self.running();
        asked.retain(|&index| {
            endpoints
                .iter()
                .any(|url| url == self.members[index].client_url())
        });
        self.agreed_leader(asked)
    }

    fn agreed_leader(&self, running: Vec<usize>) -> Option<usize> {
        let mut votes = Vec::new();
        let mut ids = Vec::new();
        for &index in &running {
            let Ok(status) = self.client(index).status() else {
                continue;
            };
            let header = status.header.unwrap_or_default();
            ids.push((header.member_id, index));
            votes.push((header.raft_term, status.leader));
        }
        let &(term, leader) = votes.iter().max()?;
        let agree = votes.iter().filter(|&&vote| vote == (term, leader)).count();
        let found = ids.iter().find(|(id, _)| *id == leader && leader != 0)?;
        (agree * 2 > self.present().len()).then_some(found.1)
    }

    /// The sum of a metric's values at a member's `/metrics`; 0 if there is none of this name.
    ///
    /// # Panics
    /// When the member does not answer.
    pub fn metric(&self, index: usize, name: &str) -> f64 {
        let address = self.members[index].client_url().trim_start_matches("http://");
        let connected = HttpConnection::open_at(address);
        let answer = connected.and_then(|mut connection| connection.get("/metrics"));
        let text = answer.expect("the member's metrics").body;
        let values = text.lines().filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            matches!(rest.chars().next(), Some(' ' | '{'))
                .then_some(rest.rsplit(' ').next()?.parse::<f64>().ok()?)
        });
        values.sum()
    }

    /// Any running member that does not lead.
    pub fn follower(&self) -> usize {
        let leader = self.leader();
        let running = self.running();
        running
            .into_iter()
            .find(|&index| index != leader)
            .expect("a follower")
    }

    /// The id of a member.
    pub fn id(&self, index: usize) -> u64 {
        let status = self.client(index).status().expect("status");
        status.header.expect("header").member_id
    }

    /// Adds a member as the guide says: `member add` at a running member, then its start with
    /// `--initial-cluster-state existing`; returns when it serves.
    pub fn add(&mut self) -> usize {
        let index = self.new_member();
        self.join(index);
        index
    }

    /// The same for a member that was made, or wiped and removed.
    pub fn join(&mut self, index: usize) {
        self.add_and_run(index, false);
        self.wait_serving(index);
    }

    /// The same for a learner; returns its id when it answers a serializable read.
    pub fn join_learner(&mut self, index: usize) -> u64 {
        self.add_and_run(index, true);
        let client = self.client(index);
        self.wait_until("the learner to serve", || client.get(b"\0", true).is_ok());
        self.id(index)
    }

    fn add_and_run(&mut self, index: usize, learner: bool) {
        let peer_url = self.members[index].peer_url().to_owned();
        let through = self.client(self.leader());
        // Refused while the members are not all connected (etcd's strict reconfiguration check), or while an earlier
        // change is still going on.
        self.wait_until("the new member to be accepted", || {
            through.member_add(&peer_url, learner).is_ok()
        });
        self.members[index].present = true;
        let command = self.command_with(index, &self.peers(), "existing");
        self.run(index, command);
    }

    /// Removes a member from the cluster by another one, and ends its process.
    pub fn remove(&mut self, index: usize) {
        let id = self.id(index);
        self.remove_id(index, id);
        if self.members[index].process.is_some() {
            self.kill(index);
        }
    }

    /// The same for one that may be down, by its id; its process is left as it is.
    pub fn remove_id(&mut self, index: usize, id: u64) {
        let leader = self.leader();
        let through = if leader == index { self.follower() } else { leader };
        let client = self.client(through);
        self.wait_until("the member to be removed", || client.member_remove(id).is_ok());
        self.members[index].present = false;
    }

    /// Runs a stock `etcdctl` against all members, and returns what it printed.
    ///
    /// # Panics
    /// When it fails.
    pub fn etcdctl(&self, arguments: &[&str]) -> String {
        crate::host::succeed(self.etcdctl_command().args(arguments))
    }

    /// `etcdctl` with these endpoints, not run.
    pub fn etcdctl_command(&self) -> Command {
        let mut command = Command::new("etcdctl");
        command
            .env("ETCDCTL_API", "3")
            .arg("--endpoints")
            .arg(self.endpoints().join(","));
        command
    }

    /// Checks `done` until it holds.
    ///
    /// # Panics
    /// When it doesn't in a minute.
    pub fn wait_until(&self, what: &str, mut done: impl FnMut() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !done() {
            assert!(Instant::now() < deadline, "waited a minute for {what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for member in &mut self.members {
            member.process = None;
            // The mirror lives outside the folder, on the tmpfs its link names.
            if let Ok(mirror) = std::fs::read_link(member.data_dir().join("mirror")) {
                let _ = std::fs::remove_dir_all(mirror);
            }
        }
        if std::thread::panicking()
            && let Some(folder) = self.folder.take()
        {
            for member in &self.members {
                eprintln!("the end of {}'s log:\n{}", member.name, tail(&member.log(), 5));
                let _ = std::fs::remove_dir_all(member.data_dir());
            }
            eprintln!("whole logs: {}", folder.keep().display());
        }
    }
}

/// The last lines of a text.
fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text
        .lines()
        .map(|line| line.split_at_checked(300).map_or(line, |(start, _)| start))
        .collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

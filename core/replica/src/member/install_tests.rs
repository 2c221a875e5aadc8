//! Power is cut at every single operation while a follower receives and installs a snapshot. Whatever is left of it: the
//! member starts, has the state it had or the one it was sent (that one, if it said so), and goes on with the log.

use std::path::Path;

use cfgstore_store::{Put, Store};
use openraft::EntryPayload;
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::sync::Notify;
use tonic::Status;

use super::*;
use crate::bootstrap::InitialCluster;
use crate::disk::sim::{SimDisk, Survival};
use crate::fatal::FatalHook;
use crate::identity::Identity;
use crate::peer::link::Peers;
use crate::position::Position;
use crate::raft::codec::{BatchBuilder, merge};
use crate::raft::types::{Batch, BatchOrigin, Entry, from_wal_id, from_wal_vote, new_entry};
use crate::snapshot::SnapshotDir;
use crate::transfer;
use crate::wal::format::{LogId, Vote};
use crate::{Bootstrap, InitialMember};

const SURVIVALS: [Survival; 4] = [
    Survival::Nothing,
    Survival::Everything,
    Survival::Prefix,
    Survival::Coins,
];
/// What the follower has applied before. Its log also holds entries of a leader that could not commit them.
const OLD: u64 = 10;
const UNCOMMITTED: u64 = 14;

/// Far above what anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

fn url(name: &str) -> String {
    format!("http://{name}.test:2380")
}

/// One of three members, of which no other one runs. It waits for a leader for longer than any test takes.
fn config(dir: &Path) -> MemberConfig {
    let mut config = MemberConfig::new(dir);
    let member = |name: &str| InitialMember {
        name: name.to_owned(),
        peer_urls: vec![url(name)],
    };
    config.name = "a".to_owned();
    config.peer_urls = vec![url("a")];
    config.listen_peers = vec![([127, 0, 0, 1], 0).into()];
    config.bootstrap = Bootstrap::New {
        members: ["a", "b", "c"].map(member).into(),
        token: "test".to_owned(),
    };
    config.reach = ["b", "c"]
        .map(|name| (url(name), "http://127.0.0.1:1".to_owned()))
        .into();
    config.election_timeout_min_ms = 600_000;
    config.election_timeout_max_ms = 900_000;
    // Small, so that a full set of operations is soon gone through.
    config.max_request_bytes = 4 << 10;
    config.max_batch_bytes = 4 << 10;
    config.segment_size_bytes = 128 << 10;
    config.snapshot_log_bytes = u64::MAX;
    config
}

fn log_id(term: u64, leader: u64, index: u64) -> LogId {
    LogId { term, leader, index }
}

fn batch(index: u64) -> Batch {
    let origin = BatchOrigin {
        member: 0,
        session: 0,
        sequence: index,
    };
    let command = Command::Put(Put {
        key: format!("k{index}").into(),
        value: vec![index as u8; 100].into(),
        ..Put::default()
    });
    let mut builder = BatchBuilder::new();
    builder
        .push(Caller::default(), command, usize::MAX)
        .expect("it is small");
    builder.finish(0, origin)
}

/// The state after the entries up to `index`, of which each but the first writes a key of its own.
fn position(member: &Member, last: LogId) -> Position {
    let mut store = Store::new();
    for index in 1..=last.index {
        for (caller, command) in &batch(index).0.commands {
            store.apply(0, caller, command).unwrap();
        }
    }
    Position {
        log_id: Some(last),
        membership: member.0.published.position().membership,
        state: Arc::new(store.state()),
    }
}

/// Another member, as which the test speaks.
struct Leader {
    id: u64,
    term: u64,
}

impl Leader {
    fn vote(&self) -> crate::raft::types::Vote {
        from_wal_vote(Vote {
            term: self.term,
            member: self.id,
            committed: true,
        })
    }

    fn log_id(&self, index: u64) -> LogId {
        log_id(self.term, self.id, index)
    }

    fn entry(&self, index: u64) -> Entry {
        new_entry(
            self.log_id(index),
            EntryPayload::Normal(merge(vec![batch(index)])),
        )
    }

    async fn append(
        &self,
        member: &Member,
        previous: LogId,
        entries: std::ops::RangeInclusive<u64>,
        committed: LogId,
    ) -> AppendEntriesResponse<crate::raft::types::TypeConfig> {
        let request = AppendEntriesRequest {
            vote: self.vote(),
            prev_log_id: Some(from_wal_id(previous)),
            entries: entries.map(|index| self.entry(index)).collect(),
            leader_commit: Some(from_wal_id(committed)),
        };
        member.0.raft.append_entries(request).await.unwrap()
    }

    /// Sends the state up to this entry, over a connection, as a leader does.
    async fn send(&self, member: &Member, last: LogId) -> Result<(), Status> {
        let disk = Arc::new(SimDisk::default());
        let cluster_id = member.0.owner.cluster_id;
        let snapshots = SnapshotDir::open(disk, "/leader".into(), cluster_id).unwrap();
        snapshots.write(&position(member, last)).unwrap();
        let snapshot = snapshots.open_newest().unwrap().unwrap().file;
        let identity = Identity {
            owner: Owner {
                cluster_id,
                member_id: self.id,
            },
            life: 1,
            since: Some(0),
        };
        let mut config = member.0.config.clone();
        let address = member.peer_addresses()[0];
        config.reach = [(url("a"), format!("http://{address}"))].into();
        let published = member.0.published.clone();
        let (refused, _refusals) = tokio::sync::mpsc::unbounded_channel();
        let peers = Peers::new(&config, identity, published.clone(), Arc::default(), refused);
        let sender = transfer::Sender {
            peers: peers.clone(),
            snapshots,
            published,
        };
        let receiver = peers.peer(member.0.owner.member_id, None);
        sender
            .send(&receiver, &self.vote(), &from_wal_id(last), &snapshot)
            .await
            .map(drop)
    }
}

/// Opens the follower; the second answer resolves when the process would have ended itself.
async fn open(disk: &SimDisk, dir: &Path, context: &str) -> (Member, Arc<Notify>) {
    let ended = Arc::new(Notify::new());
    let mut config = config(dir);
    config.fatal = FatalHook::new({
        let ended = ended.clone();
        move |_| ended.notify_one()
    });
    let member = Member::open_on(Arc::new(disk.clone()), config).await;
    (member.unwrap_or_else(|error| panic!("{context}: {error}")), ended)
}

async fn applied(member: &Member, index: u64) {
    let mut applied = member.0.published.applied_index();
    let applied = applied.wait_for(|applied| *applied >= index);
    let applied = tokio::time::timeout(PATIENCE, applied).await;
    applied
        .unwrap_or_else(|_| panic!("waited in vain for entry {index}"))
        .unwrap();
}

/// Up to which entry the state is; it holds all of them and no more.
fn reached(member: &Member, context: &str) -> u64 {
    let position = member.0.published.position();
    let (index, state) = (position.index(), position.state);
    assert_eq!(state.key_count() as u64, index, "{context}");
    for n in 1..=index {
        let record = state.get(format!("k{n}").as_bytes());
        assert_eq!(record.unwrap().value(), [n as u8; 100], "{context}");
    }
    index
}

/// Everything in a folder of a few small files.
fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A follower to which it can happen.
struct Follower {
    disk: SimDisk,
    /// Holds the checkpoint, which no power cut reaches.
    dir: tempfile::TempDir,
    /// Where its data folder is in each life: the checkpoint knows no other place.
    scratch: tempfile::TempDir,
    leader: Leader,
}

impl Follower {
    async fn new() -> Follower {
        let (disk, scratch) = (SimDisk::default(), tempfile::tempdir().unwrap());
        let data = scratch.path().join("data");
        std::fs::create_dir_all(&data).unwrap();
        let (member, _) = open(&disk, &data, "the first start").await;
        // The member itself does not say before it has a leader.
        let first = match &member.0.config.bootstrap {
            Bootstrap::New { members, token } => {
                InitialCluster::new(&member.0.config, members, token).unwrap()
            }
            _ => unreachable!("it is one of the first members"),
        };
        let id = |name: &str| {
            let mut members = first.members.iter();
            *members.find(|(_, node)| node.name == name).unwrap().0
        };
        // The member has campaigned for the first terms itself.
        let former = Leader { id: id("c"), term: 5 };
        let committed = former.log_id(OLD);
        let first_entry = log_id(0, member.0.owner.member_id, 0);
        for (previous, entries) in [(first_entry, 1..=OLD), (committed, OLD + 1..=UNCOMMITTED)] {
            let response = former.append(&member, previous, entries, committed).await;
            assert!(matches!(response, AppendEntriesResponse::Success), "{response}");
        }
        applied(&member, OLD).await;
        for index in [5, 8] {
            let position = position(&member, former.log_id(index));
            let cluster_id = member.0.owner.cluster_id;
            let snapshots = SnapshotDir::open(Arc::new(disk.clone()), data.join("snapshot"), cluster_id);
            snapshots.unwrap().write(&position).unwrap();
        }
        member.shutdown().await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        copy_folder(&data, dir.path());
        Follower {
            disk,
            dir,
            scratch,
            leader: Leader { id: id("b"), term: 6 },
        }
    }

    /// The data folder as it was before, or without its checkpoint.
    fn data(&self, with_checkpoint: bool) -> std::path::PathBuf {
        let data = self.scratch.path().join("data");
        std::fs::remove_dir_all(&data).unwrap();
        std::fs::create_dir_all(&data).unwrap();
        if with_checkpoint {
            copy_folder(self.dir.path(), &data);
        }
        data
    }

    /// One life: power is cut before this operation of the installation, and what is found then must do. Whether the
    /// installation had that many operations.
    async fn life(&self, new: u64, cut: u64, survival: Survival) -> bool {
        let context = format!("a snapshot up to {new}, cut before operation {cut}, {survival:?} survives");
        let mut rng = StdRng::seed_from_u64(cut);
        let disk = self.disk.kill();
        let with_checkpoint = cut.is_multiple_of(2);
        let data = self.data(with_checkpoint);
        let last = self.leader.log_id(new);

        let (member, ended) = open(&disk, &data, &context).await;
        assert_eq!(reached(&member, &context), OLD);
        disk.cut_at(disk.operations() + cut);
        let installed = tokio::select! {
            sent = self.leader.send(&member, last) => sent.is_ok(),
            () = ended.notified() => false,
            () = tokio::time::sleep(PATIENCE) => panic!("{context}: it neither ended nor went on"),
        };
        let was_cut = disk.is_cut();
        assert!(installed || was_cut, "{context}: it failed with the power on");
        // This only ends threads and tasks, if power is off.
        let _ = member.shutdown().await;
        let was_cut = was_cut || disk.is_cut();

        let data = self.data(with_checkpoint);
        let disk = disk.crash(survival, &mut rng);
        let (member, _) = open(&disk, &data, &context).await;
        let found = reached(&member, &context);
        assert!(
            found == new || (found == OLD && !installed),
            "{context}: {found} found, installed: {installed}"
        );
        assert!(!installed || member.term() == self.leader.term, "{context}");

        // The leader goes on where it can.
        let next = self.leader.log_id(new + 1);
        let mut response = self.leader.append(&member, last, new + 1..=new + 1, next).await;
        if !matches!(response, AppendEntriesResponse::Success) {
            assert_eq!(found, OLD, "{context}: {response}");
            let sent = self.leader.send(&member, last).await;
            sent.unwrap_or_else(|status| panic!("{context}: {status}"));
            response = self.leader.append(&member, last, new + 1..=new + 1, next).await;
        }
        assert!(
            matches!(response, AppendEntriesResponse::Success),
            "{context}: {response}"
        );
        applied(&member, new + 1).await;
        assert_eq!(reached(&member, &context), new + 1);
        let _ = member.shutdown().await;

        // And all of that is as durable as it was said to be.
        let disk = disk.crash(Survival::Nothing, &mut rng);
        let (member, _) = open(&disk, &self.data(false), &context).await;
        let status = member.status();
        assert_eq!(status.last_log_index, new + 1, "{context}");
        assert!(reached(&member, &context) >= new, "{context}");
        member.shutdown().await.unwrap();
        was_cut
    }
}

async fn cut_everywhere(new: u64) {
    let follower = Follower::new().await;
    for survival in SURVIVALS {
        let mut cut = 1;
        while follower.life(new, cut, survival).await {
            cut += 1;
        }
        assert!(cut > 8, "an installation has more than {cut} operations");
    }
}

#[tokio::test]
async fn power_may_fail_while_a_snapshot_beyond_the_log_is_installed() {
    cut_everywhere(20).await;
}

/// The log holds an entry at the snapshot's end, and some after it, which are not those that were committed.
#[tokio::test]
async fn power_may_fail_while_a_snapshot_that_contradicts_the_log_is_installed() {
    cut_everywhere(12).await;
}

//! Growing, shrinking, replacing: changes of the membership, and how members come and go.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use cfgstore_store::Caller;

use super::support::{CUT, Cluster, WHOLE, put, read, wait_for, write};
use crate::error::BootstrapError;
use crate::{Bootstrap, InitialMember, Member, MemberConfig, MembershipError, OpenError};

fn listed(cluster: &Cluster, members: impl IntoIterator<Item = usize>) -> Vec<InitialMember> {
    let entry = |member| {
        let config = cluster.config(member);
        InitialMember {
            name: config.name,
            peer_urls: config.peer_urls,
        }
    };
    members.into_iter().map(entry).collect()
}

/// Settings of one of the first `size` members.
fn first(cluster: &Cluster, member: usize, size: usize) -> MemberConfig {
    let mut config = cluster.config(member);
    config.bootstrap = Bootstrap::New {
        members: listed(cluster, 0..size),
        token: cluster.token.clone(),
    };
    config
}

/// Settings of a member that joins those there are.
fn joining(cluster: &Cluster, member: usize, others: impl IntoIterator<Item = usize>) -> MemberConfig {
    let mut config = cluster.config(member);
    config.bootstrap = Bootstrap::Existing {
        members: listed(cluster, others.into_iter().chain([member])),
    };
    config
}

async fn start(size: usize, places: usize) -> Cluster {
    let mut cluster = Cluster::prepare(places).await;
    for member in 0..size {
        let config = first(&cluster, member, size);
        cluster.open_with(member, config).await;
    }
    cluster.leader().await;
    // So that everyone has told who it is.
    wait_for("all to be published", || async {
        let published = |member: &Member| {
            let members = member.members();
            members.len() == size && members.iter().all(|info| info.started)
        };
        cluster
            .running()
            .all(|(_, member)| published(member))
            .then_some(())
    })
    .await;
    cluster
}

fn id(cluster: &Cluster, member: usize) -> u64 {
    cluster.member(member).status().member_id
}

/// Adds a voter by way of `through`, starts it, and waits until it votes.
async fn grow(cluster: &mut Cluster, member: usize, others: &[usize], through: usize) {
    let urls = cluster.config(member).peer_urls;
    let added = loop {
        // The one before may not have started in the eyes of the leader yet.
        match cluster.member(through).add_member(urls.clone(), false).await {
            Ok(added) => break added,
            Err(MembershipError::NotEnoughStarted | MembershipError::Unhealthy) => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(error) => panic!("{error}"),
        }
    };
    assert!(!added.is_learner && !added.started);
    let config = joining(cluster, member, others.iter().copied());
    cluster.open_with(member, config).await;
    assert_eq!(id(cluster, member), added.id);
    votes(cluster, member).await;
}

/// Waits until a member is a voter in everybody's eyes.
async fn votes(cluster: &Cluster, member: usize) {
    let id = id(cluster, member);
    wait_for("the member to vote", || async {
        let is_voter = |other: &Member| {
            let membership = other.0.published.position().membership;
            membership.voter_ids().any(|voter| voter == id)
        };
        cluster.running().all(|(_, other)| is_voter(other)).then_some(())
    })
    .await;
}

/// Writes all the time, to whoever leads; what was acknowledged is there in the end.
struct Load {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
    writer: tokio::task::JoinHandle<()>,
}

impl Load {
    fn start(members: Vec<Member>) -> Load {
        let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let writer = tokio::spawn({
            let (stop, acknowledged) = (stop.clone(), acknowledged.clone());
            async move {
                let mut n = 0;
                while !stop.load(Relaxed) {
                    let Some(leader) = members.iter().find(|member| member.status().is_leader) else {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                        continue;
                    };
                    let command = put(&format!("load/{n}"), &"v".repeat(500));
                    if leader.propose(Caller::default(), command).await.is_ok() {
                        n += 1;
                        acknowledged.store(n, Relaxed);
                    }
                }
            }
        });
        Load {
            stop,
            acknowledged,
            writer,
        }
    }

    /// Ends it; how many writes were acknowledged.
    async fn end(self) -> u64 {
        self.stop.store(true, Relaxed);
        self.writer.await.unwrap();
        self.acknowledged.load(Relaxed)
    }
}

/// Writes once to whoever leads, though the lead may be changing just now.
async fn write_to_leader(cluster: &Cluster, key: &str, value: &str) {
    wait_for("a write", || async {
        let leader = cluster.leader().await;
        let written = cluster
            .member(leader)
            .propose(Caller::default(), put(key, value))
            .await;
        written.ok()
    })
    .await;
}

async fn everything_is_there(cluster: &Cluster, acknowledged: u64) {
    cluster.agree().await;
    for (number, member) in cluster.running() {
        let state = member.state();
        let missing = (0..acknowledged).find(|n| state.get(format!("load/{n}").as_bytes()).is_none());
        assert_eq!(missing, None, "member {number}");
    }
}

#[tokio::test]
async fn a_group_of_one_grows_to_five_and_shrinks_under_load() {
    let mut cluster = start(1, 5).await;
    let load = Load::start(vec![cluster.member(0).clone()]);
    for member in 1..5 {
        let others: Vec<usize> = (0..member).collect();
        // Any member can be asked.
        grow(&mut cluster, member, &others, member - 1).await;
    }
    assert_eq!(cluster.member(4).members().len(), 5);
    for gone in [4, 3] {
        let gone_id = id(&cluster, gone);
        cluster.member(1).remove_member(gone_id).await.unwrap();
        cluster.member(gone).removed().await;
        cluster.end(gone).await;
    }
    let acknowledged = load.end().await;
    assert!(acknowledged > 0);
    everything_is_there(&cluster, acknowledged).await;
    assert_eq!(cluster.member(2).members().len(), 3);
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_wiped_member_is_refused_and_comes_back_as_another() {
    let mut cluster = start(3, 3).await;
    let leader = cluster.leader().await;
    write(cluster.member(leader), "k", "v").await;
    let lost = (leader + 1) % 3;
    let lost_id = id(&cluster, lost);
    cluster.end(lost).await;
    cluster.wipe(lost);
    // With the settings it was started with first, and with those of a member that joins.
    let configs = [
        first(&cluster, lost, 3),
        joining(&cluster, lost, (0..3).filter(|other| *other != lost)),
    ];
    for config in configs {
        let error = cluster.try_open(lost, config).await.unwrap_err();
        assert!(
            matches!(
                error,
                OpenError::Bootstrap(BootstrapError::AlreadyBootstrapped { member_id, .. }) if member_id == lost_id
            ),
            "{error}"
        );
    }
    cluster.member(leader).remove_member(lost_id).await.unwrap();
    let error = cluster
        .try_open(lost, first(&cluster, lost, 3))
        .await
        .unwrap_err();
    assert!(
        matches!(error, OpenError::Bootstrap(BootstrapError::NotAdded { .. })),
        "{error}"
    );
    let others: Vec<usize> = (0..3).filter(|other| *other != lost).collect();
    grow(&mut cluster, lost, &others, leader).await;
    assert_ne!(id(&cluster, lost), lost_id);
    wait_for("its state", || async { read(cluster.member(lost), "k") }).await;
    cluster.shutdown().await;
}

#[tokio::test]
async fn learners_are_few_and_promoted_on_request() {
    let mut cluster = start(1, 3).await;
    let learner_urls = cluster.config(1).peer_urls;
    let learner = cluster
        .member(0)
        .add_member(learner_urls.clone(), true)
        .await
        .unwrap();
    assert!(learner.is_learner);
    assert_eq!(
        cluster.member(0).add_member(learner_urls, true).await,
        Err(MembershipError::PeerUrlExists {
            url: cluster.config(1).peer_urls.remove(0),
            id: learner.id
        })
    );
    assert_eq!(
        cluster
            .member(0)
            .add_member(cluster.config(2).peer_urls, true)
            .await,
        Err(MembershipError::TooManyLearners { limit: 1 })
    );
    assert_eq!(
        cluster.member(0).promote_member(learner.id).await,
        Err(MembershipError::LearnerNotReady { id: learner.id })
    );
    let config = joining(&cluster, 1, [0]);
    cluster.open_with(1, config).await;
    // A learner is asked to have itself promoted: it passes that on.
    wait_for("the learner to be ready", || async {
        match cluster.member(1).promote_member(learner.id).await {
            Ok(()) => Some(()),
            Err(MembershipError::LearnerNotReady { .. }) => None,
            Err(error) => panic!("{error}"),
        }
    })
    .await;
    votes(&cluster, 1).await;
    assert_eq!(
        cluster.member(0).promote_member(learner.id).await,
        Err(MembershipError::NotLearner { id: learner.id })
    );
    assert_eq!(cluster.member(0).stats().learner_promotions, 1);
    let moved = vec!["http://elsewhere.test:2380".to_owned()];
    cluster
        .member(1)
        .update_member(learner.id, moved.clone())
        .await
        .unwrap();
    let updated = cluster.member(1).members();
    let updated = updated.iter().find(|info| info.id == learner.id).unwrap();
    assert_eq!(updated.peer_urls, moved);
    assert_eq!(
        cluster.member(0).remove_member(12_345).await,
        Err(MembershipError::NotFound { id: 12_345 })
    );
    cluster.shutdown().await;
}

#[tokio::test]
async fn the_lead_is_handed_over_on_request_and_by_a_leader_that_is_removed() {
    let mut cluster = start(3, 3).await;
    let old = cluster.leader().await;
    let new = (old + 1) % 3;
    let new_id = id(&cluster, new);
    assert_eq!(
        cluster.member(new).move_leader(new_id).await,
        Err(MembershipError::NotLeader)
    );
    assert_eq!(
        cluster.member(old).move_leader(12_345).await,
        Err(MembershipError::BadTransferee { id: 12_345 })
    );
    cluster.member(old).move_leader(new_id).await.unwrap();
    assert_eq!(cluster.leader().await, new);
    write_to_leader(&cluster, "k", "v").await;
    // It removes itself, asked by way of another.
    cluster.member(old).remove_member(new_id).await.unwrap();
    cluster.member(new).removed().await;
    cluster.end(new).await;
    write_to_leader(&cluster, "k", "w").await;
    cluster.agree().await;
    cluster.shutdown().await;
}

/// The others need not tell it, who may be gone by then: its own state says so.
#[tokio::test]
async fn a_member_whose_state_holds_its_removal_notices_when_it_starts() {
    let mut cluster = start(3, 4).await;
    // One of the first members, and one that joined them.
    grow(&mut cluster, 3, &[0, 1, 2], 0).await;
    let leader = cluster.leader().await;
    let first = (0..3).find(|member| *member != leader).unwrap();
    for gone in [first, 3] {
        let gone_id = id(&cluster, gone);
        cluster.end(gone).await;
        write_to_leader(&cluster, "k", "v").await;
        let config = cluster.config(gone);
        let leader = cluster.leader().await;
        cluster.member(leader).remove_member(gone_id).await.unwrap();
        // As if it had applied that, and ended before it had acted on it.
        let position = cluster.member(leader).0.published.position();
        let cluster_id = cluster.member(leader).status().cluster_id;
        let disk = Arc::new(crate::disk::RealDisk);
        let snapshots =
            crate::snapshot::SnapshotDir::open(disk, config.data_dir.join("snapshot"), cluster_id);
        snapshots.unwrap().write(&position).unwrap();
        cluster.isolate(gone, CUT);
        cluster.open_with(gone, config).await;
        let removed = tokio::time::timeout(Duration::from_secs(60), cluster.member(gone).removed());
        removed.await.expect("it knows");
        cluster.end(gone).await;
    }
    cluster.shutdown().await;
}

/// It never campaigns, and nobody calls it any more.
#[tokio::test]
async fn a_learner_that_is_removed_while_it_is_cut_off_learns_of_it() {
    let mut cluster = start(1, 2).await;
    let urls = cluster.config(1).peer_urls;
    let learner = cluster.member(0).add_member(urls, true).await.unwrap();
    let config = joining(&cluster, 1, [0]);
    cluster.open_with(1, config).await;
    wait_for("the learner to have said who it is", || async {
        let known = cluster.member(1).members().iter().all(|info| info.started);
        known.then_some(())
    })
    .await;
    cluster.isolate(1, CUT);
    cluster.member(0).remove_member(learner.id).await.unwrap();
    // What was on its way is lost.
    cluster.reset(0, 1);
    cluster.reset(1, 0);
    cluster.isolate(1, WHOLE);
    let removed = tokio::time::timeout(Duration::from_secs(60), cluster.member(1).removed());
    removed.await.expect("it is told");
    cluster.shutdown().await;
}

/// Settings of one of three first members that write snapshots often, and keep little of the log.
fn forgetful(cluster: &Cluster, member: usize) -> MemberConfig {
    let mut config = first(cluster, member, 3);
    config.snapshot_log_bytes = 64 << 10;
    config.max_log_bytes_for_followers = 0;
    config
}

/// Three members, under load, of which one is away until the others have no log for it any more; and which one.
async fn one_far_behind() -> (Cluster, usize, Load) {
    let mut cluster = Cluster::prepare(3).await;
    for member in 0..3 {
        let config = forgetful(&cluster, member);
        cluster.open_with(member, config).await;
    }
    let leader = cluster.leader().await;
    let away = (leader + 1) % 3;
    cluster.end(away).await;
    let seen = cluster.member(leader).status().applied_index;
    let load = Load::start(cluster.running().map(|(_, member)| member.clone()).collect());
    wait_for("the log to be purged", || async {
        let gone = |member: &Member| member.status().purged_index > seen;
        cluster.running().all(|(_, member)| gone(member)).then_some(())
    })
    .await;
    (cluster, away, load)
}

#[tokio::test]
async fn a_member_whose_log_is_gone_is_caught_up_by_a_snapshot_while_writes_go_on() {
    let (mut cluster, away, load) = one_far_behind().await;
    let config = forgetful(&cluster, away);
    cluster.open_with(away, config).await;
    wait_for("the snapshot to be installed", || async {
        (cluster.member(away).stats().snapshots_installed > 0).then_some(())
    })
    .await;
    let acknowledged = load.end().await;
    everything_is_there(&cluster, acknowledged).await;
    let received = cluster.member(away).stats().peers;
    assert!(received.iter().any(|peer| peer.snapshots_received.succeeded > 0));
    let sent = cluster.running().flat_map(|(_, member)| member.stats().peers);
    let to_it = sent.filter(|peer| peer.id == id(&cluster, away));
    assert!(to_it.map(|peer| peer.snapshots_sent.succeeded).sum::<u64>() > 0);
    // What it was sent is also what it starts from.
    cluster.end(away).await;
    let config = forgetful(&cluster, away);
    cluster.open_with(away, config).await;
    everything_is_there(&cluster, acknowledged).await;
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_snapshot_that_is_damaged_when_it_is_needed_is_replaced() {
    let (mut cluster, away, load) = one_far_behind().await;
    let acknowledged = load.end().await;
    cluster.agree().await;
    // Whoever leads when the member comes back has only damaged ones.
    let mut damaged = Vec::new();
    for (number, member) in cluster.running() {
        for info in member.0.maintenance.snapshots() {
            let path = info.file.path;
            let mut bytes = std::fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            std::fs::write(&path, bytes).unwrap();
            damaged.push((number, path));
        }
    }
    assert!(damaged.len() >= 4, "{damaged:?}");
    let config = forgetful(&cluster, away);
    cluster.open_with(away, config).await;
    everything_is_there(&cluster, acknowledged).await;
    assert_eq!(cluster.member(away).stats().snapshots_installed, 1);
    let leader = cluster.leader().await;
    let to_it = || {
        let mut peers = cluster.member(leader).stats().peers;
        peers.retain(|peer| peer.id == id(&cluster, away));
        peers.remove(0).snapshots_sent
    };
    wait_for("the answer that the snapshot is installed", || async {
        (to_it().in_progress == 0).then_some(())
    })
    .await;
    let sent = to_it();
    assert_eq!(sent.succeeded, 1);
    assert!(sent.failed > 0);
    // It is kept for whoever wants to know what happened to the disk.
    let aside = |path: &std::path::Path| path.with_extension("snap.damaged");
    let mut newest = damaged.iter().filter(|(number, _)| *number == leader);
    assert!(newest.any(|(_, path)| aside(path).exists()));
    cluster.shutdown().await;
}

#[tokio::test]
async fn all_members_restart_with_what_they_had() {
    let mut cluster = start(3, 3).await;
    let leader = cluster.leader().await;
    write(cluster.member(leader), "k", "v").await;
    cluster.agree().await;
    for round in 0..2 {
        for member in 0..3 {
            cluster.end(member).await;
        }
        for member in 0..3 {
            // What the settings say of a cluster is of no account any more.
            let mut config = cluster.config(member);
            config.bootstrap = Bootstrap::Alone;
            config.client_urls = vec![format!("http://client{round}.test:2379")];
            cluster.open_with(member, config).await;
        }
        cluster.leader().await;
        for (_, member) in cluster.running() {
            assert_eq!(
                read(member, "k").unwrap(),
                b"v",
                "no state goes back by a restart"
            );
        }
        wait_for("the new client URLs", || async {
            let told = |member: &Member| {
                let members = member.members();
                members
                    .iter()
                    .all(|info| info.client_urls == [format!("http://client{round}.test:2379")])
            };
            cluster.running().all(|(_, member)| told(member)).then_some(())
        })
        .await;
    }
    cluster.shutdown().await;
}

#[tokio::test]
async fn the_embedded_default_becomes_growable_by_a_restart() {
    let mut cluster = Cluster::prepare(2).await;
    let mut alone = cluster.config(0);
    alone.bootstrap = Bootstrap::Alone;
    alone.peer_urls.clear();
    alone.listen_peers.clear();
    let member = Member::open(alone).await.unwrap();
    write(&member, "k", "v").await;
    let cluster_id = member.status().cluster_id;
    member.shutdown().await.unwrap();
    let mut reachable = cluster.config(0);
    reachable.bootstrap = Bootstrap::Alone;
    cluster.open_with(0, reachable).await;
    wait_for("its peer URLs", || async {
        let members = cluster.member(0).members();
        (members[0].peer_urls == cluster.config(0).peer_urls).then_some(())
    })
    .await;
    grow(&mut cluster, 1, &[0], 0).await;
    assert_eq!(cluster.member(1).status().cluster_id, cluster_id);
    assert_eq!(read(cluster.member(1), "k").unwrap(), b"v");
    cluster.shutdown().await;
}

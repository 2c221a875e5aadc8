//! Opening a member: what is on disk, in the order in which it is trusted.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use cfgstore_store::{Caller, Command, LeaseRevoke, Store};
use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::Fatal;
use openraft::{Config, SnapshotPolicy};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::append::Appender;
use crate::barrier::{Barrier, Confirm};
use crate::deliver::Deliver;
use crate::disk::Disk;
use crate::error::OpenError;
use crate::fatal::FatalHook;
use crate::forward::Forward;
use crate::identity::Identity;
use crate::leadership::{Contact, Leadership};
use crate::lease::Lessor;
use crate::lease_calls::{Asking, LeaseCalls, LeaseDesk};
use crate::maintenance::Maintenance;
use crate::member::Inner;
use crate::membership::lead::Lead;
use crate::membership::pass_on::Changes;
use crate::membership::{publish, silence};
use crate::peer::handshake::Refused;
use crate::peer::leader_service::Space;
use crate::peer::link::Peers;
use crate::peer::server::{Listeners, Services};
use crate::pending::Pending;
use crate::position::Position;
use crate::propose::{Origin, Proposer, QueueLimits};
use crate::raft::log_store::LogStore;
use crate::raft::network::Network;
use crate::raft::state_machine::{Published, StateMachine, Surroundings};
use crate::raft::types::Raft;
use crate::snapshot::{SnapshotDir, SnapshotError};
use crate::stats::Counters;
use crate::wal::index::next_index;
use crate::wal::log::Place;
use crate::wal::writer::Writer;
use crate::{Bootstrap, MemberConfig, bootstrap, checkpoint, identity, peer, restart, transfer, wal};

/// How long a start may take from the moment the log is read until the member serves.
const READY_TIMEOUT: Duration = Duration::from_secs(600);

/// Opens the member on this disk; sled and nothing else is outside of it.
pub(crate) async fn open(
    disk: Arc<dyn Disk>,
    config: MemberConfig,
    deliver: Deliver,
) -> Result<Arc<Inner>, OpenError> {
    config.validate()?;
    let listeners = Listeners::bind(&config.listen_peers)?;
    #[cfg(test)]
    if let Some(bound) = &config.bound {
        let _ = bound.send(listeners.addresses());
    }
    let settings = config.clone();
    let folder = disk.clone();
    let identity = blocking(move || prepare(&*folder, &settings)).await?;
    let is_new = identity.is_none();
    let identity = match identity {
        Some(identity) => identity,
        None => {
            let identity = bootstrap::identity(&config).await?;
            let (folder, dir) = (disk.clone(), config.data_dir.clone());
            blocking(move || identity::write(&*folder, &dir, identity)).await?;
            identity
        }
    };
    let settings = config.clone();
    let mut recovered = blocking(move || recover(disk, &settings, identity)).await?;
    recovered.is_new = is_new;
    start(config, recovered, listeners, deliver).await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, OpenError> + Send + 'static,
) -> Result<T, OpenError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| OpenError::Raft(error.to_string()))?
}

/// Everything the disk had to say.
struct Recovered {
    identity: Identity,
    /// The folder was empty.
    is_new: bool,
    place: Place,
    log: wal::log::Log,
    snapshots: SnapshotDir,
    store: Store,
    position: Position,
    maintenance: restart::Start,
}

/// Creates the folders, and reads who this member is; `None` when that is not settled yet.
fn prepare(disk: &dyn Disk, config: &MemberConfig) -> Result<Option<Identity>, OpenError> {
    let wal_dir = config.data_dir.join("wal");
    for (dir, private) in [(&config.data_dir, false), (&wal_dir, true)] {
        disk.create_dir(dir, private).map_err(|source| OpenError::Io {
            action: "create",
            path: dir.clone(),
            source,
        })?;
    }
    // A cheap way to notice another process in the same folder before anything is changed. It only helps once that one has
    // opened its checkpoint; keeping others out for good is the caller's duty.
    checkpoint::wait_unlocked(&config.data_dir.join("checkpoint"))
        .map_err(|_| OpenError::InUse(config.data_dir.clone()))?;
    let has_log = wal::recover::has_segments(disk, &wal_dir)?;
    identity::read(disk, &config.data_dir, has_log)
}

fn recover(disk: Arc<dyn Disk>, config: &MemberConfig, identity: Identity) -> Result<Recovered, OpenError> {
    let wal_dir = config.data_dir.join("wal");
    let owner = identity.owner;
    let place = Place {
        disk: disk.clone(),
        dir: wal_dir,
        owner,
        segment_size_bytes: config.segment_size_bytes,
    };
    let (log, cut) = wal::recover::open(place.clone())?;
    if let Some(cut) = cut {
        tracing::warn!(
            file = %cut.file.display(),
            offset = cut.offset,
            bytes = cut.bytes,
            "cut off an unfinished write at the end of the log; nothing in it was acknowledged"
        );
    }
    let snapshots = SnapshotDir::open(disk, config.data_dir.join("snapshot"), owner.cluster_id)
        .map_err(snapshot_error)?;
    let (store, position, maintenance) = restart::load(config, owner, &snapshots, &log)?;
    // Only a cluster's member may be ahead of its log: it has installed a leader's snapshot. Alone, its log has lost its
    // end.
    let alone = position.membership.membership().nodes().count() <= 1;
    let applied = position.log_id.max(maintenance.progress.applied);
    if alone && next_index(applied) > next_index(log.state.last) {
        return Err(OpenError::LogTooShort {
            applied_index: applied.map_or(0, |log_id| log_id.index),
            last_index: log.state.last.map_or(0, |log_id| log_id.index),
        });
    }
    Ok(Recovered {
        identity,
        is_new: false,
        place,
        log,
        snapshots,
        store,
        position,
        maintenance,
    })
}

pub(crate) fn snapshot_error(error: SnapshotError) -> OpenError {
    match error {
        SnapshotError::Io { action, path, source } => OpenError::Io { action, path, source },
        other => OpenError::Raft(other.to_string()),
    }
}

async fn start(
    config: MemberConfig,
    recovered: Recovered,
    listeners: Listeners,
    deliver: Deliver,
) -> Result<Arc<Inner>, OpenError> {
    let Recovered {
        identity,
        is_new,
        place,
        log,
        snapshots,
        store,
        position,
        maintenance,
    } = recovered;
    let owner = place.owner;
    // What was applied once is committed, though the log may not say so yet: no state goes back in time by a restart.
    let mut wal_state = log.state;
    let applied = maintenance.progress.applied;
    if next_index(applied) <= next_index(wal_state.last) {
        wal_state.committed = wal_state.committed.max(applied);
    }
    let counters = Arc::new(Counters::default());
    let writer =
        Writer::start(log, counters.clone(), config.fatal.clone()).map_err(|source| OpenError::Io {
            action: "start the threads for",
            path: place.dir.clone(),
            source,
        })?;
    let log = LogStore::new(writer, wal_state);
    let published = Published::new(position);
    let lessor = Lessor::default();
    let proposer = Proposer::new(QueueLimits {
        request_bytes: config.max_request_bytes,
        batch_commands: config.max_batch_commands,
        batch_bytes: config.max_batch_bytes,
        queued_commands: config.max_queued_commands,
        queued_bytes: config.max_queued_bytes,
    });
    let session = identity::random_u64().map_err(|source| OpenError::Io {
        action: "draw random numbers from",
        path: "/dev/urandom".into(),
        source,
    })?;
    let pending = Pending::new(owner.member_id, session, proposer.clone(), deliver.clone());
    let surroundings = Surroundings {
        lessor: lessor.clone(),
        pending: Some(pending.clone()),
        snapshots: snapshots.clone(),
        log: Some(log.clone()),
        entry_cache_bytes: config.entry_cache_bytes,
        counters: counters.clone(),
        fatal: config.fatal.clone(),
    };
    let state_machine = StateMachine::new(store, published.clone(), surroundings);
    let raft_config = raft_config(&config, owner.cluster_id)?;
    let (refused, refusals) = mpsc::unbounded_channel();
    let peers = Peers::new(&config, identity, published.clone(), counters.clone(), refused);
    let network = Network {
        peers: peers.clone(),
        snapshots: transfer::Sender {
            peers: peers.clone(),
            snapshots: snapshots.clone(),
            published: published.clone(),
        },
        append_timeout: Duration::from_millis(config.election_timeout_min_ms),
        backoff: Duration::from_millis(config.heartbeat_interval_ms),
    };
    let raft = Raft::new(owner.member_id, raft_config, network, log.clone(), state_machine)
        .await
        .map_err(|error| OpenError::Raft(error.to_string()))?;
    let lead = Lead::new(&config, raft.clone(), counters.clone());
    let changes = Changes::new(
        &config,
        lead.clone(),
        raft.clone(),
        peers.clone(),
        published.clone(),
        Handle::current(),
    );
    let listening = listeners.addresses();
    if !raft
        .is_initialized()
        .await
        .map_err(|error| OpenError::Raft(error.to_string()))?
    {
        let members = bootstrap::first_members(&config, identity, is_new).await?;
        if let Some(members) = members {
            raft.initialize(members)
                .await
                .map_err(|error| OpenError::Raft(error.to_string()))?;
        }
    }
    let timing = Timing::new(&config);
    let contact = Contact::new();
    let leadership = Leadership::new(raft.clone(), owner.member_id, contact.clone(), timing.silence);
    let barrier = Barrier::default();
    let desk = LeaseDesk {
        barrier: barrier.clone(),
        lessor: lessor.clone(),
        published: published.clone(),
        counters: counters.clone(),
    };
    let space = Space {
        log: log.clone(),
        reserve_bytes: 2 * (config.max_request_bytes + config.max_batch_bytes) as u64 + (64 << 10),
    };
    let appender = Appender::new(config.max_batch_bytes);
    let services = Services {
        identity,
        raft: raft.clone(),
        published: published.clone(),
        contact,
        leadership: leadership.clone(),
        proposer: proposer.clone(),
        appender: appender.clone(),
        desk: desk.clone(),
        space: space.clone(),
        lead: lead.clone(),
        snapshots: snapshots.clone(),
        counters: counters.clone(),
        keep_alive: timing.call,
    };
    // Not before the first membership is in the log: a vote that comes earlier would take its place.
    let mut tasks = peer::server::serve(listeners, &services)?;
    become_ready(&raft, owner.member_id, next_index(wal_state.last)).await?;
    if is_new && matches!(config.bootstrap, Bootstrap::Existing { .. }) {
        joined(&published, owner.member_id).await?;
    }

    let maintenance = Maintenance::start(
        &config,
        maintenance,
        snapshots,
        published.clone(),
        log.clone(),
        counters.clone(),
    )
    .map_err(|source| OpenError::Io {
        action: "start the threads for",
        path: config.data_dir.clone(),
        source,
    })?;
    let lease_calls = LeaseCalls::default();
    let forward = Forward {
        leadership: leadership.clone(),
        peers: peers.clone(),
        proposer: proposer.clone(),
        appender: appender.clone(),
        pending,
        deliver: deliver.clone(),
        patience: timing.patience,
        connect: timing.call,
        backoff: timing.backoff,
    };
    let confirm = Confirm {
        leadership: leadership.clone(),
        peers: peers.clone(),
        published: published.clone(),
        deliver: deliver.clone(),
        counters: counters.clone(),
        limit: timing.call,
        backoff: timing.backoff,
    };
    let asking = Asking {
        leadership: leadership.clone(),
        peers: peers.clone(),
        desk,
        deliver,
        limit: timing.call,
        backoff: timing.backoff,
    };
    let removed = watch::Sender::new(false);
    tasks.extend([
        tokio::spawn(obey_refusals(refusals, removed.clone(), config.fatal.clone())),
        tokio::spawn(forward.run()),
        tokio::spawn(appender.run(raft.clone())),
        tokio::spawn(barrier.clone().run(confirm)),
        tokio::spawn(lease_calls.clone().run(asking)),
        follow_leadership(
            raft.clone(),
            lessor.clone(),
            published.clone(),
            owner.member_id,
            counters.clone(),
        ),
        tokio::spawn(lead.keep_up(Duration::from_millis(config.heartbeat_interval_ms))),
        tokio::spawn(silence::run(
            peers.clone(),
            leadership.clone(),
            published.clone(),
            timing.silence,
        )),
        tokio::spawn(publish::run(
            config.clone(),
            identity,
            published.clone(),
            changes.clone(),
            removed.clone(),
        )),
        tokio::spawn(revoke_expired(lessor.clone(), proposer.clone())),
        tokio::spawn(maintenance.clone().run(raft.clone())),
        tokio::spawn(watch_raft(raft.clone(), config.fatal.clone())),
    ]);
    Ok(Arc::new(Inner {
        config,
        owner,
        counters,
        listening,
        removed,
        changes,
        raft,
        log,
        published,
        proposer,
        barrier,
        lessor,
        maintenance,
        tasks: tasks.into(),
        ended: tokio::sync::Mutex::new(None),
        space,
        leadership,
        lease_calls,
    }))
}

/// Times that follow from the settings.
struct Timing {
    /// A leader that is silent for this long is none: elections begin before.
    silence: Duration,
    /// How long a call to another member may take.
    call: Duration,
    /// How long to wait before what failed is tried again.
    backoff: Duration,
    /// How long a proposal waits for a leader. Less than its caller waits, who then learns that nothing was written.
    patience: Duration,
}

impl Timing {
    fn new(config: &MemberConfig) -> Self {
        let millis = Duration::from_millis;
        let propose = config.propose_timeout_ms;
        Self {
            silence: millis(config.election_timeout_max_ms),
            call: millis(config.election_timeout_min_ms),
            backoff: millis((config.heartbeat_interval_ms / 2).clamp(1, 50)),
            patience: millis(propose - (propose / 10).min(500)),
        }
    }
}

fn raft_config(config: &MemberConfig, cluster_id: u64) -> Result<Arc<Config>, OpenError> {
    let raft = Config {
        cluster_name: format!("{cluster_id:016x}"),
        // A follower counts on its leader for openraft's longer time, and campaigns after another that lies between the two: within
        // our longest in all.
        election_timeout_min: config.election_timeout_max_ms * 3 / 10,
        election_timeout_max: config.election_timeout_max_ms / 2,
        heartbeat_interval: config.heartbeat_interval_ms,
        // Snapshots and purges are decided by the maintenance thread.
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: u64::MAX,
        purge_batch_size: 256,
        install_snapshot_timeout: 60_000,
        enable_pre_vote: Some(true),
        // A member that restarts asks for votes again: its log may have lost entries that others committed.
        enable_leader_restore: Some(false),
        ..Config::default()
    };
    raft.validate()
        .map(Arc::new)
        .map_err(|error| OpenError::Raft(error.to_string()))
}

/// Waits until everything in the log when it was opened is applied. A group of one also elects itself, at once.
async fn become_ready(raft: &Raft, member_id: u64, next_index: u64) -> Result<(), OpenError> {
    let fatal = |error: &dyn std::fmt::Display| OpenError::Raft(error.to_string());
    let mut receiver = raft.metrics();
    let mut elected = false;
    let ready = async {
        loop {
            let (known, alone, leader, applied) = {
                let metrics = receiver.borrow_watched();
                metrics.running_state.as_ref().map_err(|error| fatal(error))?;
                let mut voters = metrics.membership_config.voter_ids();
                let first = voters.next();
                let alone = first == Some(member_id) && voters.next().is_none();
                let applied = metrics.last_applied.as_ref().map_or(0, |log_id| log_id.index + 1);
                // Until the Raft task has run for the first time, the metrics say nothing.
                (
                    first.is_some(),
                    alone,
                    metrics.current_leader == Some(member_id),
                    applied,
                )
            };
            // In a cluster the log's end may be uncommitted; it is up to the leader to say.
            if known && (!alone || (leader && applied >= next_index.max(1))) {
                return Ok(());
            }
            if alone && !leader && !elected {
                elected = true;
                raft.trigger().elect(false).await.map_err(|error| fatal(&error))?;
            }
            receiver.changed().await.map_err(|error| fatal(&error))?;
        }
    };
    match tokio::time::timeout(READY_TIMEOUT, ready).await {
        Ok(ready) => ready,
        Err(_) => Err(OpenError::NotReady {
            waited_ms: READY_TIMEOUT.as_millis() as u64,
            state: raft.metrics().borrow_watched().to_string(),
        }),
    }
}

/// Ends this member's part in the cluster when the others say that it has none any more.
async fn obey_refusals(
    mut refusals: mpsc::UnboundedReceiver<Refused>,
    removed: watch::Sender<bool>,
    fatal: FatalHook,
) {
    while let Some(refused) = refusals.recv().await {
        match refused {
            Refused::Removed => {
                if !removed.send_replace(true) {
                    tracing::warn!("this member was removed from the cluster");
                }
            }
            Refused::AnotherLife(reason) => return fatal.call(&reason),
        }
    }
}

/// Waits until a new member's state is one that knows the member: what comes before is older than itself.
async fn joined(published: &Published, member_id: u64) -> Result<(), OpenError> {
    let mut applied = published.applied_index();
    let joined = applied.wait_for(|_| {
        let membership = published.position().membership;
        membership.membership().get_node(&member_id).is_some()
    });
    match tokio::time::timeout(READY_TIMEOUT, joined).await {
        Ok(_) => Ok(()),
        Err(_) => Err(OpenError::NotReady {
            waited_ms: READY_TIMEOUT.as_millis() as u64,
            state: "the leader has not brought it in".to_owned(),
        }),
    }
}

/// Raft's own task ends only when the member does; otherwise it has met a broken invariant, or storage that failed.
async fn watch_raft(raft: Raft, fatal: FatalHook) {
    let mut receiver = raft.metrics();
    loop {
        let state = receiver.borrow_watched().running_state.clone();
        match state {
            Ok(()) => {}
            Err(Fatal::Stopped) => return,
            Err(error) => return fatal.call(&format!("Raft cannot go on: {error}")),
        }
        if receiver.changed().await.is_err() {
            return;
        }
    }
}

/// Keeps lease deadlines for as long as this member leads, and counts leaders.
fn follow_leadership(
    raft: Raft,
    lessor: Lessor,
    published: Published,
    member_id: u64,
    counters: Arc<Counters>,
) -> JoinHandle<()> {
    let receiver = raft.server_metrics();
    let mut leading_term = None;
    let mut leader = None;
    let mut follow = move || {
        let term = {
            let metrics = receiver.borrow_watched();
            let newest = metrics.current_leader.map(|id| (metrics.vote.leader_id.term, id));
            if newest.is_some() && newest != leader {
                leader = newest;
                counters.leader_changes.fetch_add(1, Relaxed);
            }
            (metrics.current_leader == Some(member_id)).then_some(metrics.vote.leader_id.term)
        };
        if term != leading_term {
            match term {
                Some(_) => lessor.start_leading(|| published.state()),
                None => lessor.stop_leading(),
            }
            leading_term = term;
        }
    };
    // Before the first answer to anyone, so that a lease is never without a deadline.
    follow();
    let mut receiver = raft.server_metrics();
    tokio::spawn(async move {
        loop {
            follow();
            if receiver.changed().await.is_err() {
                return;
            }
        }
    })
}

/// Proposes the end of leases that have expired.
async fn revoke_expired(lessor: Lessor, proposer: Proposer) {
    loop {
        for id in lessor.expired().await {
            let command = Command::LeaseRevoke(LeaseRevoke { id });
            match proposer.enqueue(Caller::default(), command, Origin::Member) {
                Ok(receiver) => {
                    let lessor = lessor.clone();
                    tokio::spawn(async move {
                        match receiver.await {
                            // Applied: the state machine has told the lessor, or the lease was gone already.
                            Ok(Ok(applied)) if applied.result.is_ok() => {}
                            Ok(Ok(_)) => lessor.revoked(id),
                            Ok(Err(_)) | Err(_) => lessor.retry(id),
                        }
                    });
                }
                Err(_) => lessor.retry(id),
            }
        }
    }
}

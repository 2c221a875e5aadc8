//! Making the data folder of one first member of a new cluster that begins with a given state.
//!
//! The folder is as if the member had installed a snapshot: a snapshot file that covers entry 1, and a log that is
//! purged up to it. Every member's first entry is the same by construction, as with `Raft::initialize`; that it is not
//! entry 0, with which a cluster without a past begins, lets a member that was not restored find that it lags, and get
//! the state from the others.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::Arc;

use cfgstore_store::Store;

use crate::bootstrap::InitialCluster;
use crate::cluster::Bootstrap;
use crate::config::MemberConfig;
use crate::disk::{Disk, RealDisk};
use crate::error::{ConfigError, OpenError};
use crate::identity::{self, Identity, random_u64};
use crate::open::snapshot_error;
use crate::position::Position;
use crate::raft::types::{MemberNode, Membership, StoredMembership, from_wal_id};
use crate::snapshot::SnapshotDir;
use crate::wal;
use crate::wal::format::{LogId, Record};
use crate::wal::log::{Owner, Place, Spare, SpareSource, prepare_spare, remove_segments};

/// The entry that the restored state stands for.
const RESTORED: LogId = LogId {
    term: 0,
    leader: 0,
    index: 1,
};

/// Who a restored member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestoredMember {
    /// Id of the new cluster.
    pub cluster_id: u64,
    /// Id of the member.
    pub member_id: u64,
}

/// Makes `config.data_dir`, which must be missing or empty, the data folder of a member of a new cluster whose first
/// state is `store`: the cluster of its own or the one that `config.bootstrap` describes. Durable when this returns;
/// [`Member::open`](crate::Member::open) starts from it. Blocks for as long as it takes to write the state.
///
/// Every member of the new cluster must be restored from the same state: nothing could tell them apart later.
///
/// # Errors
/// [`OpenError`]. A folder that was begun is left behind; a member refuses to start from it.
pub fn restore(config: &MemberConfig, store: &Store) -> Result<RestoredMember, OpenError> {
    restore_on(Arc::new(RealDisk), config, store)
}

fn restore_on(
    disk: Arc<dyn Disk>,
    config: &MemberConfig,
    store: &Store,
) -> Result<RestoredMember, OpenError> {
    config.validate()?;
    let (identity, members) = first_members(config)?;
    let owner = identity.owner;
    let dir = &config.data_dir;
    let io_error = |action, path: &Path| {
        let path = path.to_owned();
        move |source| OpenError::Io { action, path, source }
    };
    let wal_dir = dir.join("wal");
    disk.create_dir(dir, false).map_err(io_error("create", dir))?;
    if !disk.list(dir).map_err(io_error("list", dir))?.is_empty() {
        return Err(OpenError::NotEmpty(dir.clone()));
    }
    disk.create_dir(&wal_dir, true)
        .map_err(io_error("create", &wal_dir))?;

    let place = Place {
        disk: disk.clone(),
        dir: wal_dir.clone(),
        owner,
        segment_size_bytes: config.segment_size_bytes,
    };
    let (mut log, _) = wal::recover::open(place.clone())?;
    log.commit(&[Record::Purge(RESTORED)], &mut OnDemand(&place))
        .and_then(|unused| remove_segments(&*disk, &wal_dir, &unused))
        .map_err(io_error("write the log in", &wal_dir))?;

    let voters = BTreeSet::from_iter(members.keys().copied());
    let membership =
        Membership::new(vec![voters], members).map_err(|error| OpenError::Raft(error.to_string()))?;
    let position = Position {
        log_id: Some(RESTORED),
        membership: Arc::new(StoredMembership::new(Some(from_wal_id(RESTORED)), membership)),
        state: Arc::new(store.state()),
    };
    SnapshotDir::open(disk.clone(), dir.join("snapshot"), owner.cluster_id)
        .and_then(|snapshots| snapshots.write(&position))
        .map_err(snapshot_error)?;
    // Last: without it, a folder that holds a log is refused.
    identity::write(&*disk, dir, identity)?;
    Ok(RestoredMember {
        cluster_id: owner.cluster_id,
        member_id: owner.member_id,
    })
}

/// Who this member is, and all first members.
fn first_members(config: &MemberConfig) -> Result<(Identity, BTreeMap<u64, MemberNode>), OpenError> {
    let random = || {
        random_u64().map_err(|source| OpenError::Io {
            action: "draw random numbers from",
            path: "/dev/urandom".into(),
            source,
        })
    };
    let life = random()?;
    // A restored state begins with a membership that names this member.
    let identity = |owner| Identity {
        owner,
        life,
        since: Some(0),
    };
    match &config.bootstrap {
        Bootstrap::Alone => {
            let owner = Owner {
                cluster_id: random()?,
                member_id: random()?,
            };
            let node = MemberNode {
                name: config.name.clone(),
                peer_urls: config.peer_urls.clone(),
                client_urls: config.client_urls.clone(),
                life,
                ..MemberNode::default()
            };
            Ok((identity(owner), BTreeMap::from([(owner.member_id, node)])))
        }
        Bootstrap::New { members, token } => {
            let cluster = InitialCluster::new(config, members, token)?;
            let owner = Owner {
                cluster_id: cluster.cluster_id,
                member_id: cluster.member_id,
            };
            Ok((identity(owner), cluster.members))
        }
        Bootstrap::Existing { .. } => Err(OpenError::Config(ConfigError {
            setting: "bootstrap",
            reason: "a restore makes a new cluster; a member that joins one gets its data from the others"
                .to_owned(),
        })),
    }
}

/// Prepares a segment when it is needed: the first one already has room for what is written.
struct OnDemand<'a>(&'a Place);

impl SpareSource for OnDemand<'_> {
    fn take(&mut self, size_bytes: u64) -> io::Result<Spare> {
        prepare_spare(self.0, 0, size_bytes, false)
    }
}

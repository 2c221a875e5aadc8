//! Which cluster a client talks to, so that it never mixes two.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cfgstore_proto::etcdserverpb as pb;
use cfgstore_proto::etcdserverpb::cluster_client::ClusterClient;

use crate::call::on;
use crate::connection::Connection;

/// The one cluster that clients stay with: the one given, or else the first they reach. Clones are the same one.
///
/// Revisions of two clusters have nothing to do with each other, so a copy of one must not go on with the changes of
/// another that has taken its addresses.
#[derive(Debug, Clone, Default)]
pub struct ClusterPin(Arc<AtomicU64>);

impl ClusterPin {
    /// The cluster with this id; 0: the first one reached.
    pub fn new(id: u64) -> ClusterPin {
        ClusterPin(Arc::new(AtomicU64::new(id)))
    }

    /// Its id; 0: none was reached yet.
    pub fn id(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// The cluster is this one, unless one is known already.
    pub fn learn(&self, id: u64) {
        // An error means that one is.
        let _ = self
            .0
            .compare_exchange(0, id, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// An error unless the server is a member of this cluster.
    pub(crate) async fn check(&self, connection: &Connection) -> io::Result<()> {
        let request = pb::MemberListRequest::default();
        let answer = on!(ClusterClient, connection.clone())
            .member_list(request)
            .await
            .map_err(|status| io::Error::other(status.message().to_owned()))?;
        let found = answer.into_inner().header.map_or(0, |header| header.cluster_id);
        match self
            .0
            .compare_exchange(0, found, Ordering::Relaxed, Ordering::Relaxed)
        {
            Ok(_) => Ok(()),
            Err(known) if known == found => Ok(()),
            Err(known) => Err(io::Error::other(format!(
                "it belongs to cluster {found:016x}, and this host has a copy of cluster {known:016x}: another store; \
                 name that one's members, or end the agent and remove its folder to follow the other store"
            ))),
        }
    }
}

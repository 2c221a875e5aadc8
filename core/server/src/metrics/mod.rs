//! Counters of this process, and the page on which Prometheus finds them under etcd's names.

mod body;
mod calls;
mod collect;
mod notifications;
mod page;
mod process;

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};

pub(crate) use calls::{CallMetrics, CallMetricsLayer, Calls};
pub(crate) use collect::page;

use tokio::sync::watch;

use crate::http::{Check, Kind};
use crate::mirror_outlet::MirrorProgress;

/// What one server counts, besides what its member counts.
#[derive(Debug)]
pub(crate) struct Metrics {
    pub calls: Arc<Calls>,
    pub traffic: Arc<Traffic>,
    pub health: Health,
    /// How far the host's mirror is, once there is one.
    pub mirror: OnceLock<watch::Receiver<MirrorProgress>>,
}

impl Metrics {
    pub fn new() -> Metrics {
        Metrics {
            calls: Arc::new(Calls::new()),
            traffic: Arc::default(),
            health: Health::default(),
            mirror: OnceLock::new(),
        }
    }
}

/// Bytes exchanged with clients of gRPC, frames and headers included.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    pub sent: AtomicU64,
    pub received: AtomicU64,
}

/// What health checks found.
#[derive(Debug, Default)]
pub(crate) struct Health {
    successes: AtomicU64,
    failures: AtomicU64,
    checks: [[CheckCounts; Check::ALL.len()]; Kind::ALL.len()],
}

#[derive(Debug, Default)]
struct CheckCounts {
    successes: AtomicU64,
    errors: AtomicU64,
    /// 1 if the last one succeeded.
    last: AtomicU64,
}

impl Health {
    /// Counts one answer of `/health`.
    pub fn count(&self, healthy: bool) {
        let counter = if healthy { &self.successes } else { &self.failures };
        counter.fetch_add(1, Relaxed);
    }

    /// Counts one check of `/livez` or `/readyz`.
    pub fn count_check(&self, kind: Kind, check: Check, healthy: bool) {
        let counts = &self.checks[kind as usize][check as usize];
        let counter = if healthy {
            &counts.successes
        } else {
            &counts.errors
        };
        counter.fetch_add(1, Relaxed);
        counts.last.store(healthy.into(), Relaxed);
    }
}

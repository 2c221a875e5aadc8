//! Which member a client calls: one until it fails, then the next.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tonic::{Code, Status};

use super::shared::Shared;
use crate::cluster::Calls;

pub(super) struct Route {
    shared: Arc<Shared>,
    timeout: Duration,
    version: u64,
    members: Vec<(String, Calls)>,
    current: usize,
}

impl Route {
    /// Begins at the member with this number.
    pub fn new(shared: Arc<Shared>, first: usize, timeout: Duration) -> Route {
        let mut route = Route {
            shared,
            timeout,
            version: u64::MAX,
            members: Vec::new(),
            current: first,
        };
        route.refresh();
        route
    }

    fn refresh(&mut self) {
        let version = self.shared.endpoints_version.load(Ordering::Relaxed);
        if version == self.version {
            return;
        }
        self.version = version;
        let endpoints = self.shared.endpoints();
        self.members.retain(|(url, _)| endpoints.contains(url));
        for url in endpoints {
            if !self.members.iter().any(|(known, _)| *known == url) {
                let calls = Calls::new(&url, self.timeout);
                self.members.push((url, calls));
            }
        }
    }

    /// The member to call now, and its address.
    pub fn member(&mut self) -> (String, Calls) {
        self.refresh();
        let index = self.current % self.members.len();
        self.members[index].clone()
    }

    /// The one called failed: takes the next.
    pub fn failed(&mut self, what: &str, endpoint: &str, error: &Status) {
        self.shared.failed(what, endpoint, error);
        self.current += 1;
    }
}

/// Whether a write that ended so was certainly not done, and never will be.
pub(super) fn certainly_refused(error: &Status) -> bool {
    match error.code() {
        Code::InvalidArgument
        | Code::FailedPrecondition
        | Code::ResourceExhausted
        | Code::NotFound
        | Code::OutOfRange
        | Code::PermissionDenied
        | Code::Unauthenticated
        | Code::Unimplemented => true,
        Code::Unavailable => error.message() == "etcdserver: no leader" || not_connected(error),
        _ => false,
    }
}

/// Whether there was no connection to send it over.
fn not_connected(error: &Status) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        if error.to_string().contains("connect error") {
            return true;
        }
        source = error.source();
    }
    false
}

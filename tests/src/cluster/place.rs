//! Where a member runs: on this host's loopback, or in a network namespace of its own.

use std::path::Path;
use std::process::Command;

use super::ports::Port;
use crate::netns::Namespace;

/// The addresses of one member, and what keeps them its own.
#[derive(Debug)]
pub(super) struct Place {
    pub client_url: String,
    pub peer_url: String,
    /// Kept from others as long as the member exists, also while it is down.
    _ports: Vec<Port>,
    namespace: Option<Namespace>,
}

impl Place {
    /// Two free ports of 127.0.0.1.
    pub fn loopback() -> Place {
        let (client, peer) = (Port::free(), Port::free());
        Place {
            client_url: format!("http://127.0.0.1:{}", client.number()),
            peer_url: format!("http://127.0.0.1:{}", peer.number()),
            _ports: vec![client, peer],
            namespace: None,
        }
    }

    /// etcd's own ports at the address of a namespace.
    pub fn within(namespace: Namespace) -> Place {
        Place {
            client_url: format!("http://{}:2379", namespace.address()),
            peer_url: format!("http://{}:2380", namespace.address()),
            _ports: Vec::new(),
            namespace: Some(namespace),
        }
    }

    /// `program`, to run there.
    pub fn command(&self, program: &Path) -> Command {
        match &self.namespace {
            None => Command::new(program),
            Some(namespace) => namespace.command(program),
        }
    }

    /// The namespace.
    ///
    /// # Panics
    /// On loopback, which cannot be partitioned.
    pub fn namespace(&self) -> &Namespace {
        self.namespace
            .as_ref()
            .expect("a cluster in namespaces: Cluster::in_namespaces")
    }
}

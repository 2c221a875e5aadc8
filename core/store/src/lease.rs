//! Leases: what the replicated state knows of them. Deadlines are the leader's business, not the store's.

use crate::key::Key;
use crate::map::Map;

/// A lease and the keys attached to it. A clone is O(1).
#[derive(Clone)]
pub struct Lease {
    /// The id, not 0.
    pub id: i64,
    /// The time to live granted, in seconds.
    pub ttl_secs: i64,
    /// The live keys whose record names this lease. The value is nothing: this is a set.
    pub(crate) attached: Map<Key, ()>,
}

impl Lease {
    pub(crate) fn new(id: i64, ttl_secs: i64) -> Lease {
        Lease {
            id,
            ttl_secs,
            attached: Map::default(),
        }
    }

    /// How many keys are attached.
    pub fn key_count(&self) -> usize {
        self.attached.len()
    }

    /// The attached keys, in key order.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.attached.iter().map(|(key, ())| key)
    }
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lease")
            .field("id", &self.id)
            .field("ttl_secs", &self.ttl_secs)
            .field("keys", &self.keys().collect::<Vec<_>>())
            .finish()
    }
}

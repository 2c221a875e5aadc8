//! etcd's snapshot files: written from a [`State`](cfgstore_store::State), and read back into a
//! [`Store`](cfgstore_store::Store).
//!
//! Such a file is etcd's database as bbolt lays it out, and after it the SHA-256 of everything before. It holds every
//! revision that is not compacted, and the leases; [`EtcdSnapshot`] writes it, [`SnapshotFile`] reads it. Files of
//! etcd 3.4 to 3.6 are read; those written here are read by the tools of all of them.
//!
//! What is lost on the way: a lease keeps its time to live, not how much of it has passed. Users, roles and alarms are
//! not kept yet.

mod bolt;
mod content;
mod error;
mod load;
mod save;

pub use content::{MemberEntry, SnapshotSource};
pub use error::SnapshotError;
pub use load::{Loaded, SnapshotFile, SnapshotStatus};
pub use save::EtcdSnapshot;

/// Bytes of the SHA-256 that ends a snapshot file.
pub const TRAILER_BYTES: u64 = 32;

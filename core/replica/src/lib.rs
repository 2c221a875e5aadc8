//! One member of a cfgstore cluster, or the whole of one: a real Raft group, of one member until it is given more.
//!
//! [`Member`] is all that callers see. Below it, from the outside in:
//!
//! * `propose`, `forward`, `append`, `pending`: many callers' commands become a batch; the leader makes one log entry of the
//!   batches of all members; the member that proposed one answers when it applies it.
//! * `barrier`: many callers' reads become one confirmation of leadership.
//! * `lease`, `lease_calls`: the leader gives leases deadlines, and is asked for them.
//! * `leadership`: who leads, and whether it is heard from.
//! * `raft_thread`, `deliver`: the thread all of it runs on, and the way of answers back to the callers' runtime.
//! * `peer`: what members say to each other.
//! * `raft`: everything that knows openraft: the types it is instantiated with, its log and state machine, the network.
//! * `wal`: the write-ahead log. One group of writes, one frame, one sync. It knows no Raft.
//! * `snapshot`, `checkpoint`, `maintenance`: the state on disk. Snapshot files of our own allow the log to be purged; the
//!   sled checkpoint only makes starts fast.
//! * `bootstrap`, `identity`, `membership`: who the member is, how it comes by its cluster, who else is in it.
//! * `transfer`: snapshots sent to members that lag.
//! * `disk`: the file operations under log and snapshots, so that tests can cut the power.
//!
//! Invariants:
//!
//! * Nothing is acknowledged before it is durable on a quorum and applied here; a state is published before anyone is
//!   told of it.
//! * Votes, entries, truncations and purges reach the disk in the order in which Raft issued them.
//! * A failed write or sync of the log, and a panic of the state machine, end the process ([`FatalHook`]).
//! * The log reaches back to the older of the two newest snapshot files.
//! * Nothing that openraft defines is written to disk as it defines it.
//!
//! The formats are described byte by byte in `docs/wal-format.md`, `docs/checkpoint-format.md` and
//! `docs/snapshot-format.md`.

mod append;
mod barrier;
mod bootstrap;
mod checkpoint;
mod cluster;
mod config;
mod deliver;
mod disk;
mod error;
mod fatal;
mod forward;
mod identity;
mod leadership;
mod lease;
mod lease_calls;
mod maintenance;
mod member;
mod membership;
mod open;
mod peer;
mod pending;
mod position;
mod progress;
mod propose;
mod raft;
mod raft_thread;
mod restart;
mod restore;
mod snapshot;
mod stats;
mod status;
mod transfer;
mod wal;

pub use cluster::{Bootstrap, InitialMember, MemberInfo, MembershipError};
pub use config::MemberConfig;
pub use error::{BootstrapError, ConfigError, Damage, OpenError, ProposeError, ReadError, ShutdownError};
pub use fatal::FatalHook;
pub use member::{Applied, Member};
pub use restore::{RestoredMember, restore};
pub use stats::{Histogram, MemberStats, PeerStats, TransferStats};
pub use status::MemberStatus;

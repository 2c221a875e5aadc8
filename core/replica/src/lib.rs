//! One member of cfgstore: Raft, write-ahead log, checkpoint and snapshots.

mod barrier;
mod checkpoint;
mod config;
mod disk;
mod error;
mod fatal;
mod identity;
mod lease;
mod maintenance;
mod member;
mod open;
mod position;
mod propose;
mod raft;
mod snapshot;
mod status;
mod wal;

pub use config::MemberConfig;
pub use error::{ConfigError, Damage, OpenError, ProposeError, ReadError, ShutdownError};
pub use fatal::FatalHook;
pub use member::{Applied, Member};
pub use status::MemberStatus;

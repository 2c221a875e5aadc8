//! What one `cfgstored` process serves.
//!
//! A [`Server`] is one member and the agent of its host: it opens the member in its data folder, serves
//! etcd's gRPC API and `cfgstore.v1` on TCP and on a unix socket, and publishes the host's mirror. The binary
//! `cfgstored` is a thin shell around it; a program that embeds a member uses it through [`ServerThread`].

mod agent;
mod authority;
mod caller;
mod compactor;
mod config;
mod connection;
mod context;
mod convert;
mod data_dir;
mod disk_alarm;
mod duration;
pub mod embedded;
mod errors;
mod flags;
mod hash_kv;
mod hold;
mod hooks;
mod http;
mod inherited;
mod judge;
mod last_copy;
mod leader;
mod listen;
mod local_stream;
mod metrics;
mod mirror_feed;
mod mirror_outlet;
mod mutex;
mod notify;
mod outgoing;
mod oversize;
mod serve;
mod server;
mod service;
mod serving;
mod session;
mod start_error;
mod stop;
mod sys;
mod thread;
mod watch;

pub use agent::{Agent, AgentConfig};
pub use compactor::{AutoCompaction, BOUNDED_REVISIONS};
pub use config::{Config, DEFAULT_SECRETS_DIR, ListenAddress, MirrorUse};
pub use flags::Flags;
pub use hooks::{Hook, Hooks, MAX_HOOKS};
pub use server::Server;
pub use start_error::StartError;
pub use thread::ServerThread;

//! How a client is set up.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cfgstore_seal::LiveKeyring;

use crate::address::Address;
use crate::host::{self, HostPaths};

/// Settings of a client. Start from [`Options::default`] and change what differs.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whom to talk to. Default: the embedded store of this host.
    pub address: Address,
    /// Seals values under its patterns before they leave the process, and opens sealed ones that are read; patterns mean whole keys,
    /// the prefix included. Keys below [`RESERVED_PREFIX`](crate::RESERVED_PREFIX) are never sealed. Default: none, which sees sealed
    /// values as they are stored.
    pub keyring: Option<Arc<LiveKeyring>>,
    /// Put before every key, for example `/shop/prod/`; taken off keys in results. Default: empty.
    pub prefix: Vec<u8>,
    /// Data folder of the embedded store; agents have theirs below it. Default: [`host::default_data_dir`].
    pub data_dir: Option<PathBuf>,
    /// Folder for the shared-memory mirror, told to a `cfgstored` that is started. Default: its own choice.
    pub mirror_dir: Option<PathBuf>,
    /// Start `cfgstored` when nothing answers and the address is the embedded store or an agent for members.
    /// Default: true.
    pub autostart: bool,
    /// The `cfgstored` binary to start. Default: searched, see [`crate::autostart::find_binary`].
    pub cfgstored: Option<PathBuf>,
    /// A seed: a copy of the members' store, made on another machine, told to an agent that is started: what it serves until a
    /// member answers for the first time. Default: none; `cfgstored` itself looks at `$CFGSTORE_SEED`.
    pub seed: Option<PathBuf>,
    /// Name this client states to servers, unverified, for logs and history; at most 128 bytes of visible
    /// ASCII, anything else is replaced. Default: empty.
    pub client_name: String,
    /// Bound of one whole call, connecting and retries included. Default: 5 s.
    pub call_timeout: Duration,
    /// Bound of one attempt to connect to one address. Default: 1 s.
    pub connect_timeout: Duration,
    /// Bound of waiting for a `cfgstored` that is being started; the call's own bound also holds. Default: 10 s.
    pub start_timeout: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            address: Address::Embedded,
            keyring: None,
            prefix: Vec::new(),
            data_dir: None,
            mirror_dir: None,
            autostart: true,
            cfgstored: None,
            seed: None,
            client_name: String::new(),
            call_timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(1),
            start_timeout: Duration::from_secs(10),
        }
    }
}

impl Options {
    /// The files of this host: those of the embedded store, or of the agent for the members named.
    pub fn host_paths(&self) -> HostPaths {
        let data_dir = self.data_dir.clone().unwrap_or_else(host::default_data_dir);
        match &self.address {
            Address::Agent(members) => HostPaths::new(host::agent_folder(&data_dir, members)),
            Address::Embedded | Address::Unix(_) | Address::Members(_) => HostPaths::new(data_dir),
        }
    }
}

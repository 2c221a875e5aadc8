//! Settings of a server, their defaults and limits.

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use cfgstore_client::host::HostPaths;
use cfgstore_replica::{Bootstrap, MemberConfig};
use tokio::sync::Semaphore;

use crate::compactor::AutoCompaction;
use crate::start_error::{MAX_SOCKET_PATH_BYTES, StartError};

/// What a request may take on the wire beyond `max_request_bytes` before it is refused unread (etcd's
/// allowance).
pub(crate) const GRPC_OVERHEAD_BYTES: usize = 512 * 1024;

/// Where members look for the secrets of notification rules.
pub const DEFAULT_SECRETS_DIR: &str = "/etc/cfgstore/secrets";

/// An address to serve on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// A TCP address; port 0 lets the system choose.
    Tcp(SocketAddr),
    /// The absolute path of a unix socket.
    Unix(PathBuf),
}

impl ListenAddress {
    /// Reads `http://host:port` or `unix:///path`. A host name is resolved, and must name one address here.
    pub fn parse(url: &str) -> Result<ListenAddress, String> {
        if let Some(path) = url.strip_prefix("unix://") {
            if !path.starts_with('/') {
                return Err(format!(
                    "{url:?} must name an absolute path, as in unix:///run/cfgstore.sock"
                ));
            }
            return Ok(ListenAddress::Unix(path.into()));
        }
        if url.starts_with("https://") || url.starts_with("unixs://") {
            return Err(format!(
                "{url:?} asks for TLS, which this version does not serve; use http:// or unix://"
            ));
        }
        let Some(authority) = url.strip_prefix("http://") else {
            return Err(format!(
                "{url:?} is not an address; use http://host:port or unix:///path"
            ));
        };
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let mut found = authority
            .to_socket_addrs()
            .map_err(|error| format!("{url:?} does not name an address with a port: {error}"))?;
        found
            .next()
            .map(ListenAddress::Tcp)
            .ok_or_else(|| format!("{url:?} names no address"))
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListenAddress::Tcp(address) => write!(f, "http://{address}"),
            ListenAddress::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

/// When a server keeps the mirror of its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MirrorUse {
    /// From its start on.
    Always,
    /// From when a process of the host first asks for it over the host's socket, and then for good: a member of a cluster mostly runs
    /// where nobody reads one, and it takes CPU time with each write, and twice the memory of the data.
    OnDemand,
}

/// Settings of one server. Build it with [`Config::new`] and change what differs.
///
/// Every limit bounds something that would otherwise grow with load or with time.
#[derive(Clone, Debug)]
pub struct Config {
    /// Folder of all files of this host. Created (mode 0750) when missing; one process at a time may use it.
    pub data_dir: PathBuf,
    /// Human-readable name of the member.
    pub name: String,
    /// Addresses to serve on besides `socket`; none by default.
    pub listen: Vec<ListenAddress>,
    /// URLs that the member list gives to clients; those of `listen` when empty.
    pub advertise_client_urls: Vec<String>,
    /// The host's unix socket; `<data_dir>/cfgstore.sock` when `None`.
    pub socket: Option<PathBuf>,
    /// Folder of the mirror; one of its own under `/dev/shm`, found through `<data_dir>/mirror`, when `None`.
    pub mirror_dir: Option<PathBuf>,
    /// When the mirror is kept. With `mirror_dir`, always.
    pub mirror_use: MirrorUse,

    /// Addresses at which metrics and health are served too, and nothing else; none by default.
    pub listen_metrics: Vec<ListenAddress>,
    /// Addresses for HTTP alone. If there are any, those of `listen` serve gRPC alone; none by default.
    pub listen_http: Vec<ListenAddress>,
    /// Origins whose web pages may read answers over HTTP; `*` stands for all of them, which is the default.
    pub cors: Vec<String>,
    /// Host names that requests over HTTP may be sent to; `*` stands for all of them, which is the default.
    pub host_whitelist: Vec<String>,
    /// Show how long calls take, by method, among the metrics.
    pub extensive_metrics: bool,

    /// Addresses to listen on for other members; none by default.
    pub listen_peers: Vec<SocketAddr>,
    /// URLs that other members reach this one at.
    pub peer_urls: Vec<String>,
    /// How a data folder without a member comes by its cluster. By default, one of its own.
    pub bootstrap: Bootstrap,
    /// Refuse changes of the membership that would put the majority at risk. Default true.
    pub strict_reconfig_check: bool,
    /// Most learners at once. Default 1.
    pub max_learners: usize,

    /// Largest request, in bytes. Default 1.5 MiB.
    pub max_request_bytes: usize,
    /// Most comparisons, and most operations on either path, of a transaction. Default 128.
    pub max_txn_ops: usize,
    /// Bytes of live data above which puts are refused. Default 2 GiB.
    pub quota_backend_bytes: u64,
    /// Connections that may be open at once over TCP, and as many over unix sockets. Default 65,536; further ones wait to
    /// be accepted.
    pub max_connections: usize,
    /// Calls and streams that may be open at once on one connection. Default 16,384; further ones wait.
    pub max_concurrent_streams: u32,
    /// Watches on one stream. Default 10,000; further ones are refused.
    pub max_watches_per_stream: usize,
    /// Watches on this member. Default 1,000,000 (some 500 bytes each); further ones are refused.
    pub max_watches: usize,
    /// How often a watch that asked for it, and had no events meanwhile, is told the revision it has reached.
    /// Default 10 minutes; at least 100 ms.
    pub watch_progress_notify_interval: Duration,
    /// How often a client on TCP that sends nothing is asked whether it is there. Default 30 s.
    pub grpc_keepalive_interval: Duration,
    /// How long it may take to answer; then its connection is closed, and its watches end. Default 20 s.
    pub grpc_keepalive_timeout: Duration,

    /// Interval of a leader's heartbeats, in milliseconds. Default 200.
    pub heartbeat_interval_ms: u64,
    /// Time without a heartbeat before an election, in milliseconds. Default 1000. Leases live at least 1.5
    /// times as long.
    pub election_timeout_ms: u64,
    /// Log entries between checkpoints. Default 20,000.
    pub snapshot_count: u64,
    /// What compacts history by itself. By default it is bounded, as nobody looks after such a store.
    pub auto_compaction: AutoCompaction,
    /// How long a clean shutdown waits for calls in flight. Default 5 s.
    pub shutdown_grace: Duration,
    /// Folder in which notification rules find secrets (`file:PATH`). Default [`DEFAULT_SECRETS_DIR`]; it need not exist.
    pub notify_secrets_dir: PathBuf,
    /// How long a notification is tried before it becomes a dead letter. Default 24 hours.
    pub notify_give_up_after: Duration,
}

impl Config {
    /// Defaults for a host whose files live in `data_dir`: its unix socket and nothing else.
    pub fn new(data_dir: impl Into<PathBuf>) -> Config {
        Config {
            data_dir: data_dir.into(),
            name: "default".to_owned(),
            listen: Vec::new(),
            advertise_client_urls: Vec::new(),
            socket: None,
            mirror_dir: None,
            mirror_use: MirrorUse::Always,
            listen_metrics: Vec::new(),
            listen_http: Vec::new(),
            cors: vec!["*".to_owned()],
            host_whitelist: vec!["*".to_owned()],
            extensive_metrics: false,
            listen_peers: Vec::new(),
            peer_urls: Vec::new(),
            bootstrap: Bootstrap::Alone,
            strict_reconfig_check: true,
            max_learners: 1,
            max_request_bytes: 3 << 19,
            max_txn_ops: 128,
            quota_backend_bytes: 2 << 30,
            max_connections: 65_536,
            max_concurrent_streams: 16_384,
            max_watches_per_stream: 10_000,
            max_watches: 1_000_000,
            watch_progress_notify_interval: Duration::from_secs(600),
            grpc_keepalive_interval: Duration::from_secs(30),
            grpc_keepalive_timeout: Duration::from_secs(20),
            heartbeat_interval_ms: 200,
            election_timeout_ms: 1_000,
            snapshot_count: 20_000,
            auto_compaction: AutoCompaction::Bounded,
            shutdown_grace: Duration::from_secs(5),
            notify_secrets_dir: DEFAULT_SECRETS_DIR.into(),
            notify_give_up_after: Duration::from_secs(24 * 3600),
        }
    }

    /// Refuses settings that are out of range or contradict each other.
    pub fn validate(&self) -> Result<(), StartError> {
        let refuse = |setting, reason: String| Err(StartError::Config { setting, reason });
        if self.max_request_bytes == 0 || self.max_request_bytes > 256 << 20 {
            return refuse(
                "--max-request-bytes",
                format!("is {}, must be between 1 and 256 MiB", self.max_request_bytes),
            );
        }
        if self.max_txn_ops == 0 {
            return refuse("--max-txn-ops", "must be at least 1".into());
        }
        if self.watch_progress_notify_interval < Duration::from_millis(100) {
            return refuse(
                "--watch-progress-notify-interval",
                format!(
                    "is {:?}, must be at least 100ms",
                    self.watch_progress_notify_interval
                ),
            );
        }
        if self.grpc_keepalive_interval.is_zero() || self.grpc_keepalive_timeout.is_zero() {
            return refuse(
                "--grpc-keepalive-interval and --grpc-keepalive-timeout",
                "must be more than 0".into(),
            );
        }
        if self.max_connections == 0 || self.max_connections > Semaphore::MAX_PERMITS {
            return refuse("--max-connections", "must be at least 1".into());
        }
        if self.max_concurrent_streams == 0 {
            return refuse("--max-concurrent-streams", "must be at least 1".into());
        }
        if self.quota_backend_bytes < self.max_request_bytes as u64 {
            return refuse(
                "--quota-backend-bytes",
                format!(
                    "is {}, must hold at least one request of --max-request-bytes ({})",
                    self.quota_backend_bytes, self.max_request_bytes
                ),
            );
        }
        if self.election_timeout_ms > 50_000 {
            return refuse(
                "--election-timeout",
                format!("is {} ms, at most 50000 are allowed", self.election_timeout_ms),
            );
        }
        if self.election_timeout_ms < 5 * self.heartbeat_interval_ms {
            return refuse(
                "--election-timeout",
                format!(
                    "is {} ms, must be at least five times --heartbeat-interval ({} ms), or one late heartbeat would depose the leader",
                    self.election_timeout_ms, self.heartbeat_interval_ms
                ),
            );
        }
        self.member_config()
            .validate()
            .map_err(|error| StartError::Config {
                setting: error.setting,
                reason: error.reason,
            })?;
        let sockets = self.listen.iter().filter_map(|address| match address {
            ListenAddress::Unix(path) => Some(path.clone()),
            ListenAddress::Tcp(_) => None,
        });
        for path in sockets.chain([self.socket_path()]) {
            let length = path.as_os_str().len();
            if length > MAX_SOCKET_PATH_BYTES {
                return Err(StartError::SocketPathTooLong { path, length });
            }
        }
        Ok(())
    }

    /// The files of this host.
    pub fn paths(&self) -> HostPaths {
        HostPaths::new(&self.data_dir)
    }

    /// The host's unix socket.
    pub fn socket_path(&self) -> PathBuf {
        self.socket.clone().unwrap_or_else(|| self.paths().socket())
    }

    /// The shortest lease that is granted, in seconds: one that outlives an election.
    pub(crate) fn min_lease_ttl_secs(&self) -> i64 {
        (self.election_timeout_ms * 3).div_ceil(2_000) as i64
    }

    /// Longest request that is read off the wire at all.
    pub(crate) fn max_wire_bytes(&self) -> usize {
        self.max_request_bytes + GRPC_OVERHEAD_BYTES
    }

    /// The member's part of the settings.
    pub(crate) fn member_config(&self) -> MemberConfig {
        let mut member = MemberConfig::new(&self.data_dir);
        member.name = self.name.clone();
        member.client_urls = self.client_urls();
        member.listen_peers = self.listen_peers.clone();
        member.peer_urls = self.peer_urls.clone();
        member.bootstrap = self.bootstrap.clone();
        member.strict_reconfig_check = self.strict_reconfig_check;
        member.max_learners = self.max_learners;
        // What was measured against the limit is the request; its encoding in the log differs by a few bytes
        // per operation, so the member's own limit must never be the one that refuses.
        member.max_request_bytes = self.max_wire_bytes();
        let least_segment = 4 * (member.max_request_bytes + member.max_batch_bytes) as u64 + (64 << 10);
        member.segment_size_bytes = member
            .segment_size_bytes
            .max(least_segment.next_multiple_of(1 << 20));
        member.max_queued_bytes = member.max_queued_bytes.max(4 * member.max_request_bytes);
        member.heartbeat_interval_ms = self.heartbeat_interval_ms;
        // etcd's: an election may come between, and fail once.
        member.propose_timeout_ms = 5_000 + 2 * self.election_timeout_ms;
        member.read_timeout_ms = member.propose_timeout_ms;
        member.election_timeout_min_ms = self.election_timeout_ms;
        member.election_timeout_max_ms = self.election_timeout_ms * 2;
        member.checkpoint_log_entries = self.snapshot_count;
        member
    }

    /// URLs that the member list gives to clients.
    pub(crate) fn client_urls(&self) -> Vec<String> {
        if self.advertise_client_urls.is_empty() {
            self.listen.iter().map(ToString::to_string).collect()
        } else {
            self.advertise_client_urls.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_those_of_etcd() {
        let config = Config::new("/d");
        config.validate().unwrap();
        assert_eq!(config.max_request_bytes, 1_572_864);
        assert_eq!(config.min_lease_ttl_secs(), 2);
        assert_eq!(config.max_wire_bytes(), 2 << 20);
    }

    #[test]
    fn contradictions_name_the_flag() {
        let check = |change: fn(&mut Config), text: &str| {
            let mut config = Config::new("/d");
            change(&mut config);
            let error = config.validate().unwrap_err().to_string();
            assert!(error.contains(text), "{error}");
        };
        check(|c| c.max_request_bytes = 0, "--max-request-bytes");
        check(|c| c.max_txn_ops = 0, "--max-txn-ops");
        check(|c| c.heartbeat_interval_ms = 900, "--heartbeat-interval");
        check(|c| c.election_timeout_ms = 60_000, "--election-timeout");
        check(|c| c.quota_backend_bytes = 1 << 20, "--quota-backend-bytes");
        check(
            |c| c.watch_progress_notify_interval = Duration::from_millis(99),
            "100ms",
        );
        check(|c| c.snapshot_count = 0, "checkpoint_log_entries");
        check(
            |c| c.data_dir = format!("/{}", "d".repeat(120)).into(),
            "--socket",
        );
        check(
            |c| c.listen.push(ListenAddress::Unix("/s".repeat(60).into())),
            "107",
        );
    }

    #[test]
    fn large_requests_get_large_segments() {
        let mut config = Config::new("/d");
        config.max_request_bytes = 64 << 20;
        config.validate().unwrap();
    }

    #[test]
    fn addresses() {
        let tcp = ListenAddress::parse("http://127.0.0.1:2379").unwrap();
        assert_eq!(tcp, ListenAddress::Tcp("127.0.0.1:2379".parse().unwrap()));
        assert_eq!(tcp.to_string(), "http://127.0.0.1:2379");
        assert_eq!(
            ListenAddress::parse("unix:///run/x").unwrap(),
            ListenAddress::Unix("/run/x".into())
        );
        for (url, text) in [
            ("https://127.0.0.1:1", "TLS"),
            ("127.0.0.1:1", "http://host:port"),
            ("http://127.0.0.1", "port"),
            ("unix://x", "absolute"),
            ("", "not an address"),
        ] {
            let error = ListenAddress::parse(url).unwrap_err();
            assert!(error.contains(text), "{url}: {error}");
        }
    }
}

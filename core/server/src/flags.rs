//! The command line of `cfgstored`: etcd's flag names, so that etcd's unit files and scripts run it, and
//! ours.

use std::path::PathBuf;

use cfgstore_client::host;
use clap::Parser;

use crate::compactor::AutoCompaction;
use crate::config::{Config, ListenAddress};
use crate::duration;
use crate::start_error::StartError;

/// Keeps the configuration of this host, or of a cluster, and serves it.
///
/// Without flags it serves this host alone: one data folder, one unix socket, one shared-memory mirror.
#[derive(Debug, Parser)]
#[command(name = "cfgstored", version, max_term_width = 100)]
pub struct Flags {
    /// Folder of all files [default: $CFGSTORE_DATA_DIR, or a folder of the user's]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Name of this member
    #[arg(long, default_value = "default")]
    name: String,
    /// Addresses to serve on besides the socket: http://host:port or unix:///path, separated by commas
    #[arg(long, value_delimiter = ',', value_name = "URLS")]
    listen_client_urls: Vec<String>,
    /// Addresses that clients are told [default: those listened on]
    #[arg(long, value_delimiter = ',', value_name = "URLS")]
    advertise_client_urls: Vec<String>,
    /// The host's unix socket [default: cfgstore.sock in the data folder]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Folder of the shared-memory mirror [default: one of its own under /dev/shm]
    #[arg(long, value_name = "DIR")]
    mirror_dir: Option<PathBuf>,

    /// Largest request, in bytes
    #[arg(long, default_value_t = 3 << 19, value_name = "BYTES")]
    max_request_bytes: usize,
    /// Most operations in a transaction
    #[arg(long, default_value_t = 128, value_name = "COUNT")]
    max_txn_ops: usize,
    /// Calls and streams open at once on one connection
    #[arg(long, default_value_t = 16_384, value_name = "COUNT")]
    max_concurrent_streams: u32,
    /// Bytes of data above which puts are refused; 0 is the default of 2 GiB
    #[arg(
        long,
        default_value_t = 0,
        value_name = "BYTES",
        allow_negative_numbers = true
    )]
    quota_backend_bytes: i64,
    /// Interval of heartbeats, in milliseconds
    #[arg(long, default_value_t = 200, value_name = "MS")]
    heartbeat_interval: u64,
    /// Time without a heartbeat before an election, in milliseconds
    #[arg(long, default_value_t = 1_000, value_name = "MS")]
    election_timeout: u64,
    /// Log entries between checkpoints
    #[arg(long, default_value_t = 20_000, value_name = "COUNT")]
    snapshot_count: u64,
    /// What --auto-compaction-retention counts: periodic (time) or revision
    #[arg(long, default_value = "periodic", value_name = "MODE")]
    auto_compaction_mode: String,
    /// History to keep, as in 24h, or as a number of revisions; 0 keeps all
    #[arg(long, default_value = "0", value_name = "RETENTION")]
    auto_compaction_retention: String,
    /// How often quiet watches are told the revision they have reached
    #[arg(
        long,
        default_value = "10m",
        alias = "experimental-watch-progress-notify-interval",
        value_name = "TIME"
    )]
    watch_progress_notify_interval: String,

    /// How often a silent client on TCP is asked whether it is there
    #[arg(long, default_value = "30s", value_name = "TIME")]
    grpc_keepalive_interval: String,
    /// How long it may take to answer
    #[arg(long, default_value = "20s", value_name = "TIME")]
    grpc_keepalive_timeout: String,

    /// What is logged: debug, info, warn, error; or a filter such as cfgstore_replica=debug,info
    #[arg(long, default_value = "info", value_name = "LEVEL")]
    log_level: String,
    /// Accepted for etcd's sake: zap
    #[arg(long, default_value = "zap", hide = true)]
    logger: String,
    /// Accepted for etcd's sake: stderr
    #[arg(long, default_value = "stderr", hide = true)]
    log_outputs: String,

    #[arg(long, hide = true, value_delimiter = ',')]
    initial_cluster: Vec<String>,
    #[arg(long, hide = true)]
    initial_cluster_state: Option<String>,
    #[arg(long, hide = true)]
    initial_cluster_token: Option<String>,
    #[arg(long, hide = true, value_delimiter = ',')]
    initial_advertise_peer_urls: Vec<String>,
    #[arg(long, hide = true, value_delimiter = ',')]
    listen_peer_urls: Vec<String>,
}

/// etcd's default peer addresses, which its unit files spell out: they lead nowhere from outside the host, so
/// nothing is lost by not serving them.
const LOCAL_PEERS: [&str; 4] = [
    "http://localhost:2380",
    "http://127.0.0.1:2380",
    "http://localhost:7001",
    "http://[::1]:2380",
];

impl Flags {
    /// What `--log-level` says, as a tracing filter.
    pub fn log_filter(&self) -> &str {
        match self.log_level.as_str() {
            // openraft tells of each of its steps.
            "info" => "info,openraft=warn",
            // etcd's words that tracing has none for.
            "dpanic" | "panic" | "fatal" => "error",
            other => other,
        }
    }

    /// The settings, or what is wrong with a flag.
    pub fn into_config(self) -> Result<Config, StartError> {
        self.refuse_cluster()?;
        let refuse = |setting| move |reason| StartError::Config { setting, reason };
        if self.logger != "zap" && self.logger != "default" {
            return Err(refuse("--logger")(format!(
                "{:?} is not supported; use zap or leave it out",
                self.logger
            )));
        }
        if !matches!(self.log_outputs.as_str(), "stderr" | "default") {
            let reason = format!(
                "{:?} is not supported: logs go to stderr; redirect it",
                self.log_outputs
            );
            return Err(refuse("--log-outputs")(reason));
        }
        let mut config = Config::new(self.data_dir.unwrap_or_else(host::default_data_dir));
        config.name = self.name;
        config.listen = self
            .listen_client_urls
            .iter()
            .filter(|url| !url.is_empty())
            .map(|url| ListenAddress::parse(url))
            .collect::<Result<_, _>>()
            .map_err(refuse("--listen-client-urls"))?;
        config.advertise_client_urls = self.advertise_client_urls;
        config.advertise_client_urls.retain(|url| !url.is_empty());
        config.socket = self.socket;
        config.mirror_dir = self.mirror_dir;
        config.max_request_bytes = self.max_request_bytes;
        config.max_txn_ops = self.max_txn_ops;
        config.max_concurrent_streams = self.max_concurrent_streams;
        config.quota_backend_bytes = match self.quota_backend_bytes {
            0 => config.quota_backend_bytes,
            // etcd's way to say "no quota".
            negative if negative < 0 => u64::MAX,
            bytes => bytes as u64,
        };
        config.heartbeat_interval_ms = self.heartbeat_interval;
        config.election_timeout_ms = self.election_timeout;
        config.snapshot_count = self.snapshot_count;
        config.auto_compaction =
            AutoCompaction::parse(&self.auto_compaction_mode, &self.auto_compaction_retention)
                .map_err(refuse("--auto-compaction-retention"))?;
        config.watch_progress_notify_interval = duration::parse(&self.watch_progress_notify_interval)
            .map_err(refuse("--watch-progress-notify-interval"))?;
        config.grpc_keepalive_interval =
            duration::parse(&self.grpc_keepalive_interval).map_err(refuse("--grpc-keepalive-interval"))?;
        config.grpc_keepalive_timeout =
            duration::parse(&self.grpc_keepalive_timeout).map_err(refuse("--grpc-keepalive-timeout"))?;
        config.validate()?;
        Ok(config)
    }

    /// A flag that asks for a cluster is refused rather than ignored: the operator would believe in copies
    /// that are not made. Values that ask for a cluster of this one member pass.
    fn refuse_cluster(&self) -> Result<(), StartError> {
        let refuse = |setting, value: &str| {
            let reason = format!("clusters are not supported by this version, {value:?} cannot be served");
            Err(StartError::Config { setting, reason })
        };
        let members: Vec<&String> = self
            .initial_cluster
            .iter()
            .filter(|member| !member.is_empty())
            .collect();
        if members.len() > 1
            || members
                .iter()
                .any(|member| !member.starts_with(&format!("{}=", self.name)))
        {
            return refuse("--initial-cluster", &self.initial_cluster.join(","));
        }
        if let Some(state) = &self.initial_cluster_state
            && state != "new"
        {
            return refuse("--initial-cluster-state", state);
        }
        let peers = [
            ("--initial-advertise-peer-urls", &self.initial_advertise_peer_urls),
            ("--listen-peer-urls", &self.listen_peer_urls),
        ];
        for (setting, urls) in peers {
            if let Some(url) = urls
                .iter()
                .find(|url| !url.is_empty() && !LOCAL_PEERS.contains(&url.as_str()))
            {
                return refuse(setting, url);
            }
        }
        // A token only tells clusters apart while they are made; one member has nothing to tell apart.
        let _ = &self.initial_cluster_token;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn config(arguments: &[&str]) -> Result<Config, String> {
        let all = ["cfgstored", "--data-dir=/d"].iter().chain(arguments);
        let flags = Flags::try_parse_from(all).map_err(|error| error.to_string())?;
        flags.into_config().map_err(|error| error.to_string())
    }

    #[test]
    fn without_flags_only_the_socket_is_served() {
        let config = config(&[]).unwrap();
        assert!(config.listen.is_empty());
        assert_eq!(config.socket_path(), PathBuf::from("/d/cfgstore.sock"));
    }

    #[test]
    fn a_unit_file_of_a_single_etcd_is_accepted() {
        let config = config(&[
            "--name=default",
            "--listen-client-urls=http://127.0.0.1:2379,http://127.0.0.2:2379",
            "--advertise-client-urls=http://a:2379",
            "--initial-cluster=default=http://localhost:2380",
            "--initial-cluster-state=new",
            "--initial-cluster-token=tkn",
            "--initial-advertise-peer-urls=http://localhost:2380",
            "--listen-peer-urls=http://localhost:2380",
            "--quota-backend-bytes=0",
            "--experimental-watch-progress-notify-interval=1s",
            "--logger=zap",
            "--log-outputs=stderr",
        ])
        .unwrap();
        assert_eq!(config.listen.len(), 2);
        assert_eq!(config.advertise_client_urls, ["http://a:2379"]);
        assert_eq!(config.watch_progress_notify_interval, Duration::from_secs(1));
    }

    #[test]
    fn what_cannot_be_served_is_refused_with_its_flag() {
        for (argument, text) in [
            (
                "--initial-cluster=default=http://a:2380,b=http://b:2380",
                "clusters are not supported",
            ),
            (
                "--initial-cluster=other=http://a:2380",
                "clusters are not supported",
            ),
            ("--initial-cluster-state=existing", "clusters are not supported"),
            (
                "--listen-peer-urls=http://0.0.0.0:2380",
                "clusters are not supported",
            ),
            (
                "--initial-advertise-peer-urls=http://10.0.0.1:2380",
                "clusters are not supported",
            ),
            ("--listen-client-urls=https://127.0.0.1:1", "TLS"),
            ("--log-outputs=/var/log/x", "--log-outputs"),
            ("--logger=capnslog", "--logger"),
            ("--auto-compaction-mode=x", "--auto-compaction-retention"),
            ("--watch-progress-notify-interval=1", "not a duration"),
            ("--max-txn-ops=many", "--max-txn-ops"),
            ("--frobnicate", "--frobnicate"),
        ] {
            let error = config(&[argument]).unwrap_err();
            assert!(error.contains(text), "{argument}: {error}");
        }
    }

    #[test]
    fn a_negative_quota_is_none() {
        assert_eq!(
            config(&["--quota-backend-bytes=-1"]).unwrap().quota_backend_bytes,
            u64::MAX
        );
    }
}

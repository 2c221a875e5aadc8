//! The command line of `cfgstored`: etcd's flag names, so that etcd's unit files and scripts run it, and
//! ours. A flag may also come from the environment (`ETCD_NAME` for `--name`), or all of them from a file.

mod etcd_only;
mod peers;
mod sources;
mod told;

use std::path::PathBuf;

use cfgstore_client::host;
use clap::Parser;

use crate::agent::AgentConfig;
use crate::compactor::AutoCompaction;
use crate::config::{Config, ListenAddress, MirrorUse};
use crate::duration;
use crate::hooks::Hook;
use crate::start_error::StartError;

/// Keeps the configuration of this host, or of a cluster, and serves it.
///
/// Without flags it serves this host alone: one data folder, one unix socket, one shared-memory mirror. With
/// --endpoints it is no member, but this host's agent for the members named.
#[derive(Debug, Parser)]
#[command(name = "cfgstored", version, max_term_width = 100)]
pub struct Flags {
    /// Read all flags from this file, in the form of etcd's configuration file; others then count for nothing
    #[arg(long, value_name = "FILE")]
    config_file: Option<String>,
    /// Flags of etcd that were given and change nothing here.
    #[arg(skip)]
    without_effect: Vec<String>,
    /// Folder of all files [default: $CFGSTORE_DATA_DIR, or a folder of the user's]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Be this host's agent for these members, of cfgstore or of etcd: http://host:port, separated by commas
    /// [default data folder then: agents/ and a hash of the members, below the other default]
    #[arg(long, value_name = "URLS")]
    endpoints: Option<String>,
    /// Name of this member
    #[arg(long, default_value = "default")]
    name: String,
    /// Addresses to serve on besides the socket: http://host:port or unix:///path, separated by commas
    #[arg(long, value_delimiter = ',', value_name = "URLS")]
    listen_client_urls: Vec<String>,
    /// Addresses that clients are told [default: those listened on]
    #[arg(long, value_delimiter = ',', value_name = "URLS")]
    advertise_client_urls: Vec<String>,
    /// Addresses that serve metrics and health besides, and nothing else
    #[arg(long, value_delimiter = ',', value_name = "URLS")]
    listen_metrics_urls: Vec<String>,
    /// Addresses for HTTP alone; those of --listen-client-urls then serve gRPC alone
    #[arg(long, value_delimiter = ',', value_name = "URLS")]
    listen_client_http_urls: Vec<String>,
    /// Origins whose web pages may read answers over HTTP
    #[arg(long, value_delimiter = ',', default_value = "*", value_name = "ORIGINS")]
    cors: Vec<String>,
    /// Host names that requests over HTTP may be sent to
    #[arg(long, value_delimiter = ',', default_value = "*", value_name = "HOSTS")]
    host_whitelist: Vec<String>,
    /// Detail of the metrics: basic, or extensive (how long calls take, by method)
    #[arg(long, default_value = "basic", value_name = "DETAIL")]
    metrics: String,
    /// The host's unix socket [default: cfgstore.sock in the data folder]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Folder of the shared-memory mirror [default: one of its own under /dev/shm]
    #[arg(long, value_name = "DIR")]
    mirror_dir: Option<PathBuf>,
    /// As an agent, serve this copy of the members' store until one of them answers for the first time: a file that
    /// `cfgctl mirror save` made, perhaps on another machine [default: $CFGSTORE_SEED]
    #[arg(long, value_name = "FILE")]
    seed: Option<PathBuf>,

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
    /// History to keep, as in 24h, or as a number of revisions; 0 keeps all [default: 0; for this host alone, with neither
    /// client URLs nor a cluster, the newest 10000 revisions, and at most half of the quota]
    #[arg(long, value_name = "RETENTION")]
    auto_compaction_retention: Option<String>,
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

    #[command(flatten)]
    told: told::Told,

    /// What is logged: debug, info, warn, error; or a filter such as cfgstore_replica=debug,info
    #[arg(long, default_value = "info", value_name = "LEVEL")]
    log_level: String,
    /// Accepted for etcd's sake: zap
    #[arg(long, default_value = "zap", hide = true)]
    logger: String,
    /// Accepted for etcd's sake: stderr
    #[arg(long, default_value = "stderr", hide = true)]
    log_outputs: String,

    /// Addresses to listen on for other members, http://ip:port, separated by commas [default: none, or
    /// http://localhost:2380 once a cluster is asked for]
    #[arg(long, value_delimiter = ',', value_name = "URLS", help_heading = "Cluster")]
    listen_peer_urls: Vec<String>,
    /// Addresses that other members reach this one at [default: those of this member in --initial-cluster, or
    /// those listened on]
    #[arg(long, value_delimiter = ',', value_name = "URLS", help_heading = "Cluster")]
    initial_advertise_peer_urls: Vec<String>,
    /// The first members of the cluster, as in a=http://10.0.0.1:2380,b=http://10.0.0.2:2380
    #[arg(long, value_name = "NAME=URL,…", help_heading = "Cluster")]
    initial_cluster: Option<String>,
    /// new: the cluster is made now, by the members of --initial-cluster; existing: this member was added to it
    #[arg(long, default_value = "new", value_name = "STATE", help_heading = "Cluster")]
    initial_cluster_state: String,
    /// Tells clusters apart that were made with the same addresses
    #[arg(
        long,
        default_value = "etcd-cluster",
        value_name = "TOKEN",
        help_heading = "Cluster"
    )]
    initial_cluster_token: String,
    /// Refuse changes of the membership that would put the majority at risk
    #[arg(
        long,
        default_value_t = true,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        action = clap::ArgAction::Set,
        value_name = "BOOL",
        help_heading = "Cluster"
    )]
    strict_reconfig_check: bool,
    /// Most learners at once
    #[arg(
        long,
        default_value_t = 1,
        alias = "experimental-max-learners",
        value_name = "COUNT",
        help_heading = "Cluster"
    )]
    max_learners: usize,
}

/// Where etcd serves its clients when not told; a member of a cluster that nobody could ask anything is of no use.
const DEFAULT_CLIENT_URL: &str = "http://127.0.0.1:2379";

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

    /// Flags of etcd that were given and change nothing here, to be told.
    pub fn without_effect(&self) -> &[String] {
        &self.without_effect
    }

    /// The commands to run when keys change, or what is wrong with a flag.
    pub fn hooks(&self) -> Result<Vec<Hook>, StartError> {
        self.told.hooks()
    }

    /// The settings of an agent, if the flags ask for one, or what is wrong with a flag.
    pub fn agent_config(&self) -> Result<Option<AgentConfig>, StartError> {
        let Some(endpoints) = &self.endpoints else {
            return Ok(None);
        };
        let members = AgentConfig::parse_members(endpoints)?;
        let of_members = [
            ("--listen-client-urls", &self.listen_client_urls),
            ("--advertise-client-urls", &self.advertise_client_urls),
            ("--listen-peer-urls", &self.listen_peer_urls),
        ];
        if let Some((setting, _)) = of_members
            .into_iter()
            .find(|(_, urls)| urls.iter().any(|url| !url.is_empty()))
            .or(self
                .initial_cluster
                .is_some()
                .then_some(("--initial-cluster", &self.listen_peer_urls)))
        {
            return Err(StartError::Config {
                setting,
                reason: "is for members, and --endpoints asks for an agent, which serves its host's socket only: leave one \
                         of them out"
                    .to_owned(),
            });
        }
        let data_dir = match &self.data_dir {
            Some(data_dir) => data_dir.clone(),
            None => host::agent_folder(&host::default_data_dir(), &members),
        };
        let mut config = AgentConfig::new(data_dir, members);
        config.socket = self.socket.clone();
        config.mirror_dir = self.mirror_dir.clone();
        let given = || std::env::var_os("CFGSTORE_SEED").filter(|path| !path.is_empty());
        config.seed = self.seed.clone().or_else(|| given().map(PathBuf::from));
        Ok(Some(config))
    }

    /// The settings of a member, or what is wrong with a flag.
    pub fn into_config(self) -> Result<Config, StartError> {
        let cluster = peers::Cluster::read(&self)?;
        let refuse = |setting| move |reason| StartError::Config { setting, reason };
        if self.seed.is_some() {
            return Err(refuse("--seed")(
                "is for an agent, which --endpoints asks for: a member has data of its own".to_owned(),
            ));
        }
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
        let addresses = |setting, urls: &[String]| -> Result<Vec<ListenAddress>, StartError> {
            let urls = urls.iter().filter(|url| !url.is_empty());
            let parsed: Result<_, String> = urls.map(|url| ListenAddress::parse(url)).collect();
            parsed.map_err(refuse(setting))
        };
        config.listen = addresses("--listen-client-urls", &self.listen_client_urls)?;
        config.listen_metrics = addresses("--listen-metrics-urls", &self.listen_metrics_urls)?;
        config.listen_http = addresses("--listen-client-http-urls", &self.listen_client_http_urls)?;
        config.cors = self.cors;
        config.host_whitelist = self.host_whitelist;
        config.extensive_metrics = match self.metrics.as_str() {
            "basic" => false,
            "extensive" => true,
            other => {
                let reason = format!("is {other:?}; use basic or extensive");
                return Err(refuse("--metrics")(reason));
            }
        };
        // Whoever serves etcd's clients gets what etcd does by default.
        let is_etcd = cluster.is_some() || !config.listen.is_empty();
        if let Some(cluster) = cluster {
            if config.listen.is_empty() {
                let default = ListenAddress::parse(DEFAULT_CLIENT_URL);
                config
                    .listen
                    .push(default.map_err(refuse("--listen-client-urls"))?);
            }
            config.listen_peers = cluster.listen;
            config.peer_urls = cluster.advertise;
            config.bootstrap = cluster.bootstrap;
            config.mirror_use = MirrorUse::OnDemand;
        }
        config.strict_reconfig_check = self.strict_reconfig_check;
        config.max_learners = self.max_learners;
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
        let retention = self.auto_compaction_retention.as_deref();
        let asked = AutoCompaction::parse(&self.auto_compaction_mode, retention.unwrap_or("0"))
            .map_err(refuse("--auto-compaction-retention"))?;
        if retention.is_some() || is_etcd {
            config.auto_compaction = asked;
        }
        config.watch_progress_notify_interval = duration::parse(&self.watch_progress_notify_interval)
            .map_err(refuse("--watch-progress-notify-interval"))?;
        config.grpc_keepalive_interval =
            duration::parse(&self.grpc_keepalive_interval).map_err(refuse("--grpc-keepalive-interval"))?;
        config.grpc_keepalive_timeout =
            duration::parse(&self.grpc_keepalive_timeout).map_err(refuse("--grpc-keepalive-timeout"))?;
        self.told.set(&mut config)?;
        config.validate()?;
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use cfgstore_replica::Bootstrap;

    use super::*;

    fn config_with(arguments: &[&str], environment: &[(&str, &str)]) -> Result<Config, String> {
        let all = ["cfgstored", "--data-dir=/d"]
            .iter()
            .chain(arguments)
            .map(Into::into);
        let environment = environment
            .iter()
            .map(|(name, value)| (name.into(), value.into()));
        Flags::read(all.collect(), environment.collect())
            .map_err(|error| error.to_string())?
            .into_config()
            .map_err(|error| error.to_string())
    }

    fn config(arguments: &[&str]) -> Result<Config, String> {
        config_with(arguments, &[])
    }

    #[test]
    fn without_flags_only_the_socket_is_served() {
        let config = config(&[]).unwrap();
        assert!(config.listen.is_empty());
        assert_eq!(config.socket_path(), PathBuf::from("/d/cfgstore.sock"));
    }

    #[test]
    fn history_is_bounded_by_default_for_this_host_alone() {
        let of = |arguments: &[&str]| config(arguments).unwrap().auto_compaction;
        assert_eq!(of(&[]), AutoCompaction::Bounded);
        assert_eq!(of(&["--quota-backend-bytes=100000000"]), AutoCompaction::Bounded);
        assert_eq!(of(&["--auto-compaction-retention=0"]), AutoCompaction::Off);
        let five = ["--auto-compaction-mode=revision", "--auto-compaction-retention=5"];
        assert_eq!(of(&five), AutoCompaction::Revisions(5));
        for etcds in [
            "--listen-client-urls=http://127.0.0.1:2379",
            "--listen-peer-urls=http://127.0.0.1:2380",
        ] {
            assert_eq!(of(&[etcds]), AutoCompaction::Off, "{etcds}");
        }
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
        assert_eq!(config.listen_peers.len(), 1);
        assert_eq!(config.peer_urls, ["http://localhost:2380"]);
        assert_eq!(config.advertise_client_urls, ["http://a:2379"]);
        assert_eq!(config.watch_progress_notify_interval, Duration::from_secs(1));
    }

    #[test]
    fn what_cannot_be_served_is_refused_with_its_flag() {
        for (argument, text) in [
            ("--listen-client-urls=https://127.0.0.1:1", "TLS"),
            ("--log-outputs=/var/log/x", "--log-outputs"),
            ("--logger=capnslog", "--logger"),
            ("--auto-compaction-mode=x", "--auto-compaction-retention"),
            ("--watch-progress-notify-interval=1", "not a duration"),
            ("--max-txn-ops=many", "--max-txn-ops"),
            ("--metrics=all", "basic or extensive"),
            ("--listen-metrics-urls=x", "--listen-metrics-urls"),
            ("--frobnicate", "--frobnicate"),
        ] {
            let error = config(&[argument]).unwrap_err();
            assert!(error.contains(text), "{argument}: {error}");
        }
    }

    const THREE: &str = "--initial-cluster=a=http://10.0.0.1:2380,b=http://b:2380/,c=http://c:2380";

    #[test]
    fn members_of_a_new_cluster() {
        let config = config(&["--name=b", THREE, "--listen-peer-urls=http://0.0.0.0:2380"]).unwrap();
        assert_eq!(config.listen_peers, ["0.0.0.0:2380".parse().unwrap()]);
        assert_eq!(config.peer_urls, ["http://b:2380"]);
        assert_eq!(config.listen, [ListenAddress::parse(DEFAULT_CLIENT_URL).unwrap()]);
        let Bootstrap::New { members, token } = config.bootstrap else {
            panic!()
        };
        assert_eq!(token, "etcd-cluster");
        let urls: Vec<_> = members.iter().flat_map(|member| &member.peer_urls).collect();
        assert_eq!(urls, ["http://10.0.0.1:2380", "http://b:2380", "http://c:2380"]);
    }

    #[test]
    fn a_member_that_joins_and_one_with_two_addresses() {
        let list = "--initial-cluster=a=http://a:1,a=http://a:2,b=http://b:1";
        let config = config(&[
            "--name=a",
            list,
            "--initial-cluster-state=existing",
            "--initial-advertise-peer-urls=http://a:2,http://a:1",
        ])
        .unwrap();
        let Bootstrap::Existing { members } = config.bootstrap else {
            panic!()
        };
        assert_eq!(members.len(), 2);
        assert_eq!(members[0].peer_urls, ["http://a:1", "http://a:2"]);
    }

    #[test]
    fn what_contradicts_itself_about_a_cluster_is_refused() {
        for (arguments, text) in [
            (&["--name=d", THREE][..], "does not name this member, \"d\""),
            (
                &["--name=a", THREE, "--initial-advertise-peer-urls=http://x:1"],
                "both must be the same",
            ),
            (
                &["--name=a", THREE, "--initial-cluster-state=old"],
                "use new or existing",
            ),
            (&["--initial-cluster-state=existing"], "names the members to ask"),
            (&["--initial-cluster=default"], "name=url"),
            (&["--initial-cluster=default=https://a:1"], "TLS"),
            (&["--initial-cluster=default=http://a"], "http://host:port"),
            (&["--initial-cluster=default=http://a:1,b=http://a:1"], "twice"),
            (&["--listen-peer-urls=unix:///x"], "http://host:port"),
            (
                &["--initial-advertise-peer-urls=http://a:1/x"],
                "http://host:port",
            ),
            (&["--max-learners=x"], "--max-learners"),
        ] {
            let error = config(arguments).unwrap_err();
            assert!(error.contains(text), "{arguments:?}: {error}");
        }
    }

    #[test]
    fn flags_of_etcd_that_mean_nothing_here_pass_and_those_that_do_are_refused() {
        config(&[
            "-name=x",
            "--enable-v2=false",
            "--auth-token=simple",
            "--cert-file=",
            "--pre-vote",
            "--max-wals=5",
            "--strict-reconfig-check=false",
            "--experimental-initial-corrupt-check",
        ])
        .unwrap();
        for (argument, text) in [
            ("--cert-file=/c", "TLS"),
            ("--wal-dir=/w", "data folder"),
            ("--force-new-cluster", "snapshot restore"),
            ("--pre-vote=false", "pre-vote"),
            ("--unsafe-no-fsync", "synced"),
        ] {
            let error = config(&[argument]).unwrap_err();
            assert!(error.contains(text), "{argument}: {error}");
        }
    }

    #[test]
    fn the_environment_fills_what_the_command_line_leaves_out() {
        let environment = [
            ("ETCD_INITIAL_CLUSTER", "m=http://m:1"),
            ("ETCD_NAME", "m"),
            ("ETCD_HEARTBEAT_INTERVAL", "150"),
            ("ETCD_ENDPOINTS", "http://other:1"),
        ];
        let config = config_with(&["--heartbeat-interval=120"], &environment).unwrap();
        assert_eq!((config.name.as_str(), config.heartbeat_interval_ms), ("m", 120));
        let error = config_with(&[], &[("ETCD_MAX_TXN_OPS", "many")]).unwrap_err();
        assert!(error.contains("--max-txn-ops"), "{error}");
    }

    #[test]
    fn a_file_counts_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("etcd.conf.yml");
        let file = format!("--config-file={}", path.display());
        std::fs::write(
            &path,
            "name: f\ninitial-cluster: f=http://f:1\nsnapshot-count: 5\n",
        )
        .unwrap();
        let config = config_with(&[&file, "--name=line"], &[("ETCD_NAME", "env")]).unwrap();
        assert_eq!((config.name.as_str(), config.snapshot_count), ("f", 5));
        for (text, reason) in [
            ("names: f", "--names"),
            ("a: [", "not YAML"),
            ("max-txn-ops: x", "--max-txn-ops"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = config_with(&[&file], &[]).unwrap_err();
            assert!(
                error.contains(reason) && error.contains("etcd.conf.yml"),
                "{text}: {error}"
            );
        }
        let error = config_with(&["--config-file=/nowhere/x"], &[]).unwrap_err();
        assert!(error.contains("/nowhere/x"), "{error}");
    }

    #[test]
    fn addresses_for_http_and_metrics() {
        let config = config(&[
            "--listen-metrics-urls=http://127.0.0.1:1,unix:///m",
            "--listen-client-http-urls=http://127.0.0.1:2",
            "--cors=http://a,http://b",
            "--host-whitelist=a",
            "--metrics=extensive",
        ])
        .unwrap();
        assert_eq!((config.listen_metrics.len(), config.listen_http.len()), (2, 1));
        assert_eq!(config.cors, ["http://a", "http://b"]);
        assert_eq!(config.host_whitelist, ["a"]);
        assert!(config.extensive_metrics);
    }

    #[test]
    fn a_negative_quota_is_none() {
        assert_eq!(
            config(&["--quota-backend-bytes=-1"]).unwrap().quota_backend_bytes,
            u64::MAX
        );
    }
}

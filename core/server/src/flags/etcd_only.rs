//! Flags that etcd has and cfgstored does not: those that ask for what is not given are refused rather than ignored,
//! since the operator would believe in it; those that only tune etcd's inside are accepted.

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::start_error::StartError;

/// They tune what cfgstored has not, or does by itself.
const WITHOUT_MEANING: &[&str] = &[
    "backend-batch-interval",
    "backend-batch-limit",
    "backend-bbolt-freelist-type",
    "bcrypt-cost",
    "auth-token-ttl",
    "enable-pprof",
    "experimental-backend-bbolt-freelist-type",
    "experimental-bootstrap-defrag-threshold-megabytes",
    "experimental-compact-hash-check-enabled",
    "experimental-compact-hash-check-time",
    "experimental-compaction-batch-limit",
    "experimental-compaction-sleep-interval",
    "experimental-corrupt-check-time",
    "experimental-enable-lease-checkpoint",
    "experimental-enable-lease-checkpoint-persist",
    "experimental-initial-corrupt-check",
    "experimental-memory-mlock",
    "experimental-snapshot-catchup-entries",
    "experimental-stop-grpc-service-on-defrag",
    "experimental-txn-mode-write-with-shared-buffer",
    "experimental-warning-apply-duration",
    "experimental-warning-unary-request-duration",
    "feature-gates",
    "grpc-keepalive-min-time",
    "initial-election-tick-advance",
    "log-format",
    "max-snapshots",
    "max-wals",
    "snapshot-catchup-entries",
    "v2-deprecation",
    "warning-apply-duration",
    "warning-unary-request-duration",
];

/// They ask for something; empty or `false` asks for nothing.
const NOT_SUPPORTED: &[(&str, &str)] = &[
    (
        "auth-token",
        "only etcd's default, simple, will be served, and users are not supported yet",
    ),
    ("auto-tls", "TLS is not supported by this version"),
    ("cert-file", "TLS is not supported by this version"),
    ("client-cert-auth", "TLS is not supported by this version"),
    ("discovery", "list the members with --initial-cluster"),
    ("discovery-srv", "list the members with --initial-cluster"),
    ("enable-v2", "etcd's v2 API is not served"),
    (
        "experimental-enable-distributed-tracing",
        "tracing is not supported by this version",
    ),
    (
        "force-new-cluster",
        "make a new cluster from a snapshot: see `cfgctl snapshot restore`",
    ),
    ("key-file", "TLS is not supported by this version"),
    ("peer-auto-tls", "TLS is not supported by this version"),
    ("peer-cert-file", "TLS is not supported by this version"),
    ("peer-client-cert-auth", "TLS is not supported by this version"),
    ("peer-key-file", "TLS is not supported by this version"),
    ("peer-trusted-ca-file", "TLS is not supported by this version"),
    ("socket-reuse-address", "it is not supported by this version"),
    ("socket-reuse-port", "it is not supported by this version"),
    ("trusted-ca-file", "TLS is not supported by this version"),
    (
        "unsafe-no-fsync",
        "every write is synced to disk before it is acknowledged",
    ),
    (
        "wal-dir",
        "the log lies in the data folder; mount or link its folder wal instead",
    ),
];

/// Values by which a flag asks for nothing but what is given anyway.
fn is_harmless(name: &str, value: &str) -> bool {
    matches!((name, value), (_, "" | "false")) || (name == "auth-token" && value == "simple")
}

/// The flags that this command line knows of, so that they are told apart from mistakes.
pub(super) fn add_to(command: Command) -> Command {
    let names = WITHOUT_MEANING
        .iter()
        .copied()
        .chain(NOT_SUPPORTED.iter().map(|(name, _)| *name))
        .chain(["pre-vote"]);
    names.fold(command, |command, name| {
        command.arg(
            Arg::new(name)
                .long(name)
                .hide(true)
                .action(ArgAction::Set)
                .num_args(0..=1)
                .default_missing_value("true"),
        )
    })
}

/// Refuses what is not supported; gives the flags that were accepted without effect.
pub(super) fn check(matches: &ArgMatches) -> Result<Vec<&'static str>, StartError> {
    let value = |name: &str| matches.get_one::<String>(name).map(String::as_str);
    for (name, reason) in NOT_SUPPORTED {
        if let Some(value) = value(name)
            && !is_harmless(name, value)
        {
            return Err(StartError::Config {
                setting: name,
                reason: (*reason).to_owned(),
            });
        }
    }
    if let Some(value) = value("pre-vote")
        && value != "true"
    {
        return Err(StartError::Config {
            setting: "--pre-vote",
            reason: "elections always begin with a pre-vote; leave the flag out".to_owned(),
        });
    }
    Ok(WITHOUT_MEANING
        .iter()
        .copied()
        .filter(|name| value(name).is_some())
        .collect())
}

//! One member: its addresses, its folder, and its process while it runs.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Kind;
use super::place::Place;
use crate::process::Process;

/// One member of a cluster of processes.
#[derive(Debug)]
pub struct Member {
    /// First, so that it ends before the namespace it runs in.
    pub(super) process: Option<Process>,
    pub(super) name: String,
    pub(super) place: Place,
    pub(super) folder: PathBuf,
    /// A member of the cluster; one that has not joined yet or was removed is skipped where "all members" is said.
    pub(super) present: bool,
    /// Stopped by SIGSTOP: it answers nothing.
    pub(super) paused: bool,
}

impl Member {
    /// Its `--name`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where clients reach it: `http://address:port`.
    pub fn client_url(&self) -> &str {
        &self.place.client_url
    }

    /// Where other members reach it: `http://address:port`.
    pub fn peer_url(&self) -> &str {
        &self.place.peer_url
    }

    /// Its `--data-dir`.
    pub fn data_dir(&self) -> PathBuf {
        self.folder.join(format!("{}.data", self.name))
    }

    /// What it printed, over all its starts.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// Its process id; `None` while it is down.
    pub fn pid(&self) -> Option<i32> {
        self.process.as_ref().map(Process::pid)
    }

    pub(super) fn log_path(&self) -> PathBuf {
        self.folder.join(format!("{}.log", self.name))
    }

    /// The command that runs it, its output going to its log.
    pub(super) fn command(&self, kind: Kind, program: &Path, cluster: &ClusterFlags<'_>) -> Command {
        let mut command = self.place.command(program);
        let log = File::options().create(true).append(true).open(self.log_path());
        command.stderr(log.expect("log file"));
        for (name, _) in std::env::vars_os() {
            // Settings in the environment of whoever runs the tests would change what is tested.
            if name.to_string_lossy().starts_with("ETCD_") {
                command.env_remove(name);
            }
        }
        let mut flag = |name: &str, value: &str| {
            command.arg(name).arg(value);
        };
        flag("--name", &self.name);
        flag("--data-dir", &self.data_dir().display().to_string());
        flag("--listen-client-urls", self.client_url());
        flag("--advertise-client-urls", self.client_url());
        flag("--listen-peer-urls", self.peer_url());
        flag("--initial-advertise-peer-urls", self.peer_url());
        flag("--initial-cluster", cluster.initial_cluster);
        flag("--initial-cluster-state", cluster.state);
        flag("--initial-cluster-token", cluster.token);
        if kind == Kind::Etcd {
            flag("--logger", "zap");
        }
        command.args(cluster.flags);
        command
    }
}

/// What all members are started with.
pub(super) struct ClusterFlags<'a> {
    pub initial_cluster: &'a str,
    /// `new` or `existing`.
    pub state: &'a str,
    pub token: &'a str,
    pub flags: &'a [String],
}

//! Settings of an agent.

use std::path::{Path, PathBuf};
use std::time::Duration;

use cfgstore_client::host::HostPaths;
use cfgstore_client::{Address, MemberAddress, Options};

use crate::start_error::{MAX_SOCKET_PATH_BYTES, StartError};

/// What a member keeps in its data folder, and an agent does not.
const OF_A_MEMBER: [&str; 2] = ["identity", "wal"];

/// Settings of the agent of one host for one cluster. Build it with [`AgentConfig::new`] and change what differs.
#[derive(Clone, Debug)]
pub struct AgentConfig {
    /// The members to follow and to pass calls on to, of cfgstore or of etcd. Never empty.
    pub members: Vec<MemberAddress>,
    /// Folder of the agent's files. Created (mode 0750) when missing; one process at a time may use it, and no
    /// member may have it.
    pub data_dir: PathBuf,
    /// The host's unix socket; `<data_dir>/cfgstore.sock` when `None`.
    pub socket: Option<PathBuf>,
    /// Folder of the mirror; one of its own under `/dev/shm`, found through `<data_dir>/mirror`, when `None`.
    pub mirror_dir: Option<PathBuf>,
    /// What is served until a member answers for the first time: a copy of the members' store, as `cfgctl mirror save` makes
    /// it. The last copy in the data folder counts more, unless the seed is of the same cluster and newer.
    pub seed: Option<PathBuf>,
    /// Bound of one attempt to connect to one member. Default 1 s.
    pub connect_timeout: Duration,
    /// How long the start waits for the first copy; then calls are served without one. Default 2 s.
    pub first_copy_timeout: Duration,
    /// Connections of this host's processes at once. Default 10,000; further ones wait.
    pub max_connections: usize,
    /// How long a clean shutdown waits for calls in flight. Default 5 s.
    pub shutdown_grace: Duration,
}

impl AgentConfig {
    /// Defaults for an agent whose files live in `data_dir`.
    pub fn new(data_dir: impl Into<PathBuf>, members: Vec<MemberAddress>) -> AgentConfig {
        AgentConfig {
            members,
            data_dir: data_dir.into(),
            socket: None,
            mirror_dir: None,
            seed: None,
            connect_timeout: Duration::from_secs(1),
            first_copy_timeout: Duration::from_secs(2),
            max_connections: 10_000,
            shutdown_grace: Duration::from_secs(5),
        }
    }

    /// The members that `--endpoints` names.
    pub fn parse_members(endpoints: &str) -> Result<Vec<MemberAddress>, StartError> {
        let refuse = |reason| StartError::Config {
            setting: "--endpoints",
            reason,
        };
        match Address::parse(endpoints) {
            Ok(Address::Members(members)) => Ok(members),
            Ok(_) => Err(refuse(format!(
                "{endpoints:?} names no members: use http://host:port[,http://host:port…]"
            ))),
            Err(error) => Err(refuse(error.message)),
        }
    }

    pub(super) fn validate(&self) -> Result<(), StartError> {
        if self.members.is_empty() {
            return Err(StartError::Config {
                setting: "--endpoints",
                reason: "names no member".to_owned(),
            });
        }
        let path = self.socket_path();
        let length = path.as_os_str().len();
        if length > MAX_SOCKET_PATH_BYTES {
            return Err(StartError::SocketPathTooLong { path, length });
        }
        Ok(())
    }

    /// Refuses the folder of a member: what it says of itself there would be this cluster's no more.
    pub(super) fn check_folder(&self) -> Result<(), StartError> {
        let has = |name: &&&str| self.data_dir.join(name).exists();
        match OF_A_MEMBER.iter().find(has) {
            None => Ok(()),
            Some(name) => Err(StartError::Config {
                setting: "--data-dir",
                reason: format!(
                    "{} holds a member's data ({name}): give the agent a folder of its own, or start without --endpoints",
                    self.data_dir.display()
                ),
            }),
        }
    }

    pub(super) fn paths(&self) -> HostPaths {
        HostPaths::new(&self.data_dir)
    }

    pub(super) fn socket_path(&self) -> PathBuf {
        self.socket.clone().unwrap_or_else(|| self.paths().socket())
    }

    pub(super) fn mirror_dir(&self) -> Option<&Path> {
        self.mirror_dir.as_deref()
    }

    /// How the members are reached.
    pub(super) fn options(&self) -> Options {
        Options {
            address: Address::Members(self.members.clone()),
            autostart: false,
            connect_timeout: self.connect_timeout,
            ..Options::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_read_and_anything_else_is_refused() {
        let members = AgentConfig::parse_members("http://a:1,http://b:2379").unwrap();
        assert_eq!(members.len(), 2);
        for text in ["", "unix:///x", "agent:http://a:1", "https://a:1", "http://a:b"] {
            let error = AgentConfig::parse_members(text).unwrap_err().to_string();
            assert!(error.starts_with("--endpoints"), "{text}: {error}");
        }
    }

    #[test]
    fn a_members_folder_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        let members = AgentConfig::parse_members("http://a:1").unwrap();
        let config = AgentConfig::new(temp.path(), members);
        config.check_folder().unwrap();
        std::fs::create_dir(temp.path().join("wal")).unwrap();
        let error = config.check_folder().unwrap_err().to_string();
        assert!(error.contains("a member's data (wal)"), "{error}");
    }
}

//! A host whose PHP uses a member elsewhere: one `cfgstored` that serves TCP stands for the cluster, and the first use starts the
//! host's agent for it.

use crate::cluster::Port;
use crate::host::Host;
use crate::process::Process;
use cfgstore_client::blocking::{Client, Mode};
use cfgstore_client::host::agent_folder;
use cfgstore_client::{Address, Options};
use std::path::PathBuf;

/// A member, and a host that is to use it.
#[derive(Debug)]
pub struct Remote {
    /// The host. Its servers are agents alone: the member's folder is not below its data folder.
    pub host: Host,
    member: Option<Process>,
    port: Port,
}

impl Remote {
    /// A fresh host, and a member that serves.
    ///
    /// # Panics
    /// When the member does not start.
    pub fn start() -> Remote {
        let mut remote = Remote {
            host: Host::new(),
            member: None,
            port: Port::free(),
        };
        remote.start_member();
        remote
    }

    /// A fresh host, and a member that is not there yet.
    pub fn without_member() -> Remote {
        Remote {
            host: Host::new(),
            member: None,
            port: Port::free(),
        }
    }

    /// Starts the member, for the first time or again.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start_member(&mut self) {
        let mut command = std::process::Command::new(self.host.path("cfgstored"));
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.host.path("member.err"));
        command
            .arg("--data-dir")
            .arg(self.member_dir())
            .args(["--listen-client-urls", &self.url()])
            // What the default does where nobody is served but the host: history has an end.
            .args([
                "--auto-compaction-mode=revision",
                "--auto-compaction-retention=10000",
            ])
            .stderr(log.expect("log file"));
        self.member = Some(self.host.start_cfgstored(&mut command));
    }

    /// Ends the member at once, and waits for its end.
    pub fn kill_member(&mut self) {
        if let Some(member) = self.member.take() {
            member.kill();
        }
    }

    /// The member's process.
    ///
    /// # Panics
    /// When it does not run.
    pub fn member(&self) -> &Process {
        self.member.as_ref().expect("the member runs")
    }

    /// The member's data folder.
    pub fn member_dir(&self) -> PathBuf {
        self.host.path("member")
    }

    /// The member's address.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port.number())
    }

    /// Every key that the member holds, cfgstore's own included.
    ///
    /// # Panics
    /// When it does not answer.
    pub fn member_keys(&self) -> Vec<String> {
        let mut command = std::process::Command::new("etcdctl");
        command.env("ETCDCTL_API", "3").args([
            "--endpoints",
            &self.url(),
            "get",
            "",
            "--from-key",
            "--keys-only",
        ]);
        let printed = crate::host::succeed(&mut command);
        let lines = printed.lines().filter(|line| !line.is_empty());
        lines.map(str::to_owned).collect()
    }

    /// The PHP setting that names the member.
    pub fn setting(&self) -> String {
        format!("cfgstore.endpoints={}", self.url())
    }

    /// The folder of the host's agent for the member.
    ///
    /// # Panics
    /// Never: the address is one.
    pub fn agent_dir(&self) -> PathBuf {
        let Ok(Address::Members(members)) = Address::parse(&self.url()) else {
            panic!("{} is an address of a member", self.url());
        };
        agent_folder(&self.host.data_dir(), &members)
    }

    /// The command line of PHP, with the member.
    pub fn php(&self) -> std::process::Command {
        let mut php = self.host.php();
        php.arg("-d").arg(self.setting());
        php
    }

    /// A client of the host's agent, that starts nothing by itself.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn agent_client(&self) -> Client {
        let options = Options {
            address: Address::Unix(self.agent_dir().join("cfgstore.sock")),
            call_timeout: std::time::Duration::from_secs(20),
            ..Options::default()
        };
        Client::new(options, Mode::NoThread).expect("client")
    }

    /// A client of the member itself.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn client(&self) -> Client {
        let options = Options {
            address: Address::parse(&self.url()).expect("address"),
            ..Options::default()
        };
        Client::new(options, Mode::NoThread).expect("client")
    }
}

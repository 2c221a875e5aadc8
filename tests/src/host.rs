//! One host: a fresh folder with its data folder, the built programs, and the settings PHP needs for both.

use crate::process::{Process, processes_matching};
use cfgstore_client::blocking::{Client, Mode};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A fresh host. Whatever `cfgstored` serves its data folder is killed when it is dropped.
#[derive(Debug)]
pub struct Host {
    folder: tempfile::TempDir,
    build: PathBuf,
}

impl Host {
    /// A fresh folder, readable by every local user, as php-fpm's workers are not root.
    ///
    /// # Panics
    /// When the programs were not built, or the folder cannot be made.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Host {
        use std::os::unix::fs::PermissionsExt;
        let build = build_folder();
        let folder = tempfile::Builder::new()
            .prefix("cfgstore-test-")
            .tempdir()
            .expect("temporary folder");
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).expect("chmod");
        let host = Host { folder, build };
        // The workers of a pool may not reach the checkout (under /root, say): they run copies.
        for program in ["cfgstored", "cfgctl"] {
            std::fs::copy(host.build.join(program), host.path(program)).expect("copy of a built program");
        }
        host
    }

    /// A path inside the host's folder.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The data folder of its embedded store.
    pub fn data_dir(&self) -> PathBuf {
        self.path("store")
    }

    /// The socket of its agent.
    pub fn socket(&self) -> PathBuf {
        self.data_dir().join("cfgstore.sock")
    }

    /// `etcdctl`'s way to name that socket.
    pub fn socket_url(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// Something that `scripts/build.sh` built.
    pub fn built(&self, name: &str) -> PathBuf {
        self.build.join(name)
    }

    /// Starts `cfgstored` on the data folder, and returns when it serves.
    pub fn cfgstored(&self, arguments: &[&str]) -> Process {
        self.start_cfgstored(self.cfgstored_command().args(arguments))
    }

    /// Starts a command made by [`Host::cfgstored_command`], and returns when it serves.
    pub fn start_cfgstored(&self, command: &mut Command) -> Process {
        let process = Process::spawn(command);
        process.line_with("serving");
        process
    }

    /// `cfgstored` on the data folder, not started; its log goes to `cfgstored.err` in the host's folder.
    pub fn cfgstored_command(&self) -> Command {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.path("cfgstored.err"));
        let mut command = Command::new(self.path("cfgstored"));
        command
            .arg("--data-dir")
            .arg(self.data_dir())
            .stderr(log.expect("log file"));
        command
    }

    /// The PHP settings, as `-d` arguments, with which an application on this host uses cfgstore.
    pub fn php_settings(&self) -> Vec<String> {
        let setting = |name: &str, value: &Path| format!("{name}={}", value.display());
        let mut arguments = Vec::new();
        for value in [
            setting("extension", &self.built("cfgstore.so")),
            setting("cfgstore.data_dir", &self.data_dir()),
            setting("cfgstore.cfgstored", &self.path("cfgstored")),
        ] {
            arguments.extend(["-d".to_owned(), value]);
        }
        arguments
    }

    /// The PHP command line with the extension.
    pub fn php(&self) -> Command {
        let mut command = Command::new("php8.2");
        command.args(self.php_settings());
        command
    }

    /// Runs PHP code to its end, and returns what it printed.
    ///
    /// # Panics
    /// When it fails.
    pub fn php_code(&self, code: &str) -> String {
        succeed(self.php().arg("-r").arg(code))
    }

    /// Runs `cfgctl` against this host to its end, and returns what it printed.
    ///
    /// # Panics
    /// When it fails.
    pub fn cfgctl(&self, arguments: &[&str]) -> String {
        succeed(
            Command::new(self.path("cfgctl"))
                .env("CFGSTORE_DATA_DIR", self.data_dir())
                .args(arguments),
        )
    }

    /// Runs a stock `etcdctl` against this host's socket, and returns what it printed.
    ///
    /// # Panics
    /// When it fails.
    pub fn etcdctl(&self, arguments: &[&str]) -> String {
        succeed(
            Command::new("etcdctl")
                .env("ETCDCTL_API", "3")
                .arg("--endpoints")
                .arg(self.socket_url())
                .args(arguments),
        )
    }

    /// A client of this host's agent, that starts nothing by itself.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn client(&self) -> Client {
        let options = cfgstore_client::Options {
            data_dir: Some(self.data_dir()),
            autostart: false,
            ..cfgstore_client::Options::default()
        };
        Client::new(options, Mode::NoThread).expect("client")
    }

    /// Process ids of the `cfgstored` that serve this host.
    pub fn servers(&self) -> Vec<i32> {
        processes_matching(&self.data_dir().display().to_string())
            .into_iter()
            .filter(|pid| {
                std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == self.path("cfgstored"))
            })
            .collect()
    }

    /// Sends a signal to every `cfgstored` of this host.
    pub fn signal_servers(&self, signal: i32) {
        for pid in self.servers() {
            // SAFETY: kill has no memory effects; the pid was found by its path in this host's own folder.
            unsafe { libc::kill(pid, signal) };
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.signal_servers(libc::SIGKILL);
        // Mirrors live outside the folder, on the tmpfs that their links name.
        let agents = std::fs::read_dir(self.data_dir().join("agents"));
        let folders = agents.into_iter().flatten().flatten().map(|agent| agent.path());
        for folder in folders.chain([self.data_dir()]) {
            if let Ok(mirror) = std::fs::read_link(folder.join("mirror")) {
                let _ = std::fs::remove_dir_all(mirror);
            }
        }
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.path("cfgstored.err")).unwrap_or_default();
            let started = std::fs::read_to_string(self.data_dir().join("cfgstored.log")).unwrap_or_default();
            eprintln!("cfgstored's log:\n{log}{started}");
        }
    }
}

/// What `scripts/build.sh` left.
///
/// # Panics
/// When nothing was built.
pub fn build_folder() -> PathBuf {
    std::env::var_os("CFGSTORE_BUILD_DIR")
        .map_or_else(
            || Path::new(env!("CARGO_MANIFEST_DIR")).join("../build"),
            PathBuf::from,
        )
        .canonicalize()
        .expect("the build folder: run `make build` first")
}

/// Runs a command to its end and returns its standard output.
///
/// # Panics
/// When it fails, with all it printed.
pub(crate) fn succeed(command: &mut Command) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().expect("start");
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(
        status.success(),
        "{command:?} ended with {status}:\n{stdout}{stderr}"
    );
    stdout.into_owned()
}

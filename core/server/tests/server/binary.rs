//! The binary `cfgstored` as a process.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A running `cfgstored`; killed when dropped.
pub struct Process {
    pub child: Child,
    pub line: String,
    stdout: BufReader<std::process::ChildStdout>,
}

impl Process {
    /// Starts one and waits for its line.
    pub fn start(dir: &TempDir, arguments: &[&str]) -> Process {
        let mut child = command(dir, arguments).stdout(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        Process { child, line, stdout }
    }

    pub fn url(&self) -> &str {
        self.line.trim_end().rsplit_once("urls=").unwrap().1
    }

    pub fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args([signal, &pid])
                .status()
                .unwrap()
                .success()
        );
    }

    pub fn wait(&mut self) -> ExitStatus {
        wait(&mut self.child)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn wait(child: &mut Child) -> ExitStatus {
    let give_up = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        assert!(Instant::now() < give_up, "the process does not end");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn command(dir: &TempDir, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cfgstored"));
    command.arg("--data-dir").arg(dir.path().join("data"));
    command.arg("--mirror-dir").arg(dir.path().join("mirror"));
    command.args(arguments).stdin(Stdio::null()).stderr(Stdio::null());
    command
}

fn refusal(mut command: Command) -> String {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut text = String::new();
    child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    assert!(!wait(&mut child).success());
    let mut stdout = String::new();
    child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
    assert_eq!(stdout, "");
    text
}

#[test]
fn one_line_says_that_it_serves_and_sigterm_ends_it_cleanly() {
    let dir = tempfile::tempdir().unwrap();
    let mut process = Process::start(&dir, &["--listen-client-urls", "http://127.0.0.1:0"]);
    let data = dir.path().join("data").display().to_string();
    let begin = format!(
        "cfgstored {} serving: data_dir={data} socket={data}/cfgstore.sock urls=http://127.0.0.1:",
        env!("CARGO_PKG_VERSION")
    );
    assert!(process.line.starts_with(&begin), "{}", process.line);
    std::os::unix::net::UnixStream::connect(format!("{data}/cfgstore.sock")).unwrap();
    process.signal("-TERM");
    assert_eq!(process.wait().code(), Some(0));
    let mut rest = String::new();
    process.stdout.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "", "one line and no more");
    assert!(!Path::new(&data).join("cfgstore.sock").exists());
    assert!(Path::new(&data).join("last.snap").exists());
}

#[test]
fn without_addresses_only_the_socket_is_served() {
    let dir = tempfile::tempdir().unwrap();
    let mut process = Process::start(&dir, &[]);
    assert!(process.line.ends_with("cfgstore.sock\n"), "{}", process.line);
    process.signal("-INT");
    assert_eq!(process.wait().code(), Some(0));
}

#[test]
fn a_second_process_is_refused_and_told_of_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let first = Process::start(&dir, &[]);
    let text = refusal(command(&dir, &[]));
    assert!(text.contains("in use by process"), "{text}");
    assert!(text.contains(&first.child.id().to_string()), "{text}");
}

#[test]
fn a_killed_process_leaves_nothing_in_the_way() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = Process::start(&dir, &[]);
    first.signal("-KILL");
    first.wait();
    assert!(dir.path().join("data/cfgstore.sock").exists());
    let mut second = Process::start(&dir, &[]);
    std::os::unix::net::UnixStream::connect(dir.path().join("data/cfgstore.sock")).unwrap();
    second.signal("-TERM");
    assert_eq!(second.wait().code(), Some(0));
}

#[test]
fn wrong_flags_are_refused_with_their_name() {
    let dir = tempfile::tempdir().unwrap();
    for (argument, text) in [
        (
            "--initial-cluster=a=http://a:2380,b=http://b:2380",
            "does not name this member",
        ),
        ("--heartbeat-interval=900", "--election-timeout"),
        ("--log-level=chatty=x=y", "--log-level"),
        ("--no-such-flag", "--no-such-flag"),
    ] {
        let error = refusal(command(&dir, &[argument]));
        assert!(error.contains(text), "{argument}: {error}");
    }
    let version = Command::new(env!("CARGO_BIN_EXE_cfgstored"))
        .arg("--version")
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8(version.stdout).unwrap(),
        format!("cfgstored {}\n", env!("CARGO_PKG_VERSION"))
    );
}

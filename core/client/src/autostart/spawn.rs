//! One attempt to start `cfgstored`.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::time::{Instant, timeout_at};

use super::kind_of;
use crate::error::{Error, ErrorKind, Result};
use crate::host::HostPaths;
use crate::sys;

/// Longest serving line that is read.
const LINE_MAX_BYTES: usize = 4096;
/// A log that is larger when `cfgstored` is started becomes the old log, and the old one goes.
const LOG_MAX_BYTES: u64 = 1 << 20;
/// Shown of the log when a start fails.
const LOG_TAIL_BYTES: u64 = 2048;
const LOG_TAIL_LINES: usize = 5;
/// A disk with less than this counts as full when a start fails.
const FULL_BELOW_BYTES: u64 = 1 << 20;

pub(super) enum Started {
    /// It said that it serves.
    Serving,
    /// It runs, and the deadline has passed.
    TooSlow,
    Ended(Ended),
}

/// It ended, or closed its stdout, without serving.
pub(super) struct Ended {
    binary: String,
    said: String,
    log: String,
}

impl Ended {
    pub fn into_error(self, paths: &HostPaths) -> Error {
        let full = self.log.contains("No space left on device")
            || sys::free_bytes(paths.data_dir()).is_ok_and(|free| free < FULL_BELOW_BYTES);
        let (kind, next) = if full {
            (
                ErrorKind::Exhausted,
                format!(
                    "; no space is left on the disk of {}: free some there, or name another data folder",
                    paths.data_dir().display()
                ),
            )
        } else {
            (
                ErrorKind::Unavailable,
                format!("; its log is {}", paths.log().display()),
            )
        };
        let mut words: Vec<&str> = [self.said.trim(), self.log.trim()].into();
        words.retain(|words| !words.is_empty());
        let words = if words.is_empty() {
            "it said nothing".to_owned()
        } else {
            words.join("\n")
        };
        Error::new(kind, format!("{} did not start: {words}{next}", self.binary))
    }
}

/// What it is told on its command line.
pub(super) struct Told<'a> {
    pub paths: &'a HostPaths,
    pub mirror_dir: Option<&'a Path>,
    /// URLs; empty: it is no agent.
    pub members: &'a [String],
    /// What an agent serves until a member answers.
    pub seed: Option<&'a Path>,
    /// Whom to start it as; `None`: as who this is.
    pub owner: Option<sys::User>,
}

/// Starts it and waits for its one line on stdout.
pub(super) async fn start(binary: &Path, told: Told<'_>, deadline: Instant) -> Result<Started> {
    let Told {
        paths,
        mirror_dir,
        members,
        seed,
        owner,
    } = told;
    let fault = |what: &str, error: io::Error| {
        Error::new(
            kind_of(&error),
            format!("cannot start {}: {what}: {error}", binary.display()),
        )
    };
    let log_path = paths.log();
    let log_named = log_path.display().to_string();
    let log = sys::with_files_of(owner, || open_log(&log_path)).map_err(|error| fault(&log_named, error))?;
    let log_begins = log.metadata().map_or(0, |found| found.len());
    let (stdout, writer) = io::pipe().map_err(|error| fault("pipe", error))?;
    // The child's folder is the root, so that no file system is kept busy.
    let data_dir = std::path::absolute(paths.data_dir()).map_err(|error| fault("data folder", error))?;

    let mut command = Command::new(binary);
    command.arg("--data-dir").arg(data_dir);
    if let Some(dir) = mirror_dir {
        let dir = std::path::absolute(dir).map_err(|error| fault("mirror folder", error))?;
        command.arg("--mirror-dir").arg(dir);
    }
    if !members.is_empty() {
        command.arg("--endpoints").arg(members.join(","));
        if let Some(seed) = seed {
            let seed = std::path::absolute(seed).map_err(|error| fault("seed", error))?;
            command.arg("--seed").arg(seed);
        }
    }
    command
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(writer)
        .stderr(log);
    for variable in [
        "LISTEN_FDS",
        "LISTEN_PID",
        "LISTEN_FDNAMES",
        "NOTIFY_SOCKET",
        "WATCHDOG_PID",
        "FPM_SOCKETS",
    ] {
        command.env_remove(variable);
    }
    // They are settings of some other server of this environment: the embedded store has none, and listens nowhere.
    for (variable, _) in std::env::vars_os() {
        if variable.as_encoded_bytes().starts_with(b"ETCD_") {
            command.env_remove(variable);
        }
    }
    if let Some(owner) = owner {
        command.uid(owner.id).gid(owner.group);
    }
    sys::detach_before_exec(&mut command);
    let mut starter = command.spawn().map_err(|error| fault("run", error))?;
    // Closes this side's copy of the pipe's writing end.
    drop(command);
    // The first child has ended already, unless the program ignores SIGCHLD and it is gone: both are well.
    let _ = starter.wait();

    let mut stdout =
        pipe::Receiver::from_owned_fd(OwnedFd::from(stdout)).map_err(|error| fault("pipe", error))?;
    let mut line = Vec::new();
    loop {
        let mut chunk = [0; 512];
        match timeout_at(deadline, stdout.read(&mut chunk)).await {
            Err(_) => return Ok(Started::TooSlow),
            Ok(Err(error)) => return Err(fault("its stdout", error)),
            Ok(Ok(0)) => break,
            Ok(Ok(length)) => line.extend_from_slice(&chunk[..length]),
        }
        if let Some(end) = line.iter().position(|&byte| byte == b'\n') {
            if is_serving_line(&line[..end]) {
                return Ok(Started::Serving);
            }
            break;
        }
        if line.len() > LINE_MAX_BYTES {
            break;
        }
    }
    Ok(Started::Ended(Ended {
        binary: binary.display().to_string(),
        said: String::from_utf8_lossy(&line).into_owned(),
        log: tail(&log_path, log_begins),
    }))
}

/// `cfgstored <version> serving: …`
fn is_serving_line(line: &[u8]) -> bool {
    line.starts_with(b"cfgstored ") && line.windows(9).any(|part| part == b" serving:")
}

fn open_log(path: &Path) -> io::Result<File> {
    if path.metadata().is_ok_and(|found| found.len() > LOG_MAX_BYTES) {
        // Should it fail, the log grows on: no reason not to start.
        let _ = std::fs::rename(path, path.with_extension("log.old"));
    }
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o640)
        .open(path)
}

/// The last lines that were written after `begins`.
fn tail(path: &Path, begins: u64) -> String {
    let read = || -> io::Result<String> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(begins.max(length.saturating_sub(LOG_TAIL_BYTES))))?;
        let mut bytes = Vec::new();
        file.take(LOG_TAIL_BYTES).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = read().unwrap_or_default();
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_serving_line_is_known() {
        assert!(is_serving_line(
            b"cfgstored 0.1.0 serving: data_dir=/x socket=/x/s"
        ));
        assert!(!is_serving_line(b"cfgstored 0.1.0"));
        assert!(!is_serving_line(b"serving:"));
    }

    #[test]
    fn a_large_log_is_kept_once() {
        let dir = tempfile::tempdir().unwrap();
        let (path, old) = (
            dir.path().join("cfgstored.log"),
            dir.path().join("cfgstored.log.old"),
        );
        for round in 0..2 {
            let large = vec![round; LOG_MAX_BYTES as usize + 1];
            std::fs::write(&path, &large).unwrap();
            assert_eq!(open_log(&path).unwrap().metadata().unwrap().len(), 0);
            assert_eq!(std::fs::read(&old).unwrap(), large);
        }
        std::fs::write(&path, "small").unwrap();
        assert_eq!(open_log(&path).unwrap().metadata().unwrap().len(), 5);
    }

    #[test]
    fn the_tail_begins_where_the_start_began() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        std::fs::write(&path, "old\n1\n\n2\n3\n4\n5\n6\n").unwrap();
        assert_eq!(tail(&path, 4), "2\n3\n4\n5\n6");
        assert_eq!(tail(&path, 16), "");
        assert_eq!(tail(&dir.path().join("absent"), 0), "");
    }
}

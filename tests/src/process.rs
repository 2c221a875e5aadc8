//! Child processes that end with the test that started them, and what /proc says of a process.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// A child process whose standard output can be awaited line by line. It leads a process group of its own, so that its
/// children (the workers of php-fpm and nginx) end with it: all are killed when it is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    lines: Mutex<Receiver<String>>,
}

impl Process {
    /// Starts `command` with its standard output captured.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn spawn(command: &mut Command) -> Process {
        let mut child = command
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let stdout = child.stdout.take().expect("stdout was piped");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Process {
            child,
            lines: Mutex::new(lines),
        }
    }

    /// The next line of its standard output; `None` at its end.
    ///
    /// # Panics
    /// When none comes within 30 seconds.
    pub fn line(&self) -> Option<String> {
        match self
            .lines
            .lock()
            .expect("one reader")
            .recv_timeout(Duration::from_secs(30))
        {
            Ok(line) => Some(line),
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => None,
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => panic!("no line within 30 s"),
        }
    }

    /// The next line of its standard output, if one is there already.
    pub fn line_now(&self) -> Option<String> {
        self.lines.lock().expect("one reader").try_recv().ok()
    }

    /// Reads lines until one contains `text`, and returns it.
    ///
    /// # Panics
    /// When the output ends first.
    pub fn line_with(&self, text: &str) -> String {
        let mut seen = Vec::new();
        while let Some(line) = self.line() {
            if line.contains(text) {
                return line;
            }
            seen.push(line);
        }
        panic!("the output ended without {text:?}: {seen:?}");
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// Whether it has ended, and was not waited for yet.
    pub fn has_ended(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap_or_default();
        // The state follows the name, which is in parentheses and may hold anything.
        stat.rsplit(')')
            .next()
            .is_none_or(|rest| rest.trim_start().starts_with('Z'))
    }

    /// Sends a signal.
    pub fn signal(&self, signal: i32) {
        // SAFETY: kill has no memory effects; the child is not reaped before `wait`, so the pid is its own.
        unsafe { libc::kill(self.pid(), signal) };
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it does not end within 30 seconds.
    pub fn wait(mut self) -> ExitStatus {
        let mut status = None;
        wait_until("the process to end", || {
            status = self.child.try_wait().expect("wait");
            status.is_some()
        });
        status.expect("ended")
    }

    /// Ends it with SIGKILL and reaps it.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        // SAFETY: kill has no memory effects; the child is not reaped before, so the group is its own.
        unsafe { libc::kill(-self.pid(), libc::SIGKILL) };
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

/// Checks `done` until it holds: for what has no event to wait for (the state of foreign processes).
///
/// # Panics
/// When it does not hold within 30 seconds.
pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !done() {
        assert!(Instant::now() < deadline, "waited 30 s for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The clock that PHP's `hrtime(true)` reads, in nanoseconds.
pub fn monotonic_ns() -> i64 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `now` is a valid timespec to write to.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}

/// Ids of the processes whose command line contains `text`.
pub fn processes_matching(text: &str) -> Vec<i32> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<i32>().ok())
        else {
            continue;
        };
        let command = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if String::from_utf8_lossy(&command).contains(text) && pid != std::process::id() as i32 {
            found.push(pid);
        }
    }
    found
}

/// Ids of the processes of a process group, those that nobody has waited for included.
pub fn processes_in_group(group: i32) -> Vec<i32> {
    let pids = std::fs::read_dir("/proc").expect("/proc").flatten();
    pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|&pid| {
            // SAFETY: getpgid has no memory effects.
            pid > 0 && unsafe { libc::getpgid(pid) } == group
        })
        .collect()
}

/// Ids of the processes that a process has started and not waited for.
pub fn children(pid: i32) -> Vec<i32> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    children
        .split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .collect()
}

/// How many file descriptors a process has open.
pub fn descriptors(pid: i32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// The memory that a process uses, its share of what it shares included, in KiB. Without pages of files on disk: its share of those
/// changes with every other process that maps the same libraries.
pub fn memory_kib(pid: i32) -> u64 {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let numbers = rollup.lines().filter_map(|line| {
        let rest = line
            .strip_prefix("Pss_Anon:")
            .or_else(|| line.strip_prefix("Pss_Shmem:"))?;
        let number = rest.split_whitespace().next().expect("a number");
        Some(number.parse::<u64>().expect("a number"))
    });
    numbers.sum()
}

/// How many of a process's file descriptors are sockets.
pub fn sockets(pid: i32) -> usize {
    let open = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten()
        .flatten();
    open.filter_map(|entry| std::fs::read_link(entry.path()).ok())
        .filter(|target| target.to_string_lossy().starts_with("socket:"))
        .count()
}

/// How many of a process's memory mappings have `text` in their path.
pub fn mappings(pid: i32, text: &str) -> usize {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    maps.lines().filter(|line| line.contains(text)).count()
}

/// Whether this process may do everything, such as mount and change its user.
pub fn is_root() -> bool {
    // SAFETY: geteuid has no preconditions.
    unsafe { libc::geteuid() == 0 }
}

//! Processes of this very test program that play one part each.

use std::process::{Child, Command, Stdio};

const ROLE: &str = "CFGSTORE_TEST_ROLE";

/// What the process was started for: the arguments given to [`start`], if this is one.
pub fn role() -> Option<Vec<String>> {
    let role = std::env::var(ROLE).ok()?;
    Some(role.split('\n').map(str::to_owned).collect())
}

/// Runs the test `name` of this program in a process of its own, where [`role`] returns `arguments`.
pub fn start(name: &str, arguments: &[&str]) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(ROLE, arguments.join("\n"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

/// Runs it to its end, which must be a good one.
pub fn run(name: &str, arguments: &[&str]) {
    let ended = start(name, arguments).wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stdout);
    assert!(
        ended.status.success(),
        "{name} {arguments:?}: {}\n{said}",
        ended.status
    );
    assert!(
        said.contains("1 passed"),
        "{name} is no test of this program:\n{said}"
    );
}

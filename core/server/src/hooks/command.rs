//! One run of a hook's command.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use cfgstore_client::{Change, ChangeKind};
use cfgstore_notify::{ENV_PREFIX, Told};
use serde_json::{Map, Value, json};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;

use super::Hook;
use crate::sys;

/// What of each of a command's outputs goes into the log, in bytes; the rest is read and dropped.
const MAX_OUTPUT_BYTES: u64 = 64 * 1024;

/// How long output is waited for once the command has ended.
const LAST_OUTPUT: Duration = Duration::from_millis(500);

/// What a command is told.
pub(super) struct Run<'a> {
    pub hook: &'a Hook,
    pub changes: &'a [Change],
    /// There may have been changes that nobody knows of any more.
    pub missed: bool,
    /// The revision that it is up to.
    pub revision: i64,
}

/// Kills a command with all it has started, unless it has ended.
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(id) = self.0 {
            sys::kill_group(id);
        }
    }
}

/// Runs the command and waits for its end. The error says why it has failed.
pub(super) async fn run(what: &Run<'_>) -> Result<(), String> {
    let hook = what.hook;
    let mut command = Command::new(&hook.command[0]);
    command
        .args(&hook.command[1..])
        .env("CFGSTORE_PREFIX", &hook.prefix)
        .env("CFGSTORE_REVISION", what.revision.to_string())
        .env("CFGSTORE_CHANGES", what.changes.len().to_string())
        .env("CFGSTORE_MISSED", if what.missed { "1" } else { "0" })
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    // Secrets of notifications are none of its business.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with(ENV_PREFIX) {
            command.env_remove(name);
        }
    }
    let name = &hook.command[0];
    let mut child = command
        .spawn()
        .map_err(|error| format!("{name} can't be started: {error}"))?;
    let mut group = Group(child.id());
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let input = body(what).to_string();
    let write = async move {
        if let Some(mut stdin) = stdin {
            // A command need not read it.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
    };
    let ended = async {
        let outputs = async { tokio::join!(write, log(hook, stdout), log(hook, stderr)) };
        tokio::pin!(outputs);
        tokio::select! {
            biased;
            _ = &mut outputs => child.wait().await,
            status = child.wait() => {
                // What it has printed is there. A process that it leaves behind may keep the pipe open: that is not waited for.
                let _ = tokio::time::timeout(LAST_OUTPUT, &mut outputs).await;
                status
            }
        }
    };
    let status = tokio::time::timeout(hook.timeout, ended).await;
    match status {
        Ok(Ok(status)) => {
            group.0 = None;
            succeeded(name, status)
        }
        Ok(Err(error)) => Err(format!("{name} can't be waited for: {error}")),
        Err(_) => Err(format!("{name} was killed after {:?}", hook.timeout)),
    }
}

fn succeeded(name: &str, status: ExitStatus) -> Result<(), String> {
    match status.success() {
        true => Ok(()),
        false => Err(format!("{name} ended with {status}")),
    }
}

/// Logs lines as they come.
async fn log<R: AsyncRead + Unpin>(hook: &Hook, output: Option<R>) {
    let Some(output) = output else {
        return;
    };
    let mut reader = BufReader::new(output.take(MAX_OUTPUT_BYTES));
    let mut line = Vec::new();
    while let Ok(1..) = reader.read_until(b'\n', &mut line).await {
        let text = String::from_utf8_lossy(&line);
        tracing::info!(prefix = %hook.prefix, "on-change: {}", text.trim_end().escape_debug());
        line.clear();
    }
    let _ = tokio::io::copy(reader.into_inner().get_mut(), &mut tokio::io::sink()).await;
}

/// What stands on the command's standard input.
fn body(what: &Run<'_>) -> Value {
    let changes: Vec<Value> = what.changes.iter().map(change).collect();
    json!({
        "format": 1,
        "prefix": what.hook.prefix,
        "revision": what.revision,
        "missed": what.missed,
        "changes": changes,
    })
}

fn change(change: &Change) -> Value {
    let mut members = Map::new();
    let kind = match change.kind {
        ChangeKind::Put => "put",
        ChangeKind::Delete => "delete",
    };
    members.insert("kind".to_owned(), kind.into());
    match std::str::from_utf8(&change.key) {
        Ok(key) => members.insert("key".to_owned(), key.into()),
        Err(_) => members.insert("key_base64".to_owned(), Told::base64(&change.key).into()),
    };
    members.insert("revision".to_owned(), change.revision.into());
    members.insert("version".to_owned(), change.version.into());
    let mut tell = |name: &str, value: &[u8]| match Told::of(value) {
        Told::Json(raw) => {
            let value = serde_json::from_str(raw.get()).unwrap_or_default();
            members.insert(name.to_owned(), value)
        }
        Told::Base64(text) => members.insert(format!("{name}_base64"), text.into()),
    };
    if change.kind == ChangeKind::Put {
        tell("value", &change.value);
    }
    if let Some(previous) = &change.previous {
        tell("previous_value", &previous.value);
    }
    Value::Object(members)
}

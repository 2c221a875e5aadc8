//! Local commands that are run when keys change: `--on-change PREFIX=COMMAND ARG…`.
//!
//! What runs is said on this host's command line and nowhere else: no rule of the cluster runs a command.

mod command;
mod position;

use std::path::{Path, PathBuf};
use std::time::Duration;

use cfgstore_client::{Address, Change, Client, ErrorKind, Options, Watch, WatchOptions};
use futures_util::FutureExt;
use tokio::task::JoinHandle;

use command::{Run, run};
use position::Position;

/// Most hooks of a process.
pub const MAX_HOOKS: usize = 100;
/// Changes and bytes of values that one run is told of; a revision is never divided.
const MAX_CHANGES: usize = 1_000;
const MAX_BYTES: usize = 1 << 20;
/// After a failure to reach the members, or a run that failed: doubled each time.
const PAUSE_FIRST: Duration = Duration::from_secs(1);
const PAUSE_LAST: Duration = Duration::from_secs(60);
/// Runs of one batch that may fail before the hook goes on with the next.
const MAX_RUNS: u32 = 5;

/// A command, and the keys whose changes it is run for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// The keys begin with this; empty: every key.
    pub prefix: String,
    /// The program, found by the search path, and its arguments. No shell reads them.
    pub command: Vec<String>,
    /// After so long it is killed, with all it has started.
    pub timeout: Duration,
}

impl Hook {
    /// Reads `PREFIX=COMMAND ARG…`; arguments are separated by white space.
    pub fn parse(text: &str, timeout: Duration) -> Result<Hook, String> {
        let (prefix, command) = text
            .split_once('=')
            .ok_or_else(|| format!("{text:?} is not PREFIX=COMMAND, as in app/=/usr/local/bin/reload"))?;
        let command: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
        if command.is_empty() {
            return Err(format!("{text:?} names no command after PREFIX="));
        }
        Ok(Hook {
            prefix: prefix.to_owned(),
            command,
            timeout,
        })
    }
}

/// Running hooks. They end, and a command that runs is killed, when this is dropped.
#[derive(Debug)]
pub struct Hooks(Vec<JoinHandle<()>>);

impl Hooks {
    /// Follows the store behind the host's `socket`. A hook that has never run begins with the next change; else it goes on where
    /// it was, as `data_dir` says. Call it on a tokio runtime.
    ///
    /// # Errors
    /// What is wrong with the socket's path.
    pub fn start(hooks: Vec<Hook>, socket: &Path, data_dir: &Path) -> Result<Hooks, cfgstore_client::Error> {
        let mut tasks = Hooks(Vec::new());
        for hook in hooks {
            let client = Client::new(Options {
                address: Address::Unix(socket.to_owned()),
                autostart: false,
                client_name: "cfgstored-on-change".to_owned(),
                ..Options::default()
            })?;
            let path = position::path(data_dir, &hook);
            tasks
                .0
                .push(tokio::spawn(Follower { hook, client, path }.follow()));
        }
        Ok(tasks)
    }
}

impl Drop for Hooks {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

struct Follower {
    hook: Hook,
    client: Client,
    path: PathBuf,
}

impl Follower {
    async fn follow(self) {
        let mut pause = PAUSE_FIRST;
        loop {
            if let Err(error) = self.follow_once().await {
                tracing::warn!(prefix = %self.hook.prefix, %error, "on-change: the store can't be followed; it is tried again");
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_LAST);
        }
    }

    async fn follow_once(&self) -> Result<(), cfgstore_client::Error> {
        let status = self.client.member_status().await?;
        let now = Position {
            cluster_id: status.cluster_id,
            revision: status.revision,
        };
        let mut at = match position::load(&self.path) {
            None => {
                position::save(&self.path, &now);
                now
            }
            Some(known) if known.cluster_id == now.cluster_id && known.revision <= now.revision => known,
            Some(_) => {
                // Another store, or the same one restored from a backup: whatever there is may be new.
                self.missed(&now).await;
                now
            }
        };
        loop {
            let options = WatchOptions::prefix(&self.hook.prefix)
                .from_revision(at.revision + 1)
                .with_previous();
            let mut watch = self.client.watch(options)?;
            loop {
                match gather(&mut watch).await {
                    Ok(changes) => {
                        at.revision = changes.last().map_or(at.revision, |change| change.revision);
                        self.tell(&changes, false, at.revision).await;
                        position::save(&self.path, &at);
                    }
                    Err(error) if error.kind == ErrorKind::Compacted => {
                        at.revision = self.client.member_status().await?.revision;
                        self.missed(&at).await;
                        break;
                    }
                    Err(error) => return Err(error),
                }
            }
        }
    }

    async fn missed(&self, at: &Position) {
        tracing::warn!(prefix = %self.hook.prefix, "on-change: changes may have been missed");
        self.tell(&[], true, at.revision).await;
        position::save(&self.path, at);
    }

    /// Runs the command until it succeeds, but not for ever.
    async fn tell(&self, changes: &[Change], missed: bool, revision: i64) {
        let what = Run {
            hook: &self.hook,
            changes,
            missed,
            revision,
        };
        let mut pause = PAUSE_FIRST;
        for attempt in 1..=MAX_RUNS {
            match run(&what).await {
                Ok(()) => return,
                Err(reason) if attempt == MAX_RUNS => {
                    tracing::error!(prefix = %self.hook.prefix, revision, %reason, "on-change: given up");
                }
                Err(reason) => {
                    tracing::warn!(prefix = %self.hook.prefix, revision, %reason, "on-change: it is run again");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_LAST);
                }
            }
        }
    }
}

/// The next changes: all that have come, up to a bound.
async fn gather(watch: &mut Watch) -> Result<Vec<Change>, cfgstore_client::Error> {
    let mut changes = watch.next().await?.changes;
    let size = |changes: &[Change]| changes.iter().map(|change| change.value.len()).sum::<usize>();
    let mut bytes = size(&changes);
    while changes.len() < MAX_CHANGES
        && bytes < MAX_BYTES
        // A failure shows again with the next call.
        && let Some(Ok(more)) = watch.next().now_or_never()
    {
        bytes += size(&more.changes);
        changes.extend(more.changes);
    }
    Ok(changes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hooks_are_read() {
        let read = |text: &str| Hook::parse(text, Duration::from_secs(1));
        let hook = read("app/=systemctl  reload php8.2-fpm").unwrap();
        assert_eq!(hook.prefix, "app/");
        assert_eq!(hook.command, ["systemctl", "reload", "php8.2-fpm"]);
        assert_eq!(read("=env A=B").unwrap().command, ["env", "A=B"]);
        for text in ["", "app/", "app/=", "app/= "] {
            read(text).unwrap_err();
        }
    }
}

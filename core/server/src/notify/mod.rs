//! Tells of changes, while this member leads.
//!
//! How far a rule has got is part of the replicated state, and what is still to be told is the change log itself. So nothing
//! is queued here, and whoever leads next goes on from there: what was delivered and not yet recorded is delivered again.

mod history;
mod stats;
mod task;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use cfgstore_notify::{Policy, Rule, Secrets, Sender};
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

pub(crate) use history::messages_between;
pub(crate) use stats::{RuleStats, Stats};

use crate::context::Context;

/// How often it is looked whether this member leads, and whether rules were set.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What sending takes, and what is known of it.
#[derive(Debug)]
pub(crate) struct Notifier {
    pub sender: Sender,
    pub stats: Stats,
    pub policy: Policy,
}

impl Notifier {
    pub fn new(secrets_dir: PathBuf, give_up_after: Duration) -> Notifier {
        Notifier {
            sender: Sender::new(Secrets::new(secrets_dir)),
            stats: Stats::default(),
            policy: Policy {
                give_up_after,
                ..Policy::default()
            },
        }
    }
}

/// A rule that is being served. It ends when this is dropped.
struct Served {
    rule: Bytes,
    task: JoinHandle<()>,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Sends as long as the server lives, whenever this member leads.
pub(crate) async fn run(ctx: Arc<Context>) {
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut served = HashMap::new();
    loop {
        ticks.tick().await;
        let state = ctx.member.state();
        if state.notifications().next().is_none() || !ctx.member.status().is_leader {
            served.clear();
            ctx.notifier.stats.forget_except(|_| false);
            continue;
        }
        let current: HashMap<&str, &Bytes> = state
            .notifications()
            .map(|(name, known)| (name, &known.rule))
            .collect();
        served.retain(|name: &String, served: &mut Served| {
            current
                .get(name.as_str())
                .is_some_and(|rule| **rule == served.rule)
                && !served.task.is_finished()
        });
        ctx.notifier
            .stats
            .forget_except(|name| current.contains_key(name));
        for (name, rule) in current {
            if !served.contains_key(name) {
                let task = serve(&ctx, name, rule);
                let rule = rule.clone();
                served.insert(name.to_owned(), Served { rule, task });
            }
        }
    }
}

fn serve(ctx: &Arc<Context>, name: &str, rule: &Bytes) -> JoinHandle<()> {
    match Rule::from_bytes(rule) {
        Ok(rule) => tokio::spawn(task::run(ctx.clone(), rule)),
        Err(reason) => {
            // Written by a newer version: the rule waits for a member that understands it.
            ctx.notifier
                .stats
                .update(name, |stats| stats.trouble = Some(reason));
            tokio::spawn(std::future::pending())
        }
    }
}

/// Milliseconds since 1970, by this host's clock.
pub(crate) fn now_unix_ms() -> i64 {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

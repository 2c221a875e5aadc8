//! One rule: looks, sends and records as its course says.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cfgstore_notify::{Course, Found, Progress, Rule, Step};
use cfgstore_store::{Caller, Command, CommandError, DeadLetter, NotificationProgress};
use rand::Rng;
use tokio::sync::watch;

use super::history::{Looking, Window};
use super::now_unix_ms;
use crate::context::Context;

/// A window over more revisions than this is made on a thread of its own.
const INLINE_REVISIONS: i64 = 1_000;

/// Changes of so long are looked at together: many rules would else look at each.
const GATHER: Duration = Duration::from_millis(10);

/// A rule that has been behind for longer than this may have missed changes that left no trace in the change log.
const MAY_HAVE_MISSED: Duration = Duration::from_secs(2);

/// Serves a rule until this is dropped, or the rule is gone.
pub(super) async fn run(ctx: Arc<Context>, rule: Rule) {
    let done_through = ctx
        .member
        .state()
        .notifications()
        .find(|(name, _)| *name == rule.name)
        .map(|(_, known)| known.done_through_revision);
    let Some(done_through) = done_through else {
        return;
    };
    let started = Instant::now();
    let task = Task {
        course: Course::new(ctx.notifier.policy.clone(), done_through, Duration::ZERO),
        rule: Arc::new(rule),
        window: Window::default(),
        started,
        was_at_newest: false,
        behind_since: None,
        ctx,
    };
    task.run().await;
}

struct Task {
    ctx: Arc<Context>,
    rule: Arc<Rule>,
    course: Course,
    window: Window,
    started: Instant,
    /// Whether it has ever looked at all there was.
    was_at_newest: bool,
    /// When there was first something new, since it last had.
    behind_since: Option<Instant>,
}

impl Task {
    async fn run(mut self) {
        let mut applied = self.ctx.member.applied();
        loop {
            match self.course.step(self.now()) {
                Step::Look { after } => {
                    let found = self.look(after, &mut applied).await;
                    self.course.found(found, self.now());
                }
                Step::Send { revision } => self.send(revision).await,
                Step::Record(progress) => {
                    if !self.record(progress).await {
                        return;
                    }
                }
                Step::Wait { until, or_changes } => {
                    let pause = until.map(|until| until.saturating_sub(self.now()));
                    let time = async {
                        match pause {
                            Some(pause) => tokio::time::sleep(pause).await,
                            None => std::future::pending().await,
                        }
                    };
                    tokio::select! {
                        () = time => {}
                        changed = applied.changed(), if or_changes => match changed {
                            Ok(()) => {
                                self.behind_since.get_or_insert_with(Instant::now);
                                tokio::time::sleep(GATHER).await;
                                self.course.changed();
                            }
                            // The member has ended.
                            Err(_) => return,
                        },
                    }
                }
            }
        }
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    async fn look(&mut self, after: i64, applied: &mut watch::Receiver<i64>) -> Found {
        self.window.forget_through(after);
        if self.window.is_exhausted(after) {
            // Before the state is taken, and only when one is: what a window does not show is told by `changed`.
            applied.borrow_and_update();
            let state = self.ctx.member.state();
            let behind = self
                .behind_since
                .is_some_and(|since| since.elapsed() >= MAY_HAVE_MISSED);
            let search_keys = behind || !self.was_at_newest;
            let looking = Looking {
                cluster_id: self.ctx.cluster_id,
                rule: self.rule.clone(),
                after,
                search_keys,
            };
            let is_short = !search_keys && state.revision() - after <= INLINE_REVISIONS;
            self.window = if is_short {
                looking.window(&state)
            } else {
                let making = tokio::task::spawn_blocking(move || looking.window(&state));
                // It ends early only with the runtime.
                making.await.unwrap_or_default()
            };
        }
        if let Some((from, to)) = self.window.lost.take() {
            return Found::Lost { from, to };
        }
        if let Some(message) = self.window.messages.front() {
            return Found::Message {
                revision: message.revision,
            };
        }
        if self.window.is_newest {
            (self.was_at_newest, self.behind_since) = (true, None);
        }
        Found::Nothing {
            through: self.window.through,
            is_newest: self.window.is_newest,
        }
    }

    async fn send(&mut self, revision: i64) {
        let message = self.window.messages.front();
        let message = message.filter(|message| message.revision == revision);
        let message = message.expect("what is sent is what was found last");
        let notifier = &self.ctx.notifier;
        let outcome = notifier.sender.send(&self.rule, message, now_unix_ms()).await;
        let name = self.rule.name.as_str();
        match (&outcome, self.course.trouble()) {
            (Ok(()), Some(_)) => tracing::info!(rule = name, revision, "notifications are delivered again"),
            (Err(failure), None) => {
                tracing::warn!(rule = name, revision, %failure, "a notification could not be delivered; it is tried again");
            }
            (Err(failure), Some(_)) => tracing::debug!(rule = name, revision, %failure, "and again not"),
            (Ok(()), None) => tracing::trace!(rule = name, revision, "delivered"),
        }
        let failed = outcome.is_err();
        self.course.sent(
            outcome,
            self.started.elapsed(),
            rand::rng().random_range(0.0..1.0),
        );
        let trouble = self.course.trouble().map(str::to_owned);
        notifier.stats.update(name, |stats| {
            stats.deliveries += u64::from(!failed);
            stats.failures += u64::from(failed);
            stats.trouble = trouble;
        });
    }

    /// Tells the cluster. Answers false if the rule is gone.
    async fn record(&mut self, progress: Progress) -> bool {
        let name = self.rule.name.clone();
        for letter in &progress.dead_letters {
            let (from, to) = (letter.from_revision, letter.to_revision);
            tracing::warn!(rule = %name, from, to, reason = %letter.reason, "a notification is given up");
        }
        let time_unix_ms = now_unix_ms();
        let letters = progress.dead_letters.iter().map(|letter| DeadLetter {
            id: 0,
            from_revision: letter.from_revision,
            to_revision: letter.to_revision,
            reason: letter.reason.clone(),
            time_unix_ms,
        });
        let command = Command::NotificationProgress(NotificationProgress {
            name,
            done_through_revision: progress.done_through,
            dead_letters: letters.collect(),
            forget: Vec::new(),
        });
        match self.ctx.member.propose(Caller::default(), command).await {
            Ok(applied) => match applied.result {
                Ok(_) => self.course.recorded(&progress, self.now()),
                Err(CommandError::RuleNotFound { .. }) => return false,
                Err(error) => {
                    tracing::warn!(rule = %self.rule.name, %error, "how far notifications are was not recorded");
                    self.course.not_recorded(self.now());
                }
            },
            Err(error) => {
                tracing::debug!(rule = %self.rule.name, %error, "how far notifications are was not recorded");
                self.course.not_recorded(self.now());
            }
        }
        true
    }
}

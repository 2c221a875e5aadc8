//! When what is sent, again, or given up: one rule's way along the history.
//!
//! Pure: the caller says what time it is, looks into the history, sends, and tells the cluster; and does one of them at a time,
//! as [`Course::step`] says.

use std::time::Duration;

use crate::failure::Failure;

/// How failures are met.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The pause after the first failure; each further one is twice as long.
    pub first_delay: Duration,
    /// The longest pause.
    pub max_delay: Duration,
    /// The longest time that a target can ask for.
    pub max_retry_after: Duration,
    /// A message that has failed for this long is given up at its next failure.
    pub give_up_after: Duration,
    /// A message that the target has refused this often is given up.
    pub max_refusals: u32,
    /// While one message follows the other, the cluster is told this often how far it has got.
    pub record_every: Duration,
    /// When no change was the rule's, the cluster is told this often that they have been looked at.
    pub record_skipped_every: Duration,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            first_delay: Duration::from_secs(1),
            max_delay: Duration::from_secs(300),
            max_retry_after: Duration::from_secs(3600),
            give_up_after: Duration::from_secs(24 * 3600),
            max_refusals: 5,
            record_every: Duration::from_millis(100),
            record_skipped_every: Duration::from_secs(10),
        }
    }
}

/// What the caller does next. Times are those of the caller's monotonic clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Look into the history after this revision for changes that are the rule's, and call [`Course::found`].
    Look {
        /// The revision.
        after: i64,
    },
    /// Send the message of this revision, which was found last, and call [`Course::sent`].
    Send {
        /// The revision.
        revision: i64,
    },
    /// Tell the cluster, then call [`Course::recorded`] or [`Course::not_recorded`].
    Record(Progress),
    /// Do nothing until then.
    Wait {
        /// When to ask again; `None`: not before there are changes.
        until: Option<Duration>,
        /// Whether to ask again, after [`Course::changed`], when there are new changes.
        or_changes: bool,
    },
}

/// What is in the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Changes of the rule, made by this revision, and none of it before.
    Message {
        /// The revision.
        revision: i64,
    },
    /// None up to and with this revision.
    Nothing {
        /// The revision.
        through: i64,
        /// Whether that is all there is at present.
        is_newest: bool,
    },
    /// Some of what was there is no longer kept. What is still to be found is asked for again.
    Lost {
        /// The first revision of which that is so.
        from: i64,
        /// The last.
        to: i64,
    },
}

/// How far a rule has got.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Up to here, everything has been delivered, has become a dead letter, or was not the rule's.
    pub done_through: i64,
    /// What has become dead letters since the last record.
    pub dead_letters: Vec<DeadLetter>,
}

/// What was given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// First revision that it would have told of.
    pub from_revision: i64,
    /// Last revision that it would have told of.
    pub to_revision: i64,
    /// Why it was given up.
    pub reason: String,
}

/// One rule's way along the history: in order, one message at a time.
#[derive(Clone, Debug)]
pub struct Course {
    policy: Policy,
    /// Up to here, nothing is left to do.
    done_through: i64,
    /// The same, as the cluster knows.
    recorded_through: i64,
    dead_letters: Vec<DeadLetter>,
    /// Something was delivered that the cluster does not know of.
    is_unrecorded: bool,
    /// When the cluster was told last.
    recorded_at: Duration,
    /// Telling the cluster failed: not before this time again.
    record_not_before: Duration,
    /// Everything there was has been looked at.
    is_at_newest: bool,
    pending: Option<Pending>,
    trouble: Option<String>,
}

/// A message that is to be sent.
#[derive(Clone, Debug)]
struct Pending {
    revision: i64,
    attempts: u32,
    refusals: u32,
    first_failed_at: Option<Duration>,
    not_before: Duration,
}

/// The reason of dead letters for what could not even be tried.
pub const LOST: &str = "the history of these revisions is no longer kept";

/// After the cluster could not be told.
const RECORD_RETRY: Duration = Duration::from_secs(1);

impl Course {
    /// Goes on from where the cluster knows the rule to be.
    pub fn new(policy: Policy, done_through: i64, now: Duration) -> Course {
        Course {
            policy,
            done_through,
            recorded_through: done_through,
            dead_letters: Vec::new(),
            is_unrecorded: false,
            recorded_at: now,
            record_not_before: now,
            is_at_newest: false,
            pending: None,
            trouble: None,
        }
    }

    /// Why the last attempt failed; `None` if it did not.
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// Up to here, everything has been delivered, has become a dead letter, or was not the rule's.
    pub fn done_through(&self) -> i64 {
        self.done_through
    }

    /// What to do at this time.
    pub fn step(&self, now: Duration) -> Step {
        if self.must_record(now) {
            if now < self.record_not_before {
                return Step::Wait {
                    until: Some(self.record_not_before),
                    or_changes: false,
                };
            }
            return Step::Record(Progress {
                done_through: self.done_through,
                dead_letters: self.dead_letters.clone(),
            });
        }
        match &self.pending {
            Some(pending) if now < pending.not_before => Step::Wait {
                until: Some(pending.not_before),
                or_changes: false,
            },
            Some(pending) => Step::Send {
                revision: pending.revision,
            },
            None if self.is_at_newest => {
                let skipped = self.done_through > self.recorded_through;
                Step::Wait {
                    until: skipped.then(|| self.recorded_at + self.policy.record_skipped_every),
                    or_changes: true,
                }
            }
            None => Step::Look {
                after: self.done_through,
            },
        }
    }

    fn must_record(&self, now: Duration) -> bool {
        let since = now.saturating_sub(self.recorded_at);
        let pauses = match &self.pending {
            Some(pending) => now < pending.not_before,
            None => self.is_at_newest,
        };
        !self.dead_letters.is_empty()
            || self.is_unrecorded && (pauses || since >= self.policy.record_every)
            || self.done_through > self.recorded_through && since >= self.policy.record_skipped_every
    }

    /// There may be new changes.
    pub fn changed(&mut self) {
        self.is_at_newest = false;
    }

    /// What [`Step::Look`] found.
    pub fn found(&mut self, found: Found, now: Duration) {
        match found {
            Found::Message { revision } => {
                assert!(revision > self.done_through, "changes are told of in order");
                self.pending = Some(Pending {
                    revision,
                    attempts: 0,
                    refusals: 0,
                    first_failed_at: None,
                    not_before: now,
                });
            }
            Found::Nothing { through, is_newest } => {
                self.done_through = self.done_through.max(through);
                self.is_at_newest = is_newest;
            }
            Found::Lost { from, to } => self.bury(from, to, LOST.to_owned()),
        }
    }

    /// What became of [`Step::Send`]. `random` is in [0, 1): it spreads the attempts of many rules.
    pub fn sent(&mut self, outcome: Result<(), Failure>, now: Duration, random: f64) {
        let pending = self.pending.as_mut().expect("only what is pending is sent");
        let failure = match outcome {
            Ok(()) => {
                self.done_through = pending.revision;
                self.is_unrecorded = true;
                self.pending = None;
                self.trouble = None;
                return;
            }
            Err(failure) => failure,
        };
        pending.attempts += 1;
        pending.refusals += u32::from(failure.permanent);
        let failing_for = now.saturating_sub(*pending.first_failed_at.get_or_insert(now));
        self.trouble = Some(failure.reason.clone());
        if pending.refusals >= self.policy.max_refusals || failing_for >= self.policy.give_up_after {
            let (revision, attempts) = (pending.revision, pending.attempts);
            let reason = format!("given up after {attempts} attempts: {}", failure.reason);
            self.bury(revision, revision, reason);
            self.done_through = revision;
            self.pending = None;
            return;
        }
        let doublings = (pending.attempts - 1).min(20);
        let delay = (self.policy.first_delay * (1 << doublings)).min(self.policy.max_delay);
        let asked_for = failure
            .retry_after
            .unwrap_or_default()
            .min(self.policy.max_retry_after);
        pending.not_before = now + delay.mul_f64(0.5 + 0.5 * random.clamp(0.0, 1.0)).max(asked_for);
    }

    /// The cluster has been told this.
    pub fn recorded(&mut self, progress: &Progress, now: Duration) {
        self.recorded_through = progress.done_through;
        self.recorded_at = now;
        self.dead_letters.drain(..progress.dead_letters.len());
        self.is_unrecorded = false;
    }

    /// The cluster could not be told.
    pub fn not_recorded(&mut self, now: Duration) {
        self.record_not_before = now + RECORD_RETRY;
    }

    fn bury(&mut self, from_revision: i64, to_revision: i64, reason: String) {
        self.dead_letters.push(DeadLetter {
            from_revision,
            to_revision,
            reason,
        });
    }
}

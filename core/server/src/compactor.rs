//! Automatic compaction: forgets history that is older than was asked for, or more than there is room for.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use cfgstore_store::{Caller, Command, Compact, State};
use tokio::time::{Instant, MissedTickBehavior};

use crate::context::Context;
use crate::duration;

/// What compacts history by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AutoCompaction {
    /// Nothing does.
    Off,
    /// History older than this is forgotten, once per hour, or once per this time if it is shorter.
    Periodic(Duration),
    /// All but this many of the last revisions are forgotten, every five minutes.
    Revisions(i64),
    /// The last [`BOUNDED_REVISIONS`] revisions are kept (up to a tenth more, so that not every write compacts), as long as
    /// history takes no more than half of the quota; if it does, older halves of it are forgotten. And a write never fails
    /// for want of room that history takes: what is in the way is forgotten first. So a store that nobody looks after
    /// goes on for as long as its live data fits.
    Bounded,
}

/// How many revisions a store keeps that nobody looks after.
pub const BOUNDED_REVISIONS: i64 = 10_000;

const HOUR: Duration = Duration::from_secs(3600);
const REVISIONS_EVERY: Duration = Duration::from_secs(300);
const BOUND_EVERY: Duration = Duration::from_secs(1);
/// Below this, compaction would cost more than what it frees.
const MIN_RETENTION: Duration = Duration::from_secs(1);

impl AutoCompaction {
    /// Reads etcd's `--auto-compaction-mode` and `--auto-compaction-retention`: a duration (a bare number
    /// counts hours) in mode `periodic`, a number of revisions in mode `revision`; 0 is off.
    pub fn parse(mode: &str, retention: &str) -> Result<AutoCompaction, String> {
        if retention == "0" || retention.is_empty() {
            return match mode {
                "periodic" | "revision" => Ok(AutoCompaction::Off),
                other => Err(format!("the mode {other:?} is neither periodic nor revision")),
            };
        }
        match mode {
            "periodic" => {
                let time = match retention.parse::<u32>() {
                    Ok(hours) => HOUR * hours,
                    Err(_) => duration::parse(retention)?,
                };
                if time < MIN_RETENTION {
                    return Err(format!(
                        "a retention of {time:?} is too short, it must be 1s or more"
                    ));
                }
                Ok(AutoCompaction::Periodic(time))
            }
            "revision" => match retention.parse::<i64>() {
                Ok(count) if count > 0 => Ok(AutoCompaction::Revisions(count)),
                _ => Err(format!("{retention:?} is not a number of revisions")),
            },
            other => Err(format!("the mode {other:?} is neither periodic nor revision")),
        }
    }
}

/// Compacts as asked for, as long as the server lives. Every member runs it, as any may be the leader next; but only the
/// leader compacts.
pub(crate) async fn run(ctx: Arc<Context>, what: AutoCompaction) {
    match what {
        AutoCompaction::Off => {}
        AutoCompaction::Revisions(keep) => {
            let mut ticks = ticks(REVISIONS_EVERY);
            loop {
                ticks.tick().await;
                compact(&ctx, ctx.member.state().revision() - keep).await;
            }
        }
        AutoCompaction::Bounded => {
            let mut ticks = ticks(BOUND_EVERY);
            loop {
                ticks.tick().await;
                while let Some(revision) = beyond_bounds(&ctx.member.state(), ctx.config.quota_backend_bytes)
                    && compact_for_room(&ctx, revision).await
                {}
            }
        }
        AutoCompaction::Periodic(retention) => {
            let pause = retention.min(HOUR);
            let mut samples = Samples {
                retention,
                taken: VecDeque::new(),
            };
            let mut ticks = ticks(pause / 10);
            let mut compacted_at = Instant::now();
            loop {
                let now = ticks.tick().await;
                samples.add(now, ctx.member.state().revision());
                if now - compacted_at >= pause
                    && let Some(revision) = samples.expired(now)
                {
                    compact(&ctx, revision).await;
                    compacted_at = now;
                }
            }
        }
    }
}

fn ticks(period: Duration) -> tokio::time::Interval {
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// Where history has to begin to be within the bounds of [`AutoCompaction::Bounded`], or a step on the way there; `None` if
/// it is.
fn beyond_bounds(state: &State, quota_bytes: u64) -> Option<i64> {
    if state.history_bytes() > quota_bytes / 2 {
        return newer_half(state);
    }
    let kept = state.revision() - state.compact_revision().max(1);
    (kept > BOUNDED_REVISIONS + BOUNDED_REVISIONS / 10).then(|| state.revision() - BOUNDED_REVISIONS)
}

/// Where the newer half of history begins; `None` if nothing is left to forget.
fn newer_half(state: &State) -> Option<i64> {
    let (oldest, newest) = (state.compact_revision(), state.revision());
    (oldest < newest).then(|| newest - (newest - oldest.max(1)) / 2)
}

/// Forgets history, the oldest first, until `fits`, or none is left.
pub(crate) async fn make_room(ctx: &Context, fits: impl Fn(&State) -> bool) {
    // One at a time: whoever waited finds the room that the one before made.
    let _compacting = ctx.making_room.lock().await;
    loop {
        let state = ctx.member.state();
        if fits(&state) || state.history_bytes() == 0 {
            return;
        }
        let Some(revision) = newer_half(&state) else {
            return;
        };
        if !compact_for_room(ctx, revision).await {
            return;
        }
    }
}

/// Compacts to `revision`; not at once beyond what the watches that keep up were handed, or they would be told that they
/// missed something. Answers whether anything was compacted.
async fn compact_for_room(ctx: &Context, revision: i64) -> bool {
    let before = ctx.member.state().compact_revision();
    let handed_out = ctx.hub.dispatched();
    let revision = if handed_out > before {
        revision.min(handed_out)
    } else {
        revision
    };
    compact(ctx, revision).await;
    ctx.member.state().compact_revision() > before
}

async fn compact(ctx: &Context, revision: i64) {
    if revision <= ctx.member.state().compact_revision().max(0) || !ctx.member.status().is_leader {
        return;
    }
    match ctx
        .member
        .propose(Caller::default(), Command::Compact(Compact { revision }))
        .await
    {
        Ok(applied) => match applied.result {
            Ok(_) => tracing::info!(revision, "compacted history"),
            Err(error) => tracing::debug!(revision, %error, "compaction was not needed"),
        },
        Err(error) => {
            tracing::warn!(revision, %error, "automatic compaction failed, the next one makes up for it")
        }
    }
}

/// Which revision was current when. Holds as many samples as ticks fit into the retention.
struct Samples {
    retention: Duration,
    taken: VecDeque<(Instant, i64)>,
}

impl Samples {
    fn add(&mut self, at: Instant, revision: i64) {
        self.taken.push_back((at, revision));
    }

    /// The newest revision that is as old as the retention; forgets older samples.
    fn expired(&mut self, now: Instant) -> Option<i64> {
        let count = self
            .taken
            .iter()
            .take_while(|(at, _)| now - *at >= self.retention)
            .count();
        self.taken
            .drain(..count)
            .next_back()
            .map(|(_, revision)| revision)
    }
}

#[cfg(test)]
mod tests {
    use cfgstore_store::{Put, Store};

    use super::*;

    #[test]
    fn modes() {
        let parse = AutoCompaction::parse;
        assert_eq!(parse("periodic", "0").unwrap(), AutoCompaction::Off);
        assert_eq!(
            parse("periodic", "2").unwrap(),
            AutoCompaction::Periodic(2 * HOUR)
        );
        assert_eq!(
            parse("periodic", "30m").unwrap(),
            AutoCompaction::Periodic(HOUR / 2)
        );
        assert_eq!(
            parse("revision", "1000").unwrap(),
            AutoCompaction::Revisions(1000)
        );
        for (mode, retention) in [
            ("revision", "1h"),
            ("periodic", "10ms"),
            ("periodic", "x"),
            ("hourly", "1"),
            ("x", "0"),
        ] {
            parse(mode, retention).unwrap_err();
        }
    }

    #[test]
    fn history_is_bounded_in_revisions_and_in_bytes() {
        let mut store = Store::new();
        let mut put = |count: i64, value_bytes: usize| {
            let value = "x".repeat(value_bytes);
            for _ in 0..count {
                let put = Put {
                    key: "k".into(),
                    value: value.clone().into(),
                    ..Put::default()
                };
                store.apply(0, &Caller::default(), &Command::Put(put)).unwrap();
            }
            store.state()
        };
        let state = put(11_000, 1);
        assert_eq!(
            (state.revision(), beyond_bounds(&state, u64::MAX)),
            (11_001, None)
        );
        let state = put(1, 1);
        assert_eq!(beyond_bounds(&state, u64::MAX), Some(1_002));
        // The newer half of it, as often as it takes.
        assert_eq!(beyond_bounds(&state, 2_000_000), Some(5_502));
        let state = put(1, 100_000);
        let all = state.history_bytes();
        assert_eq!(beyond_bounds(&state, 2 * all), Some(1_003));
        assert_eq!(beyond_bounds(&state, 2 * all - 1), Some(5_502));
    }

    #[test]
    fn of_a_history_there_is_a_newer_half_until_nothing_is_left() {
        let mut store = Store::new();
        let mut steps = Vec::new();
        assert_eq!(newer_half(&store.state()), Some(1));
        for revision in 2..=9 {
            let put = Put {
                key: "k".into(),
                ..Put::default()
            };
            store.apply(0, &Caller::default(), &Command::Put(put)).unwrap();
            assert_eq!(store.state().revision(), revision);
        }
        while let Some(revision) = newer_half(&store.state()) {
            steps.push(revision);
            let compact = Command::Compact(Compact { revision });
            store.apply(0, &Caller::default(), &compact).unwrap();
        }
        assert_eq!(steps, [5, 7, 8, 9]);
        assert_eq!(store.state().history_bytes(), 0);
    }

    #[test]
    fn what_is_old_enough_is_compacted() {
        let start = Instant::now();
        let mut samples = Samples {
            retention: Duration::from_secs(10),
            taken: VecDeque::new(),
        };
        for second in 0..20 {
            samples.add(start + Duration::from_secs(second), 100 + second as i64);
        }
        assert_eq!(samples.expired(start + Duration::from_secs(9)), None);
        assert_eq!(samples.expired(start + Duration::from_secs(13)), Some(103));
        assert_eq!(samples.expired(start + Duration::from_secs(13)), None);
        assert_eq!(samples.taken.len(), 16);
    }
}

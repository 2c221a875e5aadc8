//! Automatic compaction: forgets history that is older than was asked for.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use cfgstore_store::{Caller, Command, Compact};
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
}

const HOUR: Duration = Duration::from_secs(3600);
const REVISIONS_EVERY: Duration = Duration::from_secs(300);
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

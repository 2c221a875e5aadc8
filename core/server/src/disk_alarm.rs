//! Raises this member's alarm while its disk is full.

use std::sync::Arc;
use std::time::Duration;

use cfgstore_store::{Alarm, AlarmKind};
use tokio::time::MissedTickBehavior;

use crate::context::Context;

const EVERY: Duration = Duration::from_secs(1);

/// Looks as long as the server lives.
pub(crate) async fn watch(ctx: Arc<Context>) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_ours = false;
    loop {
        ticks.tick().await;
        let is_full = ctx.member.status().no_space;
        is_ours = follow(&ctx, is_full, is_ours).await;
    }
}

/// Raises the alarm if the disk is full, and lowers the one that was raised here (`is_ours`) when it has room again: nobody
/// has to decide anything then. One that the quota raised stays, and so does one from before a restart. Answers whether
/// there is one to be lowered later; what fails is tried again with the next call.
async fn follow(ctx: &Context, is_full: bool, is_ours: bool) -> bool {
    let is_raised = || {
        let alarm = Alarm {
            kind: AlarmKind::NoSpace,
            member_id: ctx.member_id,
        };
        ctx.member.state().alarms().contains(&alarm)
    };
    if is_full && !is_ours && !is_raised() {
        ctx.set_alarm(AlarmKind::NoSpace, true).await;
        return is_raised();
    }
    if !is_full && is_ours {
        ctx.set_alarm(AlarmKind::NoSpace, false).await;
        return is_raised();
    }
    is_ours
}

#[cfg(test)]
mod tests {
    use cfgstore_replica::Member;

    use super::*;
    use crate::config::Config;

    #[tokio::test]
    async fn only_the_alarm_of_a_full_disk_is_lowered_when_there_is_room() {
        let dir = tempfile::tempdir().unwrap();
        let config = Config::new(dir.path());
        let member = Member::open(config.member_config()).await.unwrap();
        let ctx = Context::new(member.clone(), config);
        let raised = || member.state().has_alarm(AlarmKind::NoSpace);

        assert!(!follow(&ctx, false, false).await);
        assert!(!raised());
        let is_ours = follow(&ctx, true, false).await;
        assert!(is_ours && raised());
        let is_ours = follow(&ctx, true, is_ours).await;
        assert!(is_ours && raised());
        let is_ours = follow(&ctx, false, is_ours).await;
        assert!(!is_ours && !raised());

        // Raised for another reason, before the disk was full.
        ctx.set_alarm(AlarmKind::NoSpace, true).await;
        let is_ours = follow(&ctx, true, false).await;
        assert!(!is_ours);
        assert!(!follow(&ctx, false, is_ours).await);
        assert!(raised());
        member.shutdown().await.unwrap();
    }
}

//! Raises this member's alarm while its disk is full.

use std::sync::Arc;
use std::time::Duration;

use cfgstore_store::AlarmKind;
use tokio::time::MissedTickBehavior;

use crate::context::Context;

const EVERY: Duration = Duration::from_secs(1);

/// Looks as long as the server lives. An alarm that was raised here is lowered when the disk has room again: unlike
/// the quota's, nobody has to decide anything then.
pub(crate) async fn watch(ctx: Arc<Context>) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut raised = false;
    loop {
        ticks.tick().await;
        let full = ctx.member.status().no_space;
        if full != raised {
            ctx.set_alarm(AlarmKind::NoSpace, full).await;
            // What failed is tried again at the next look.
            let alarms = ctx.member.state();
            raised = alarms
                .alarms()
                .iter()
                .any(|alarm| alarm.kind == AlarmKind::NoSpace && alarm.member_id == ctx.member_id);
        }
    }
}

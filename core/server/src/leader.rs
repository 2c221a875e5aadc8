//! Tells streams that asked for it when this member has been without a leader for too long.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use crate::context::Context;

/// Election timeouts without a leader after which streams are cut (etcd's number).
const PATIENCE: u32 = 3;

/// Whether this member is cut off: it has had no leader for [`PATIENCE`] election timeouts.
#[derive(Debug)]
pub(crate) struct LeaderLoss(watch::Sender<bool>);

impl Default for LeaderLoss {
    fn default() -> LeaderLoss {
        LeaderLoss(watch::Sender::new(false))
    }
}

impl LeaderLoss {
    /// Waits until this member is cut off.
    pub fn lost(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut receiver = self.0.subscribe();
        async move {
            // An error means that the sender, and so the server, is gone.
            let _ = receiver.wait_for(|lost| *lost).await;
        }
    }
}

/// Counts as long as the server lives.
pub(crate) async fn watch(ctx: Arc<Context>) {
    let mut ticks = tokio::time::interval(Duration::from_millis(ctx.config.election_timeout_ms));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut without = 0;
    loop {
        ticks.tick().await;
        without = if ctx.member.has_leader() { 0 } else { without + 1 };
        let lost = without >= PATIENCE;
        ctx.leader_loss
            .0
            .send_if_modified(|known| std::mem::replace(known, lost) != lost);
    }
}

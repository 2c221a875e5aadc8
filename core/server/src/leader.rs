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

#[cfg(test)]
mod tests {
    use cfgstore_replica::{Bootstrap, InitialMember, Member};

    use super::*;
    use crate::config::Config;

    async fn context(dir: &tempfile::TempDir, others: &[&str]) -> Arc<Context> {
        let mut config = Config::new(dir.path());
        config.heartbeat_interval_ms = 20;
        config.election_timeout_ms = 100;
        if !others.is_empty() {
            config.listen_peers = vec!["127.0.0.1:0".parse().unwrap()];
            let names = std::iter::once("default").chain(others.iter().copied());
            let member = |(number, name): (usize, &str)| InitialMember {
                name: name.to_owned(),
                // Nobody listens on these ports.
                peer_urls: vec![format!("http://127.0.0.1:{}", number + 1)],
            };
            let members: Vec<_> = names.enumerate().map(member).collect();
            config.peer_urls = members[0].peer_urls.clone();
            let token = "leader".to_owned();
            config.bootstrap = Bootstrap::New { members, token };
        }
        let member = Member::open(config.member_config()).await.unwrap();
        Arc::new(Context::new(member, config))
    }

    #[tokio::test]
    async fn a_member_without_a_leader_is_cut_off_after_a_while() {
        let dir = tempfile::tempdir().unwrap();
        let ctx = context(&dir, &["b", "c"]).await;
        let watching = tokio::spawn(watch(ctx.clone()));
        let limit = Duration::from_secs(30);
        tokio::time::timeout(limit, ctx.leader_loss.lost()).await.unwrap();
        watching.abort();
        ctx.member.shutdown().await.unwrap();
    }

    #[tokio::test]
    async fn with_a_leader_nobody_is_cut_off() {
        let dir = tempfile::tempdir().unwrap();
        let ctx = context(&dir, &[]).await;
        let watching = tokio::spawn(watch(ctx.clone()));
        let ticks = Duration::from_millis(100 * u64::from(PATIENCE) * 2);
        let lost = tokio::time::timeout(ticks, ctx.leader_loss.lost());
        assert!(lost.await.is_err(), "it was cut off");
        watching.abort();
        ctx.member.shutdown().await.unwrap();
    }
}

//! Every member tells the others who it is, and notices when it is no member any more.

use std::time::Duration;

use tokio::sync::watch;

use super::pass_on::Changes;
use super::{Change, Published};
use crate::MemberConfig;
use crate::cluster::MembershipError;
use crate::identity::Identity;
use crate::raft::state_machine::Published as State;

/// How long after a failure it is tried again.
const RETRY: Duration = Duration::from_millis(300);

/// Tells the cluster this member's name, addresses and life whenever the membership says something else, and sets
/// `removed` when a membership that this member was in comes to be without it, be it before this start. Runs as a task.
pub(crate) async fn run(
    config: MemberConfig,
    identity: Identity,
    state: State,
    changes: Changes,
    removed: watch::Sender<bool>,
) {
    let own = Published {
        id: identity.owner.member_id,
        name: config.name,
        client_urls: config.client_urls,
        life: identity.life,
        peer_urls: config.peer_urls,
    };
    let mut applied = state.applied_index();
    let mut seen = None;
    let mut was_member = false;
    loop {
        let position = state.position();
        let applied_index = position.index();
        let membership = position.membership;
        if seen == Some(*membership.log_id()) {
            if applied.changed().await.is_err() {
                return;
            }
            continue;
        }
        match membership.membership().get_node(&own.id) {
            None if was_member
                || (membership.log_id().is_some() && identity.was_member_by(applied_index)) =>
            {
                if !removed.send_replace(true) {
                    tracing::warn!("this member was removed from the cluster");
                }
                return;
            }
            // One that has lost its folder must not publish itself as if it had not: the others refuse it.
            Some(node) if node.life != 0 && node.life != own.life => was_member = true,
            Some(node) if own.merged(node) != *node => {
                was_member = true;
                match changes.change(Change::Publish(own.clone())).await {
                    Ok(()) => {}
                    Err(MembershipError::ShuttingDown) => return,
                    Err(error) => {
                        tracing::debug!(%error, "this member tells the others about itself later");
                        tokio::time::sleep(RETRY).await;
                        continue;
                    }
                }
                continue;
            }
            Some(_) => was_member = true,
            None => {}
        }
        seen = Some(*membership.log_id());
    }
}

//! A member that hears nothing asks whether it still is one.
//!
//! Whoever campaigns is told by those who refuse it. But one without a vote never campaigns: a learner, and a member whose
//! log, though not yet its state, holds its own removal. Nobody has a reason to call it any more.

use std::time::Duration;

use cfgstore_proto::cfgstore::peer::v1::ReadIndexRequest;

use crate::leadership::Leadership;
use crate::peer::leader;
use crate::peer::link::Peers;
use crate::raft::state_machine::Published;

/// Calls the others, in turn, for as long as no leader is heard from. Only their refusal counts, which [`Peers`] passes
/// on. Runs as a task.
pub(crate) async fn run(peers: Peers, leadership: Leadership, published: Published, silence: Duration) {
    loop {
        tokio::time::sleep(silence).await;
        if leadership.present().is_some() {
            continue;
        }
        let membership = published.position().membership;
        let others = membership.membership().nodes().map(|(id, _)| *id);
        for id in others.filter(|id| *id != peers.own_id()) {
            let question = ReadIndexRequest {};
            // An answer says that this member belongs; a failure that is no refusal says nothing.
            let _ = leader::call(&peers, id, silence, question, |mut client, request| async move {
                client.read_index(request).await
            })
            .await;
        }
    }
}

//! A member without a leader: it reads what it has, and says what it lacks.

use cfgstore_proto::etcdserverpb as pb;
use cfgstore_proto::etcdserverpb::watch_client::WatchClient;
use cfgstore_replica::{Bootstrap, InitialMember};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Code, Request};

use crate::common::{TestServer, Watches, assert_status, get, put, soon, watch_prefix};

const NO_LEADER: &str = "etcdserver: no leader";

/// The only one of three members that was started.
async fn start() -> TestServer {
    TestServer::start_with(|config| {
        // Nobody listens on these ports.
        let member = |name: &str| InitialMember {
            name: name.to_owned(),
            peer_urls: Vec::new(),
        };
        let mut members = ["default", "b", "c"].map(member).to_vec();
        for (number, member) in members.iter_mut().enumerate() {
            member.peer_urls = vec![format!("http://127.0.0.1:{}", number + 1)];
        }
        config.listen_peers = vec!["127.0.0.1:0".parse().unwrap()];
        config.peer_urls = members[0].peer_urls.clone();
        config.bootstrap = Bootstrap::New {
            members,
            token: "leaderless".to_owned(),
        };
        config.heartbeat_interval_ms = 20;
        config.election_timeout_ms = 100;
    })
    .await
}

fn with_leader<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request
        .metadata_mut()
        .insert("hasleader", "true".parse().unwrap());
    request
}

#[tokio::test]
async fn what_needs_no_leader_is_answered() {
    let server = start().await;
    let serializable = pb::RangeRequest {
        serializable: true,
        ..get("k")
    };
    let found = server.kv().range(serializable).await.unwrap().into_inner();
    assert_eq!((found.count, found.header.unwrap().revision), (0, 1));

    let status = server.maintenance().status(pb::StatusRequest {}).await;
    let status = status.unwrap().into_inner();
    assert_eq!(
        (status.leader, &status.errors[..]),
        (0, &[NO_LEADER.to_owned()][..])
    );
    assert!(!status.is_learner);

    // A watch waits for better times.
    let mut watches = Watches::open(server.channel.clone()).await;
    watches.create(watch_prefix("k")).await;
    watches.assert_quiet().await;
}

#[tokio::test]
async fn who_insists_on_a_leader_is_told_at_once() {
    let server = start().await;
    let serializable = pb::RangeRequest {
        serializable: true,
        ..get("k")
    };
    assert_status(
        soon(server.kv().range(with_leader(serializable))).await,
        Code::Unavailable,
        NO_LEADER,
    );
    assert_status(
        soon(server.kv().put(with_leader(put("k", "v")))).await,
        Code::Unavailable,
        NO_LEADER,
    );
    let (_requests, stream) = tokio::sync::mpsc::unbounded_channel();
    let mut client = WatchClient::new(server.channel.clone());
    let request = with_leader(UnboundedReceiverStream::new(stream));
    let refused = soon(client.watch(request)).await;
    assert_status(refused.map(drop), Code::Unavailable, NO_LEADER);
}

#[tokio::test]
async fn leadership_cannot_be_given_away_by_who_does_not_have_it() {
    let server = start().await;
    let mut maintenance = server.maintenance();
    let moved = maintenance.move_leader(pb::MoveLeaderRequest { target_id: 1 });
    assert_status(moved.await, Code::FailedPrecondition, "etcdserver: not leader");
}

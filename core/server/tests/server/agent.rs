//! The agent of the host: Status, and locks bound to a stream.

use agent::hold_request::Request as Ask;
use agent::hold_response::Response as Answer;
use cfgstore_proto::cfgstore::v1 as agent;
use cfgstore_proto::cfgstore::v1::agent_client::AgentClient;
use cfgstore_proto::etcdserverpb as pb;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Streaming};

use crate::common::{TestServer, assert_status, eventually, prefix, soon};

/// One Hold stream.
struct Hold {
    asks: mpsc::UnboundedSender<agent::HoldRequest>,
    answers: Streaming<agent::HoldResponse>,
}

impl Hold {
    async fn open(channel: Channel, name: &str, ttl_ms: u64, wait_ms: u64) -> Hold {
        let (asks, stream) = mpsc::unbounded_channel();
        let hold = |ask| agent::HoldRequest { request: Some(ask) };
        asks.send(hold(Ask::Acquire(agent::Acquire {
            name: name.to_owned().into(),
            ttl_ms,
            wait_ms,
        })))
        .unwrap();
        let stream = UnboundedReceiverStream::new(stream);
        let answers = AgentClient::new(channel).hold(stream).await.unwrap().into_inner();
        Hold { asks, answers }
    }

    async fn next(&mut self) -> Answer {
        soon(self.answers.message())
            .await
            .unwrap()
            .expect("the stream goes on")
            .response
            .unwrap()
    }

    async fn acquired(&mut self) -> agent::Acquired {
        match self.next().await {
            Answer::Acquired(acquired) => acquired,
            other => panic!("{other:?}"),
        }
    }

    async fn ended(&mut self) {
        assert!(soon(self.answers.message()).await.unwrap().is_none());
    }
}

async fn leases(server: &TestServer) -> usize {
    server
        .leases()
        .lease_leases(pb::LeaseLeasesRequest {})
        .await
        .unwrap()
        .into_inner()
        .leases
        .len()
}

async fn places(server: &TestServer) -> usize {
    server
        .kv()
        .range(prefix("l/"))
        .await
        .unwrap()
        .into_inner()
        .kvs
        .len()
}

#[tokio::test]
async fn status_says_where_everything_is() {
    let server = TestServer::start().await;
    let revision = server.put("k", "v").await;
    let status = || async {
        server
            .agent()
            .status(agent::StatusRequest {})
            .await
            .unwrap()
            .into_inner()
    };
    let first = status().await;
    assert_eq!(first.version, env!("CARGO_PKG_VERSION"));
    assert_eq!((first.revision, first.pid), (revision, std::process::id()));
    assert_eq!(first.data_dir, server.server.data_dir().display().to_string());
    assert_eq!(
        first.mirror_dir,
        server.server.mirror_dir().unwrap().display().to_string()
    );
    assert_ne!(first.member_id, 0);
    eventually("the mirror follows", async || {
        status().await.mirror_revision == revision
    })
    .await;
    assert!(status().await.mirror_generation >= 2);
}

#[tokio::test]
async fn a_held_lock_is_released_when_asked_to() {
    let server = TestServer::start().await;
    let mut hold = Hold::open(server.channel.clone(), "l", 10_000, 0).await;
    let acquired = hold.acquired().await;
    assert_eq!(acquired.key, format!("l/{:x}", acquired.lease));
    assert_eq!(acquired.token, 2);
    hold.asks
        .send(agent::HoldRequest {
            request: Some(Ask::Release(agent::Release {})),
        })
        .unwrap();
    assert!(matches!(hold.next().await, Answer::Released(_)));
    hold.ended().await;
    assert_eq!((places(&server).await, leases(&server).await), (0, 0));
}

#[tokio::test]
async fn a_lock_is_freed_at_once_when_its_client_goes_away() {
    let server = TestServer::start().await;
    // A connection of its own over the socket, cut as the kernel cuts it when the client is killed.
    let channel = server.connect_socket().await;
    let mut hold = Hold::open(channel, "l", 3_600_000, 0).await;
    let first = hold.acquired().await;
    let mut next = Hold::open(server.channel.clone(), "l", 3_600_000, 60_000).await;
    eventually("the other waits", async || places(&server).await == 2).await;
    drop(hold);
    let second = next.acquired().await;
    assert!(second.token > first.token, "the fencing token grows");
    assert_eq!(leases(&server).await, 1);
}

#[tokio::test]
async fn a_wait_has_an_end() {
    let server = TestServer::start().await;
    let mut holder = Hold::open(server.channel.clone(), "l", 60_000, 0).await;
    holder.acquired().await;
    for wait_ms in [0, 50] {
        let mut other = Hold::open(server.channel.clone(), "l", 60_000, wait_ms).await;
        assert!(matches!(other.next().await, Answer::TimedOut(_)));
        other.ended().await;
        assert_eq!((places(&server).await, leases(&server).await), (1, 1));
    }
}

#[tokio::test]
async fn a_waiter_that_goes_away_leaves_nothing_behind() {
    let server = TestServer::start().await;
    let mut holder = Hold::open(server.channel.clone(), "l", 60_000, 0).await;
    holder.acquired().await;
    let other = Hold::open(server.channel.clone(), "l", 60_000, 60_000).await;
    eventually("it waits", async || places(&server).await == 2).await;
    drop(other);
    eventually("it is gone", async || leases(&server).await == 1).await;
    assert_eq!(places(&server).await, 1);
}

#[tokio::test]
async fn a_lock_outlives_its_ttl_as_long_as_its_stream() {
    let server = TestServer::start().await;
    // The shortest there is: 2 s.
    let mut hold = Hold::open(server.channel.clone(), "l", 1, 0).await;
    let acquired = hold.acquired().await;
    let ask = pb::LeaseTimeToLiveRequest {
        id: acquired.lease,
        keys: false,
    };
    let granted = server
        .leases()
        .lease_time_to_live(ask)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(granted.granted_ttl, 2);
    // Nothing may happen for longer than that; time is what is tested.
    let quiet = tokio::time::timeout(std::time::Duration::from_millis(3_500), hold.answers.message()).await;
    assert!(quiet.is_err(), "{quiet:?}");
    assert_eq!(places(&server).await, 1);
}

#[tokio::test]
async fn a_lost_lock_is_told() {
    let server = TestServer::start().await;
    let mut hold = Hold::open(server.channel.clone(), "l", 60_000, 0).await;
    let acquired = hold.acquired().await;
    server
        .leases()
        .lease_revoke(pb::LeaseRevokeRequest { id: acquired.lease })
        .await
        .unwrap();
    assert!(matches!(hold.next().await, Answer::Lost(_)));
    hold.ended().await;

    let mut hold = Hold::open(server.channel.clone(), "l", 60_000, 0).await;
    let acquired = hold.acquired().await;
    server.delete(std::str::from_utf8(&acquired.key).unwrap()).await;
    assert!(matches!(hold.next().await, Answer::Lost(_)));
    hold.ended().await;
    eventually("its lease is revoked", async || leases(&server).await == 0).await;
}

#[tokio::test]
async fn the_first_request_must_acquire_a_name() {
    let server = TestServer::start().await;
    let (asks, stream) = mpsc::unbounded_channel();
    asks.send(agent::HoldRequest {
        request: Some(Ask::Release(agent::Release {})),
    })
    .unwrap();
    let mut answers = server
        .agent()
        .hold(UnboundedReceiverStream::new(stream))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        soon(answers.message()).await.unwrap_err().code(),
        Code::InvalidArgument
    );
    let mut nameless = Hold::open(server.channel.clone(), "", 1, 0).await;
    assert_eq!(
        soon(nameless.answers.message()).await.unwrap_err().message(),
        "etcdserver: key is not provided"
    );
    assert_eq!(leases(&server).await, 0);
}

#[tokio::test]
async fn a_lock_is_refused_when_the_quota_has_no_room_for_its_lease() {
    const QUOTA: usize = 60_000;
    let server = TestServer::start_with(|config| {
        config.max_request_bytes = QUOTA;
        config.quota_backend_bytes = QUOTA as u64;
    })
    .await;
    // As much as a put may take: what is left is enough for the next lease, and not for one more.
    server.put("k", &"x".repeat(QUOTA - 256 - 1)).await;
    let mut first = Hold::open(server.channel.clone(), "l", 60_000, 0).await;
    first.acquired().await;
    let mut second = Hold::open(server.channel.clone(), "other", 60_000, 0).await;
    assert_status(
        soon(second.answers.message()).await,
        Code::ResourceExhausted,
        "etcdserver: mvcc: database space exceeded",
    );
    assert_eq!(leases(&server).await, 1);
}

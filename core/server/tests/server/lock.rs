//! The Lock service.

use cfgstore_proto::etcdserverpb as pb;
use cfgstore_proto::v3lockpb::{LockRequest, LockResponse, UnlockRequest};
use tonic::{Code, Status};

use crate::common::{TestServer, assert_status, eventually, get, prefix, soon};

async fn lock(server: &TestServer, name: &str, lease: i64) -> Result<LockResponse, Status> {
    let request = LockRequest {
        name: name.to_owned().into(),
        lease,
    };
    server
        .locks()
        .lock(request)
        .await
        .map(|response| response.into_inner())
}

async fn unlock(server: &TestServer, key: &bytes::Bytes) {
    server
        .locks()
        .unlock(UnlockRequest { key: key.clone() })
        .await
        .unwrap();
}

async fn waiting(server: &TestServer, name: &str) -> usize {
    server
        .kv()
        .range(prefix(name))
        .await
        .unwrap()
        .into_inner()
        .kvs
        .len()
}

#[tokio::test]
async fn the_key_is_the_name_and_the_lease_in_hexadecimal() {
    let server = TestServer::start().await;
    let lease = server.grant(60).await;
    let first = lock(&server, "deploy", lease).await.unwrap();
    assert_eq!(first.key, format!("deploy/{lease:x}"));
    assert_eq!(first.header.unwrap().revision, 2);
    // The same lease again: the same lock.
    let again = soon(lock(&server, "deploy", lease)).await.unwrap();
    assert_eq!(again.key, first.key);
    let kv = server
        .kv()
        .range(pb::RangeRequest {
            key: first.key.clone(),
            ..Default::default()
        })
        .await
        .unwrap();
    assert_eq!(
        (kv.get_ref().kvs[0].lease, kv.get_ref().kvs[0].version),
        (lease, 1)
    );
    unlock(&server, &first.key).await;
    assert_eq!(waiting(&server, "deploy").await, 0);
}

#[tokio::test]
async fn without_a_lease_the_server_makes_one_of_a_minute() {
    let server = TestServer::start().await;
    let held = lock(&server, "l", 0).await.unwrap();
    let leases = server
        .leases()
        .lease_leases(pb::LeaseLeasesRequest {})
        .await
        .unwrap()
        .into_inner()
        .leases;
    let id = leases[0].id;
    assert_eq!(held.key, format!("l/{id:x}"));
    let ask = pb::LeaseTimeToLiveRequest { id, keys: false };
    assert_eq!(
        server
            .leases()
            .lease_time_to_live(ask)
            .await
            .unwrap()
            .into_inner()
            .granted_ttl,
        60
    );
}

#[tokio::test]
async fn holders_follow_each_other_in_order() {
    let server = TestServer::start().await;
    let first = lock(&server, "l", server.grant(60).await).await.unwrap();
    let mut others = Vec::new();
    for number in 1..=3 {
        let lease = server.grant(60).await;
        let mut locks = server.locks();
        others.push(tokio::spawn(async move {
            locks
                .lock(LockRequest {
                    name: "l".into(),
                    lease,
                })
                .await
                .map(|response| response.into_inner())
        }));
        eventually("it is in the queue", async || {
            waiting(&server, "l/").await == 1 + number
        })
        .await;
    }
    let mut held = first;
    for other in others {
        assert!(!other.is_finished());
        let before = held.header.as_ref().unwrap().revision;
        unlock(&server, &held.key).await;
        held = soon(other).await.unwrap().unwrap();
        assert!(held.header.as_ref().unwrap().revision > before);
    }
}

#[tokio::test]
async fn a_lock_is_freed_when_its_lease_ends() {
    let server = TestServer::start().await;
    let lease = server.grant(60).await;
    lock(&server, "l", lease).await.unwrap();
    let other = server.grant(60).await;
    let mut locks = server.locks();
    let waiter = tokio::spawn(async move {
        locks
            .lock(LockRequest {
                name: "l".into(),
                lease: other,
            })
            .await
    });
    eventually("it waits", async || waiting(&server, "l/").await == 2).await;
    server
        .leases()
        .lease_revoke(pb::LeaseRevokeRequest { id: lease })
        .await
        .unwrap();
    soon(waiter).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_waiter_whose_lease_ends_is_told() {
    let server = TestServer::start().await;
    lock(&server, "l", server.grant(60).await).await.unwrap();
    let lease = server.grant(60).await;
    let mut locks = server.locks();
    let waiter = tokio::spawn(async move {
        locks
            .lock(LockRequest {
                name: "l".into(),
                lease,
            })
            .await
    });
    eventually("it waits", async || waiting(&server, "l/").await == 2).await;
    server
        .leases()
        .lease_revoke(pb::LeaseRevokeRequest { id: lease })
        .await
        .unwrap();
    assert_status(
        soon(waiter).await.unwrap(),
        Code::Unknown,
        "mutex: session is expired",
    );
}

#[tokio::test]
async fn a_waiter_that_goes_away_leaves_the_queue() {
    let server = TestServer::start().await;
    let held = lock(&server, "l", server.grant(60).await).await.unwrap();
    let lease = server.grant(60).await;
    let mut locks = server.locks();
    let waiter = tokio::spawn(async move {
        locks
            .lock(LockRequest {
                name: "l".into(),
                lease,
            })
            .await
    });
    eventually("it waits", async || waiting(&server, "l/").await == 2).await;
    waiter.abort();
    eventually("its place is given up", async || {
        waiting(&server, "l/").await == 1
    })
    .await;
    assert!(
        server
            .kv()
            .range(pb::RangeRequest {
                key: held.key,
                ..Default::default()
            })
            .await
            .unwrap()
            .into_inner()
            .count
            == 1
    );
}

#[tokio::test]
async fn a_deadline_ends_the_wait() {
    let server = TestServer::start().await;
    lock(&server, "l", server.grant(60).await).await.unwrap();
    let mut request = tonic::Request::new(LockRequest {
        name: "l".into(),
        lease: server.grant(60).await,
    });
    request.set_timeout(std::time::Duration::from_millis(50));
    let status = soon(server.locks().lock(request)).await.unwrap_err();
    assert!(
        matches!(status.code(), Code::Cancelled | Code::DeadlineExceeded),
        "{status}"
    );
    eventually("its place is given up", async || {
        waiting(&server, "l/").await == 1
    })
    .await;
}

#[tokio::test]
async fn a_lock_below_anothers_name_is_another_lock() {
    let server = TestServer::start().await;
    lock(&server, "l/deeper", server.grant(60).await).await.unwrap();
    soon(lock(&server, "l", server.grant(60).await)).await.unwrap();
}

#[tokio::test]
async fn refusals() {
    let server = TestServer::start().await;
    let unknown = lock(&server, "l", 4_711).await;
    assert_status(unknown, Code::NotFound, "etcdserver: requested lease not found");
    let nothing = server.locks().unlock(UnlockRequest::default()).await;
    assert_status(nothing, Code::InvalidArgument, "etcdserver: key is not provided");
    assert!(
        server
            .kv()
            .range(get("l"))
            .await
            .unwrap()
            .into_inner()
            .kvs
            .is_empty()
    );
}

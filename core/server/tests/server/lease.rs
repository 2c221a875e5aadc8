//! Leases on the wire.

use cfgstore_proto::etcdserverpb as pb;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Code;

use crate::common::{TestServer, assert_status, eventually, put, soon};

#[tokio::test]
async fn grant_chooses_an_id_and_raises_the_ttl() {
    let server = TestServer::start().await;
    let mut leases = server.leases();
    let chosen = leases
        .lease_grant(pb::LeaseGrantRequest { ttl: 60, id: 0 })
        .await
        .unwrap()
        .into_inner();
    assert!(chosen.id > 0 && chosen.ttl == 60 && chosen.error.is_empty());
    for ttl in [1, 0, -5] {
        let short = leases
            .lease_grant(pb::LeaseGrantRequest { ttl, id: 0 })
            .await
            .unwrap()
            .into_inner();
        assert_eq!(short.ttl, 2);
    }
    let given = leases
        .lease_grant(pb::LeaseGrantRequest { ttl: 60, id: 77 })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(given.id, 77);

    let again = leases
        .lease_grant(pb::LeaseGrantRequest { ttl: 60, id: 77 })
        .await;
    assert_status(
        again,
        Code::FailedPrecondition,
        "etcdserver: lease already exists",
    );
    let endless = leases
        .lease_grant(pb::LeaseGrantRequest {
            ttl: 9_000_000_001,
            id: 0,
        })
        .await;
    assert_status(endless, Code::OutOfRange, "etcdserver: too large lease TTL");

    let listed = leases
        .lease_leases(pb::LeaseLeasesRequest {})
        .await
        .unwrap()
        .into_inner();
    assert_eq!(listed.leases.len(), 5);
    assert!(listed.leases.iter().any(|lease| lease.id == 77));
}

#[tokio::test]
async fn revoke_deletes_the_keys_in_one_revision() {
    let server = TestServer::start().await;
    let lease = server.grant(60).await;
    for key in ["a", "b"] {
        server
            .kv()
            .put(pb::PutRequest {
                lease,
                ..put(key, "v")
            })
            .await
            .unwrap();
    }
    let ask = pb::LeaseTimeToLiveRequest {
        id: lease,
        keys: true,
    };
    let alive = server
        .leases()
        .lease_time_to_live(ask)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (alive.id, alive.granted_ttl, &alive.keys[..]),
        (lease, 60, &["a", "b"].map(bytes::Bytes::from)[..])
    );
    assert!(alive.ttl > 50 && alive.ttl <= 60, "{}", alive.ttl);

    let revoked = server
        .leases()
        .lease_revoke(pb::LeaseRevokeRequest { id: lease })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(revoked.header.unwrap().revision, 4);
    assert_eq!(server.get("a").await, None);

    let unknown = server
        .leases()
        .lease_revoke(pb::LeaseRevokeRequest { id: lease })
        .await;
    assert_status(unknown, Code::NotFound, "etcdserver: requested lease not found");
    let ask = pb::LeaseTimeToLiveRequest {
        id: lease,
        keys: true,
    };
    let gone = server
        .leases()
        .lease_time_to_live(ask)
        .await
        .unwrap()
        .into_inner();
    assert_eq!((gone.ttl, gone.granted_ttl, gone.keys.len()), (-1, 0, 0));
}

#[tokio::test]
async fn keep_alive_renews_and_answers_zero_for_the_unknown() {
    let server = TestServer::start().await;
    let lease = server.grant(5).await;
    let (requests, stream) = mpsc::unbounded_channel();
    let mut answers = server
        .leases()
        .lease_keep_alive(UnboundedReceiverStream::new(stream))
        .await
        .unwrap()
        .into_inner();
    for (id, ttl) in [(lease, 5), (lease + 1, 0), (lease, 5)] {
        requests.send(pb::LeaseKeepAliveRequest { id }).unwrap();
        let answer = soon(answers.message()).await.unwrap().unwrap();
        assert_eq!((answer.id, answer.ttl), (id, ttl));
        assert_eq!(answer.header.unwrap().revision, 1);
    }
    drop(requests);
    assert!(soon(answers.message()).await.unwrap().is_none());
}

#[tokio::test]
async fn an_expired_lease_takes_its_keys_along() {
    let server = TestServer::start().await;
    let lease = server.grant(2).await;
    server
        .kv()
        .put(pb::PutRequest {
            lease,
            ..put("k", "v")
        })
        .await
        .unwrap();
    eventually("the key is gone", async || server.get("k").await.is_none()).await;
}

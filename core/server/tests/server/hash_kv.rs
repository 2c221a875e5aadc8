//! HashKV gives the same number for the same history as a real etcd.

use cfgstore_proto::etcdserverpb as pb;
use cfgstore_proto::etcdserverpb::kv_client::KvClient;
use cfgstore_proto::etcdserverpb::lease_client::LeaseClient;
use cfgstore_proto::etcdserverpb::maintenance_client::MaintenanceClient;
use pb::request_op::Request;
use tonic::Code;
use tonic::transport::Channel;

use crate::common::{TestServer, assert_status, prefix_end, put};
use crate::etcd::Etcd;

/// Both stores, which are given the same history.
struct Both {
    channels: [Channel; 2],
}

impl Both {
    async fn put(&self, key: &str, value: &str) {
        for channel in &self.channels {
            KvClient::new(channel.clone()).put(put(key, value)).await.unwrap();
        }
    }

    async fn delete(&self, key: &str, range_end: bytes::Bytes) {
        let request = pb::DeleteRangeRequest {
            key: key.to_owned().into(),
            range_end,
            ..Default::default()
        };
        for channel in &self.channels {
            let mut kv = KvClient::new(channel.clone());
            kv.delete_range(request.clone()).await.unwrap();
        }
    }

    async fn txn(&self, ops: Vec<Request>) {
        let op = |request| pb::RequestOp {
            request: Some(request),
        };
        let request = pb::TxnRequest {
            success: ops.into_iter().map(op).collect(),
            ..Default::default()
        };
        for channel in &self.channels {
            KvClient::new(channel.clone()).txn(request.clone()).await.unwrap();
        }
    }

    async fn compact(&self, revision: i64) {
        let request = pb::CompactionRequest {
            revision,
            physical: true,
        };
        for channel in &self.channels {
            KvClient::new(channel.clone()).compact(request).await.unwrap();
        }
    }

    async fn hash(channel: &Channel, revision: i64) -> pb::HashKvResponse {
        let request = pb::HashKvRequest { revision };
        let mut maintenance = MaintenanceClient::new(channel.clone());
        maintenance.hash_kv(request).await.unwrap().into_inner()
    }

    /// Compares the hashes of every revision that can be read.
    async fn assert_same(&self, from: i64) {
        let [etcd, ours] = &self.channels;
        let last = Both::hash(etcd, 0).await.header.unwrap().revision;
        for revision in (from..=last).chain([0]) {
            let (theirs, ours) = (Both::hash(etcd, revision).await, Both::hash(ours, revision).await);
            assert_eq!(
                (ours.hash, ours.compact_revision),
                (theirs.hash, theirs.compact_revision),
                "at revision {revision} of {last}"
            );
            let covered = if revision == 0 { last } else { revision };
            assert_eq!(
                (ours.hash_revision, ours.header.unwrap().revision),
                (covered, last)
            );
        }
    }
}

#[tokio::test]
async fn the_hash_is_etcds() {
    let (etcd, server) = (Etcd::start().await, TestServer::start().await);
    let both = Both {
        channels: [etcd.channel.clone(), server.channel.clone()],
    };
    both.assert_same(1).await;
    for channel in &both.channels {
        let grant = pb::LeaseGrantRequest { ttl: 600, id: 7 };
        let mut leases = LeaseClient::new(channel.clone());
        leases.lease_grant(grant).await.unwrap();
    }
    for (key, value) in [("a", "1"), ("b", ""), ("a", "2"), ("c/1", "x"), ("c/2", "y")] {
        both.put(key, value).await;
    }
    both.delete("b", bytes::Bytes::new()).await;
    let leased = pb::PutRequest {
        lease: 7,
        ..put("leased", "v")
    };
    both.txn(vec![
        Request::RequestPut(put("a", "3")),
        Request::RequestPut(leased),
        Request::RequestDeleteRange(pb::DeleteRangeRequest {
            key: "c/".into(),
            range_end: prefix_end("c/"),
            ..Default::default()
        }),
    ])
    .await;
    both.put("b", "again").await;
    both.assert_same(1).await;

    // Compacted at a revision with a tombstone; later ones replace and delete what was kept.
    both.compact(7).await;
    both.assert_same(8).await;
    both.put("a", "4").await;
    both.delete("leased", bytes::Bytes::new()).await;
    both.assert_same(8).await;
    both.compact(9).await;
    both.delete("a", "z".into()).await;
    // Nothing lives now, which etcd treats in a way of its own.
    both.assert_same(10).await;
    both.put("z", "z").await;
    both.assert_same(10).await;
}

#[tokio::test]
async fn a_revision_that_cannot_be_read_has_no_hash() {
    let server = TestServer::start().await;
    for value in ["1", "2", "3"] {
        server.put("k", value).await;
    }
    server.compact(3).await;
    let hash = async |revision| {
        let request = pb::HashKvRequest { revision };
        server.maintenance().hash_kv(request).await
    };
    assert_status(
        hash(2).await,
        Code::OutOfRange,
        "etcdserver: mvcc: required revision has been compacted",
    );
    assert_status(
        hash(5).await,
        Code::OutOfRange,
        "etcdserver: mvcc: required revision is a future revision",
    );
    assert_eq!(hash(3).await.unwrap().into_inner().compact_revision, 3);
}

#[tokio::test]
async fn the_legacy_hash_changes_with_what_is_held() {
    let server = TestServer::start().await;
    let hash = async || {
        let hash = server.maintenance().hash(pb::HashRequest {}).await;
        hash.unwrap().into_inner().hash
    };
    let empty = hash().await;
    server.put("k", "v").await;
    let one = hash().await;
    server.grant(60).await;
    let leased = hash().await;
    assert!(empty != one && one != leased);
    assert_eq!(leased, hash().await);
}

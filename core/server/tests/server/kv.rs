//! KV: headers, errors and limits on the wire. The semantics themselves are tested in the store.

use cfgstore_proto::etcdserverpb as pb;
use pb::request_op::Request;
use pb::response_op::Response;
use tonic::Code;

use crate::common::{TestServer, assert_status, get, prefix, put};

fn op(request: Request) -> pb::RequestOp {
    pb::RequestOp {
        request: Some(request),
    }
}

#[tokio::test]
async fn headers_tell_cluster_member_term_and_revision() {
    let server = TestServer::start().await;
    let empty = server
        .kv()
        .range(get("k"))
        .await
        .unwrap()
        .into_inner()
        .header
        .unwrap();
    assert_eq!(empty.revision, 1);
    assert!(empty.cluster_id != 0 && empty.member_id != 0 && empty.raft_term != 0);

    let first = server
        .kv()
        .put(put("k", "v"))
        .await
        .unwrap()
        .into_inner()
        .header
        .unwrap();
    assert_eq!(first, pb::ResponseHeader { revision: 2, ..empty });
    let range = server.kv().range(get("k")).await.unwrap().into_inner();
    assert_eq!(range.header.unwrap(), first);
    let kv = &range.kvs[0];
    assert_eq!(
        (kv.create_revision, kv.mod_revision, kv.version, kv.lease),
        (2, 2, 1, 0)
    );
}

#[tokio::test]
async fn deleting_nothing_makes_no_revision() {
    let server = TestServer::start().await;
    assert_eq!(server.put("k", "v").await, 2);
    assert_eq!(server.delete("other").await, 2);
    let request = pb::DeleteRangeRequest {
        key: "k".into(),
        prev_kv: true,
        ..Default::default()
    };
    let response = server.kv().delete_range(request).await.unwrap().into_inner();
    assert_eq!((response.header.unwrap().revision, response.deleted), (3, 1));
    assert_eq!(&response.prev_kvs[0].value[..], b"v");
}

#[tokio::test]
async fn range_options_reach_the_store() {
    let server = TestServer::start().await;
    for key in ["a/1", "a/2", "a/3"] {
        server.put(key, "v").await;
    }
    let limited = pb::RangeRequest {
        limit: 2,
        ..prefix("a/")
    };
    let response = server.kv().range(limited).await.unwrap().into_inner();
    assert_eq!((response.kvs.len(), response.more, response.count), (2, true, 3));

    let sorted = pb::RangeRequest {
        sort_order: 2,
        sort_target: 3,
        keys_only: true,
        ..prefix("a/")
    };
    let response = server.kv().range(sorted).await.unwrap().into_inner();
    let keys: Vec<_> = response.kvs.iter().map(|kv| &kv.key[..]).collect();
    assert_eq!(keys, [b"a/3", b"a/2", b"a/1"]);
    assert!(response.kvs.iter().all(|kv| kv.value.is_empty()));

    let counted = pb::RangeRequest {
        count_only: true,
        ..prefix("a/")
    };
    let response = server.kv().range(counted).await.unwrap().into_inner();
    assert_eq!((response.kvs.len(), response.count), (0, 3));

    let old = pb::RangeRequest {
        revision: 3,
        ..prefix("a/")
    };
    assert_eq!(server.kv().range(old).await.unwrap().into_inner().count, 2);
    let local = pb::RangeRequest {
        serializable: true,
        ..prefix("a/")
    };
    assert_eq!(server.kv().range(local).await.unwrap().into_inner().count, 3);
}

#[tokio::test]
async fn a_range_over_many_keys_is_read_whole() {
    let server = TestServer::start().await;
    for batch in 0..50 {
        let puts = (0..100).map(|i| op(Request::RequestPut(put(&format!("many/{batch:03}/{i:03}"), "v"))));
        let txn = pb::TxnRequest {
            success: puts.collect(),
            ..Default::default()
        };
        server.kv().txn(txn).await.unwrap();
    }
    let response = server.kv().range(prefix("many/")).await.unwrap().into_inner();
    assert_eq!((response.kvs.len(), response.count), (5_000, 5_000));
    assert!(response.kvs.windows(2).all(|pair| pair[0].key < pair[1].key));
}

#[tokio::test]
async fn responses_inside_a_transaction_have_headers_with_the_revision_only() {
    let server = TestServer::start().await;
    server.put("k", "old").await;
    let nested = pb::TxnRequest {
        success: vec![op(Request::RequestRange(get("k")))],
        ..Default::default()
    };
    let keys_only = pb::RangeRequest {
        keys_only: true,
        ..get("k")
    };
    let txn = pb::TxnRequest {
        compare: vec![pb::Compare {
            target: pb::compare::CompareTarget::Value as i32,
            key: "k".into(),
            target_union: Some(pb::compare::TargetUnion::Value("old".into())),
            ..Default::default()
        }],
        success: vec![
            op(Request::RequestPut(pb::PutRequest {
                prev_kv: true,
                ..put("k", "new")
            })),
            op(Request::RequestRange(keys_only)),
            op(Request::RequestTxn(nested)),
            op(Request::RequestDeleteRange(pb::DeleteRangeRequest {
                key: "none".into(),
                ..Default::default()
            })),
        ],
        ..Default::default()
    };
    let response = server.kv().txn(txn).await.unwrap().into_inner();
    assert!(response.succeeded);
    assert_eq!(response.header.as_ref().unwrap().revision, 3);
    assert_ne!(response.header.as_ref().unwrap().cluster_id, 0);
    let inner = Some(pb::ResponseHeader {
        revision: 3,
        ..Default::default()
    });
    let responses: Vec<_> = response
        .responses
        .into_iter()
        .map(|op| op.response.unwrap())
        .collect();
    let [
        Response::ResponsePut(put),
        Response::ResponseRange(range),
        Response::ResponseTxn(txn),
        Response::ResponseDeleteRange(delete),
    ] = &responses[..]
    else {
        panic!("{responses:?}");
    };
    assert_eq!(put.header, inner);
    assert_eq!(&put.prev_kv.as_ref().unwrap().value[..], b"old");
    assert_eq!((range.header, range.kvs[0].value.len()), (inner, 0));
    let Some(Response::ResponseRange(nested)) = &txn.responses[0].response else {
        panic!("{txn:?}")
    };
    assert_eq!((nested.header, &nested.kvs[0].value[..]), (inner, &b"new"[..]));
    assert_eq!((delete.header, delete.deleted), (inner, 0));
}

#[tokio::test]
async fn a_transaction_that_only_reads_is_not_logged() {
    let server = TestServer::start().await;
    server.put("k", "v").await;
    let status = || async {
        server
            .maintenance()
            .status(pb::StatusRequest {})
            .await
            .unwrap()
            .into_inner()
    };
    let before = status().await;
    for serializable in [true, false] {
        let range = pb::RangeRequest {
            serializable,
            ..get("k")
        };
        let txn = pb::TxnRequest {
            success: vec![op(Request::RequestRange(range))],
            ..Default::default()
        };
        let response = server.kv().txn(txn).await.unwrap().into_inner();
        assert_eq!((response.header.unwrap().revision, response.succeeded), (2, true));
        let Some(Response::ResponseRange(range)) = &response.responses[0].response else {
            panic!()
        };
        assert_eq!(&range.kvs[0].value[..], b"v");
    }
    assert_eq!(status().await.raft_index, before.raft_index);
}

#[tokio::test]
async fn refusals_have_etcds_codes_and_texts() {
    let server = TestServer::start().await;
    let mut kv = server.kv();
    server.put("k", "1").await;
    server.put("k", "2").await;
    server.put("k", "3").await;
    server.compact(3).await;
    let invalid = Code::InvalidArgument;

    assert_status(
        kv.range(get("")).await,
        invalid,
        "etcdserver: key is not provided",
    );
    assert_status(
        kv.put(put("", "v")).await,
        invalid,
        "etcdserver: key is not provided",
    );
    let old = pb::RangeRequest {
        revision: 2,
        ..get("k")
    };
    let compacted = "etcdserver: mvcc: required revision has been compacted";
    assert_status(kv.range(old).await, Code::OutOfRange, compacted);
    let future = pb::RangeRequest {
        revision: 99,
        ..get("k")
    };
    let in_future = "etcdserver: mvcc: required revision is a future revision";
    assert_status(kv.range(future).await, Code::OutOfRange, in_future);
    let compact = |revision| pb::CompactionRequest {
        revision,
        physical: false,
    };
    assert_status(kv.compact(compact(3)).await, Code::OutOfRange, compacted);
    assert_status(kv.compact(compact(99)).await, Code::OutOfRange, in_future);
    let sort = pb::RangeRequest {
        sort_order: 7,
        ..get("k")
    };
    assert_status(kv.range(sort).await, invalid, "etcdserver: invalid sort option");

    let both = pb::PutRequest {
        ignore_value: true,
        ..put("k", "v")
    };
    assert_status(kv.put(both).await, invalid, "etcdserver: value is provided");
    let both = pb::PutRequest {
        ignore_lease: true,
        lease: 5,
        ..put("k", "v")
    };
    assert_status(kv.put(both).await, invalid, "etcdserver: lease is provided");
    let keep = pb::PutRequest {
        ignore_value: true,
        ..put("none", "")
    };
    assert_status(kv.put(keep).await, invalid, "etcdserver: key not found");
    let lease = pb::PutRequest {
        lease: 5,
        ..put("k", "v")
    };
    assert_status(
        kv.put(lease).await,
        Code::NotFound,
        "etcdserver: requested lease not found",
    );

    let twice = (0..2).map(|_| op(Request::RequestPut(put("k", "v")))).collect();
    let txn = pb::TxnRequest {
        success: twice,
        ..Default::default()
    };
    assert_status(
        kv.txn(txn).await,
        invalid,
        "etcdserver: duplicate key given in txn request",
    );
    let many = (0..129)
        .map(|i| op(Request::RequestRange(get(&i.to_string()))))
        .collect();
    let txn = pb::TxnRequest {
        success: many,
        ..Default::default()
    };
    assert_status(
        kv.txn(txn).await,
        invalid,
        "etcdserver: too many operations in txn request",
    );
    let nothing = pb::TxnRequest {
        success: vec![pb::RequestOp::default()],
        ..Default::default()
    };
    assert_status(kv.txn(nothing).await, invalid, "etcdserver: key is not provided");
}

#[tokio::test]
async fn requests_have_a_limit_and_the_wire_a_higher_one() {
    let server = TestServer::start().await;
    let mut kv = server.kv();
    let large = "x".repeat((3 << 19) - 100);
    assert_eq!(
        kv.put(put("k", &large))
            .await
            .unwrap()
            .into_inner()
            .header
            .unwrap()
            .revision,
        2
    );
    assert_eq!(server.get("k").await.unwrap().len(), large.len());

    let too_large = "x".repeat(3 << 19);
    let text = "etcdserver: request is too large";
    assert_status(kv.put(put("k", &too_large)).await, Code::InvalidArgument, text);
    let txn = pb::TxnRequest {
        success: vec![op(Request::RequestPut(put("k", &too_large)))],
        ..Default::default()
    };
    assert_status(kv.txn(txn).await, Code::InvalidArgument, text);
    let long_key = "k".repeat(64 * 1024 + 1);
    assert_status(kv.put(put(&long_key, "v")).await, Code::InvalidArgument, text);

    let oversize = put("k", &"x".repeat(2 << 20));
    let size = prost::Message::encoded_len(&oversize);
    let text = format!("grpc: received message larger than max ({size} vs. 2097152)");
    assert_status(kv.put(oversize).await, Code::ResourceExhausted, &text);
    // The connection is still of use.
    assert_eq!(server.put("k", "small").await, 3);
}

#[tokio::test]
async fn status_and_members_look_like_etcds() {
    let server = TestServer::start().await;
    server.put("k", "v").await;
    let status = server
        .maintenance()
        .status(pb::StatusRequest {})
        .await
        .unwrap()
        .into_inner();
    let header = status.header.unwrap();
    assert_eq!((header.revision, header.member_id), (2, status.leader));
    assert!(status.version.starts_with("3.") && status.db_size > 0 && status.raft_index > 0);
    assert!(status.errors.is_empty() && !status.is_learner);

    let request = pb::MemberListRequest { linearizable: true };
    let list = server.cluster().member_list(request).await.unwrap().into_inner();
    assert_eq!(list.header.unwrap().revision, 0);
    assert_eq!(list.members[0].id, status.leader);
    assert_eq!(list.members[0].client_ur_ls, server.server.urls());
}

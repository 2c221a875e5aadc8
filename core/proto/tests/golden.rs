//! Encodings written by hand from etcd's published field numbers: a wrong number in a `.proto` file cannot
//! agree with itself here, as it would in a round trip.
//!
//! A field's tag is `number << 3 | wire type`; wire type 0 is a varint, 2 is length-delimited.

use bytes::Bytes;
use cfgstore_proto::cfgstore::v1 as agent;
use cfgstore_proto::etcdserverpb as pb;
use cfgstore_proto::{authpb, mvccpb, v3electionpb, v3lockpb};
use prost::Message;

/// Checks that `message` encodes to `bytes` and that `bytes` decode to `message`.
#[track_caller]
fn golden<M: Message + Default + PartialEq + std::fmt::Debug>(message: M, bytes: &[u8]) {
    assert_eq!(message.encode_to_vec(), bytes, "encoding of {message:?}");
    assert_eq!(M::decode(bytes).expect("decodes"), message);
}

fn key_value() -> mvccpb::KeyValue {
    mvccpb::KeyValue {
        key: Bytes::from_static(b"k"),
        create_revision: 2,
        mod_revision: 3,
        version: 4,
        value: Bytes::from_static(b"v"),
        lease: 6,
    }
}

/// `key_value()`: key=1, create_revision=2, mod_revision=3, version=4, value=5, lease=6.
const KEY_VALUE: [u8; 14] = [0x0a, 1, b'k', 0x10, 2, 0x18, 3, 0x20, 4, 0x2a, 1, b'v', 0x30, 6];

#[test]
fn key_value_and_event() {
    golden(key_value(), &KEY_VALUE);
    let event = mvccpb::Event {
        r#type: mvccpb::event::EventType::Delete as i32,
        kv: Some(key_value()),
        prev_kv: Some(key_value()),
    };
    golden(
        event,
        &[&[0x08, 1, 0x12, 14], &KEY_VALUE[..], &[0x1a, 14], &KEY_VALUE[..]].concat(),
    );
}

#[test]
fn header() {
    let header = pb::ResponseHeader {
        cluster_id: 1,
        member_id: 2,
        revision: 3,
        raft_term: 4,
    };
    golden(header, &[0x08, 1, 0x10, 2, 0x18, 3, 0x20, 4]);
}

#[test]
fn range_request() {
    let request = pb::RangeRequest {
        key: Bytes::from_static(b"a"),
        range_end: Bytes::from_static(b"b"),
        limit: 3,
        revision: 4,
        sort_order: pb::range_request::SortOrder::Descend as i32,
        sort_target: pb::range_request::SortTarget::Value as i32,
        serializable: true,
        keys_only: true,
        count_only: true,
        min_mod_revision: 10,
        max_mod_revision: 11,
        min_create_revision: 12,
        max_create_revision: 13,
    };
    golden(
        request,
        &[
            0x0a, 1, b'a', 0x12, 1, b'b', 0x18, 3, 0x20, 4, 0x28, 2, 0x30, 4, 0x38, 1, 0x40, 1, 0x48, 1,
            0x50, 10, 0x58, 11, 0x60, 12, 0x68, 13,
        ],
    );
}

#[test]
fn range_response() {
    let response = pb::RangeResponse {
        header: Some(Default::default()),
        kvs: vec![key_value()],
        more: true,
        count: 9,
    };
    golden(
        response,
        &[&[0x0a, 0, 0x12, 14], &KEY_VALUE[..], &[0x18, 1, 0x20, 9]].concat(),
    );
}

#[test]
fn put_and_delete() {
    let put = pb::PutRequest {
        key: Bytes::from_static(b"k"),
        value: Bytes::from_static(b"v"),
        lease: 3,
        prev_kv: true,
        ignore_value: true,
        ignore_lease: true,
    };
    golden(
        put,
        &[0x0a, 1, b'k', 0x12, 1, b'v', 0x18, 3, 0x20, 1, 0x28, 1, 0x30, 1],
    );
    let delete = pb::DeleteRangeRequest {
        key: Bytes::from_static(b"k"),
        range_end: Bytes::from_static(b"l"),
        prev_kv: true,
    };
    golden(delete, &[0x0a, 1, b'k', 0x12, 1, b'l', 0x18, 1]);
    let deleted = pb::DeleteRangeResponse {
        header: Some(Default::default()),
        deleted: 1,
        prev_kvs: vec![key_value()],
    };
    golden(deleted, &[&[0x0a, 0, 0x10, 1, 0x1a, 14], &KEY_VALUE[..]].concat());
}

#[test]
fn compare_has_its_range_end_at_64() {
    use pb::compare::{CompareResult, CompareTarget, TargetUnion};
    let compare = |target, union| pb::Compare {
        result: CompareResult::NotEqual as i32,
        target: target as i32,
        key: Bytes::from_static(b"k"),
        range_end: Bytes::from_static(b"l"),
        target_union: Some(union),
    };
    let expected = |target: u8, union: &[u8]| {
        // 64 << 3 | 2 = 514 = varint 0x82 0x04. The numbers go up, so range_end comes last.
        [
            &[0x08, 3, 0x10, target, 0x1a, 1, b'k'],
            union,
            &[0x82, 0x04, 1, b'l'],
        ]
        .concat()
    };
    // A target of VERSION is 0 and therefore not written at all.
    let version = compare(CompareTarget::Version, TargetUnion::Version(7));
    golden(version, &[0x08, 3, 0x1a, 1, b'k', 0x20, 7, 0x82, 0x04, 1, b'l']);
    golden(
        compare(CompareTarget::Create, TargetUnion::CreateRevision(7)),
        &expected(1, &[0x28, 7]),
    );
    golden(
        compare(CompareTarget::Mod, TargetUnion::ModRevision(7)),
        &expected(2, &[0x30, 7]),
    );
    let value = TargetUnion::Value(Bytes::from_static(b"v"));
    golden(
        compare(CompareTarget::Value, value),
        &expected(3, &[0x3a, 1, b'v']),
    );
    golden(
        compare(CompareTarget::Lease, TargetUnion::Lease(7)),
        &expected(4, &[0x40, 7]),
    );
}

#[test]
fn txn() {
    use pb::request_op::Request;
    let ops = [
        Request::RequestRange(Default::default()),
        Request::RequestPut(Default::default()),
        Request::RequestDeleteRange(Default::default()),
        Request::RequestTxn(Default::default()),
    ];
    let request = pb::TxnRequest {
        compare: vec![Default::default()],
        success: ops
            .into_iter()
            .map(|op| pb::RequestOp { request: Some(op) })
            .collect(),
        failure: vec![Default::default()],
    };
    golden(
        request,
        &[
            0x0a, 0, 0x12, 2, 0x0a, 0, 0x12, 2, 0x12, 0, 0x12, 2, 0x1a, 0, 0x12, 2, 0x22, 0, 0x1a, 0,
        ],
    );
    let response = pb::TxnResponse {
        header: Some(Default::default()),
        succeeded: true,
        responses: vec![pb::ResponseOp {
            response: Some(pb::response_op::Response::ResponseTxn(Default::default())),
        }],
    };
    golden(response, &[0x0a, 0, 0x10, 1, 0x1a, 2, 0x22, 0]);
}

#[test]
fn watch() {
    use pb::watch_request::RequestUnion;
    let create = pb::WatchCreateRequest {
        key: Bytes::from_static(b"k"),
        range_end: Bytes::from_static(b"l"),
        start_revision: 3,
        progress_notify: true,
        filters: vec![pb::watch_create_request::FilterType::Nodelete as i32],
        prev_kv: true,
        watch_id: 7,
        fragment: true,
    };
    let body = [
        0x0a, 1, b'k', 0x12, 1, b'l', 0x18, 3, 0x20, 1, 0x2a, 1, 1, 0x30, 1, 0x38, 7, 0x40, 1,
    ];
    golden(create.clone(), &body);
    let request = |union| pb::WatchRequest {
        request_union: Some(union),
    };
    golden(
        request(RequestUnion::CreateRequest(create)),
        &[&[0x0a, 19], &body[..]].concat(),
    );
    let cancel = pb::WatchCancelRequest { watch_id: 5 };
    golden(request(RequestUnion::CancelRequest(cancel)), &[0x12, 2, 0x08, 5]);
    golden(
        request(RequestUnion::ProgressRequest(Default::default())),
        &[0x1a, 0],
    );
}

#[test]
fn watch_response_has_its_events_at_11() {
    let response = pb::WatchResponse {
        header: Some(Default::default()),
        watch_id: 2,
        created: true,
        canceled: true,
        compact_revision: 5,
        cancel_reason: "x".into(),
        fragment: true,
        events: vec![Default::default()],
    };
    golden(
        response,
        &[
            0x0a, 0, 0x10, 2, 0x18, 1, 0x20, 1, 0x28, 5, 0x32, 1, b'x', 0x38, 1, 0x5a, 0,
        ],
    );
}

#[test]
fn leases() {
    golden(pb::LeaseGrantRequest { ttl: 5, id: 7 }, &[0x08, 5, 0x10, 7]);
    let granted = pb::LeaseGrantResponse {
        header: Some(Default::default()),
        id: 7,
        ttl: 5,
        error: "x".into(),
    };
    golden(granted, &[0x0a, 0, 0x10, 7, 0x18, 5, 0x22, 1, b'x']);
    let alive = pb::LeaseKeepAliveResponse {
        header: Some(Default::default()),
        id: 7,
        ttl: 5,
    };
    golden(alive, &[0x0a, 0, 0x10, 7, 0x18, 5]);
    golden(
        pb::LeaseTimeToLiveRequest { id: 7, keys: true },
        &[0x08, 7, 0x10, 1],
    );
    // A TTL of -1 takes ten bytes as a varint.
    let unknown = pb::LeaseTimeToLiveResponse {
        header: None,
        id: 7,
        ttl: -1,
        granted_ttl: 9,
        keys: vec![Bytes::from_static(b"k")],
    };
    let minus_one = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
    golden(
        unknown,
        &[&[0x10, 7, 0x18], &minus_one[..], &[0x20, 9, 0x2a, 1, b'k']].concat(),
    );
}

#[test]
fn members_and_status() {
    let member = pb::Member {
        id: 1,
        name: "n".into(),
        peer_ur_ls: vec!["p".into()],
        client_ur_ls: vec!["c".into()],
        is_learner: true,
    };
    golden(
        member,
        &[0x08, 1, 0x12, 1, b'n', 0x1a, 1, b'p', 0x22, 1, b'c', 0x28, 1],
    );
    let status = pb::StatusResponse {
        header: Some(Default::default()),
        version: "v".into(),
        db_size: 3,
        leader: 4,
        raft_index: 5,
        raft_term: 6,
        raft_applied_index: 7,
        errors: vec!["e".into()],
        db_size_in_use: 9,
        is_learner: true,
        storage_version: "s".into(),
        db_size_quota: 12,
        downgrade_info: Some(pb::DowngradeInfo {
            enabled: true,
            target_version: "t".into(),
        }),
    };
    golden(
        status,
        &[
            0x0a, 0, 0x12, 1, b'v', 0x18, 3, 0x20, 4, 0x28, 5, 0x30, 6, 0x38, 7, 0x42, 1, b'e', 0x48, 9,
            0x50, 1, 0x5a, 1, b's', 0x60, 12, 0x6a, 5, 0x08, 1, 0x12, 1, b't',
        ],
    );
    let hash = pb::HashKvResponse {
        header: None,
        hash: 2,
        compact_revision: 3,
        hash_revision: 4,
    };
    golden(hash, &[0x10, 2, 0x18, 3, 0x20, 4]);
    let alarm = pb::AlarmRequest {
        action: 2,
        member_id: 2,
        alarm: pb::AlarmType::Nospace as i32,
    };
    golden(alarm, &[0x08, 2, 0x10, 2, 0x18, 1]);
}

#[test]
fn auth() {
    let user = pb::AuthUserAddRequest {
        name: "n".into(),
        password: "p".into(),
        options: Some(authpb::UserAddOptions { no_password: true }),
        hashed_password: "h".into(),
    };
    golden(
        user,
        &[0x0a, 1, b'n', 0x12, 1, b'p', 0x1a, 2, 0x08, 1, 0x22, 1, b'h'],
    );
    let permission = authpb::Permission {
        perm_type: authpb::permission::Type::Readwrite as i32,
        key: Bytes::from_static(b"k"),
        range_end: Bytes::from_static(b"l"),
    };
    golden(permission, &[0x08, 2, 0x12, 1, b'k', 0x1a, 1, b'l']);
    let status = pb::AuthStatusResponse {
        header: None,
        enabled: true,
        auth_revision: 3,
    };
    golden(status, &[0x10, 1, 0x18, 3]);
}

#[test]
fn lock_and_election() {
    golden(
        v3lockpb::LockRequest {
            name: Bytes::from_static(b"n"),
            lease: 2,
        },
        &[0x0a, 1, b'n', 0x10, 2],
    );
    let locked = v3lockpb::LockResponse {
        header: Some(Default::default()),
        key: Bytes::from_static(b"k"),
    };
    golden(locked, &[0x0a, 0, 0x12, 1, b'k']);
    let leader = v3electionpb::LeaderKey {
        name: Bytes::from_static(b"n"),
        key: Bytes::from_static(b"k"),
        rev: 3,
        lease: 4,
    };
    golden(leader, &[0x0a, 1, b'n', 0x12, 1, b'k', 0x18, 3, 0x20, 4]);
}

#[test]
fn agent_hold() {
    use agent::{hold_request, hold_response};
    let acquire = agent::Acquire {
        name: Bytes::from_static(b"n"),
        ttl_ms: 2,
        wait_ms: 3,
    };
    let request = agent::HoldRequest {
        request: Some(hold_request::Request::Acquire(acquire)),
    };
    golden(request, &[0x0a, 7, 0x0a, 1, b'n', 0x10, 2, 0x18, 3]);
    let acquired = agent::Acquired {
        key: Bytes::from_static(b"k"),
        token: 2,
        lease: 3,
    };
    let response = agent::HoldResponse {
        response: Some(hold_response::Response::Acquired(acquired)),
    };
    golden(response, &[0x0a, 7, 0x0a, 1, b'k', 0x10, 2, 0x18, 3]);
}

#[test]
fn service_names_are_those_of_etcd() {
    assert_eq!(pb::kv_server::SERVICE_NAME, "etcdserverpb.KV");
    assert_eq!(pb::watch_server::SERVICE_NAME, "etcdserverpb.Watch");
    assert_eq!(pb::lease_server::SERVICE_NAME, "etcdserverpb.Lease");
    assert_eq!(pb::cluster_server::SERVICE_NAME, "etcdserverpb.Cluster");
    assert_eq!(pb::maintenance_server::SERVICE_NAME, "etcdserverpb.Maintenance");
    assert_eq!(pb::auth_server::SERVICE_NAME, "etcdserverpb.Auth");
    assert_eq!(v3lockpb::lock_server::SERVICE_NAME, "v3lockpb.Lock");
    assert_eq!(
        v3electionpb::election_server::SERVICE_NAME,
        "v3electionpb.Election"
    );
}

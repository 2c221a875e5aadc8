//! Alarms, the quota, and what else operators ask for.

use cfgstore_proto::etcdserverpb as pb;
use pb::alarm_request::AlarmAction;
use pb::downgrade_request::DowngradeAction;
use pb::request_op::Request;
use tonic::{Code, Status};

use crate::common::{TestServer, assert_status, get, put};

const NO_SPACE: &str = "etcdserver: mvcc: database space exceeded";
const CORRUPT: &str = "etcdserver: corrupt cluster";

async fn alarm(
    server: &TestServer,
    action: AlarmAction,
    member_id: u64,
    alarm: pb::AlarmType,
) -> pb::AlarmResponse {
    let request = pb::AlarmRequest {
        action: action.into(),
        member_id,
        alarm: alarm.into(),
    };
    server.maintenance().alarm(request).await.unwrap().into_inner()
}

async fn alarms(server: &TestServer) -> Vec<pb::AlarmMember> {
    alarm(server, AlarmAction::Get, 0, pb::AlarmType::None)
        .await
        .alarms
}

fn member(member_id: u64, alarm: pb::AlarmType) -> pb::AlarmMember {
    pb::AlarmMember {
        member_id,
        alarm: alarm.into(),
    }
}

async fn status(server: &TestServer) -> pb::StatusResponse {
    let status = server.maintenance().status(pb::StatusRequest {}).await;
    status.unwrap().into_inner()
}

async fn put_in_txn(server: &TestServer) -> Result<(), Status> {
    let txn = pb::TxnRequest {
        failure: vec![pb::RequestOp {
            request: Some(Request::RequestPut(put("other", "v"))),
        }],
        ..Default::default()
    };
    server.kv().txn(txn).await.map(drop)
}

async fn grant(server: &TestServer) -> Result<(), Status> {
    let grant = pb::LeaseGrantRequest { ttl: 10, id: 0 };
    server.leases().lease_grant(grant).await.map(drop)
}

#[tokio::test]
async fn crossing_the_quota_raises_an_alarm_that_stays() {
    let server = TestServer::start_with(|config| {
        config.max_request_bytes = 40_000;
        config.quota_backend_bytes = 60_000;
    })
    .await;
    server.put("k", &"x".repeat(30_000)).await;
    let own = status(&server).await.header.unwrap().member_id;
    assert!(alarms(&server).await.is_empty());
    // What would cross it is refused before it is written, not after.
    let large = put("l", &"x".repeat(30_000));
    assert_status(server.kv().put(large).await, Code::ResourceExhausted, NO_SPACE);
    assert_eq!(alarms(&server).await, [member(own, pb::AlarmType::Nospace)]);
    let told = status(&server).await;
    assert_eq!(told.errors, [format!("memberID:{own} alarm:NOSPACE ")]);
    assert_eq!(told.db_size_quota, 60_000);

    // There would be room for these, but the alarm is raised.
    assert_status(
        server.kv().put(put("k", "v")).await,
        Code::ResourceExhausted,
        NO_SPACE,
    );
    assert_status(put_in_txn(&server).await, Code::ResourceExhausted, NO_SPACE);
    assert_status(grant(&server).await, Code::ResourceExhausted, NO_SPACE);
    let revision = server.delete("k").await;
    assert_eq!(server.get("k").await, None);

    let lowered = alarm(&server, AlarmAction::Deactivate, own, pb::AlarmType::Nospace).await;
    assert_eq!(lowered.alarms, [member(own, pb::AlarmType::Nospace)]);
    assert_eq!(lowered.header.unwrap().revision, revision);
    let again = alarm(&server, AlarmAction::Deactivate, own, pb::AlarmType::Nospace).await;
    assert!(again.alarms.is_empty());
    server.put("k", "v").await;
    put_in_txn(&server).await.unwrap();
    grant(&server).await.unwrap();
    assert!(status(&server).await.errors.is_empty());
}

#[tokio::test]
async fn alarms_are_raised_by_hand_and_asked_for_by_kind() {
    let server = TestServer::start().await;
    server.put("k", "v").await;
    let raised = alarm(&server, AlarmAction::Activate, 7, pb::AlarmType::Corrupt).await;
    assert_eq!(raised.alarms, [member(7, pb::AlarmType::Corrupt)]);
    alarm(&server, AlarmAction::Activate, 8, pb::AlarmType::Nospace).await;
    let none = alarm(&server, AlarmAction::Activate, 9, pb::AlarmType::None).await;
    assert!(none.alarms.is_empty());

    assert_eq!(
        alarms(&server).await,
        [
            member(8, pb::AlarmType::Nospace),
            member(7, pb::AlarmType::Corrupt)
        ]
    );
    let corrupt = alarm(&server, AlarmAction::Get, 0, pb::AlarmType::Corrupt).await;
    assert_eq!(corrupt.alarms, [member(7, pb::AlarmType::Corrupt)]);

    // Nothing is written while members may hold different data; reads go on.
    assert_status(server.kv().put(put("k", "w")).await, Code::DataLoss, CORRUPT);
    assert_status(put_in_txn(&server).await, Code::DataLoss, CORRUPT);
    assert_status(grant(&server).await, Code::DataLoss, CORRUPT);
    let delete = pb::DeleteRangeRequest {
        key: "k".into(),
        ..Default::default()
    };
    assert_status(server.kv().delete_range(delete).await, Code::DataLoss, CORRUPT);
    assert_eq!(server.get("k").await.as_deref(), Some("v"));

    alarm(&server, AlarmAction::Deactivate, 7, pb::AlarmType::Corrupt).await;
    alarm(&server, AlarmAction::Deactivate, 8, pb::AlarmType::Nospace).await;
    server.put("k", "w").await;
}

#[tokio::test]
async fn alarms_outlive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let config = crate::common::config_in(&dir);
    for raised in [false, true] {
        let server = cfgstore_server::ServerThread::start(config.clone()).unwrap();
        let channel = crate::common::connect_socket(server.socket()).await;
        let mut maintenance = pb::maintenance_client::MaintenanceClient::new(channel);
        let all = pb::AlarmRequest::default();
        let found = maintenance.alarm(all).await.unwrap().into_inner().alarms;
        assert_eq!(!found.is_empty(), raised);
        let request = pb::AlarmRequest {
            action: AlarmAction::Activate.into(),
            member_id: 7,
            alarm: pb::AlarmType::Nospace.into(),
        };
        maintenance.alarm(request).await.unwrap();
        server.shutdown();
    }
}

#[tokio::test]
async fn there_is_nothing_to_defragment_and_nowhere_to_go() {
    let server = TestServer::start().await;
    let own = status(&server).await.leader;
    let mut maintenance = server.maintenance();
    let defragmented = maintenance.defragment(pb::DefragmentRequest {}).await.unwrap();
    assert_eq!(defragmented.into_inner(), pb::DefragmentResponse { header: None });
    let moved = maintenance
        .move_leader(pb::MoveLeaderRequest { target_id: own })
        .await;
    assert_eq!(
        moved.unwrap().into_inner(),
        pb::MoveLeaderResponse { header: None }
    );

    let downgrade = async |action: DowngradeAction, version: &str| {
        let request = pb::DowngradeRequest {
            action: action.into(),
            version: version.to_owned(),
        };
        server.maintenance().downgrade(request).await
    };
    for action in [DowngradeAction::Validate, DowngradeAction::Enable] {
        assert_status(
            downgrade(action, "3.5").await,
            Code::InvalidArgument,
            "etcdserver: invalid downgrade target version",
        );
        assert_status(
            downgrade(action, "three").await,
            Code::InvalidArgument,
            "etcdserver: wrong downgrade target version format",
        );
    }
    assert_status(
        downgrade(DowngradeAction::Cancel, "").await,
        Code::FailedPrecondition,
        "etcdserver: no inflight downgrade job",
    );
    assert_eq!(server.kv().range(get("k")).await.unwrap().into_inner().count, 0);
}

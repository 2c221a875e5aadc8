//! The services that say little: Auth without users, Cluster of one member, health.

use cfgstore_proto::etcdserverpb as pb;
use cfgstore_proto::etcdserverpb::auth_client::AuthClient;
use cfgstore_proto::grpc::health::v1 as health;
use cfgstore_proto::grpc::health::v1::health_client::HealthClient;
use health::health_check_response::ServingStatus;
use tonic::{Code, Request};

use crate::common::{TestServer, assert_status, get, soon};

#[tokio::test]
async fn authentication_is_off() {
    let server = TestServer::start().await;
    let mut auth = AuthClient::new(server.channel.clone());
    let status = auth
        .auth_status(pb::AuthStatusRequest {})
        .await
        .unwrap()
        .into_inner();
    assert!(!status.enabled && status.auth_revision == 1 && status.header.unwrap().revision == 1);
    assert_status(
        auth.authenticate(pb::AuthenticateRequest::default()).await,
        Code::FailedPrecondition,
        "etcdserver: authentication is not enabled",
    );
    auth.auth_disable(pb::AuthDisableRequest {}).await.unwrap();
    let users = auth.user_list(pb::AuthUserListRequest {}).await.unwrap();
    assert!(users.into_inner().users.is_empty());
    let roles = auth.role_list(pb::AuthRoleListRequest {}).await.unwrap();
    assert!(roles.into_inner().roles.is_empty());

    let user = "etcdserver: user name not found";
    let role = "etcdserver: role name not found";
    let code = Code::FailedPrecondition;
    assert_status(auth.user_get(pb::AuthUserGetRequest::default()).await, code, user);
    assert_status(
        auth.user_delete(pb::AuthUserDeleteRequest::default()).await,
        code,
        user,
    );
    let password = pb::AuthUserChangePasswordRequest::default();
    assert_status(auth.user_change_password(password).await, code, user);
    let grant = pb::AuthUserGrantRoleRequest::default();
    assert_status(auth.user_grant_role(grant).await, code, user);
    let revoke = pb::AuthUserRevokeRoleRequest::default();
    assert_status(auth.user_revoke_role(revoke).await, code, user);
    assert_status(auth.role_get(pb::AuthRoleGetRequest::default()).await, code, role);
    assert_status(
        auth.role_delete(pb::AuthRoleDeleteRequest::default()).await,
        code,
        role,
    );
    let grant = pb::AuthRoleGrantPermissionRequest::default();
    assert_status(auth.role_grant_permission(grant).await, code, role);
    let revoke = pb::AuthRoleRevokePermissionRequest::default();
    assert_status(auth.role_revoke_permission(revoke).await, code, role);
}

#[tokio::test]
async fn users_cannot_be_added_yet() {
    let server = TestServer::start().await;
    let mut auth = AuthClient::new(server.channel.clone());
    let user = pb::AuthUserAddRequest {
        name: "root".into(),
        ..Default::default()
    };
    assert_status(
        auth.user_add(user).await,
        Code::FailedPrecondition,
        "etcdserver: authentication is not enabled",
    );
    let role = pb::AuthRoleAddRequest { name: "r".into() };
    assert_status(
        auth.role_add(role).await,
        Code::FailedPrecondition,
        "etcdserver: authentication is not enabled",
    );
    assert_status(
        auth.auth_enable(pb::AuthEnableRequest {}).await,
        Code::FailedPrecondition,
        "etcdserver: authentication is not enabled",
    );
    assert_status(
        auth.user_add(pb::AuthUserAddRequest::default()).await,
        Code::InvalidArgument,
        "etcdserver: user name is empty",
    );
    assert_status(
        auth.role_add(pb::AuthRoleAddRequest::default()).await,
        Code::InvalidArgument,
        "etcdserver: role name is empty",
    );
}

#[tokio::test]
async fn a_cluster_of_one_knows_itself() {
    let server = TestServer::start().await;
    let mut cluster = server.cluster();
    for linearizable in [false, true] {
        let list = cluster
            .member_list(pb::MemberListRequest { linearizable })
            .await
            .unwrap()
            .into_inner();
        let header = list.header.unwrap();
        assert_eq!(header.revision, 0, "etcd leaves it out");
        assert_eq!(list.members.len(), 1);
        let member = &list.members[0];
        assert_eq!(member.id, header.member_id);
        assert_eq!(member.client_ur_ls, [server.server.urls()[0].clone()]);
        assert!(!member.is_learner);
    }
    let bad = pb::MemberAddRequest {
        peer_ur_ls: vec!["127.0.0.1:1".into()],
        is_learner: false,
    };
    assert_status(
        cluster.member_add(bad).await,
        Code::InvalidArgument,
        "etcdserver: given member URLs are invalid",
    );
    let none = pb::MemberUpdateRequest::default();
    assert_status(
        cluster.member_update(none).await,
        Code::InvalidArgument,
        "etcdserver: given member URLs are invalid",
    );
}

#[tokio::test]
async fn the_server_is_healthy_and_says_when_it_stops() {
    let server = TestServer::start().await;
    let mut client = HealthClient::new(server.channel.clone());
    let whole = health::HealthCheckRequest::default();
    let part = health::HealthCheckRequest {
        service: "etcdserverpb.KV".into(),
    };
    let found = client.check(whole.clone()).await.unwrap().into_inner();
    assert_eq!(found.status(), ServingStatus::Serving);
    assert_status(
        client.check(part.clone()).await,
        Code::NotFound,
        "unknown service",
    );
    let all = client
        .list(health::HealthListRequest {})
        .await
        .unwrap()
        .into_inner();
    assert_eq!(all.statuses.len(), 1);
    assert_eq!(all.statuses[""].status(), ServingStatus::Serving);

    let mut watching = client.watch(whole).await.unwrap().into_inner();
    let mut unknown = client.watch(part).await.unwrap().into_inner();
    let first = soon(watching.message()).await.unwrap().unwrap();
    assert_eq!(first.status(), ServingStatus::Serving);
    let first = soon(unknown.message()).await.unwrap().unwrap();
    assert_eq!(first.status(), ServingStatus::ServiceUnknown);
    server.server.shutdown();
    let last = soon(watching.message()).await.unwrap().unwrap();
    assert_eq!(last.status(), ServingStatus::NotServing);
}

#[tokio::test]
async fn with_a_leader_those_who_insist_on_one_are_served() {
    let server = TestServer::start().await;
    let mut request = Request::new(get("k"));
    request
        .metadata_mut()
        .insert("hasleader", "true".parse().unwrap());
    server.kv().range(request).await.unwrap();
}

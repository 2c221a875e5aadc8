//! The Election service.

use cfgstore_proto::etcdserverpb as pb;
use cfgstore_proto::v3electionpb::election_client::ElectionClient;
use cfgstore_proto::v3electionpb::{
    CampaignRequest, CampaignResponse, LeaderKey, LeaderRequest, LeaderResponse, ProclaimRequest,
    ResignRequest,
};
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};

use crate::common::{TestServer, assert_status, eventually, prefix, soon};

fn elections(server: &TestServer) -> ElectionClient<Channel> {
    ElectionClient::new(server.channel.clone())
}

fn candidacy(lease: i64, value: &str) -> CampaignRequest {
    CampaignRequest {
        name: "boss".into(),
        lease,
        value: value.to_owned().into(),
    }
}

async fn campaign(server: &TestServer, lease: i64, value: &str) -> Result<CampaignResponse, Status> {
    let response = soon(elections(server).campaign(candidacy(lease, value))).await?;
    Ok(response.into_inner())
}

async fn leader(server: &TestServer) -> Result<String, Status> {
    let request = LeaderRequest { name: "boss".into() };
    let response = elections(server).leader(request).await?.into_inner();
    Ok(text(response))
}

fn text(response: LeaderResponse) -> String {
    let kv = response.kv.unwrap();
    let header = response.header.unwrap();
    assert!(header.cluster_id != 0 && header.revision >= kv.mod_revision);
    String::from_utf8(kv.value.to_vec()).unwrap()
}

async fn resign(server: &TestServer, leader: LeaderKey) {
    let request = ResignRequest { leader: Some(leader) };
    elections(server).resign(request).await.unwrap();
}

async fn candidates(server: &TestServer) -> i64 {
    let found = server.kv().range(prefix("boss/")).await.unwrap();
    found.into_inner().count
}

/// A candidate that waits for its turn.
async fn wait_in_line(
    server: &TestServer,
    lease: i64,
    value: &str,
) -> tokio::task::JoinHandle<Result<CampaignResponse, Status>> {
    let before = candidates(server).await;
    let (mut client, request) = (elections(server), candidacy(lease, value));
    let waiting =
        tokio::spawn(async move { client.campaign(request).await.map(tonic::Response::into_inner) });
    eventually("it is in line", async || candidates(server).await == before + 1).await;
    waiting
}

async fn observe(server: &TestServer) -> Streaming<LeaderResponse> {
    let request = LeaderRequest { name: "boss".into() };
    elections(server).observe(request).await.unwrap().into_inner()
}

async fn observed(stream: &mut Streaming<LeaderResponse>) -> String {
    text(soon(stream.message()).await.unwrap().unwrap())
}

#[tokio::test]
async fn leaders_follow_each_other_and_are_observed() {
    let server = TestServer::start().await;
    assert_status(leader(&server).await, Code::Unknown, "election: no leader");
    let mut observing = observe(&server).await;

    let (first, second) = (server.grant(60).await, server.grant(60).await);
    let won = campaign(&server, first, "one").await.unwrap();
    let key = won.leader.unwrap();
    assert_eq!(key.key, format!("boss/{first:x}"));
    assert_eq!((&key.name[..], key.lease, key.rev), (&b"boss"[..], first, 2));
    assert_eq!(won.header.unwrap().revision, 2);
    assert_eq!(leader(&server).await.unwrap(), "one");
    assert_eq!(observed(&mut observing).await, "one");

    let waiting = wait_in_line(&server, second, "two").await;
    let proclaim = ProclaimRequest {
        leader: Some(key.clone()),
        value: "more".into(),
    };
    elections(&server).proclaim(proclaim.clone()).await.unwrap();
    assert_eq!(observed(&mut observing).await, "more");
    assert!(!waiting.is_finished());

    resign(&server, key.clone()).await;
    let next = soon(waiting).await.unwrap().unwrap().leader.unwrap();
    assert_eq!(observed(&mut observing).await, "two");
    assert_eq!(leader(&server).await.unwrap(), "two");
    // Who leads no more may not speak; to resign again is no error.
    assert_status(
        elections(&server).proclaim(proclaim).await,
        Code::Unknown,
        "election: not leader",
    );
    resign(&server, key).await;
    assert_eq!(leader(&server).await.unwrap(), "two");
    resign(&server, next).await;
    assert_status(leader(&server).await, Code::Unknown, "election: no leader");
}

#[tokio::test]
async fn the_same_session_campaigns_again_with_another_value() {
    let server = TestServer::start().await;
    let lease = server.grant(60).await;
    let first = campaign(&server, lease, "one").await.unwrap().leader.unwrap();
    let again = campaign(&server, lease, "one").await.unwrap().leader.unwrap();
    assert_eq!(again, first);
    let other = campaign(&server, lease, "two").await.unwrap().leader.unwrap();
    assert_eq!(other, first);
    assert_eq!(leader(&server).await.unwrap(), "two");
    assert_eq!(candidates(&server).await, 1);
}

#[tokio::test]
async fn an_observer_sees_every_leader_of_a_quick_succession() {
    let server = TestServer::start().await;
    let mut observing = observe(&server).await;
    for value in ["one", "two", "three"] {
        let lease = server.grant(60).await;
        let key = campaign(&server, lease, value).await.unwrap().leader.unwrap();
        if value != "three" {
            resign(&server, key).await;
        }
    }
    // Whoever was gone before the observer looked may be left out, as in etcd, but never the last.
    let mut seen = Vec::new();
    while seen.last().is_none_or(|last| last != "three") {
        seen.push(observed(&mut observing).await);
    }
    assert_eq!(seen.first().unwrap(), "one", "{seen:?}");
    drop(observing);
    // A later observer begins with the present leader.
    let mut late = observe(&server).await;
    assert_eq!(observed(&mut late).await, "three");
}

#[tokio::test]
async fn a_candidate_without_a_lease_gets_one_of_a_minute() {
    let server = TestServer::start().await;
    let lease = campaign(&server, 0, "v").await.unwrap().leader.unwrap().lease;
    let ask = pb::LeaseTimeToLiveRequest {
        id: lease,
        keys: false,
    };
    let found = server.leases().lease_time_to_live(ask).await.unwrap();
    assert_eq!(found.into_inner().granted_ttl, 60);
}

#[tokio::test]
async fn a_candidate_whose_lease_ends_is_told() {
    let server = TestServer::start().await;
    campaign(&server, server.grant(60).await, "one").await.unwrap();
    let lease = server.grant(60).await;
    let waiting = wait_in_line(&server, lease, "two").await;
    let revoke = pb::LeaseRevokeRequest { id: lease };
    server.leases().lease_revoke(revoke).await.unwrap();
    assert_status(
        soon(waiting).await.unwrap(),
        Code::NotFound,
        "etcdserver: requested lease not found",
    );
}

#[tokio::test]
async fn a_candidate_that_goes_away_leaves_the_line() {
    let server = TestServer::start().await;
    campaign(&server, server.grant(60).await, "one").await.unwrap();
    let waiting = wait_in_line(&server, server.grant(60).await, "two").await;
    waiting.abort();
    eventually("it is gone", async || candidates(&server).await == 1).await;
    assert_eq!(leader(&server).await.unwrap(), "one");
}

#[tokio::test]
async fn refusals() {
    let server = TestServer::start().await;
    let missing = "\"leader\" field must be provided";
    let mut client = elections(&server);
    assert_status(
        client.proclaim(ProclaimRequest::default()).await,
        Code::Unknown,
        missing,
    );
    assert_status(
        client.resign(ResignRequest::default()).await,
        Code::Unknown,
        missing,
    );
    assert_status(
        campaign(&server, 4_711, "v").await,
        Code::NotFound,
        "etcdserver: requested lease not found",
    );
}

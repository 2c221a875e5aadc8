//! The agent of a host for remote members while these are away, come back, or are others.

use std::time::Duration;

use cfgstore_client::{DeleteOptions, ErrorKind, LockOptions, PutOptions, WatchOptions};
use cfgstore_mirror::Reader;
use cfgstore_proto::etcdserverpb as pb;
use cfgstore_proto::etcdserverpb::kv_client::KvClient;
use tonic::Code;

use crate::common::{eventually, soon};
use crate::members::{Gate, Host, Member, Road, mirrored, put, same, value};

async fn compact(member: &Member, revision: i64) {
    let mut kv = KvClient::connect(format!("http://{}", member.address()))
        .await
        .unwrap();
    let request = pb::CompactionRequest {
        revision,
        physical: true,
    };
    kv.compact(request).await.unwrap();
}

fn for_an_hour() -> LockOptions {
    LockOptions {
        ttl: Duration::from_secs(3_600),
        ..Default::default()
    }
}

async fn told(host: &Host, words: &str) {
    eventually("the trouble is told", async || {
        host.trouble().await.contains(words)
    })
    .await;
}

async fn well_again(host: &Host) {
    eventually("it follows again", async || host.trouble().await.is_empty()).await;
}

#[tokio::test]
async fn what_is_known_stays_while_the_members_are_away() {
    for member in [Member::cfgstored(), Member::etcd().await] {
        let (road, direct) = (Road::to(member.address()).await, member.client());
        let host = Host::start(&[&road]).await;
        let (client, mut reader) = (host.client(), host.reader());
        put(&client, "a", "1").await;
        let mut watch = client.watch(WatchOptions::prefix("").from_revision(1)).unwrap();
        assert_eq!(soon(watch.next()).await.unwrap().changes[0].value, "1");

        road.lead_to(None);
        told(&host, &road.url()).await;
        assert_eq!(value(&reader.snapshot().unwrap(), "a").as_deref(), Some("1"));
        let heartbeat = reader.heartbeat_boot_ms();
        let error = client.put("a", "x", &PutOptions::default()).await.unwrap_err();
        assert_eq!(
            (error.kind, error.maybe_committed),
            (ErrorKind::Unavailable, false)
        );
        assert!(error.message.contains(&road.url()), "{error}");
        put(&direct, "a", "2").await;
        direct.delete("a", &DeleteOptions::default()).await.unwrap();
        put(&direct, "b", "3").await;
        assert_eq!(
            reader.heartbeat_boot_ms(),
            heartbeat,
            "readers are told how old it is"
        );

        road.lead_to(Some(member.address()));
        mirrored(&mut reader, "b", Some("3")).await;
        assert_eq!(value(&reader.snapshot().unwrap(), "a"), None);
        eventually("it is confirmed", async || reader.heartbeat_boot_ms() > heartbeat).await;
        well_again(&host).await;
        // Forwarded watches go on too, without a gap.
        let mut seen = Vec::new();
        while seen.len() < 3 {
            let batch = soon(watch.next()).await.unwrap();
            seen.extend(batch.changes.into_iter().map(|change| change.key));
        }
        assert_eq!(seen, ["a", "a", "b"]);
        put(&client, "c", "4").await;
        assert_eq!(value(&reader.snapshot().unwrap(), "c").as_deref(), Some("4"));
    }
}

#[tokio::test]
async fn history_that_is_gone_leads_to_a_new_copy() {
    for member in [Member::cfgstored(), Member::etcd().await] {
        let (road, direct) = (Road::to(member.address()).await, member.client());
        let host = Host::start(&[&road]).await;
        let mut reader = host.reader();
        put(&host.client(), "a", "1").await;
        road.lead_to(None);
        told(&host, &road.url()).await;
        direct.delete("a", &DeleteOptions::default()).await.unwrap();
        let mut revision = 0;
        for i in 0..20 {
            revision = put(&direct, &format!("k{i}"), "v").await;
        }
        compact(&member, revision).await;
        road.lead_to(Some(member.address()));
        mirrored(&mut reader, "k19", Some("v")).await;
        let there = direct.range(&cfgstore_client::Range::prefix("")).await.unwrap();
        assert!(same(&reader.snapshot().unwrap(), &there.kvs));
        put(&host.client(), "after", "1").await;
        assert_eq!(value(&reader.snapshot().unwrap(), "after").as_deref(), Some("1"));
    }
}

#[tokio::test]
async fn another_member_takes_over() {
    let member = Member::etcd().await;
    let (first, second) = (Road::to(member.address()).await, Road::to(member.address()).await);
    let host = Host::start(&[&first, &second]).await;
    let (client, mut reader) = (host.client(), host.reader());
    for round in 0..6 {
        let (cut, open) = if round % 2 == 0 {
            (&first, &second)
        } else {
            (&second, &first)
        };
        open.lead_to(Some(member.address()));
        cut.lead_to(None);
        let value = round.to_string();
        // On a connection that has just been cut, a write can only say that it may have happened.
        eventually("a write", async || {
            client
                .put("k", value.clone(), &PutOptions::default())
                .await
                .is_ok()
        })
        .await;
        mirrored(&mut reader, "k", Some(&value)).await;
    }
    well_again(&host).await;
}

#[tokio::test]
async fn another_store_behind_the_same_address_is_refused() {
    let (first, second) = (Member::etcd().await, Member::cfgstored());
    let road = Road::to(first.address()).await;
    let mut host = Host::start(&[&road]).await;
    let (client, mut reader) = (host.client(), host.reader());
    put(&client, "a", "first").await;
    put(&second.client(), "a", "second").await;

    road.lead_to(Some(second.address()));
    told(&host, "belongs to cluster").await;
    let error = client.get("a").await.unwrap_err();
    assert!(error.message.contains("belongs to cluster"), "{error}");
    let error = client.put("b", "x", &PutOptions::default()).await.unwrap_err();
    assert_eq!(
        (error.kind, error.maybe_committed),
        (ErrorKind::Unavailable, false)
    );
    assert_eq!(value(&reader.snapshot().unwrap(), "a").as_deref(), Some("first"));
    assert_eq!(second.client().get("b").await.unwrap(), None);
    // Nor after a restart: the folder knows whose copy it holds.
    host.stop().await;
    host.restart(&[&road]).await;
    told(&host, "belongs to cluster").await;
    assert_eq!(value(&reader.snapshot().unwrap(), "a").as_deref(), Some("first"));

    road.lead_to(Some(first.address()));
    well_again(&host).await;
    put(&host.client(), "a", "first again").await;
    assert_eq!(
        value(&reader.snapshot().unwrap(), "a").as_deref(),
        Some("first again")
    );
}

#[tokio::test]
async fn a_store_that_was_restored_from_a_backup_is_copied_anew() {
    let mut member = Member::cfgstored();
    let road = Road::to(member.address()).await;
    let host = Host::start(&[&road]).await;
    let mut reader = host.reader();
    put(&host.client(), "a", "before").await;
    road.lead_to(None);
    let folder = member.stop().path().join("data");
    let backup = folder.with_file_name("backup");
    let copy = |from: &std::path::Path, to: &std::path::Path| {
        let done = std::process::Command::new("cp")
            .arg("-a")
            .args([from, to])
            .status();
        assert!(done.unwrap().success());
    };
    copy(&folder, &backup);
    member.restart();
    road.lead_to(Some(member.address()));
    for i in 0..5 {
        put(&member.client(), "a", &i.to_string()).await;
    }
    mirrored(&mut reader, "a", Some("4")).await;
    let mut lock = host.client().lock("l", &for_an_hour()).await.unwrap();
    road.lead_to(None);
    member.stop();
    std::fs::remove_dir_all(&folder).unwrap();
    copy(&backup, &folder);
    member.restart();
    road.lead_to(Some(member.address()));
    mirrored(&mut reader, "a", Some("before")).await;
    eventually("what the backup does not have is lost", async || !lock.is_held()).await;
    put(&host.client(), "a", "after").await;
    assert_eq!(value(&reader.snapshot().unwrap(), "a").as_deref(), Some("after"));
}

#[tokio::test]
async fn serves_without_members_and_says_so_until_they_come() {
    let member = Member::etcd().await;
    put(&member.client(), "a", "1").await;
    let road = Road::to(None).await;
    let mut host = Host::start(&[&road]).await;
    let mut reader = host.reader();
    assert!(reader.snapshot().is_err(), "nothing is known yet");
    told(&host, &road.url()).await;
    let error = host
        .client()
        .lock("l", &LockOptions::default())
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(error.message.contains(&road.url()), "{error}");
    road.lead_to(Some(member.address()));
    mirrored(&mut reader, "a", Some("1")).await;
    well_again(&host).await;

    // A host that starts with nothing in shared memory has the last copy, and says that it is one.
    host.stop().await;
    road.lead_to(None);
    std::fs::remove_dir_all(host.dir.path().join("mirror")).unwrap();
    host.restart(&[&road]).await;
    let mut reader = host.reader();
    mirrored(&mut reader, "a", Some("1")).await;
    assert!(reader.snapshot().unwrap().is_restored());
    assert_eq!(reader.heartbeat_boot_ms(), 0, "nobody has confirmed it");
    road.lead_to(Some(member.address()));
    eventually("it is confirmed", async || {
        reader.heartbeat_boot_ms() > 0 && !reader.snapshot().unwrap().is_restored()
    })
    .await;
}

#[tokio::test]
async fn a_lost_mirror_folder_is_made_again() {
    let member = Member::cfgstored();
    let host = Host::start(&[&Road::to(member.address()).await]).await;
    put(&host.client(), "a", "1").await;
    let folder = host.dir.path().join("mirror");
    std::fs::remove_dir_all(&folder).unwrap();
    put(&host.client(), "b", "2").await;
    let mut found = None;
    eventually("another mirror is there", async || {
        found = Reader::open(&folder)
            .ok()
            .and_then(|mut reader| reader.snapshot().ok());
        found
            .as_ref()
            .is_some_and(|snapshot| value(snapshot, "b").is_some())
    })
    .await;
    assert_eq!(value(&found.unwrap(), "a").as_deref(), Some("1"));
}

#[tokio::test]
async fn a_lock_is_lost_when_its_lease_can_no_more_be_renewed() {
    let member = Member::etcd().await;
    let road = Road::to(member.address()).await;
    let host = Host::start(&[&road]).await;
    let options = LockOptions {
        ttl: Duration::from_secs(1),
        ..Default::default()
    };
    let mut lock = host.client().lock("l", &options).await.unwrap();
    road.lead_to(None);
    eventually("it is lost", async || !lock.is_held()).await;
}

#[tokio::test]
async fn a_lock_that_is_newer_than_the_copy_is_not_lost() {
    let member = Member::cfgstored();
    put(&member.client(), "a", &"x".repeat(200_000)).await;
    let gate = Gate::after(100_000);
    // The first connection is the mirror's.
    let road = Road::gated(member.address(), &gate).await;
    let host = Host::start_with(&[&road], |config| config.first_copy_timeout = Duration::ZERO).await;
    gate.reached().await;
    let client = host.client();
    let mut kept = client.lock("kept", &for_an_hour()).await.unwrap();
    let mut deleted = client.lock("deleted", &for_an_hour()).await.unwrap();
    assert_ne!(host.trouble().await, "", "the copy is still being read");
    gate.open().await;
    well_again(&host).await;
    // After a false loss this would fail.
    kept.release().await.unwrap();
    // The watch that begins after the copy tells of a true one.
    let key = deleted.key().to_vec();
    let direct = member.client();
    direct.delete(&key, &DeleteOptions::default()).await.unwrap();
    eventually("it is told", async || !deleted.is_held()).await;
}

#[tokio::test]
async fn what_is_no_call_of_etcds_is_not_passed_on() {
    let member = Member::cfgstored();
    let host = Host::start(&[&Road::to(member.address()).await]).await;
    let path = host.agent().socket().to_path_buf();
    let connector = tower::service_fn(move |_| {
        let path = path.clone();
        async move {
            tokio::net::UnixStream::connect(path)
                .await
                .map(hyper_util::rt::TokioIo::new)
        }
    });
    let channel = tonic::transport::Endpoint::from_static("http://localhost")
        .connect_with_connector(connector)
        .await
        .unwrap();
    let mut raft = cfgstore_proto::cfgstore::peer::v1::join_client::JoinClient::new(channel);
    let status = raft
        .cluster(cfgstore_proto::cfgstore::peer::v1::ClusterRequest {})
        .await;
    let status = status.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
    assert!(status.message().contains("ask a member of cfgstored"), "{status}");
}

//! The agent of a host for remote members, of cfgstore and of etcd alike, as long as all is well.

use std::time::Duration;

use cfgstore_client::{DeleteOptions, ErrorKind, LockOptions, PutOptions, Range, Txn, WatchOptions};
use cfgstore_proto::etcdserverpb as pb;
use cfgstore_proto::etcdserverpb::lease_client::LeaseClient;
use cfgstore_server::{Agent, Server, StartError};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::{Channel, Endpoint};

use crate::common::{config_in, eventually, soon};
use crate::members::{Host, Member, Road, mirrored, put, same, value};

/// Runs a test against both kinds of members.
macro_rules! of_each_kind {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        mod cfgstored { $(#[tokio::test] async fn $name() { super::$name(super::Member::cfgstored()).await })+ }
        mod etcd { $(#[tokio::test] async fn $name() { super::$name(super::Member::etcd().await).await })+ }
    };
}

of_each_kind!(
    copies_whatever_there_is,
    an_answered_write_is_in_the_mirror,
    calls_are_passed_on,
    watches_are_passed_on,
    leases_are_kept_alive_through_it,
    locks_are_bound_to_their_connection,
    a_lock_whose_key_is_deleted_is_lost,
    ends_in_order_and_goes_on,
);

async fn copies_whatever_there_is(member: Member) {
    let direct = member.client();
    // More than a page in number, and more than one in bytes; and keys that are cfgstore's own.
    for batch in 0..10 {
        let mut txn = Txn::new();
        for i in 0..100 {
            txn = txn.put(format!("k/{batch}/{i}"), format!("{i}").repeat(1 + i * 5));
        }
        direct.txn(txn).await.unwrap();
    }
    for i in 0..6 {
        put(&direct, &format!("large/{i}"), &"x".repeat(900_000)).await;
    }
    put(&direct, "/_cfgstore/x", "hidden").await;
    direct.delete("k/0/0", &DeleteOptions::default()).await.unwrap();
    let host = Host::start(&[&Road::to(member.address()).await]).await;
    let snapshot = host.reader().snapshot().unwrap();
    let there = direct.range(&Range::prefix("")).await.unwrap();
    assert!(same(&snapshot, &there.kvs));
    assert_eq!((snapshot.len(), snapshot.revision()), (1_005, there.revision));
    assert!(!snapshot.is_restored());
    assert_eq!(host.trouble().await, "");
}

async fn an_answered_write_is_in_the_mirror(member: Member) {
    let host = Host::start(&[&Road::to(member.address()).await]).await;
    let (client, mut reader) = (host.client(), host.reader());
    for n in 0..100 {
        let n = n.to_string();
        put(&client, "k", &n).await;
        // No wait: the answer says that it is there.
        assert_eq!(value(&reader.snapshot().unwrap(), "k"), Some(n));
    }
    let outcome = client.txn(Txn::new().put("a", "1").delete("k")).await.unwrap();
    let snapshot = reader.snapshot().unwrap();
    assert_eq!(
        (value(&snapshot, "a").as_deref(), value(&snapshot, "k")),
        (Some("1"), None)
    );
    assert_eq!(snapshot.revision(), outcome.revision);
    client.delete("a", &DeleteOptions::default()).await.unwrap();
    assert!(reader.snapshot().unwrap().is_empty());
}

async fn calls_are_passed_on(member: Member) {
    let host = Host::start(&[&Road::to(member.address()).await]).await;
    let (client, direct) = (host.client(), member.client());
    put(&client, "k", "1").await;
    assert_eq!(direct.get("k").await.unwrap().unwrap().value, "1");
    let error = client
        .put(
            "k",
            "2",
            &PutOptions {
                if_revision: Some(1),
                ..Default::default()
            },
        )
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Conflict);
    let error = client
        .put("k", vec![b'x'; 1_700_000], &PutOptions::default())
        .await;
    assert_eq!(error.unwrap_err().kind, ErrorKind::TooLarge);
    let error = client
        .put("k", vec![b'x'; 4_000_000], &PutOptions::default())
        .await;
    assert_eq!(error.unwrap_err().kind, ErrorKind::TooLarge);

    let (through, direct) = (client.status().await.unwrap(), direct.status().await.unwrap());
    assert_eq!(
        (through.member_id, through.version),
        (direct.member_id, direct.version)
    );
    let agent = through.agent.unwrap();
    assert_eq!(agent.pid, std::process::id());
    assert_eq!(agent.mirror_dir, host.agent().mirror_dir());
    assert_eq!(agent.mirror_revision, through.revision);
}

async fn watches_are_passed_on(member: Member) {
    let host = Host::start(&[&Road::to(member.address()).await]).await;
    let (client, direct) = (host.client(), member.client());
    // More of them than a connection's window has room for, were they to share it unread.
    let mut idle = Vec::new();
    for _ in 0..40 {
        let mut watch = client.watch(WatchOptions::prefix("w/")).unwrap();
        let opened = tokio::time::timeout(Duration::from_millis(1), watch.next()).await;
        assert!(opened.is_err());
        idle.push(watch);
    }
    let mut watch = client.watch(WatchOptions::prefix("w/").from_revision(1)).unwrap();
    for i in 0..10 {
        put(&direct, &format!("w/{i}"), &"x".repeat(400_000)).await;
    }
    direct.delete("w/0", &DeleteOptions::default()).await.unwrap();
    let mut seen = Vec::new();
    while seen.len() < 11 {
        let batch = soon(watch.next()).await.unwrap();
        seen.extend(batch.changes.into_iter().map(|change| change.key));
    }
    assert_eq!(seen[0], "w/0");
    assert_eq!(seen[9], "w/9");
    assert_eq!(seen[10], "w/0");
    put(&client, "a", "the others do not hold this up").await;
}

async fn channel(host: &Host) -> Channel {
    let path = host.agent().socket().to_path_buf();
    let connector = tower::service_fn(move |_| {
        let path = path.clone();
        async move { UnixStream::connect(path).await.map(TokioIo::new) }
    });
    Endpoint::from_static("http://localhost")
        .connect_with_connector(connector)
        .await
        .unwrap()
}

async fn leases_are_kept_alive_through_it(member: Member) {
    let host = Host::start(&[&Road::to(member.address()).await]).await;
    let mut leases = LeaseClient::new(channel(&host).await);
    let grant = pb::LeaseGrantRequest { ttl: 30, id: 0 };
    let id = leases.lease_grant(grant).await.unwrap().into_inner().id;
    let (asks, stream) = tokio::sync::mpsc::unbounded_channel();
    let mut answers = leases
        .lease_keep_alive(UnboundedReceiverStream::new({
            asks.send(pb::LeaseKeepAliveRequest { id }).unwrap();
            stream
        }))
        .await
        .unwrap()
        .into_inner();
    for _ in 0..3 {
        assert_eq!(soon(answers.message()).await.unwrap().unwrap().ttl, 30);
        asks.send(pb::LeaseKeepAliveRequest { id }).unwrap();
    }
    host.client().lease_revoke(id).await.unwrap();
}

fn waiting(wait: Duration) -> LockOptions {
    LockOptions {
        wait,
        ttl: Duration::from_secs(3_600),
    }
}

async fn locks_are_bound_to_their_connection(member: Member) {
    let host = Host::start(&[&Road::to(member.address()).await]).await;
    let (client, other) = (host.client(), host.client());
    let mut first = client.lock("l", &waiting(Duration::ZERO)).await.unwrap();
    assert_eq!(first.lease(), 0, "the agent keeps it, not this client");
    let error = other.lock("l", &waiting(Duration::ZERO)).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Timeout);
    assert!(error.message.contains("held by another"), "{error}");
    let token = first.token();
    first.release().await.unwrap();
    let second = other.lock("l", &waiting(Duration::ZERO)).await.unwrap();
    assert!(second.token() > token);
    // Its holder goes away without a word.
    drop(second);
    let mut third = client.lock("l", &waiting(Duration::from_secs(20))).await.unwrap();
    assert!(third.is_held());
    third.release().await.unwrap();
    let left = member
        .client()
        .range(&Range::prefix("/_cfgstore/"))
        .await
        .unwrap();
    assert!(left.kvs.is_empty(), "{left:?}");
}

async fn a_lock_whose_key_is_deleted_is_lost(member: Member) {
    let host = Host::start(&[&Road::to(member.address()).await]).await;
    let mut lock = host.client().lock("l", &waiting(Duration::ZERO)).await.unwrap();
    let key = lock.key().to_vec();
    member
        .client()
        .delete(&key, &DeleteOptions::default())
        .await
        .unwrap();
    eventually("it is told", async || !lock.is_held()).await;
    assert_eq!(lock.release().await.unwrap_err().kind, ErrorKind::LockLost);
}

async fn ends_in_order_and_goes_on(member: Member) {
    let road = Road::to(member.address()).await;
    let mut host = Host::start(&[&road]).await;
    let client = host.client();
    let revision = put(&client, "a", "1").await;
    let mut reader = host.reader();
    let generation = reader.snapshot().unwrap().generation();
    let mut watch = client
        .watch(WatchOptions::prefix("").from_revision(revision))
        .unwrap();
    assert_eq!(soon(watch.next()).await.unwrap().changes[0].value, "1");
    let mut lock = client.lock("l", &waiting(Duration::ZERO)).await.unwrap();
    soon(host.stop()).await;
    assert!(!lock.is_held());
    assert!(!host.dir.path().join("agent/cfgstore.sock").exists());
    assert!(reader.is_closed());
    assert_eq!(value(&reader.snapshot().unwrap(), "a").as_deref(), Some("1"));
    let left = member
        .client()
        .range(&Range::prefix("/_cfgstore/"))
        .await
        .unwrap();
    assert!(left.kvs.is_empty(), "its locks are free: {left:?}");

    put(&member.client(), "a", "2").await;
    host.restart(&[&road]).await;
    mirrored(&mut reader, "a", Some("2")).await;
    assert!(reader.snapshot().unwrap().generation() > generation);
    // The watch goes on where it was.
    let seen = soon(watch.next()).await.unwrap();
    assert_eq!(seen.changes[0].value, "2");
}

#[tokio::test]
async fn one_process_has_a_folder() {
    let member = Member::cfgstored();
    let road = Road::to(member.address()).await;
    let host = Host::start(&[&road]).await;
    let error = Agent::start(Host::config(&host.dir, &[&road])).await.unwrap_err();
    assert!(matches!(error, StartError::InUse { .. }), "{error}");

    // A member's folder is no agent's.
    let dir = tempfile::tempdir().unwrap();
    let config = config_in(&dir);
    let data_dir = config.data_dir.clone();
    Server::start(config).await.unwrap().shutdown().await;
    let mut config = Host::config(&dir, &[&road]);
    config.data_dir = data_dir;
    let error = Agent::start(config).await.unwrap_err().to_string();
    assert!(error.contains("holds a member's data"), "{error}");
}

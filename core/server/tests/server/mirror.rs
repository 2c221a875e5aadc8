//! The mirror that the agent keeps.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use cfgstore_mirror::{Reader, Snapshot};
use cfgstore_proto::cfgstore::v1::StatusRequest;
use cfgstore_proto::cfgstore::v1::agent_client::AgentClient;
use cfgstore_proto::etcdserverpb::PutRequest;
use cfgstore_proto::etcdserverpb::kv_client::KvClient;
use cfgstore_server::{Config, ListenAddress, MirrorUse, Server};
use tonic::transport::Channel;

use crate::common::{TestServer, config_in, eventually};

fn value(snapshot: &Snapshot, key: &str) -> Option<String> {
    let entry = snapshot.get(key.as_bytes()).unwrap()?;
    Some(String::from_utf8(entry.value.to_vec()).unwrap())
}

async fn at_revision(reader: &mut Reader, revision: i64) -> Arc<Snapshot> {
    eventually("the mirror follows", async || {
        reader.snapshot().unwrap().revision() >= revision
    })
    .await;
    reader.snapshot().unwrap()
}

async fn over_socket(socket: &Path) -> Channel {
    let socket = socket.to_path_buf();
    let connect = move |_| {
        let socket = socket.clone();
        async move {
            let stream = tokio::net::UnixStream::connect(socket).await?;
            Ok::<_, std::io::Error>(hyper_util::rt::TokioIo::new(stream))
        }
    };
    let endpoint = tonic::transport::Endpoint::from_static("http://localhost");
    endpoint
        .connect_with_connector(tower::service_fn(connect))
        .await
        .unwrap()
}

#[tokio::test]
async fn follows_every_change() {
    let server = TestServer::start().await;
    let mut reader = Reader::open(server.server.mirror_dir().unwrap()).unwrap();
    assert!(
        reader.snapshot().unwrap().is_empty(),
        "published before the server serves"
    );
    server.put("a", "1").await;
    let revision = server.put("b", "2").await;
    let snapshot = at_revision(&mut reader, revision).await;
    assert_eq!(
        (value(&snapshot, "a").as_deref(), value(&snapshot, "b").as_deref()),
        (Some("1"), Some("2"))
    );
    server.put("a", "3").await;
    let revision = server.delete("b").await;
    let snapshot = at_revision(&mut reader, revision).await;
    assert_eq!(
        (value(&snapshot, "a").as_deref(), value(&snapshot, "b")),
        (Some("3"), None)
    );
    let entry = snapshot.get(b"a").unwrap().unwrap();
    assert_eq!(
        (entry.create_revision, entry.mod_revision, entry.version),
        (2, 4, 2)
    );
    assert_ne!(snapshot.source_id(), 0);
}

#[tokio::test]
async fn leaves_out_what_is_not_configuration() {
    let server = TestServer::start().await;
    server.put("/_cfgstore/lock/x/1", "").await;
    let revision = server.put("a", "1").await;
    let mut reader = Reader::open(server.server.mirror_dir().unwrap()).unwrap();
    let snapshot = at_revision(&mut reader, revision).await;
    assert_eq!(snapshot.len(), 1);
    // The revision moves all the same: whoever waits for its own write must find it.
    let revision = server.delete("/_cfgstore/lock/x/1").await;
    at_revision(&mut reader, revision).await;
}

#[tokio::test]
async fn compaction_that_overtakes_it_does_no_harm() {
    let server = TestServer::start().await;
    for round in 0..20 {
        for i in 0..10 {
            server.put(&format!("k{i}"), &round.to_string()).await;
        }
        let revision = server.delete("k0").await;
        server.compact(revision).await;
    }
    let revision = server.put("k0", "last").await;
    let mut reader = Reader::open(server.server.mirror_dir().unwrap()).unwrap();
    let snapshot = at_revision(&mut reader, revision).await;
    assert_eq!(
        (snapshot.len(), value(&snapshot, "k0").as_deref()),
        (10, Some("last"))
    );
}

#[tokio::test]
async fn is_found_through_the_link_and_goes_on_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config_in(&dir);
    config.mirror_dir = None;
    let link = config.data_dir.join("mirror");
    let server = Server::start(config.clone()).await.unwrap();
    let folder = std::fs::canonicalize(&link).unwrap();
    assert_eq!(folder, server.mirror_dir().unwrap());
    assert_eq!(std::fs::metadata(&folder).unwrap().mode() & 0o777, 0o750);
    let mut reader = Reader::open(&link).unwrap();
    let generation = reader.snapshot().unwrap().generation();
    server.shutdown().await;
    assert!(reader.is_closed());
    assert_eq!(
        reader.snapshot().unwrap().generation(),
        generation,
        "readers keep what there is"
    );

    let server = Server::start(config).await.unwrap();
    assert_eq!(server.mirror_dir().unwrap(), folder);
    eventually("the next generation", async || {
        reader.snapshot().unwrap().generation() > generation
    })
    .await;
    server.shutdown().await;
    std::fs::remove_dir_all(folder).unwrap();
}

/// Settings of a server whose mirror is found through the link, as it is by those who ask for it.
fn on_demand_in(dir: &tempfile::TempDir) -> Config {
    let mut config = config_in(dir);
    config.mirror_dir = None;
    config.mirror_use = MirrorUse::OnDemand;
    config
}

#[tokio::test]
async fn on_demand_it_is_kept_from_the_first_question_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = on_demand_in(&dir);
    config.listen = vec![ListenAddress::parse("http://127.0.0.1:0").unwrap()];
    let link = config.data_dir.join("mirror");
    let server = Server::start(config.clone()).await.unwrap();
    let put = |value: &str| PutRequest {
        key: "k".into(),
        value: value.to_owned().into(),
        ..Default::default()
    };
    let status = async |channel: Channel| {
        let mut agent = AgentClient::new(channel);
        agent.status(StatusRequest {}).await.unwrap().into_inner()
    };

    // Others ask how the member is; that makes no mirror.
    let remote = tonic::transport::Endpoint::new(server.urls()[0].clone()).unwrap();
    assert_eq!(status(remote.connect().await.unwrap()).await.mirror_dir, "");
    // A write of this host doesn't wait for what is not there.
    let local = over_socket(server.socket()).await;
    KvClient::new(local.clone()).put(put("1")).await.unwrap();
    assert_eq!(server.mirror_dir(), None);
    Reader::open(&link).unwrap_err();

    let told = status(local.clone()).await;
    assert_eq!(Path::new(&told.mirror_dir), std::fs::canonicalize(&link).unwrap());
    assert_eq!((told.mirror_revision, told.trouble.as_str()), (told.revision, ""));
    let mut reader = Reader::open(&link).unwrap();
    assert_eq!(value(&reader.snapshot().unwrap(), "k").as_deref(), Some("1"));
    KvClient::new(local).put(put("2")).await.unwrap();
    assert_eq!(value(&reader.snapshot().unwrap(), "k").as_deref(), Some("2"));
    server.shutdown().await;

    // Whoever read it goes on without a question.
    let server = Server::start(config).await.unwrap();
    let folder = server.mirror_dir().unwrap();
    assert!(!reader.is_closed());
    server.shutdown().await;
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn on_demand_it_says_why_it_cannot_be_opened_and_tries_again() {
    let dir = tempfile::tempdir().unwrap();
    let config = on_demand_in(&dir);
    let link = config.data_dir.join("mirror");
    let server = Server::start(config).await.unwrap();
    // In the way of the link.
    std::fs::create_dir(&link).unwrap();
    std::fs::write(link.join("file"), "mine").unwrap();
    let mut agent = AgentClient::new(over_socket(server.socket()).await);
    let told = agent.status(StatusRequest {}).await.unwrap().into_inner();
    assert!(told.trouble.contains("mirror"), "{}", told.trouble);
    assert_eq!(told.mirror_dir, "");
    std::fs::remove_dir_all(&link).unwrap();
    let told = agent.status(StatusRequest {}).await.unwrap().into_inner();
    assert_eq!(told.trouble, "");
    server.shutdown().await;
    std::fs::remove_dir_all(told.mirror_dir).unwrap();
}

#[tokio::test]
async fn leaves_a_last_copy_on_disk() {
    let server = TestServer::start().await;
    let revision = server.put("a", "1").await;
    let path = server.server.data_dir().join("last.snap");
    let TestServer {
        server,
        channel,
        dir: _dir,
    } = server;
    drop(channel);
    server.shutdown();
    let copy = Snapshot::open_file(&path).unwrap();
    assert_eq!(
        (copy.revision(), value(&copy, "a").as_deref()),
        (revision, Some("1"))
    );
}

#[tokio::test]
async fn a_removed_folder_is_made_again() {
    let server = TestServer::start().await;
    let dir = server.server.mirror_dir().unwrap();
    std::fs::remove_dir_all(dir).unwrap();
    let revision = server.put("a", "1").await;
    let mut found = None;
    eventually("another mirror is there", async || {
        found = Reader::open(dir)
            .ok()
            .and_then(|mut reader| reader.snapshot().ok());
        found
            .as_ref()
            .is_some_and(|snapshot| snapshot.revision() >= revision)
    })
    .await;
    assert_eq!(value(&found.unwrap(), "a").as_deref(), Some("1"));
}

#[tokio::test]
async fn an_answered_write_over_the_hosts_socket_is_in_the_mirror() {
    let server = TestServer::start().await;
    let channel = over_socket(server.server.socket()).await;
    let mut kv = KvClient::new(channel);
    let mut reader = Reader::open(server.server.mirror_dir().unwrap()).unwrap();
    for n in 0..200 {
        let put = PutRequest {
            key: "k".into(),
            value: n.to_string().into(),
            ..Default::default()
        };
        kv.put(put).await.unwrap();
        // No wait: the answer says that it is there.
        assert_eq!(value(&reader.snapshot().unwrap(), "k"), Some(n.to_string()));
    }
}

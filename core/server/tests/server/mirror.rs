//! The mirror that the agent keeps.

use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use cfgstore_mirror::{Reader, Snapshot};
use cfgstore_server::Server;

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

#[tokio::test]
async fn follows_every_change() {
    let server = TestServer::start().await;
    let mut reader = Reader::open(server.server.mirror_dir()).unwrap();
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
    let mut reader = Reader::open(server.server.mirror_dir()).unwrap();
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
    let mut reader = Reader::open(server.server.mirror_dir()).unwrap();
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
    assert_eq!(folder, server.mirror_dir());
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
    assert_eq!(server.mirror_dir(), folder);
    eventually("the next generation", async || {
        reader.snapshot().unwrap().generation() > generation
    })
    .await;
    server.shutdown().await;
    std::fs::remove_dir_all(folder).unwrap();
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
    let dir = server.server.mirror_dir().to_path_buf();
    std::fs::remove_dir_all(&dir).unwrap();
    let revision = server.put("a", "1").await;
    let mut found = None;
    eventually("another mirror is there", async || {
        found = Reader::open(&dir)
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
    let socket = server.server.socket().to_path_buf();
    let channel = tonic::transport::Endpoint::from_static("http://localhost")
        .connect_with_connector(tower::service_fn(move |_| {
            let socket = socket.clone();
            async move {
                Ok::<_, std::io::Error>(hyper_util::rt::TokioIo::new(
                    tokio::net::UnixStream::connect(socket).await?,
                ))
            }
        }))
        .await
        .unwrap();
    let mut kv = cfgstore_proto::etcdserverpb::kv_client::KvClient::new(channel);
    let mut reader = Reader::open(server.server.mirror_dir()).unwrap();
    for n in 0..200 {
        let put = cfgstore_proto::etcdserverpb::PutRequest {
            key: "k".into(),
            value: n.to_string().into(),
            ..Default::default()
        };
        kv.put(put).await.unwrap();
        // No wait: the answer says that it is there.
        assert_eq!(value(&reader.snapshot().unwrap(), "k"), Some(n.to_string()));
    }
}

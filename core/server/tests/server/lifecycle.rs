//! Start and end of a server.

use std::os::unix::fs::PermissionsExt;

use cfgstore_proto::etcdserverpb as pb;
use cfgstore_server::{ListenAddress, Server, ServerThread, StartError};
use pb::kv_client::KvClient;
use tonic::Code;

use crate::common::{TestServer, config_in, get, put, soon, watch_prefix};

#[tokio::test]
async fn tcp_and_socket_serve_the_same() {
    let server = TestServer::start().await;
    let mut over_socket = KvClient::new(server.connect_socket().await);
    over_socket.put(put("k", "v")).await.unwrap();
    assert_eq!(server.get("k").await.as_deref(), Some("v"));
    let mode = std::fs::metadata(server.server.socket())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o660);
}

#[tokio::test]
async fn what_was_written_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config_in(&dir);
    config.listen = vec![ListenAddress::parse("http://127.0.0.1:0").unwrap()];
    let mut header = None;
    for round in 0..3 {
        let server = Server::start(config.clone()).await.unwrap();
        let mut kv = KvClient::connect(server.urls()[0].clone()).await.unwrap();
        let response = kv
            .put(put("k", &round.to_string()))
            .await
            .unwrap()
            .into_inner()
            .header
            .unwrap();
        assert_eq!(response.revision, 2 + round);
        let ids = (response.cluster_id, response.member_id);
        assert_eq!(*header.get_or_insert(ids), ids);
        drop(kv);
        server.shutdown().await;
        assert!(!config.socket_path().exists());
    }
}

#[tokio::test]
async fn shutdown_ends_what_waits_and_says_so() {
    let server =
        TestServer::start_with(|config| config.shutdown_grace = std::time::Duration::from_secs(5)).await;
    let mut watches = server.watches().await;
    watches.create(watch_prefix("k")).await;
    let lease = server.grant(60).await;
    let lock = || cfgstore_proto::v3lockpb::LockRequest {
        name: "l".into(),
        lease: 0,
    };
    server.locks().lock(lock()).await.unwrap();
    let mut locks = server.locks();
    let waiter = tokio::spawn(async move { locks.lock(lock()).await });
    let (_keep, stream) = tokio::sync::mpsc::unbounded_channel::<pb::LeaseKeepAliveRequest>();
    _keep.send(pb::LeaseKeepAliveRequest { id: lease }).unwrap();
    let stream = tokio_stream::wrappers::UnboundedReceiverStream::new(stream);
    let mut renewals = server
        .leases()
        .lease_keep_alive(stream)
        .await
        .unwrap()
        .into_inner();
    soon(renewals.message()).await.unwrap().unwrap();
    crate::common::eventually("the lock is waited for", async || {
        server
            .kv()
            .range(crate::common::prefix("l/"))
            .await
            .unwrap()
            .into_inner()
            .count
            == 2
    })
    .await;

    let TestServer {
        server,
        channel,
        dir: _dir,
    } = server;
    let ending = tokio::task::spawn_blocking(|| server.shutdown());
    let status = soon(watches.responses.message()).await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::Unavailable, "etcdserver: server stopped")
    );
    assert_eq!(soon(waiter).await.unwrap().unwrap_err().code(), Code::Unavailable);
    assert_eq!(
        soon(renewals.message()).await.unwrap_err().code(),
        Code::Unavailable
    );
    drop(channel);
    soon(ending).await.unwrap();
}

#[tokio::test]
async fn a_client_that_stays_does_not_keep_the_server() {
    let server = TestServer::start().await;
    let TestServer {
        server,
        channel,
        dir: _dir,
    } = server;
    server.shutdown();
    KvClient::new(channel).range(get("k")).await.unwrap_err();
}

#[tokio::test]
async fn what_is_in_the_way_is_named() {
    let server = TestServer::start().await;
    let second = Server::start(config_in(&server.dir)).await.unwrap_err();
    assert!(
        matches!(second, StartError::InUse { pid: Some(_), .. }),
        "{second}"
    );

    let dir = tempfile::tempdir().unwrap();
    let mut config = config_in(&dir);
    config.listen = vec![ListenAddress::parse(&server.server.urls()[0]).unwrap()];
    let busy = Server::start(config).await.unwrap_err();
    assert!(matches!(busy, StartError::AddressInUse { .. }), "{busy}");

    let mut config = config_in(&dir);
    config.socket = Some(server.server.socket().to_path_buf());
    let busy = Server::start(config).await.unwrap_err();
    assert!(matches!(busy, StartError::AddressInUse { .. }), "{busy}");

    let mut config = config_in(&dir);
    config.data_dir = dir.path().join("d".repeat(120));
    let long = Server::start(config).await.unwrap_err();
    assert!(matches!(long, StartError::SocketPathTooLong { .. }), "{long}");

    // None of them left anything in use.
    let config = config_in(&dir);
    Server::start(config).await.unwrap().shutdown().await;
}

#[tokio::test]
async fn a_server_that_is_dropped_gives_its_folder_back_once_it_has_ended() {
    let dir = tempfile::tempdir().unwrap();
    drop(Server::start(config_in(&dir)).await.unwrap());
    let second = Server::start(config_in(&dir)).await.unwrap_err();
    assert!(matches!(second, StartError::InUse { .. }), "{second}");
    crate::common::eventually("the folder is free", async || {
        match Server::start(config_in(&dir)).await {
            Ok(server) => {
                server.shutdown().await;
                true
            }
            Err(_) => false,
        }
    })
    .await;
}

#[tokio::test]
async fn a_folder_without_rights_is_named() {
    // The superuser has all rights; a folder inside a file nobody can make.
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("file"), b"").unwrap();
    let mut config = config_in(&dir);
    config.data_dir = dir.path().join("file/data");
    let error = Server::start(config).await.unwrap_err().to_string();
    assert!(
        error.contains("create the data folder") && error.contains("file/data"),
        "{error}"
    );
}

#[test]
fn a_thread_serves_a_program_without_a_runtime() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config_in(&dir);
    config.listen = vec![ListenAddress::parse("http://127.0.0.1:0").unwrap()];
    let server = ServerThread::start(config.clone()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut kv = KvClient::connect(server.urls()[0].clone()).await.unwrap();
        kv.put(put("k", "v")).await.unwrap();
    });
    assert!(matches!(
        ServerThread::start(config.clone()),
        Err(StartError::InUse { .. })
    ));
    server.shutdown();
    assert!(!config.socket_path().exists());
    ServerThread::start(config).unwrap();
}

/// What a client with a path or a URL for its `:authority` sends first (see the server's module `authority`).
#[tokio::test]
async fn an_authority_that_is_none_is_let_in() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let server = TestServer::start().await;
    let mut socket = tokio::net::UnixStream::connect(server.server.socket())
        .await
        .unwrap();
    let frame = |kind: u8, flags: u8, stream: u8, payload: &[u8]| {
        [
            &(payload.len() as u32).to_be_bytes()[1..],
            &[kind, flags, 0, 0, 0, stream],
            payload,
        ]
        .concat()
    };
    let path = b"/etcdserverpb.KV/Range";
    // POST, http, then path, authority and content type written out.
    let headers = [
        b"\x83\x86\x44".as_slice(),
        &[path.len() as u8],
        path,
        b"\x41\x05/a/b/\x5f\x10application/grpc\x40\x02te\x08trailers",
    ]
    .concat();
    // A request for the key "k".
    let message = b"\0\0\0\0\x03\x0a\x01k";
    let sent = [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        frame(4, 0, 0, &[]),
        frame(1, 4, 1, &headers),
        frame(0, 1, 1, message),
    ];
    socket.write_all(&sent.concat()).await.unwrap();
    // The first frame of the answer is its headers, not a reset (3).
    let answer = soon(async {
        loop {
            let mut header = [0; 9];
            socket.read_exact(&mut header).await.unwrap();
            let mut payload = vec![0; u32::from_be_bytes([0, header[0], header[1], header[2]]) as usize];
            socket.read_exact(&mut payload).await.unwrap();
            if header[8] == 1 && matches!(header[3], 0 | 1 | 3) {
                return header[3];
            }
        }
    })
    .await;
    assert_eq!(answer, 1);
}

/// The first bytes of a client that speaks HTTP/2: preface and empty SETTINGS. It will answer nothing.
const HTTP2_HELLO: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";
const HTTP2_PING: &[u8] = b"\x00\x00\x08\x06\x00\x00\x00\x00\x00cfgstore";

#[tokio::test]
async fn a_silent_client_is_dropped_on_tcp_but_not_on_the_hosts_socket() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let server = TestServer::start_with(|config| {
        config.grpc_keepalive_interval = std::time::Duration::from_millis(20);
        config.grpc_keepalive_timeout = std::time::Duration::from_millis(20);
    })
    .await;
    let mut unix = tokio::net::UnixStream::connect(server.server.socket())
        .await
        .unwrap();
    unix.write_all(HTTP2_HELLO).await.unwrap();
    let address = server.server.urls()[0].trim_start_matches("http://").to_owned();
    let mut tcp = tokio::net::TcpStream::connect(address).await.unwrap();
    tcp.write_all(HTTP2_HELLO).await.unwrap();
    let mut received = Vec::new();
    // Ends, or is reset, once no ping was answered.
    let _ = soon(tcp.read_to_end(&mut received)).await;

    // As a PHP worker that was busy with something else for as long.
    unix.write_all(HTTP2_PING).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"cfgstore") {
        let n = soon(unix.read_buf(&mut answer)).await.unwrap();
        assert_ne!(n, 0, "the connection over the unix socket was closed");
    }
}

//! A server in a temporary folder, and clients of it.

use std::path::Path;
use std::time::Duration;

use cfgstore_proto::cfgstore::v1::agent_client::AgentClient;
use cfgstore_proto::etcdserverpb as pb;
use cfgstore_proto::etcdserverpb::cluster_client::ClusterClient;
use cfgstore_proto::etcdserverpb::kv_client::KvClient;
use cfgstore_proto::etcdserverpb::lease_client::LeaseClient;
use cfgstore_proto::etcdserverpb::maintenance_client::MaintenanceClient;
use cfgstore_proto::etcdserverpb::watch_client::WatchClient;
use cfgstore_proto::v3lockpb::lock_client::LockClient;
use cfgstore_server::{Config, ListenAddress, ServerThread};
use hyper_util::rt::TokioIo;
use tempfile::TempDir;
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status, Streaming};

/// Longer than anything here takes; only a failure waits for it.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server on a thread of its own: when a test ends, however it ends, the server ends in order before its
/// folder goes.
pub struct TestServer {
    pub server: ServerThread,
    pub channel: Channel,
    pub dir: TempDir,
}

/// Settings for a server in `dir`, whose mirror is there too rather than in the host's shared memory.
pub fn config_in(dir: &TempDir) -> Config {
    let mut config = Config::new(dir.path().join("data"));
    config.mirror_dir = Some(dir.path().join("mirror"));
    // The clients are still connected when a test ends.
    config.shutdown_grace = Duration::from_millis(20);
    config
}

/// A connection over a unix socket.
pub async fn connect_socket(path: &Path) -> Channel {
    let path = path.to_path_buf();
    let connector = tower::service_fn(move |_| {
        let path = path.clone();
        async move { UnixStream::connect(path).await.map(TokioIo::new) }
    });
    Endpoint::from_static("http://localhost")
        .connect_with_connector(connector)
        .await
        .unwrap()
}

impl TestServer {
    pub async fn start() -> TestServer {
        TestServer::start_with(|_| {}).await
    }

    pub async fn start_with(change: impl FnOnce(&mut Config)) -> TestServer {
        let dir = tempfile::tempdir().unwrap();
        let mut config = config_in(&dir);
        config.listen = vec![ListenAddress::parse("http://127.0.0.1:0").unwrap()];
        change(&mut config);
        let server = ServerThread::start(config).unwrap();
        let channel = Endpoint::new(server.urls()[0].clone())
            .unwrap()
            .connect()
            .await
            .unwrap();
        TestServer { server, channel, dir }
    }

    /// Another connection, over TCP.
    pub async fn connect(&self) -> Channel {
        Endpoint::new(self.server.urls()[0].clone())
            .unwrap()
            .connect()
            .await
            .unwrap()
    }

    /// Another connection, over the host's socket.
    pub async fn connect_socket(&self) -> Channel {
        connect_socket(self.server.socket()).await
    }

    pub fn kv(&self) -> KvClient<Channel> {
        KvClient::new(self.channel.clone()).max_decoding_message_size(usize::MAX)
    }

    pub fn leases(&self) -> LeaseClient<Channel> {
        LeaseClient::new(self.channel.clone())
    }

    pub fn locks(&self) -> LockClient<Channel> {
        LockClient::new(self.channel.clone())
    }

    pub fn maintenance(&self) -> MaintenanceClient<Channel> {
        MaintenanceClient::new(self.channel.clone())
    }

    pub fn cluster(&self) -> ClusterClient<Channel> {
        ClusterClient::new(self.channel.clone())
    }

    pub fn agent(&self) -> AgentClient<Channel> {
        AgentClient::new(self.channel.clone())
    }

    pub async fn put(&self, key: &str, value: &str) -> i64 {
        let response = self.kv().put(put(key, value)).await.unwrap().into_inner();
        response.header.unwrap().revision
    }

    pub async fn delete(&self, key: &str) -> i64 {
        let request = pb::DeleteRangeRequest {
            key: key.to_owned().into(),
            ..Default::default()
        };
        self.kv()
            .delete_range(request)
            .await
            .unwrap()
            .into_inner()
            .header
            .unwrap()
            .revision
    }

    pub async fn get(&self, key: &str) -> Option<String> {
        let response = self.kv().range(get(key)).await.unwrap().into_inner();
        response
            .kvs
            .first()
            .map(|kv| String::from_utf8(kv.value.to_vec()).unwrap())
    }

    pub async fn compact(&self, revision: i64) {
        self.kv()
            .compact(pb::CompactionRequest {
                revision,
                physical: true,
            })
            .await
            .unwrap();
    }

    pub async fn grant(&self, ttl: i64) -> i64 {
        self.leases()
            .lease_grant(pb::LeaseGrantRequest { ttl, id: 0 })
            .await
            .unwrap()
            .into_inner()
            .id
    }

    pub async fn watches(&self) -> Watches {
        Watches::open(self.channel.clone()).await
    }
}

pub fn put(key: &str, value: &str) -> pb::PutRequest {
    pb::PutRequest {
        key: key.to_owned().into(),
        value: value.to_owned().into(),
        ..Default::default()
    }
}

pub fn get(key: &str) -> pb::RangeRequest {
    pb::RangeRequest {
        key: key.to_owned().into(),
        ..Default::default()
    }
}

/// The keys that begin with `prefix`, none of whose bytes is 255.
pub fn prefix(prefix: &str) -> pb::RangeRequest {
    pb::RangeRequest {
        range_end: prefix_end(prefix),
        ..get(prefix)
    }
}

pub fn prefix_end(prefix: &str) -> bytes::Bytes {
    let mut end = prefix.as_bytes().to_vec();
    *end.last_mut().unwrap() += 1;
    end.into()
}

pub fn watch_prefix(prefix: &str) -> pb::WatchCreateRequest {
    pb::WatchCreateRequest {
        key: prefix.to_owned().into(),
        range_end: prefix_end(prefix),
        ..Default::default()
    }
}

/// Waits for `future`, with a bound.
pub async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("it took too long")
}

/// Looks again and again until `found` is so; for what has no event to wait for.
pub async fn eventually(what: &str, mut found: impl AsyncFnMut() -> bool) {
    let give_up = tokio::time::Instant::now() + PATIENCE;
    while !found().await {
        assert!(tokio::time::Instant::now() < give_up, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[track_caller]
pub fn assert_status<T: std::fmt::Debug>(result: Result<T, Status>, code: Code, message: &str) {
    let status = result.expect_err(message);
    assert_eq!((status.code(), status.message()), (code, message));
}

/// One Watch stream.
pub struct Watches {
    requests: mpsc::UnboundedSender<pb::WatchRequest>,
    pub responses: Streaming<pb::WatchResponse>,
}

impl Watches {
    pub async fn open(channel: Channel) -> Watches {
        let (requests, stream) = mpsc::unbounded_channel();
        let mut client = WatchClient::new(channel).max_decoding_message_size(usize::MAX);
        let responses = soon(client.watch(UnboundedReceiverStream::new(stream)))
            .await
            .unwrap()
            .into_inner();
        Watches { requests, responses }
    }

    pub fn send(&self, union: pb::watch_request::RequestUnion) {
        self.requests
            .send(pb::WatchRequest {
                request_union: Some(union),
            })
            .unwrap();
    }

    pub fn ask(&self, request: pb::WatchCreateRequest) {
        self.send(pb::watch_request::RequestUnion::CreateRequest(request));
    }

    pub fn cancel(&self, watch_id: i64) {
        self.send(pb::watch_request::RequestUnion::CancelRequest(
            pb::WatchCancelRequest { watch_id },
        ));
    }

    pub fn ask_progress(&self) {
        self.send(pb::watch_request::RequestUnion::ProgressRequest(
            pb::WatchProgressRequest {},
        ));
    }

    pub async fn next(&mut self) -> pb::WatchResponse {
        soon(self.responses.message())
            .await
            .unwrap()
            .expect("the stream goes on")
    }

    /// Creates a watch and answers its id.
    pub async fn create(&mut self, request: pb::WatchCreateRequest) -> i64 {
        self.ask(request);
        let response = self.next().await;
        assert!(
            response.created && !response.canceled && response.events.is_empty(),
            "{response:?}"
        );
        response.watch_id
    }

    /// The next `count` events of whatever watch, as text.
    pub async fn events(&mut self, count: usize) -> Vec<String> {
        let mut events = Vec::new();
        while events.len() < count {
            let response = self.next().await;
            assert!(!response.events.is_empty(), "{response:?}");
            events.extend(response.events.iter().map(text));
        }
        assert_eq!(events.len(), count, "{events:?}");
        events
    }

    /// Checks that nothing is waiting: asks for what is answered at once, and gets that first.
    pub async fn assert_quiet(&mut self) {
        self.ask(pb::WatchCreateRequest {
            start_revision: -1,
            ..Default::default()
        });
        let response = self.next().await;
        assert!(response.created && response.canceled, "{response:?}");
    }
}

/// An event as `PUT key=value@revision` or `DELETE key@revision`, with what it replaced.
pub fn text(event: &cfgstore_proto::mvccpb::Event) -> String {
    let kv = event.kv.as_ref().unwrap();
    let string = |bytes: &bytes::Bytes| String::from_utf8_lossy(bytes).into_owned();
    let mut text = match event.r#type {
        0 => format!(
            "PUT {}={}@{}",
            string(&kv.key),
            string(&kv.value),
            kv.mod_revision
        ),
        _ => format!("DELETE {}@{}", string(&kv.key), kv.mod_revision),
    };
    if let Some(prev) = &event.prev_kv {
        text.push_str(&format!(" was {}@{}", string(&prev.value), prev.mod_revision));
    }
    text
}

//! Members for an agent to follow: a `cfgstored` or Debian's etcd, behind an address that can be cut and led elsewhere.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use cfgstore_client::{Address, Client, KeyValue, MemberAddress, Options, PutOptions};
use cfgstore_mirror::{Reader, Snapshot};
use cfgstore_server::{Agent, AgentConfig, Config, ListenAddress, ServerThread};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, copy, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Barrier, watch};

use crate::common::{config_in, eventually, soon};
use crate::free_port::free_port;

/// A store of one member. It ends with the test, however that ends.
pub enum Member {
    Cfgstored(Option<ServerThread>, TempDir),
    Etcd {
        child: Child,
        address: SocketAddr,
        _dir: TempDir,
    },
}

impl Member {
    pub fn cfgstored() -> Member {
        let dir = tempfile::tempdir().unwrap();
        let server = start_cfgstored(&dir);
        Member::Cfgstored(Some(server), dir)
    }

    /// Debian's etcd.
    pub async fn etcd() -> Member {
        let dir = tempfile::tempdir().unwrap();
        let [client, peer] = [free_port(), free_port()].map(|port| format!("http://127.0.0.1:{port}"));
        let child = Command::new("etcd")
            .args(["--name", "m", "--log-level", "error", "--data-dir"])
            .arg(dir.path().join("etcd"))
            .args([
                "--listen-client-urls",
                &client,
                "--advertise-client-urls",
                &client,
            ])
            .args([
                "--listen-peer-urls",
                &peer,
                "--initial-advertise-peer-urls",
                &peer,
            ])
            .args(["--initial-cluster", &format!("m={peer}")])
            .args(["--heartbeat-interval", "20", "--election-timeout", "200"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("these tests need Debian's etcd-server");
        let address = client.strip_prefix("http://").unwrap().parse().unwrap();
        let etcd = Member::Etcd {
            child,
            address,
            _dir: dir,
        };
        let client = etcd.client();
        eventually("etcd serves", async || client.get("x").await.is_ok()).await;
        etcd
    }

    pub fn address(&self) -> SocketAddr {
        match self {
            Member::Cfgstored(server, _) => {
                let url = &server.as_ref().expect("it runs").urls()[0];
                url.strip_prefix("http://").unwrap().parse().unwrap()
            }
            Member::Etcd { address, .. } => *address,
        }
    }

    /// A client that goes there directly.
    pub fn client(&self) -> Client {
        client(&format!("http://{}", self.address()))
    }

    /// Ends a `cfgstored` in order; its folder stays.
    pub fn stop(&mut self) -> &TempDir {
        match self {
            Member::Cfgstored(server, dir) => {
                server.take().expect("it runs").shutdown();
                dir
            }
            Member::Etcd { .. } => panic!("for cfgstored only"),
        }
    }

    /// Again, on another port.
    pub fn restart(&mut self) {
        if let Member::Cfgstored(server, dir) = self {
            *server = Some(start_cfgstored(dir));
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if let Member::Etcd { child, .. } = self {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn start_cfgstored(dir: &TempDir) -> ServerThread {
    let mut config: Config = config_in(dir);
    config.listen = vec![ListenAddress::parse("http://127.0.0.1:0").unwrap()];
    ServerThread::start(config).unwrap()
}

pub fn client(address: &str) -> Client {
    let options = Options {
        address: Address::parse(address).unwrap(),
        autostart: false,
        call_timeout: Duration::from_secs(20),
        ..Options::default()
    };
    Client::new(options).unwrap()
}

/// An address that leads to a member, to another one, or nowhere. Clones are the same one.
#[derive(Clone)]
pub struct Road {
    port: u16,
    target: Arc<watch::Sender<Option<SocketAddr>>>,
}

impl Road {
    pub async fn to(target: impl Into<Option<SocketAddr>>) -> Road {
        Road::with_gate(target.into(), None).await
    }

    /// As [`Road::to`], with a gate on the first connection.
    pub async fn gated(target: SocketAddr, gate: &Arc<Gate>) -> Road {
        Road::with_gate(Some(target), Some(gate.clone())).await
    }

    async fn with_gate(target: Option<SocketAddr>, mut gate: Option<Arc<Gate>>) -> Road {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let target = watch::Sender::new(target);
        let mut changes = target.subscribe();
        tokio::spawn(async move {
            // Ends with the test's runtime.
            while let Ok((mut near, _)) = listener.accept().await {
                let Some(address) = *changes.borrow_and_update() else {
                    continue;
                };
                let mut changes = changes.clone();
                let gate = gate.take();
                tokio::spawn(async move {
                    if let Ok(mut far) = TcpStream::connect(address).await {
                        tokio::select! {
                            () = pass(&mut near, &mut far, gate) => {}
                            _ = changes.changed() => {}
                        }
                    }
                });
            }
        });
        Road {
            port,
            target: Arc::new(target),
        }
    }

    /// Cuts every connection and leads new ones there; `None`: nowhere.
    pub fn lead_to(&self, target: Option<SocketAddr>) {
        self.target.send_replace(target);
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

/// Holds up what a member answers, once `bytes` of it have passed.
pub struct Gate {
    bytes: u64,
    barrier: Barrier,
}

impl Gate {
    pub fn after(bytes: u64) -> Arc<Gate> {
        Arc::new(Gate {
            bytes,
            barrier: Barrier::new(2),
        })
    }

    /// Waits until so much has passed.
    pub async fn reached(&self) {
        soon(self.barrier.wait()).await;
    }

    /// Lets the rest pass.
    pub async fn open(&self) {
        soon(self.barrier.wait()).await;
    }
}

async fn pass(near: &mut TcpStream, far: &mut TcpStream, gate: Option<Arc<Gate>>) {
    let Some(gate) = gate else {
        let _ = copy_bidirectional(near, far).await;
        return;
    };
    let ((mut asks, mut to_near), (mut answers, mut to_far)) = (near.split(), far.split());
    let back = async {
        let _ = copy(&mut (&mut answers).take(gate.bytes), &mut to_near).await;
        gate.barrier.wait().await;
        gate.barrier.wait().await;
        copy(&mut answers, &mut to_near).await
    };
    let _ = tokio::join!(copy(&mut asks, &mut to_far), back);
}

pub fn members(roads: &[&Road]) -> Vec<MemberAddress> {
    let urls: Vec<String> = roads.iter().map(|road| road.url()).collect();
    AgentConfig::parse_members(&urls.join(",")).unwrap()
}

/// An agent in a temporary folder, its mirror with it.
pub struct Host {
    pub agent: Option<Agent>,
    /// They must outlive the statement that starts the host.
    _roads: Vec<Road>,
    pub dir: TempDir,
}

impl Host {
    pub fn config(dir: &TempDir, roads: &[&Road]) -> AgentConfig {
        let mut config = AgentConfig::new(dir.path().join("agent"), members(roads));
        config.mirror_dir = Some(dir.path().join("mirror"));
        config.shutdown_grace = Duration::from_millis(500);
        config
    }

    pub async fn start(roads: &[&Road]) -> Host {
        Host::start_with(roads, |_| {}).await
    }

    pub async fn start_with(roads: &[&Road], change: impl FnOnce(&mut AgentConfig)) -> Host {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Host::config(&dir, roads);
        change(&mut config);
        let agent = Agent::start(config).await.unwrap();
        Host {
            agent: Some(agent),
            _roads: roads.iter().map(|road| (*road).clone()).collect(),
            dir,
        }
    }

    pub async fn stop(&mut self) {
        self.agent.take().expect("it runs").shutdown().await;
    }

    pub async fn restart(&mut self, roads: &[&Road]) {
        self.agent = Some(Agent::start(Host::config(&self.dir, roads)).await.unwrap());
    }

    pub fn agent(&self) -> &Agent {
        self.agent.as_ref().expect("it runs")
    }

    /// A client on the host's socket.
    pub fn client(&self) -> Client {
        client(&format!("unix://{}", self.agent().socket().display()))
    }

    pub fn reader(&self) -> Reader {
        Reader::open(&self.dir.path().join("mirror")).unwrap()
    }

    /// Why the mirror does not follow.
    pub async fn trouble(&self) -> String {
        self.client().agent_status().await.unwrap().unwrap().trouble
    }
}

pub async fn put(client: &Client, key: &str, value: &str) -> i64 {
    let value = value.as_bytes().to_vec();
    client.put(key, value, &PutOptions::default()).await.unwrap()
}

pub fn value(snapshot: &Snapshot, key: &str) -> Option<String> {
    let entry = snapshot.get(key.as_bytes()).unwrap()?;
    Some(String::from_utf8(entry.value.to_vec()).unwrap())
}

/// Waits until the mirror shows `value` at `key`.
pub async fn mirrored(reader: &mut Reader, key: &str, wanted: Option<&str>) {
    eventually("the mirror follows", async || {
        reader
            .snapshot()
            .is_ok_and(|snapshot| value(&snapshot, key).as_deref() == wanted)
    })
    .await;
}

/// Whether the mirror holds exactly these keys.
pub fn same(snapshot: &Snapshot, kvs: &[KeyValue]) -> bool {
    let mut entries = snapshot.iter().map(Result::unwrap);
    kvs.iter().all(|kv| {
        entries.next().is_some_and(|entry| {
            entry.key == &kv.key[..]
                && entry.value == &kv.value[..]
                && (entry.create_revision, entry.mod_revision, entry.version)
                    == (kv.create_revision, kv.mod_revision, kv.version)
        })
    }) && entries.next().is_none()
}

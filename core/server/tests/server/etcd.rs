//! A real etcd, as Debian ships it (3.4), to compare with.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;
use tonic::transport::{Channel, Endpoint};

/// Lets the system choose.
const ANY: &str = "http://127.0.0.1:0";

/// A running etcd; killed when dropped.
pub struct Etcd {
    child: Child,
    pub url: String,
    pub channel: Channel,
    _dir: TempDir,
}

impl Etcd {
    /// Starts one on ports that the system chooses. What can't run proves nothing, so without it the test fails.
    pub async fn start() -> Etcd {
        Etcd::start_on(ANY).await.expect("etcd ended before it served")
    }

    /// The same on a port chosen here, since etcd's JSON gateway calls the address as it was given.
    pub async fn start_with_gateway() -> Etcd {
        // The port can be taken in between: then another is tried.
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0")
                .unwrap()
                .local_addr()
                .unwrap()
                .port();
            if let Some(etcd) = Etcd::start_on(&format!("http://127.0.0.1:{port}")).await {
                return etcd;
            }
        }
        panic!("etcd ended before it served, five times");
    }

    async fn start_on(clients: &str) -> Option<Etcd> {
        let dir = tempfile::tempdir().unwrap();
        let mut child = Command::new("etcd")
            .arg("--data-dir")
            .arg(dir.path().join("data"))
            .args([
                "--listen-client-urls",
                clients,
                "--advertise-client-urls",
                clients,
            ])
            .args(["--listen-peer-urls", ANY, "--initial-advertise-peer-urls", ANY])
            .args(["--initial-cluster", "default=http://127.0.0.1:0"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("etcd is not installed: `make setup-test` installs it (Debian's package is etcd-server)");
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let address = loop {
            let mut line = String::new();
            if log.read_line(&mut line).unwrap() == 0 {
                child.wait().unwrap();
                return None;
            }
            if let Some((_, rest)) = line.split_once("serving insecure client requests on ") {
                break rest.split(',').next().unwrap().to_owned();
            }
        };
        // Or it would wait for somebody to read its log.
        std::thread::spawn(move || log.read_to_end(&mut Vec::new()));
        let url = format!("http://{address}");
        let channel = Endpoint::new(url.clone()).unwrap().connect().await.unwrap();
        Some(Etcd {
            child,
            url,
            channel,
            _dir: dir,
        })
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

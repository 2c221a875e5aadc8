//! A real etcd, as Debian ships it (3.4), to compare with.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;
use tonic::transport::{Channel, Endpoint};

/// A running etcd; killed when dropped.
pub struct Etcd {
    child: Child,
    pub channel: Channel,
    _dir: TempDir,
}

impl Etcd {
    /// Starts one on ports that the system chooses. What can't run proves nothing, so without it the test fails.
    pub async fn start() -> Etcd {
        let dir = tempfile::tempdir().unwrap();
        let any = "http://127.0.0.1:0";
        let mut child = Command::new("etcd")
            .arg("--data-dir")
            .arg(dir.path().join("data"))
            .args(["--listen-client-urls", any, "--advertise-client-urls", any])
            .args(["--listen-peer-urls", any, "--initial-advertise-peer-urls", any])
            .args(["--initial-cluster", "default=http://127.0.0.1:0"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("etcd is not installed: `make setup` installs it (Debian's package is etcd-server)");
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let address = loop {
            let mut line = String::new();
            assert_ne!(
                log.read_line(&mut line).unwrap(),
                0,
                "etcd ended before it served"
            );
            if let Some((_, rest)) = line.split_once("serving insecure client requests on ") {
                break rest.split(',').next().unwrap().to_owned();
            }
        };
        // Or it would wait for somebody to read its log.
        std::thread::spawn(move || log.read_to_end(&mut Vec::new()));
        let channel = Endpoint::new(format!("http://{address}"))
            .unwrap()
            .connect()
            .await
            .unwrap();
        Etcd {
            child,
            channel,
            _dir: dir,
        }
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

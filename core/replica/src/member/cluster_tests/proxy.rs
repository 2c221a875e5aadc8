//! A network between members that a test can cut.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, tcp};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What a cut link still lets pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cut {
    /// Nothing reaches the member behind the proxy.
    pub inward: bool,
    /// Nothing of what that member answers comes back.
    pub outward: bool,
}

/// Forwards connections to one member, on behalf of one other. Cut, it swallows bytes in silence, as a network does that
/// drops packets: no connection is reset, so whoever depends on a reset hangs.
pub struct Proxy {
    pub address: SocketAddr,
    target: Arc<Mutex<Option<SocketAddr>>>,
    cut: watch::Sender<Cut>,
    resets: watch::Sender<u64>,
    task: JoinHandle<()>,
}

impl Proxy {
    pub async fn start() -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let target = Arc::new(Mutex::new(None));
        let cut = watch::Sender::new(Cut::default());
        let resets = watch::Sender::new(0);
        let task = tokio::spawn(accept(listener, target.clone(), cut.clone(), resets.clone()));
        Proxy {
            address,
            target,
            cut,
            resets,
            task,
        }
    }

    /// Where connections lead from now on; `None`: nowhere, they are refused as by a member that has ended.
    pub fn lead_to(&self, target: Option<SocketAddr>) {
        *self.target.lock().unwrap() = target;
    }

    pub fn cut(&self, cut: Cut) {
        self.cut.send_replace(cut);
    }

    /// Breaks the connections there are.
    pub fn reset(&self) {
        self.resets.send_modify(|resets| *resets += 1);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(
    listener: TcpListener,
    target: Arc<Mutex<Option<SocketAddr>>>,
    cut: watch::Sender<Cut>,
    resets: watch::Sender<u64>,
) {
    // The connections end with this task.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let (client, _) = listener.accept().await.unwrap();
        let target = *target.lock().unwrap();
        let cut = cut.subscribe();
        let mut resets = resets.subscribe();
        connections.spawn(async move {
            let Some(target) = target else { return };
            let Ok(server) = TcpStream::connect(target).await else {
                return;
            };
            let (client_read, client_write) = client.into_split();
            let (server_read, server_write) = server.into_split();
            // The end of either direction ends both, as does a reset.
            tokio::select! {
                () = pump(client_read, server_write, cut.clone(), |cut| cut.inward) => {}
                () = pump(server_read, client_write, cut, |cut| cut.outward) => {}
                _ = resets.changed() => {}
            }
        });
    }
}

async fn pump(
    mut from: tcp::OwnedReadHalf,
    mut to: tcp::OwnedWriteHalf,
    mut cut: watch::Receiver<Cut>,
    is_cut: fn(&Cut) -> bool,
) {
    let mut buffer = vec![0; 64 << 10];
    let mut swallowed = false;
    loop {
        let Ok(length @ 1..) = from.read(&mut buffer).await else {
            // A cut hides the end of a connection too.
            let _ = cut.wait_for(|cut| !is_cut(cut)).await;
            return;
        };
        swallowed |= is_cut(&cut.borrow_and_update());
        if swallowed {
            // Bytes are missing: the connection can't go on after the cut either, and nobody is told before.
            if cut.wait_for(|cut| !is_cut(cut)).await.is_err() {
                return;
            }
            return;
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

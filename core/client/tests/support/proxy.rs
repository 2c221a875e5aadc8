//! A proxy in front of a server, that can cut, hold back or refuse.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// Forwards connections to a port of this host.
pub struct Proxy {
    port: u16,
    control: Arc<Control>,
}

#[derive(Default)]
struct Control {
    /// Answers of the server are kept back.
    holds_answers: AtomicBool,
    /// Connections are closed as soon as they are accepted.
    refuses: AtomicBool,
    /// Connections made so far.
    accepted: AtomicUsize,
    open: Mutex<Vec<TcpStream>>,
    /// Connections that neither side has ended.
    alive: AtomicUsize,
}

impl Proxy {
    pub fn start(target: u16) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let control = Arc::new(Control::default());
        let shared = control.clone();
        // Ends with the test program.
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                shared.accepted.fetch_add(1, Ordering::SeqCst);
                if shared.refuses.load(Ordering::SeqCst) {
                    continue;
                }
                let Ok(server) = TcpStream::connect(("127.0.0.1", target)) else {
                    continue;
                };
                let mut open = shared.open.lock().unwrap();
                open.push(client.try_clone().unwrap());
                open.push(server.try_clone().unwrap());
                shared.alive.fetch_add(1, Ordering::SeqCst);
                forward(
                    client.try_clone().unwrap(),
                    server.try_clone().unwrap(),
                    shared.clone(),
                    false,
                );
                forward(server, client, shared.clone(), true);
            }
        });
        Proxy { port, control }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn hold_answers(&self, hold: bool) {
        self.control.holds_answers.store(hold, Ordering::SeqCst);
    }

    pub fn refuse(&self, refuse: bool) {
        self.control.refuses.store(refuse, Ordering::SeqCst);
    }

    pub fn accepted(&self) -> usize {
        self.control.accepted.load(Ordering::SeqCst)
    }

    /// Connections that neither side has ended.
    pub fn open(&self) -> usize {
        self.control.alive.load(Ordering::SeqCst)
    }

    /// Closes every connection.
    pub fn cut(&self) {
        for stream in self.control.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn forward(mut from: TcpStream, mut to: TcpStream, control: Arc<Control>, is_answer: bool) {
    std::thread::spawn(move || {
        let mut buffer = [0; 64 * 1024];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            while is_answer && control.holds_answers.load(Ordering::SeqCst) {
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
            if to.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
        if is_answer {
            control.alive.fetch_sub(1, Ordering::SeqCst);
        }
    });
}

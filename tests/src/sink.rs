//! Receivers of notifications on loopback: an HTTP server and an SMTP server, as small as they can be.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long a test waits for something to arrive before it fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server on loopback that ends with this.
struct Listening {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Listening {
    /// Hands each connection to `serve`, one after the other. Port 0 is a free one.
    fn start(port: u16, mut serve: impl FnMut(TcpStream) -> io::Result<()> + Send + 'static) -> Listening {
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let address = listener.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = stop.clone();
        let thread = std::thread::spawn(move || {
            for connection in listener.incoming() {
                if stopping.load(Ordering::Relaxed) {
                    return;
                }
                // A client that goes away midway is not the server's trouble.
                let _ = connection.and_then(&mut serve);
            }
        });
        Listening {
            address,
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes it.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A request that arrived.
#[derive(Clone, Debug)]
pub struct Posted {
    /// Its path, with the query.
    pub path: String,
    headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
}

impl Posted {
    /// The value of a header; the name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name)?;
        Some(&found.1)
    }
}

/// An HTTP server that keeps what it is sent.
pub struct HttpSink {
    listening: Listening,
    posted: Receiver<Posted>,
}

impl HttpSink {
    /// Answers each request with what `answer` makes of it: a status line's end, with further header lines if wanted, as in
    /// `"200 OK"` or `"503 Busy\r\nRetry-After: 1"`.
    pub fn answering(port: u16, mut answer: impl FnMut(&Posted) -> String + Send + 'static) -> HttpSink {
        let (sender, posted) = mpsc::channel();
        let listening = Listening::start(port, move |mut connection| {
            let request = read_request(&connection)?;
            let head = answer(&request);
            // Kept first, so that whoever was answered finds it here.
            let _ = sender.send(request);
            write!(
                connection,
                "HTTP/1.1 {head}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )
        });
        HttpSink { listening, posted }
    }

    /// Takes everything, on a free port.
    pub fn start() -> HttpSink {
        HttpSink::answering(0, |_| "200 OK".to_owned())
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.listening.address.port()
    }

    /// A URL of it.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.listening.address)
    }

    /// The next request, or a panic if none comes.
    pub fn next(&self) -> Posted {
        self.posted.recv_timeout(PATIENCE).expect("no request came")
    }

    /// The next of the requests that have come already.
    pub fn try_next(&self) -> Option<Posted> {
        self.posted.try_recv().ok()
    }
}

fn read_request(connection: &TcpStream) -> io::Result<Posted> {
    let mut reader = BufReader::new(connection);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut headers = Vec::new();
    let mut length = 0;
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        let name = name.to_ascii_lowercase();
        if name == "content-length" {
            length = value.parse().map_err(io::Error::other)?;
        }
        headers.push((name, value.to_owned()));
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Posted { path, headers, body })
}

/// An e-mail that arrived.
#[derive(Clone, Debug, Default)]
pub struct Mail {
    /// Who it is from, as the envelope says.
    pub from: String,
    /// Who it is for, as the envelope says.
    pub to: Vec<String>,
    /// What followed `AUTH`.
    pub auth: String,
    /// Headers and text.
    pub data: String,
}

/// An SMTP server that keeps what it is sent.
pub struct SmtpSink {
    listening: Listening,
    mails: Receiver<Mail>,
}

impl SmtpSink {
    /// Answers a command with what `refuse` makes of it, if anything, as in `Some("550 no such user")`; else it takes it.
    pub fn refusing(refuse: impl Fn(&str) -> Option<String> + Send + 'static) -> SmtpSink {
        let (sender, mails) = mpsc::channel();
        let listening = Listening::start(0, move |connection| converse(connection, &refuse, &sender));
        SmtpSink { listening, mails }
    }

    /// Takes everything.
    pub fn start() -> SmtpSink {
        SmtpSink::refusing(|_| None)
    }

    /// Its address, as a rule has it.
    pub fn url(&self) -> String {
        format!("smtp://{}", self.listening.address)
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.listening.address.port()
    }

    /// The next of the e-mails that have come already.
    pub fn try_next(&self) -> Option<Mail> {
        self.mails.try_recv().ok()
    }

    /// The next e-mail, or a panic if none comes.
    pub fn next(&self) -> Mail {
        self.mails.recv_timeout(PATIENCE).expect("no e-mail came")
    }
}

fn converse(
    mut connection: TcpStream,
    refuse: &impl Fn(&str) -> Option<String>,
    mails: &Sender<Mail>,
) -> io::Result<()> {
    let mut lines = BufReader::new(connection.try_clone()?).lines();
    let mut mail = Mail::default();
    let mut reply = |text: &str| write!(connection, "{text}\r\n");
    reply("220 sink")?;
    while let Some(line) = lines.next().transpose()? {
        if let Some(refusal) = refuse(&line) {
            reply(&refusal)?;
            continue;
        }
        let (verb, rest) = line.split_once(' ').unwrap_or((&line, ""));
        match verb {
            "EHLO" => reply("250-sink\r\n250 AUTH PLAIN")?,
            "AUTH" => {
                rest.clone_into(&mut mail.auth);
                reply("235 welcome")?;
            }
            "MAIL" => {
                rest.clone_into(&mut mail.from);
                reply("250 ok")?;
            }
            "RCPT" => {
                mail.to.push(rest.to_owned());
                reply("250 ok")?;
            }
            "DATA" => {
                reply("354 go on")?;
                for line in lines.by_ref() {
                    let line = line?;
                    if line == "." {
                        break;
                    }
                    mail.data.push_str(&line);
                    mail.data.push('\n');
                }
                let _ = mails.send(std::mem::take(&mut mail));
                reply("250 taken")?;
            }
            "QUIT" => return reply("221 bye"),
            _ => reply("250 ok")?,
        }
    }
    Ok(())
}

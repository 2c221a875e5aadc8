//! TLS in front of a server on loopback, with a certificate that an authority of the test's own has signed.

use std::io;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufStream, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

/// Makes an authority, and a certificate of it for 127.0.0.1.
const MAKE: &str = "
    new='-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes'
    openssl req -x509 $new -keyout ca.key -out ca.pem -days 2 -subj /CN=authority -addext keyUsage=keyCertSign &&
    openssl req $new -keyout key.pem -out request.pem -subj /CN=server &&
    printf 'subjectAltName=IP:127.0.0.1\\nbasicConstraints=CA:FALSE\\n' >extensions &&
    openssl x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile extensions -out certificate.pem";

/// An authority that nobody knows who was not told of it.
#[derive(Debug)]
pub struct Authority {
    folder: tempfile::TempDir,
}

/// When a client begins TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begins {
    /// At once.
    AtOnce,
    /// After the command STARTTLS of SMTP.
    WithStartTls,
}

impl Authority {
    /// A new one.
    pub fn new() -> Authority {
        let folder = tempfile::tempdir().expect("folder");
        let made = Command::new("sh")
            .args(["-c", MAKE])
            .current_dir(folder.path())
            .output()
            .expect("sh");
        assert!(made.status.success(), "certificates need openssl: {made:?}");
        Authority { folder }
    }

    /// Its own certificate, by which others know it.
    pub fn certificate_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Serves TLS on a free port, and passes on what is said to the port behind.
    pub fn front(&self, behind: u16, begins: Begins) -> TlsFront {
        let chain = CertificateDer::from_pem_file(self.folder.path().join("certificate.pem"));
        let key = PrivateKeyDer::from_pem_file(self.folder.path().join("key.pem"));
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![chain.expect("certificate")], key.expect("key"))
            .expect("a certificate with its key");
        TlsFront::start(TlsAcceptor::from(Arc::new(config)), behind, begins)
    }
}

impl Default for Authority {
    fn default() -> Authority {
        Authority::new()
    }
}

/// A port on which TLS is served for another; it ends with this.
#[derive(Debug)]
pub struct TlsFront {
    port: u16,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl TlsFront {
    fn start(acceptor: TlsAcceptor, behind: u16, begins: Begins) -> TlsFront {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("port");
        let port = listener.local_addr().expect("address").port();
        let (stop, stopped) = oneshot::channel();
        let accept = async move {
            while let Ok((client, _)) = listener.accept().await {
                // A client that does not believe the certificate goes away, which is its right.
                tokio::spawn(serve(client, acceptor.clone(), behind, begins));
            }
        };
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = accept => {}
                    _ = stopped => {}
                }
            });
        });
        TlsFront {
            port,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for TlsFront {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn serve(mut client: TcpStream, acceptor: TlsAcceptor, behind: u16, begins: Begins) -> io::Result<()> {
    if begins == Begins::WithStartTls {
        client = until_starttls(client).await?;
    }
    let mut client = acceptor.accept(client).await?;
    let mut server = BufStream::new(TcpStream::connect(("127.0.0.1", behind)).await?);
    if begins == Begins::WithStartTls {
        // It greets, and this client has been greeted.
        server.read_line(&mut String::new()).await?;
    }
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}

/// What an SMTP server that wants TLS says before it.
async fn until_starttls(client: TcpStream) -> io::Result<TcpStream> {
    let mut client = BufStream::new(client);
    let mut answer = "220 front\r\n";
    loop {
        client.write_all(answer.as_bytes()).await?;
        client.flush().await?;
        if answer.ends_with("begin\r\n") {
            return Ok(client.into_inner());
        }
        let mut line = String::new();
        if client.read_line(&mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        answer = match line.split_whitespace().next() {
            Some("EHLO") => "250-front\r\n250 STARTTLS\r\n",
            Some("STARTTLS") => "220 begin\r\n",
            _ => "530 only after STARTTLS\r\n",
        };
    }
}

//! The least of HTTP/1.1 that loads a server: one keep-alive connection, GET, Content-Length or chunked bodies.

use std::io::{BufRead, BufReader, Read, Result, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// One keep-alive connection.
#[derive(Debug)]
pub struct HttpConnection {
    stream: BufReader<TcpStream>,
}

/// An answer.
#[derive(Debug)]
pub struct HttpResponse {
    /// HTTP status code.
    pub status: u16,
    /// The body.
    pub body: String,
}

impl HttpConnection {
    /// Connects to a port on 127.0.0.1.
    pub fn open(port: u16) -> Result<HttpConnection> {
        HttpConnection::open_at(("127.0.0.1", port))
    }

    /// One GET request to a port on 127.0.0.1, on a connection of its own.
    pub fn get_once(port: u16, path: &str) -> Result<HttpResponse> {
        HttpConnection::open(port)?.get(path)
    }

    /// Connects to an address.
    pub fn open_at(address: impl ToSocketAddrs) -> Result<HttpConnection> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        Ok(HttpConnection {
            stream: BufReader::new(stream),
        })
    }

    /// One GET request.
    pub fn get(&mut self, path: &str) -> Result<HttpResponse> {
        write!(
            self.stream.get_mut(),
            "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"
        )?;
        let status_line = self.line()?;
        let status = status_line
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok())
            .ok_or_else(|| std::io::Error::other(format!("not a status line: {status_line:?}")))?;
        let (mut length, mut chunked) = (0, false);
        loop {
            let header = self.line()?.to_ascii_lowercase();
            if header.is_empty() {
                break;
            }
            if let Some(value) = header.strip_prefix("content-length:") {
                length = value.trim().parse().map_err(std::io::Error::other)?;
            }
            chunked |= header == "transfer-encoding: chunked";
        }
        let mut body = Vec::new();
        if chunked {
            loop {
                let size = usize::from_str_radix(self.line()?.trim(), 16).map_err(std::io::Error::other)?;
                self.take(size, &mut body)?;
                self.line()?;
                if size == 0 {
                    break;
                }
            }
        } else {
            self.take(length, &mut body)?;
        }
        Ok(HttpResponse {
            status,
            body: String::from_utf8_lossy(&body).into_owned(),
        })
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }

    fn take(&mut self, size: usize, body: &mut Vec<u8>) -> Result<()> {
        let read = self.stream.by_ref().take(size as u64).read_to_end(body)?;
        if read == size {
            Ok(())
        } else {
            Err(std::io::ErrorKind::UnexpectedEof.into())
        }
    }
}

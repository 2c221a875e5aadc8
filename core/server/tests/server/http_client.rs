//! A client of HTTP/1 that shows everything as it came.

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::common::{TestServer, soon};

/// `host:port` of a URL.
pub fn authority(url: &str) -> &str {
    url.strip_prefix("http://").unwrap()
}

pub struct HttpClient {
    sender: http1::SendRequest<Full<Bytes>>,
    authority: String,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: hyper::HeaderMap,
    pub body: String,
}

impl Answer {
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

impl HttpClient {
    pub async fn connect(server: &TestServer) -> HttpClient {
        HttpClient::connect_to(&server.server.urls()[0]).await
    }

    pub async fn connect_to(url: &str) -> HttpClient {
        let authority = authority(url).to_owned();
        let stream = TcpStream::connect(&authority).await.unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        HttpClient { sender, authority }
    }

    pub async fn send(&mut self, request: hyper::http::request::Builder, body: &str) -> Response<Incoming> {
        let request = request
            .header("host", &self.authority)
            .body(Full::from(body.to_owned()))
            .unwrap();
        soon(self.sender.ready()).await.unwrap();
        soon(self.sender.send_request(request)).await.unwrap()
    }

    pub async fn ask(&mut self, request: hyper::http::request::Builder, body: &str) -> Answer {
        let (head, body) = self.send(request, body).await.into_parts();
        let body = soon(body.collect()).await.unwrap().to_bytes();
        Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        self.ask(Request::get(path), "").await
    }

    pub async fn post(&mut self, path: &str, body: &str) -> Answer {
        self.ask(Request::post(path), body).await
    }

    pub async fn method(&mut self, method: Method, path: &str) -> Answer {
        self.ask(Request::builder().method(method).uri(path), "").await
    }

    /// Sends and reads lines of the answer as they come.
    pub async fn stream(&mut self, path: &str, body: &str) -> Lines {
        let response = self.send(Request::post(path), body).await;
        Lines {
            status: response.status().as_u16(),
            body: response.into_body(),
            text: String::new(),
        }
    }
}

/// An answer that goes on.
pub struct Lines {
    pub status: u16,
    body: Incoming,
    text: String,
}

impl Lines {
    /// The next line as JSON; `None` at the end.
    pub async fn next(&mut self) -> Option<serde_json::Value> {
        loop {
            if let Some((line, rest)) = self.text.split_once('\n') {
                let line = serde_json::from_str(line).unwrap();
                self.text = rest.to_owned();
                return Some(line);
            }
            let Some(frame) = soon(self.body.frame()).await else {
                assert_eq!(self.text, "");
                return None;
            };
            let data = frame.unwrap().into_data().unwrap();
            self.text.push_str(std::str::from_utf8(&data).unwrap());
        }
    }
}

/// Sends bytes as they are, and answers what came until the server closed.
pub async fn raw(server: &TestServer, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(authority(&server.server.urls()[0]))
        .await
        .unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    // Closed in the middle is an answer, too.
    let _ = soon(stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

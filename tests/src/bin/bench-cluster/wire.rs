//! HTTP/2 and gRPC as far as a load generator needs them, so that its own cost stays small beside the servers': headers are
//! sent by their index from the second call on, as real clients do, and answers are not decoded beyond their frames.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// What a server may send before we say more: never reached in a run.
const WINDOW: u32 = 1 << 30;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;

const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// One connection, to one method of one server.
pub struct Connection {
    stream: TcpStream,
    input: Vec<u8>,
    output: Vec<u8>,
    next_stream: u32,
    path: &'static str,
    authority: String,
    /// Bytes of DATA that the server takes now.
    window: i64,
    /// Bytes received since the server's window was raised.
    received: u32,
}

/// What arrived.
pub enum Arrival<'a> {
    /// Bytes of an answer, its framing included.
    Data(u32, &'a [u8]),
    /// The end of a call.
    End(u32),
}

impl Connection {
    /// Connects to `url`.
    pub async fn open(url: &str, path: &'static str) -> io::Result<Connection> {
        let authority = url.trim_start_matches("http://").to_owned();
        let stream = TcpStream::connect(&authority).await?;
        stream.set_nodelay(true)?;
        let mut connection = Connection {
            stream,
            input: Vec::with_capacity(1 << 16),
            output: PREFACE.to_vec(),
            next_stream: 1,
            path,
            authority,
            window: 65_535,
            received: 0,
        };
        // No push; a window for each stream.
        let mut settings = vec![0, 2, 0, 0, 0, 0, 0, 4];
        settings.extend(WINDOW.to_be_bytes());
        connection.frame(SETTINGS, 0, 0, &settings);
        connection.frame(WINDOW_UPDATE, 0, 0, &(WINDOW - 65_535).to_be_bytes());
        connection.flush().await?;
        Ok(connection)
    }

    fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.output.extend(&(payload.len() as u32).to_be_bytes()[1..]);
        self.output.extend([kind, flags]);
        self.output.extend(stream.to_be_bytes());
        self.output.extend(payload);
    }

    /// Whether the server takes a request of this many bytes now.
    pub fn has_room(&self, bytes: usize) -> bool {
        self.window >= bytes as i64 + 5
    }

    /// Queues a call, and returns its stream. With `more`, the request stream stays open.
    pub fn call(&mut self, message: &[u8], more: bool) -> u32 {
        let stream = self.next_stream;
        self.next_stream += 2;
        let mut block = vec![0x83, 0x86]; // POST, http
        if stream == 1 {
            let mut indexed = |name: &[u8], value: &str| {
                block.extend(name);
                block.push(value.len() as u8);
                block.extend(value.as_bytes());
            };
            indexed(&[0x44], self.path);
            indexed(&[0x41], &self.authority);
            indexed(&[0x5f], "application/grpc");
            indexed(b"\x40\x02te", "trailers");
        } else {
            block.extend([0xc1, 0xc0, 0xbf, 0xbe]); // the same, newest last
        }
        self.frame(HEADERS, END_HEADERS, stream, &block);
        let mut data = Vec::with_capacity(message.len() + 5);
        data.push(0);
        data.extend((message.len() as u32).to_be_bytes());
        data.extend(message);
        self.window -= data.len() as i64;
        self.frame(DATA, if more { 0 } else { END_STREAM }, stream, &data);
        stream
    }

    /// Sends what was queued.
    pub async fn flush(&mut self) -> io::Result<()> {
        if !self.output.is_empty() {
            self.stream.write_all(&self.output).await?;
            self.output.clear();
        }
        Ok(())
    }

    /// Waits for bytes and hands over what whole frames they make.
    pub async fn receive(&mut self, mut arrived: impl FnMut(Arrival<'_>)) -> io::Result<()> {
        if self.stream.read_buf(&mut self.input).await? == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the server closed the connection",
            ));
        }
        let input = std::mem::take(&mut self.input);
        let mut at = 0;
        while let Some(header) = input.get(at..at + 9) {
            let length = u32::from_be_bytes([0, header[0], header[1], header[2]]) as usize;
            let Some(payload) = input.get(at + 9..at + 9 + length) else {
                break;
            };
            let (kind, flags) = (header[3], header[4]);
            let stream = u32::from_be_bytes([header[5], header[6], header[7], header[8]]);
            at += 9 + length;
            match kind {
                DATA => {
                    self.received += length as u32;
                    arrived(Arrival::Data(stream, payload));
                }
                SETTINGS if flags & ACK == 0 => self.frame(SETTINGS, ACK, 0, &[]),
                PING if flags & ACK == 0 => self.frame(PING, ACK, 0, payload),
                WINDOW_UPDATE if stream == 0 => {
                    self.window += i64::from(u32::from_be_bytes(payload.try_into().expect("four bytes")));
                }
                GOAWAY => return Err(io::Error::other("the server said goodbye")),
                _ => {}
            }
            if kind == RST_STREAM || (matches!(kind, DATA | HEADERS) && flags & END_STREAM != 0) {
                arrived(Arrival::End(stream));
            }
        }
        self.input = input;
        self.input.drain(..at);
        if self.received > WINDOW / 4 {
            let raise = self.received.to_be_bytes();
            self.frame(WINDOW_UPDATE, 0, 0, &raise);
            self.received = 0;
        }
        Ok(())
    }
}

//! The bodies of streams, whose messages are counted as they pass.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};

use hyper::body::{Frame, SizeHint};
use tonic::body::Body;
use tonic::codegen::{Body as HttpBody, Bytes};
use tonic::{Code, Status};

use super::calls::{Calls, Running, code_in};

/// Before each message: a flag and the length.
const PREFIX_BYTES: usize = 5;

/// Finds the messages in a body.
#[derive(Debug, Default)]
struct Messages {
    prefix: [u8; PREFIX_BYTES],
    /// Bytes of `prefix` that are there.
    known: usize,
    /// Bytes of the present message still to come.
    rest: usize,
}

impl Messages {
    /// How many messages begin in `data`.
    fn count(&mut self, mut data: &[u8]) -> u64 {
        let mut count = 0;
        while !data.is_empty() {
            if self.rest > 0 {
                let skip = self.rest.min(data.len());
                self.rest -= skip;
                data = &data[skip..];
                continue;
            }
            let take = (PREFIX_BYTES - self.known).min(data.len());
            self.prefix[self.known..self.known + take].copy_from_slice(&data[..take]);
            self.known += take;
            data = &data[take..];
            if self.known == PREFIX_BYTES {
                let [_, length @ ..] = self.prefix;
                self.rest = u32::from_be_bytes(length) as usize;
                self.known = 0;
                count += 1;
            }
        }
        count
    }
}

/// The body of a request with many messages.
#[derive(Debug)]
pub(super) struct Received {
    body: Body,
    messages: Messages,
    calls: Arc<Calls>,
    at: usize,
}

impl Received {
    pub fn new(body: Body, calls: Arc<Calls>, at: usize) -> Received {
        Received {
            body,
            messages: Messages::default(),
            calls,
            at,
        }
    }
}

impl HttpBody for Received {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            let count = self.messages.count(data);
            self.calls.count_received(self.at, count);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of an answer with many messages. The call ends with it.
#[derive(Debug)]
pub(super) struct Sent {
    body: Body,
    messages: Messages,
    running: Option<Running>,
}

impl Sent {
    pub fn new(body: Body, running: Running) -> Sent {
        Sent {
            body,
            messages: Messages::default(),
            running: Some(running),
        }
    }

    fn end(&mut self, code: Code) {
        if let Some(running) = self.running.take() {
            running.end(code);
        }
    }
}

impl HttpBody for Sent {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        let frame = ready!(Pin::new(&mut this.body).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    let count = this.messages.count(data);
                    if let Some(running) = &this.running {
                        running.counts().sent.fetch_add(count, Relaxed);
                    }
                } else if let Some(code) = frame.trailers_ref().and_then(code_in) {
                    this.end(code);
                }
            }
            Some(Err(status)) => this.end(status.code()),
            None => this.end(Code::Unknown),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_counted_however_they_are_cut() {
        let message = |length: usize| [&[0][..], &(length as u32).to_be_bytes(), &vec![0; length]].concat();
        let body = [message(0), message(7), message(300), message(0), message(1)].concat();
        for size in [1, 2, 3, 5, 6, 100, body.len()] {
            let mut messages = Messages::default();
            let count: u64 = body.chunks(size).map(|piece| messages.count(piece)).sum();
            assert_eq!(count, 5, "in pieces of {size}");
        }
    }
}

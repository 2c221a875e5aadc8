//! Calls with streams of messages: on either side one JSON object after the other.

use std::convert::Infallible;

use futures_util::{Stream, StreamExt, stream};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use prost_reflect::MessageDescriptor;
use tonic::body::Body;
use tonic::client::Grpc;
use tonic::codegen::Bytes;
use tonic::codegen::http::{Response, StatusCode, request};
use tonic::{Status, Streaming};

use super::codec::RawCodec;
use super::error::{http_status, refusal, stream_error};
use super::values::Values;
use super::{Call, GrpcStack, discard, messages, metadata};
use crate::http::response;

/// Makes the call and answers with its messages as they come. The answer begins with the first one, so that a refusal
/// before it has its HTTP status.
pub(super) async fn answer(
    mut grpc: Grpc<GrpcStack>,
    call: &Call,
    head: &request::Parts,
    body: Body,
    limit: usize,
) -> Response<Body> {
    let mut requests = Requests {
        kind: call.method.input(),
        body,
        values: Values::new(limit),
    };
    // Read before the call is made: a mistake in it is the answer. In later ones it only ends the requests.
    let first = match requests.next().await {
        Ok(first) => first,
        Err(error) => {
            discard(&mut requests.body).await;
            return refusal(&Status::unknown(error));
        }
    };
    let result = if call.method.is_client_streaming() {
        let mut request = tonic::Request::new(stream::iter(first).chain(requests.rest()));
        *request.metadata_mut() = metadata::of(&head.headers);
        grpc.streaming(request, call.path.clone(), RawCodec).await
    } else {
        let mut request = tonic::Request::new(first.unwrap_or_default());
        *request.metadata_mut() = metadata::of(&head.headers);
        grpc.server_streaming(request, call.path.clone(), RawCodec).await
    };
    let mut answers = match result {
        Ok(response) => response.into_inner(),
        Err(status) => return refused(&status),
    };
    let kind = call.method.output();
    match answers.message().await {
        Ok(Some(first)) => streamed(lines(kind, first, answers)),
        Ok(None) => response::json(StatusCode::OK, ""),
        Err(status) => refused(&status),
    }
}

fn refused(status: &Status) -> Response<Body> {
    response::json(http_status(status.code()), stream_error(status))
}

fn streamed(lines: impl Stream<Item = String> + Send + 'static) -> Response<Body> {
    let frames = lines.map(|line| Ok::<_, Infallible>(Frame::data(Bytes::from(line))));
    let mut response = response::json(StatusCode::OK, "");
    *response.body_mut() = Body::new(StreamBody::new(frames));
    response
}

/// Each message as a line; a line with the error, if there is one, is the last.
fn lines(
    kind: MessageDescriptor,
    first: Bytes,
    answers: Streaming<Bytes>,
) -> impl Stream<Item = String> + Send + 'static {
    let messages = stream::once(async { Ok(first) }).chain(answers);
    stream::unfold(Some((messages.boxed(), kind)), async |state| {
        let (mut messages, kind) = state?;
        let json = match messages.next().await? {
            Ok(message) => messages_json(&kind, message).await,
            Err(status) => Err(status),
        };
        match json {
            Ok(line) => Some((line, Some((messages, kind)))),
            Err(status) => Some((stream_error(&status), None)),
        }
    })
}

async fn messages_json(kind: &MessageDescriptor, message: Bytes) -> Result<String, Status> {
    let json = messages::decode_off_thread(kind.clone(), message).await?;
    Ok(format!("{{\"result\":{json}}}\n"))
}

/// The messages in the body of a request.
struct Requests {
    kind: MessageDescriptor,
    body: Body,
    values: Values,
}

impl Requests {
    /// The next message; `None` when the body has ended.
    async fn next(&mut self) -> Result<Option<Bytes>, String> {
        loop {
            if let Some(json) = self.values.next()? {
                return messages::encode(self.kind.clone(), &json).map(Some);
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        self.values.push(data);
                    }
                }
                Some(Err(error)) => return Err(format!("the request's body cannot be read: {error}")),
                None if self.values.is_empty() => return Ok(None),
                None => return Err("the request ends inside a message".to_owned()),
            }
        }
    }

    fn rest(self) -> impl Stream<Item = Bytes> + Send + 'static {
        stream::unfold(self, async |mut requests| {
            let message = requests.next().await.ok()??;
            Some((message, requests))
        })
    }
}

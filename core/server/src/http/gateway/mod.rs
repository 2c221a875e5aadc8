//! etcd's JSON gateway: each path stands for a method of gRPC, whose messages are given as JSON.
//!
//! Nothing here knows a message: the descriptors of the `.proto` files say how JSON becomes one. A call goes through the
//! very services that clients of gRPC reach, in this process. The shapes are those of etcd 3.5 (grpc-gateway v1) with the
//! field `code` that 3.6 has: 64-bit numbers are strings, bytes are base64, what is zero is left out.

mod codec;
mod error;
mod messages;
mod metadata;
mod paths;
mod stream;
mod values;

use http_body_util::{BodyExt, LengthLimitError, Limited};
use prost_reflect::MethodDescriptor;
use std::collections::HashMap;
use std::time::Duration;
use tonic::Status;
use tonic::body::Body;
use tonic::client::Grpc;
use tonic::codegen::Bytes;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::codegen::http::{Method, Response, StatusCode, request};
use tonic::service::Routes;

use super::response::{json, text};
use crate::config::Config;
use crate::metrics::CallMetrics;
use crate::oversize::Oversize;
use codec::RawCodec;
use error::{refusal, too_large};

/// gRPC's services with everything around them that a client's call passes, too.
pub(crate) type GrpcStack = CallMetrics<Oversize<Routes>>;

/// How long the body of a request that is one message may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);
/// Most that is read of a body after it was refused …
const MAX_DISCARDED_BYTES: usize = 16 << 20;
/// … as long as no pause in it is longer.
const DISCARD_PAUSE: Duration = Duration::from_millis(100);

/// The gateway.
pub(super) struct Gateway {
    grpc: GrpcStack,
    calls: HashMap<String, Call>,
    max_body_bytes: usize,
}

/// What a path stands for.
#[derive(Clone)]
struct Call {
    method: MethodDescriptor,
    path: PathAndQuery,
}

impl Gateway {
    pub fn new(grpc: GrpcStack, config: &Config) -> Gateway {
        Gateway {
            grpc,
            calls: paths::calls(),
            // In base64, and with room for the names of fields.
            max_body_bytes: 2 * config.max_wire_bytes(),
        }
    }

    /// Answers a request to a path below `/v3/`.
    pub async fn answer(&self, head: &request::Parts, body: Body) -> Response<Body> {
        let Some(call) = self.calls.get(head.uri.path()) else {
            return text(StatusCode::NOT_FOUND, "Not Found\n");
        };
        if head.method != Method::POST {
            return text(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed\n");
        }
        let mut grpc = Grpc::new(self.grpc.clone()).max_decoding_message_size(usize::MAX);
        // Never fails, and is ready at once.
        if grpc.ready().await.is_err() {
            return refusal(&Status::unavailable("the server is ending"));
        }
        if call.method.is_client_streaming() || call.method.is_server_streaming() {
            return stream::answer(grpc, call, head, body, self.max_body_bytes).await;
        }
        match self.unary(grpc, call, head, body).await {
            Ok(answer) => json(StatusCode::OK, answer),
            Err(refused) => *refused,
        }
    }

    async fn unary(
        &self,
        mut grpc: Grpc<GrpcStack>,
        call: &Call,
        head: &request::Parts,
        body: Body,
    ) -> Result<String, Box<Response<Body>>> {
        let body = read_all(body, self.max_body_bytes).await?;
        let message = messages::encode(call.method.input(), &body)
            .map_err(|error| refusal(&Status::invalid_argument(error)))?;
        let mut request = tonic::Request::new(message);
        *request.metadata_mut() = metadata::of(&head.headers);
        let response = grpc
            .unary(request, call.path.clone(), RawCodec)
            .await
            .map_err(|status| refusal(&status))?;
        let json = messages::decode_off_thread(call.method.output(), response.into_inner()).await;
        json.map_err(|status| Box::new(refusal(&status)))
    }
}

/// Takes and drops what a refused client is still sending, as far as it comes soon: to close before it is read would reset the
/// connection, and the client might never see the refusal.
async fn discard(body: &mut Body) {
    let mut discarded = 0;
    while let Ok(Some(Ok(frame))) = tokio::time::timeout(DISCARD_PAUSE, body.frame()).await {
        discarded += frame.data_ref().map_or(0, Bytes::len);
        if discarded > MAX_DISCARDED_BYTES {
            return;
        }
    }
}

async fn read_all(mut body: Body, limit: usize) -> Result<Bytes, Box<Response<Body>>> {
    let reading = Limited::new(&mut body, limit).collect();
    match tokio::time::timeout(BODY_TIMEOUT, reading).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            discard(&mut body).await;
            Err(Box::new(too_large(limit)))
        }
        Ok(Err(error)) => {
            let text = format!("the request's body cannot be read: {error}");
            Err(Box::new(refusal(&Status::invalid_argument(text))))
        }
        Err(_) => {
            let text = format!("the request's body did not arrive within {BODY_TIMEOUT:?}");
            Err(Box::new(refusal(&Status::cancelled(text))))
        }
    }
}

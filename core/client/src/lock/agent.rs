//! A lock kept alive by the host's agent for as long as one connection lives.

use std::time::Duration;

use bytes::Bytes;
use cfgstore_proto::cfgstore::v1 as pb;
use cfgstore_proto::cfgstore::v1::agent_client::AgentClient;
use cfgstore_proto::cfgstore::v1::hold_request::Request;
use cfgstore_proto::cfgstore::v1::hold_response::Response;
use futures_util::FutureExt as _;
use tokio::sync::mpsc;
use tokio::time::timeout_at;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::{Hold, LockOptions, millis};
use crate::call::{Call, on};
use crate::client::Client;
use crate::connection::Connection;
use crate::error::{Error, ErrorKind, Result};
use crate::refusal::Failure;

const RELEASE_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) struct AgentHold {
    connection: Connection,
    requests: mpsc::Sender<pb::HoldRequest>,
    responses: Streaming<pb::HoldResponse>,
}

impl AgentHold {
    /// `None`: another has it, and the wait was in vain.
    pub async fn acquire(
        client: &Client,
        name: &str,
        key: Bytes,
        options: &LockOptions,
    ) -> Result<Option<(Hold, Bytes, i64)>> {
        let connection = client.connections().dedicated(client.deadline()).await?;
        // The agent ends the wait itself; this bound is for an agent that hangs.
        let deadline = client.deadline_after(options.wait);
        let acquire = pb::Acquire {
            name: key,
            ttl_ms: millis(options.ttl),
            wait_ms: millis(options.wait),
        };
        let answer = timeout_at(deadline, open(connection.clone(), acquire)).await;
        let call = Call {
            name: "lock",
            about: b"",
            writes: false,
        };
        let (hold, response) = match answer {
            Ok(Ok(opened)) => opened,
            Ok(Err(status)) => return Err(named(name, call.error(&connection, &Failure::of(&status)))),
            Err(_) => {
                connection.socket().shut_down();
                let message = format!(
                    "lock {name}: the agent at {} does not answer",
                    connection.endpoint()
                );
                return Err(Error::new(ErrorKind::Timeout, message));
            }
        };
        match response {
            Some(Response::Acquired(held)) => Ok(Some((Hold::Agent(Box::new(hold)), held.key, held.token))),
            Some(Response::TimedOut(_)) => Ok(None),
            Some(Response::Lost(lost)) => Err(super::lost(name, &lost.reason)),
            Some(Response::Released(_)) | None => {
                let message = format!(
                    "lock {name}: the agent at {} gave no answer",
                    connection.endpoint()
                );
                Err(Error::new(ErrorKind::Internal, message))
            }
        }
    }

    /// Why it is lost, if it is, as far as has arrived.
    pub fn lost(&mut self) -> Option<String> {
        // Nothing is lost by asking again: a message that is not whole yet stays in the stream.
        match self.responses.message().now_or_never()? {
            Ok(Some(pb::HoldResponse {
                response: Some(Response::Lost(lost)),
            })) => Some(lost.reason),
            Ok(Some(_)) => None,
            Ok(None) => Some("the agent ended it".to_owned()),
            Err(status) => Some(Failure::of(&status).text),
        }
    }

    pub async fn release(mut self, name: &str) -> Result<()> {
        let request = pb::HoldRequest {
            request: Some(Request::Release(pb::Release {})),
        };
        let released = async {
            // A stream that has ended shows in what is received.
            let _ = self.requests.send(request).await;
            while let Some(response) = self.responses.message().await? {
                match response.response {
                    Some(Response::Released(_)) => return Ok(true),
                    Some(Response::Lost(_)) => return Ok(false),
                    _ => {}
                }
            }
            Ok::<bool, Status>(false)
        };
        let released = tokio::time::timeout(RELEASE_TIMEOUT, released).await;
        // Whatever happened, the agent frees it when the connection ends.
        self.connection.socket().shut_down();
        match released {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false)) => Err(super::lost(name, "the agent ended it")),
            Ok(Err(status)) => Err(super::lost(name, &Failure::of(&status).text)),
            Err(_) => Err(Error::new(
                ErrorKind::Timeout,
                format!(
                    "lock {name}: the agent did not confirm its release; it is freed with the connection"
                ),
            )),
        }
    }

    pub fn shut_down(&self) {
        self.connection.socket().shut_down();
    }
}

async fn open(
    connection: Connection,
    acquire: pb::Acquire,
) -> std::result::Result<(AgentHold, Option<Response>), Status> {
    let (requests, outgoing) = mpsc::channel(2);
    // There is room for two.
    let _ = requests.try_send(pb::HoldRequest {
        request: Some(Request::Acquire(acquire)),
    });
    let mut service = on!(AgentClient, connection.clone());
    let mut responses = service.hold(ReceiverStream::new(outgoing)).await?.into_inner();
    let first = responses.message().await?;
    Ok((
        AgentHold {
            connection,
            requests,
            responses,
        },
        first.and_then(|first| first.response),
    ))
}

fn named(name: &str, mut error: Error) -> Error {
    error.message = format!("lock {name}: {}", error.message);
    error
}

//! The change log as it grows.

use std::time::Duration;

use cfgstore_proto::cfgstore::v1 as pb;
use cfgstore_proto::cfgstore::v1::history_client::HistoryClient;
use tokio::time::timeout_at;
use tonic::{Code, Status, Streaming};

use crate::call::{Call, on};
use crate::client::Client;
use crate::connection::{Connection, jittered};
use crate::error::{Error, ErrorKind, Result};
use crate::history::{HistoryChange, HistoryQuery, change_from_wire};
use crate::keyspace::Span;
use crate::refusal::{Effect, Failure};

const BACKOFF_FIRST: Duration = Duration::from_millis(20);
const BACKOFF_LAST: Duration = Duration::from_secs(1);

/// Changes as they are made, with who made them and why; made by [`Client::follow`]. It reconnects by itself, to another
/// member if there is one, and goes on with the revision after the last one it got.
pub struct ChangeFollower {
    client: Client,
    span: Span,
    request: pb::ChangesRequest,
    open: Option<(Connection, Streaming<pb::ChangesResponse>)>,
    backoff: Duration,
    /// A server has taken the request. Until then, to reach none is an error; from then on it is waited out.
    was_open: bool,
}

impl Client {
    /// Follows the changes that the query selects, from its first revision on, which has to be named; the query has no last
    /// revision, no limit and no order. Nothing is connected before [`ChangeFollower::next`].
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`], if the query is none that can be followed.
    pub fn follow(&self, query: &HistoryQuery) -> Result<ChangeFollower> {
        if query.from_revision < 1 || query.newest_first || query.limit > 0 || query.to_revision != 0 {
            return Err(Error::invalid(
                "changes are followed from a revision on, without a last one, a limit, or the newest first",
            ));
        }
        let span = query.range.span(self.keyspace())?;
        Ok(ChangeFollower {
            client: self.clone(),
            request: pb::ChangesRequest {
                follow: true,
                ..query.to_wire(&span)
            },
            span,
            open: None,
            backoff: BACKOFF_FIRST,
            was_open: false,
        })
    }
}

impl ChangeFollower {
    /// The next changes: those of one or more revisions, of each all that the query selects. Not cancel-safe.
    ///
    /// # Errors
    /// [`ErrorKind::Compacted`] if changes that are still to come are no longer kept, and what the server refuses: a further
    /// call says the same. [`ErrorKind::Unavailable`] if no server was ever reached.
    pub async fn next(&mut self) -> Result<Vec<HistoryChange>> {
        loop {
            if let Some((connection, stream)) = &mut self.open {
                match stream.message().await {
                    Ok(Some(batch)) => {
                        self.backoff = BACKOFF_FIRST;
                        self.request.from_revision = self.request.from_revision.max(batch.revision + 1);
                        let changes = self.wanted(batch);
                        if !changes.is_empty() {
                            return Ok(changes);
                        }
                    }
                    Ok(None) => {
                        let connection = connection.clone();
                        self.broke(&connection, &Status::unavailable("the stream ended"))
                            .await?;
                    }
                    Err(status) => {
                        let connection = connection.clone();
                        self.broke(&connection, &status).await?;
                    }
                }
            } else {
                self.connect().await?;
            }
        }
    }

    fn wanted(&self, batch: pb::ChangesResponse) -> Vec<HistoryChange> {
        let wanted = batch
            .changes
            .into_iter()
            .filter(|change| self.span.wants(&change.key));
        wanted
            .map(|change| change_from_wire(self.client.keyspace(), change))
            .collect()
    }

    async fn connect(&mut self) -> Result<()> {
        let deadline = self.client.deadline();
        let connection = match self.client.connections().dedicated(deadline).await {
            Ok(connection) => connection,
            Err(error) if self.was_open && error.retryable() => {
                self.wait().await;
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let mut service = on!(HistoryClient, connection.clone());
        match timeout_at(deadline, service.changes(self.request.clone())).await {
            Ok(Ok(answer)) => {
                self.was_open = true;
                self.open = Some((connection, answer.into_inner()));
                Ok(())
            }
            Ok(Err(status)) => self.broke(&connection, &status).await,
            Err(_) => {
                let silent = Status::unavailable("no answer to the request for changes");
                self.broke(&connection, &silent).await
            }
        }
    }

    /// Waits for the next attempt, if there is to be one.
    async fn broke(&mut self, connection: &Connection, status: &Status) -> Result<()> {
        self.open = None;
        self.client.connections().abandon(connection);
        let failure = Failure::of(status);
        if self.was_open && failure.effect != Effect::Refused {
            self.wait().await;
            return Ok(());
        }
        let mut error = Call::read("change log", &self.request.key).error(connection, &failure);
        if status.code() == Code::OutOfRange {
            error.kind = ErrorKind::Compacted;
        }
        Err(error)
    }

    async fn wait(&mut self) {
        tokio::time::sleep(jittered(self.backoff)).await;
        self.backoff = (self.backoff * 2).min(BACKOFF_LAST);
    }
}

impl std::fmt::Debug for ChangeFollower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChangeFollower")
            .field("key", &self.request.key)
            .field("from_revision", &self.request.from_revision)
            .finish_non_exhaustive()
    }
}
